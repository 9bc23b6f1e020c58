"""Programs that the tests run. tests/run installs them; one that is missing fails in CI and is skipped loudly elsewhere."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
CACHE = pathlib.Path(
    os.environ.get("ICEWRIGHT_CACHE")
    or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "icewright"
)
BIN = CACHE / "deploy/bin"


def program(name):
    """Path of a program."""
    found = BIN / name if (BIN / name).exists() else shutil.which(name)
    if not found:
        missing(name)
    return str(found)


def missing(what):
    """Says that something is not there."""
    message = f"{what} is missing: run tests/run, which installs it"
    if os.environ.get("ICEWRIGHT_REQUIRE_ALL"):
        pytest.fail(message)
    pytest.skip(message)


def icewright():
    """The binary under test."""
    path = os.environ.get("ICEWRIGHT_BIN")
    if not path:
        missing("the icewright binary (ICEWRIGHT_BIN)")
    return path


def run(*command, check=True, **more):
    """Runs a command to its end and returns what it said."""
    more.setdefault("timeout", 120)
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **more)
    if check and done.returncode != 0:
        raise AssertionError(f"{command} came to {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


@contextlib.contextmanager
def workplace(prefix):
    """A folder that other users may enter, gone at the end. In memory where there is some: servers that sync to a disk that
    others build on take ten times as long."""
    memory = "/dev/shm"
    roomy = os.path.isdir(memory) and shutil.disk_usage(memory).free > 2 << 30
    folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=memory if roomy else None))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_ports(count):
    """Ports on the loopback that nobody listens on; all different."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
