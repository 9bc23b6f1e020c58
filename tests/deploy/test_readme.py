"""The commands of deploy/README.md, as a stranger would type them, with Kubernetes' own kubectl and a real API server."""

import json
import os
import re
import shutil
import subprocess

import pytest
from support import apiserver, built, tools
from support.built import find, template

README = (tools.DEPLOY / "README.md").read_text()
# What needs a cluster behind the server, a registry or a person.
ELSEWHERE = r"docker |kind load|kubectl \S+ \S+ (rollout|logs|wait|exec) |kubectl -n \S+ delete pvc"


@pytest.fixture
def shell():
    """Runs lines in a shell whose kubectl speaks to a server of its own."""
    kubectl = tools.program("kubectl")
    with tools.workplace("readme") as folder, apiserver.running(folder) as server:
        server.kubeconfig(folder / "kubeconfig")
        (folder / "bin").mkdir()
        (folder / "bin/kubectl").symlink_to(kubectl)
        # Asks a person for a password; here nobody is asked.
        (folder / "bin/htpasswd").write_text('#!/bin/sh\necho "$3:$(openssl passwd -apr1 test)" >"$2"\n')
        (folder / "bin/htpasswd").chmod(0o755)
        shutil.copytree(tools.DEPLOY, folder / "deploy")
        key = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=metrics.254carbon.com"]
        tools.run(*key, "-keyout", folder / "tls.key", "-out", folder / "tls.crt")
        environment = os.environ | {
            "PATH": f"{folder}/bin:{os.environ['PATH']}",
            "KUBECONFIG": f"{folder}/kubeconfig",
            "HOME": str(folder),
        }

        def run(lines):
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", lines], cwd=folder, env=environment, capture_output=True, text=True
            )
            assert done.returncode == 0, f"{lines}\n{done.stdout}\n{done.stderr}"
            # A warning is something that a stranger would wonder about.
            assert "warning" not in done.stderr.lower(), done.stderr
            return done.stdout

        run.server, run.folder = server, folder
        yield run


def section(title, level="###"):
    """The commands of a section, one a line, those left out that need more than a server."""
    text = re.split(r"(?m)^#{2,3} ", README.partition(f"\n{level} {title}\n")[2])[0]
    assert text, title
    lines = []
    for block in re.findall(r"(?ms)^ *```\n(.*?)^ *```", text):
        joined = re.sub(r"\\\n\s*", "", block)
        for line in joined.splitlines():
            parts = [part for part in line.strip().split(" && ") if not re.match(ELSEWHERE, part)]
            # What follows is typed into psql.
            if parts and re.match(r"kubectl |htpasswd |[a-z_]+=", parts[0]):
                lines.append(" && ".join(parts))
    return lines


def is_there(server, docs):
    for doc in docs:
        where = f"{server.path(doc)}/{doc['metadata']['name']}"
        assert server.ask("GET", where)[0]["metadata"]["name"] == doc["metadata"]["name"]


def job(server, space, name, cron):
    """The job that was made by hand is what its CronJob would have made."""
    made, _ = server.ask("GET", f"/apis/batch/v1/namespaces/{space}/jobs/{name}")
    (wanted,) = template(cron)["spec"]["containers"]
    (container,) = made["spec"]["template"]["spec"]["containers"]
    for key in ("image", "command", "args"):
        assert container.get(key) == wanted.get(key), key


def test_should_come_up_as_the_readme_says(shell):
    text = "\n".join(section("In production"))
    assert "create namespace" in text and "kubectl apply --server-side -k deploy/overlays/prod" in text
    given = {"--cert=…": "--cert=tls.crt", "--key=…": "--key=tls.key", "=…": "=given"}
    for placeholder, value in given.items():
        assert placeholder in text, placeholder
        text = text.replace(placeholder, value)
    assert "…" not in text
    shell(text)
    docs = built.documents("prod")
    is_there(shell.server, docs)
    job(shell.server, "data-platform", "try", find(docs, "CronJob", "snapshot-expiry"))
    # Every secret that a pod or the ingress wants was made by these commands, with every key.
    made = shell.server.ask("GET", "/api/v1/secrets")[0]["items"]
    keys = {(s["metadata"]["namespace"], s["metadata"]["name"]): set(s["data"]) for s in made}
    for space, name, key in wanted_secrets(docs):
        assert key is None or key in keys[(space, name)], (space, name, key)
    assert keys[("victoria-metrics", "victoria-metrics-basic-auth")] == {"auth"}
    # Runbooks. The script that they take from the cluster is the one that is tested.
    (fetch,) = section("Failover of the primary")
    shell(fetch)
    script = tools.DEPLOY / "base/postgres/scripts/failover.sh"
    assert (shell.folder / "failover.sh").read_text() == script.read_text()
    (restore,) = section("Restore")
    shell(restore)
    job(shell.server, "shared-services", "restore-1", find(docs, "CronJob", "postgres-restore"))
    (compact,) = re.findall(r"`(kubectl -n data-platform create job compact-now\s+--from=\S+)`", README)
    shell(compact.replace("\n", " "))
    job(shell.server, "data-platform", "compact-now", find(docs, "CronJob", "iceberg-compaction"))


