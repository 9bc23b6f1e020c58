"""The pods that stay: the observer, and the scheduler of `overlays/serve`. Their exact commands, configuration, user and
memory limit, in the image's own root file system, on a fleet of tables with the servers that the manifests name."""

import json
import re

import pytest
from support import built, stack, tools
from support import lake as lakes
from support.sandbox import Pod

# market.prices00000 to market.prices00004, each of 24 small files of four years.
FLEET = [f"market.prices{number:05}" for number in range(5)]


@pytest.fixture(scope="module")
def fleet():
    with lakes.running() as network:
        lakes.make(network, "market.prices", "--tables", str(len(FLEET)), "--files", "24", "--rows", "200")
        yield network


def page(network, pod, path):
    """A page's status code and text, from the port that the manifest names."""
    (port,) = pod.container["ports"]
    done = network.run(
        "curl", "-s", "-w", "\n%{http_code}", f"http://127.0.0.1:{port['containerPort']}{path}", check=False
    )
    text, _, code = done.stdout.rpartition("\n")
    return int(code), text


def probe(pod, which):
    return pod.container[which]["httpGet"]["path"]


def status(network, pod):
    return json.loads(page(network, pod, "/status.json")[1])


def ready(network, pod):
    """Both probes answer as Kubernetes asks them."""
    path = probe(pod, "readinessProbe")
    assert stack.until(lambda: page(network, pod, path)[0] == 200, 60), pod.log()
    assert page(network, pod, probe(pod, "livenessProbe"))[0] == 200


def series(text):
    """Metrics of a page: name and labels, and value."""
    return {name: float(value) for name, value in re.findall(r"^(icewright_\S+) (\S+)$", text, re.M)}


def scheduled(text):
    """Schedules that have a next time."""
    return set(re.findall(r'^icewright_schedule_next_timestamp_seconds\{schedule="([^"]+)"\}', text, re.M))


def shown():
    """Metrics of icewright that dashboards and rules name."""
    text = "".join(built.find(built.documents("prod"), "ConfigMap", "slo-alert-rules")["data"].values())
    for board in built.find(built.documents("prod"), "ConfigMap", "slo-dashboard")["data"].values():
        for panel in json.loads(board)["panels"]:
            text += "".join(f" {target['expr']} " for target in panel["targets"])
    return set(re.findall(r"\bicewright_[a-z_]*[a-z]", text))


def pod_of(overlay, network):
    return Pod(overlay, "Deployment", "icewright-observer", network.folder, network)


@pytest.mark.parametrize("overlay", ["prod", "serve"])
def test_should_be_ready_and_show_every_table(overlay, fleet, root):
    before = lakes.stored(fleet)
    pod = pod_of(overlay, fleet)
    with pod.running(root, lakes.SECRETS, lakes.STORE, hosts=lakes.HOSTS):
        ready(fleet, pod)
        # The schedules that were promised, each with its next time.
        expected = {"observe"} | ({"compact", "archive", "expire", "remove-orphans"} if overlay == "serve" else set())
        assert stack.until(lambda: scheduled(page(fleet, pod, "/metrics")[1]) == expected), pod.log()
        code, text = page(fleet, pod, "/metrics")
        metrics = series(text)
        assert code == 200 and metrics["icewright_tables"] == len(FLEET), text
        for table in FLEET:
            assert metrics[f'icewright_table_small_files{{table="{table}"}}'] == 24, text
            assert metrics[f'icewright_table_freshness_seconds{{table="{table}"}}'] > 0
        assert metrics["icewright_tables_unreadable"] == 0
        for line in pod.log().splitlines():
            json.loads(line)
    # Nothing was due, so nothing of the tables was touched.
    assert {key for key in lakes.stored(fleet) ^ before if "/data/" in key or ".metadata.json" in key} == set()


def test_should_run_what_the_jobs_run(fleet, root, monkeypatch):
    """The scheduler's times are brought forward to every minute, and its clock has six in one; all else is the overlay's."""
    before = {table: lakes.rows(fleet, table) for table in FLEET[:2]}
    config = built.find(built.documents("serve"), "ConfigMap", "icewright-observer")["data"]
    every_minute = re.sub(r'(?m)^cron = "(?!0 0 1 1)[^"]+"', 'cron = "* * * * *"', config["icewright.toml"])
    assert every_minute.count("* * * * *") == 4
    monkeypatch.setitem(config, "icewright.toml", every_minute)
    pod = pod_of("serve", fleet)
    with pod.running(root, lakes.SECRETS, lakes.STORE | {"ICEWRIGHT_SPEED": "6"}, hosts=lakes.HOSTS):
        ready(fleet, pod)

        def ran():
            schedules = [s for s in status(fleet, pod)["schedules"].values() if s["started"] and not s["running"]]
            return {s["run"] for s in schedules} >= {"compact", "archive", "expire", "remove-orphans"}

        assert stack.until(ran, 150), (status(fleet, pod), pod.log())
        _, text = page(fleet, pod, "/metrics")
        lacks = shown() - {name.partition("{")[0].removesuffix("_bucket") for name in series(text)}
        assert lacks == set(), (lacks, text)
    for table, was in before.items():
        now = lakes.rows(fleet, table)
        assert (now["rows"], now["columns"]) == (was["rows"], was["columns"])
        assert now["files"] < was["files"] == 24, (table, now["files"])
