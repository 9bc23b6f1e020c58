"""Every overlay can be built, is what Kubernetes' schemas say, and holds together."""

import functools
import json
import pathlib
import re

import checks
import pytest
from kubernetes_validate import utils
from support import built, tools

# The definitions are read once and not for every object.
utils.schema_contents = functools.cache(utils.schema_contents)

VERSIONS = ["1.33", "1.34", "1.37"]


@functools.cache
def document_problem(document, version):
    """What a Kubernetes version's strict schemas say about one object; None when nothing."""
    try:
        utils.validate(json.loads(document), version, strict=True)
    except (utils.ValidationError, utils.SchemaNotFoundError) as error:
        # No schema for a kind is a problem too: a misspelt apiVersion has none.
        return f"{version}: {error.message}"
    return None


def schema_problems(docs, version):
    """What is wrong with all objects."""
    return [problem for doc in docs if (problem := document_problem(json.dumps(doc), version))]


def admission_problems(path):
    """What an API server's own decoding, defaulting, validation and pod security say."""
    done = tools.run(tools.program("admission"), path, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines() + done.stderr.splitlines()


@pytest.mark.parametrize("overlay", built.OVERLAYS)
def test_should_match_the_strict_schemas(overlay):
    for version in VERSIONS:
        assert schema_problems(built.documents(overlay), version) == []


@pytest.mark.parametrize("overlay", built.OVERLAYS)
def test_should_be_admitted_by_the_api_servers_own_code(overlay, tmp_path):
    path = tmp_path / "built.yaml"
    path.write_text(built.text(overlay))
    assert admission_problems(path) == []


@pytest.mark.parametrize("overlay", built.OVERLAYS)
def test_should_hold_together(overlay):
    assert checks.problems(built.documents(overlay)) == []


def test_should_know_every_overlay():
    folders = {p.parent.name for p in (tools.DEPLOY / "overlays").glob("*/kustomization.yaml")}
    assert folders == set(built.OVERLAYS)


def test_should_have_scripts_without_slips():
    scripts = [*tools.DEPLOY.rglob("*.sh"), tools.ROOT / "tests/deploy/install"]
    program = tools.CACHE / "deploy/venv/bin/shellcheck"
    if not program.exists():
        tools.missing("shellcheck")
    assert len(scripts) >= 6
    assert tools.run(program, *scripts, check=False).stdout == ""


def test_should_hold_no_secret():
    for overlay in built.OVERLAYS:
        for doc in built.documents(overlay):
            if doc["kind"] == "Secret":
                assert overlay == "dev" and set(doc.get("data", {}).values()) <= {""}, doc["metadata"]["name"]
    words = re.compile(r"(password|secret|token)[\"']?\s*[:=]\s*[\"']?[A-Za-z0-9+/]{12,}", re.I)
    for path in pathlib.Path(tools.DEPLOY).rglob("*"):
        if path.is_file() and path.suffix in (".yaml", ".toml", ".conf", ".yml", ".env"):
            assert not words.search(path.read_text()), path