# Exec needs a node. These stand in for three: the primary is dead, the second replica has received most.
EXEC = """#!/bin/bash
for word; do [ "$word" = exec ] && break; done
[ "$word" = exec ] || exec {kubectl} "$@"
node=$4; shift 7
case "$*" in
  *role) [ "$node" != postgres-primary-0 ] && echo standby ;;
  *position) [ "$node" = postgres-read-replicas-1 ] && echo 200 || echo 100 ;;
  *ready) exit 1 ;;
  *) ;;
esac
"""


def test_should_stay_failed_over_when_applied_again(shell):
    """The failover script's changes, made by kubectl, against the manifests that are applied the next time."""
    apply = "kubectl apply --server-side -k deploy/overlays/prod"
    assert apply in section("In production")
    shell(apply)
    kubectl = shell.folder / "bin/kubectl"
    program = kubectl.resolve()
    kubectl.unlink()
    kubectl.write_text(EXEC.format(kubectl=program))
    kubectl.chmod(0o755)
    for line in section("Failover of the primary") + ["bash failover.sh --yes"]:
        shell(line)
    writes = "kubectl -n shared-services get service postgres-primary -o jsonpath={.spec.selector}"
    assert "postgres-read-replicas-1" in shell(writes)
    # Whoever forgets the last line is told, and nothing is turned back.
    with pytest.raises(AssertionError, match="conflict"):
        shell(apply)
    assert "postgres-read-replicas-1" in shell(writes)
    topology = shell.folder / "deploy/base/postgres/topology.env"
    text = topology.read_text()
    topology.write_text(re.sub("(?m)^primary=.*", "primary=postgres-read-replicas-1", text))
    shell(apply)
    assert "postgres-read-replicas-1" in shell(writes)


def test_should_change_overlays_as_the_readme_says(shell):
    apply = "kubectl apply --server-side -k deploy/overlays/"
    crons = "kubectl -n data-platform get cronjob -o name"
    shell(f"{apply}prod")
    shell(f"{apply}ten-times")
    assert len(shell(crons).split()) == 4
    limits = "kubectl -n data-platform get cronjob iceberg-compaction -o jsonpath={..limits.cpu}"
    assert shell(limits) == "8"
    shell("\n".join(section("Another overlay later")))
    assert shell(crons) == ""
    assert f"{apply}prod" in README
    shell(f"{apply}prod")
    assert len(shell(crons).split()) == 4 and shell(limits) == "4"
    with pytest.raises(AssertionError, match="(?s)StatefulSet.*[Ff]orbidden"):
        shell(f"{apply}bare-metal")


def wanted_secrets(docs):
    """Namespace, name and key (None: all of it) of every secret that is referred to."""
    for doc in docs:
        space = doc["metadata"].get("namespace")
        if doc["kind"] == "Ingress":
            yield from ((space, tls["secretName"], "tls.crt") for tls in doc["spec"]["tls"])
        for container in built.containers(doc):
            for source in container.get("envFrom", []):
                if "secretRef" in source:
                    yield space, source["secretRef"]["name"], "PGPASSWORD"
            for variable in container.get("env", []):
                reference = variable.get("valueFrom", {}).get("secretKeyRef")
                if reference:
                    yield space, reference["name"], reference["key"]
        for volume in (template(doc) or {"spec": {}})["spec"].get("volumes", []):
            if "secret" in volume:
                items = volume["secret"].get("items", [{"key": None}])
                yield from ((space, volume["secret"]["secretName"], item["key"]) for item in items)


def test_should_come_up_on_a_laptop_as_the_readme_says(shell):
    lines = section("On a laptop, to look")
    assert len(lines) == 2, lines
    shell("\n".join(lines))
    docs = built.documents("dev")
    is_there(shell.server, docs)
    job(shell.server, "data-platform", "try", find(docs, "CronJob", "iceberg-compaction"))
    assert json.loads(shell("kubectl -n data-platform get job make-lake -o json"))["spec"]["completions"] == 1
