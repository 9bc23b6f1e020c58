"""The monitoring path with real programs: scraped, ruled, alerted, stored, shown."""

import json
import re

import pytest
from support import built, stack, tools
from support.stack import get, until

DASHBOARDS = ["slo.json", "icewright.json"]
NAMES = tools.ROOT / "src/telemetry/metrics/names.rs"


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    with stack.running(tmp_path_factory.mktemp("stack")) as running:
        yield running


def dashboard(name):
    return json.loads(built.config("prod", "slo-dashboard", name))


def expressions(name):
    for panel in dashboard(name)["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "5m")


def test_should_keep_metrics_with_the_manifests_flags(programs):
    said = get(f"http://127.0.0.1:{programs.victoria}/flags")
    for flag in ('retentionPeriod="12"', 'memory.allowedPercent="80"', 'search.maxConcurrentRequests="16"'):
        assert f"-{flag}" in said, said
    metrics = get(f"http://127.0.0.1:{programs.victoria}/metrics")
    assert re.search(r"^vm_concurrent_select_capacity 16$", metrics, re.M)


def test_should_bring_alerts_to_whom_they_concern(programs):
    def received():
        seen = {}
        for path, body in list(programs.web.posted):
            for alert in body["alerts"]:
                seen.setdefault(path, {})[alert["labels"]["alertname"]] = alert
        return seen if {"/page", "/ticket", "/digest"} <= set(seen) else None

    seen = until(received)
    assert seen, programs.web.posted
    assert (
        "SloAvailability" in seen["/page"]
        and "SloStorage" in seen["/ticket"]
        and "SloGpuUtilisation" in seen["/digest"]
    )
    for alerts in seen.values():
        for alert in alerts.values():
            text = alert["annotations"]["description"]
            assert alert["labels"]["severity"] in ("info", "warning", "critical")
            assert "{{" not in text and "no value" not in text and "error" not in text.split(" ")[0].lower(), text
    storage = seen["/ticket"]["SloStorage"]["annotations"]["description"]
    assert storage.startswith("data-postgres-primary-0 in shared-services is 90% full"), storage
    # Errors are no news while the platform is unavailable.
    assert until(lambda: programs.query('ALERTS{alertname="SloErrorRate", alertstate="firing"}'))
    inhibited = (
        get(f"http://127.0.0.1:{programs.alertmanager}/api/v2/alerts?filter=alertname%3DSloErrorRate&inhibited=true")
        or ""
    )
    assert "SloErrorRate" in str(inhibited)


def test_should_receive_by_remote_write(programs):
    assert until(lambda: programs.stored('nginx_ingress_controller_requests{status="500"}'))
    assert until(lambda: programs.stored('slo:burn_rate:1h{slo="availability"}'))
    assert until(lambda: programs.stored('ALERTS{alertname="SloAvailability"}'))


def test_should_receive_what_a_job_pushes(programs, tmp_path):
    icewright = tools.icewright()
    tools.run(
        icewright, "fixture", "--dir", tmp_path / "lake", "--files", "12", "--rows", "100", "--table", "market.pushed"
    )
    # The jobs' own address, with the server's put in place of its name.
    (container,) = built.containers(built.find(built.documents("prod"), "CronJob", "iceberg-compaction"))
    url = next(e["value"] for e in container["env"] if e["name"] == "ICEWRIGHT_METRICS_PUSH")
    url = url.replace("victoria-metrics.victoria-metrics.svc:8428", f"127.0.0.1:{programs.victoria}")
    environment = {"ICEWRIGHT_METRICS_PUSH": url, "ICEWRIGHT_CATALOG": f"sqlite://{tmp_path}/lake/catalog.db"}
    tools.run(icewright, *container["args"], env=environment)
    pushed = until(lambda: programs.stored('icewright_table_last_run_success{table="market.pushed"}'))
    assert pushed and pushed["metric"]["operation"] == "compact" and pushed["values"] == [1], pushed


@pytest.mark.parametrize("name", DASHBOARDS)
def test_should_show_something_in_every_panel(name, programs):
    for expression in expressions(name):
        assert until(lambda: programs.query(expression), 15), expression


@pytest.mark.parametrize("name", DASHBOARDS)
def test_should_be_dashboards_that_grafana_loads(name):
    board = dashboard(name)
    panels = board["panels"]
    assert len({p["id"] for p in panels}) == len(panels)
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] in ("stat", "timeseries", "table", "bargauge") and panel["title"] and panel["description"]
        assert panel["datasource"]["uid"] == "${datasource}"
    assert [v["name"] for v in board["templating"]["list"]] == ["datasource"]
    found = built.find(built.documents("prod"), "ConfigMap", "slo-dashboard")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1" and len(json.dumps(found)) < 1 << 20


def test_should_have_one_panel_for_each_objective():
    for slo in ("availability", "response-time", "errors", "freshness", "query-time", "gpu", "storage"):
        panels = [p for p in dashboard("slo.json")["panels"] if any(f'slo="{slo}"' in t["expr"] for t in p["targets"])]
        assert len(panels) == 1, slo
        shown = " ".join(t["expr"] for t in panels[0]["targets"])
        assert "slo:indicator" in shown and "slo:objective" in shown and "slo:burn_rate" in shown


def test_should_be_made_by_its_script():
    import runpy

    folder = tools.DEPLOY / "base/monitoring/dashboards"
    for name, content in runpy.run_path(str(folder / "make.py"))["made"]().items():
        assert json.loads((folder / name).read_text()) == content, f"run make.py: {name} is not what it writes"


def test_should_name_metrics_that_are_exported():
    text = "".join(built.find(built.documents("prod"), "ConfigMap", "slo-alert-rules")["data"].values())
    text += " ".join(expression for name in DASHBOARDS for expression in expressions(name))
    exported = set(re.findall(r'"(icewright_[a-z_]+)"', NAMES.read_text()))
    named = set(re.findall(r"\bicewright_[a-z_]+", text)) - {"icewright_"}
    assert named and named <= exported, named - exported
    # The others are in the README's table of exporters, and in the target of these tests.
    readme = (tools.DEPLOY / "README.md").read_text()
    for metric in re.findall(r"\b(nginx_\w+|DCGM_\w+|kubelet_\w+|query_\w+)", text):
        assert any(metric in name for name, _, _ in stack.SERIES), metric
        stem = "kubelet_volume_stats_" if metric.startswith("kubelet") else metric
        assert stem in readme or metric.removeprefix("nginx_ingress_controller") in readme, metric
