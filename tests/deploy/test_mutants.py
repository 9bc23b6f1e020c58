"""The gate of test_build.py is no decoration: every mistake of mutants.py is seen by it."""

import copy

import checks
import mutants
import pytest
import yaml
from support import built
from test_build import admission_problems, schema_problems


def seen_by(docs, path):
    """Which parts of the gate say something."""
    path.write_text(yaml.safe_dump_all(docs))
    seen = []
    if schema_problems(docs, "1.34"):
        seen.append("schema")
    if admission_problems(path):
        seen.append("admission")
    try:
        if checks.problems(docs):
            seen.append("checks")
    except (KeyError, TypeError, ValueError):
        # A check that stumbles over a malformed object has noticed it; the schema says more about what it is.
        seen.append("checks")
    return seen


def test_should_not_see_what_is_not_there(tmp_path):
    assert seen_by(copy.deepcopy(built.documents("prod")), tmp_path / "built.yaml") == []


@pytest.mark.parametrize("mistake", mutants.ALL)
def test_should_see(mistake, tmp_path):
    docs = copy.deepcopy(built.documents("prod"))
    mutants.ALL[mistake](docs)
    assert docs != built.documents("prod"), "the mutant changed nothing"
    assert seen_by(docs, tmp_path / "mutant.yaml"), f"nobody saw: {mistake}"
