"""pytest's start: helper modules are found beside the tests; what several of them need."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from support import tools  # noqa: E402


@pytest.fixture(scope="module")
def root():
    """The image's root file system, made as the Dockerfile makes it."""
    with tools.workplace("image") as folder:
        tools.run(tools.DEPLOY / "rootfs.sh", tools.icewright(), folder / "root")
        yield folder / "root"
