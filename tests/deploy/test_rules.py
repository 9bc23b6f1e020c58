"""The seven alerts: each fires when it must and not a moment earlier, and stays silent on the good side of its threshold."""

import re

import pytest
import yaml
from support import tools
from support.built import config, documents, find

FILES = ["objectives.yaml", "indicators.yaml", "burn-rates.yaml", "alerts.yaml"]
SEVERITIES = {
    "SloAvailability": "critical",
    "SloErrorRate": "critical",
    "SloDataFreshness": "critical",
    "SloResponseTime": "warning",
    "SloQueryTime": "warning",
    "SloStorage": "warning",
    "SloGpuUtilisation": "info",
}
REQUESTS = "nginx_ingress_controller_requests"
RESPONSES = "nginx_ingress_controller_request_duration_seconds_bucket"
QUERIES = "query_duration_seconds_bucket"
LAST_ROWS = 'icewright_table_last_snapshot_timestamp_seconds{table="market.prices"}'
FREE = 'kubelet_volume_stats_available_bytes{namespace="x", persistentvolumeclaim="data-0"}'
SIZE = 'kubelet_volume_stats_capacity_bytes{namespace="x", persistentvolumeclaim="data-0"}'
# A platform that is well. Values are promtool's: start+step x count, one each 30 seconds.
WELL = {f'{REQUESTS}{{status="200"}}': "0+1000x1000", LAST_ROWS: "0+30x1000"}


def histogram(name, *buckets):
    """Cumulative buckets: (upper edge, observations each step)."""
    return {f'{name}{{le="{edge}"}}': f"0+{count}x1000" for edge, count in buckets}


def requests(good, bad, status="500", steps=1000):
    return {f'{REQUESTS}{{status="200"}}': f"0+{good}x1000", f'{REQUESTS}{{status="{status}"}}': f"0+{bad}x{steps}"}


# Alert: the series that make it fire, the last time at which it is silent, and when it fires. Groups of rules are evaluated
# in any order (promtool's changes from run to run), so a chain of three may need two evaluations more: a minute.
FIRES = {
    "availability burns fast": ("SloAvailability", requests(980, 20), "2m", "4m"),
    "availability burns slowly": ("SloAvailability", requests(993, 7), "2m", "4m"),
    "requests are not measured": ("SloAvailability", {f'{REQUESTS}{{status="200"}}': None}, "1m30s", "2m30s"),
    "responses are slow": (
        "SloResponseTime",
        histogram(RESPONSES, ("0.1", 94), ("0.25", 94), ("0.5", 100), ("+Inf", 100)),
        "10m",
        "11m30s",
    ),
    "too many errors": ("SloErrorRate", requests(989, 11, "429"), "5m", "6m30s"),
    "given up on": ("SloErrorRate", requests(989, 11, "499"), "5m", "6m30s"),
    "no new rows": ("SloDataFreshness", {LAST_ROWS: "0x1000"}, "7m", "8m30s"),
    "nothing is observed": ("SloDataFreshness", {LAST_ROWS: None}, "1m30s", "2m30s"),
    "queries are slow": ("SloQueryTime", histogram(QUERIES, ("5", 94), ("10", 100), ("+Inf", 100)), "15m", "16m30s"),
    "idle GPUs": (
        "SloGpuUtilisation",
        {'DCGM_FI_DEV_GPU_UTIL{gpu="0"}': "70x1000", 'DCGM_FI_DEV_GPU_UTIL{gpu="1"}': "89x1000"},
        "59m30s",
        "61m",
    ),
    "a full volume": ("SloStorage", {FREE: "14x1000", SIZE: "100x1000"}, "14m30s", "16m"),
}
# Just on the good side, for two hours; and tables that nobody waits for.
SILENT = {
    "well": {},
    "errors within the budget": requests(9946, 54),
    "the caller's own errors": requests(500, 500, "404"),
    "responses just in time": histogram(RESPONSES, ("0.1", 96), ("0.25", 100), ("+Inf", 100)),
    "queries just in time": histogram(QUERIES, ("5", 96), ("10", 100), ("+Inf", 100)),
    "rows just in time": {LAST_ROWS: " ".join(f"{t}x9" for t in range(0, 7500, 300))},
    "an archive that rests": {'icewright_table_last_snapshot_timestamp_seconds{table="archive.old"}': "0x1000"},
    "busy GPUs": {'DCGM_FI_DEV_GPU_UTIL{gpu="0"}': "81x1000"},
    "room on the volume": {FREE: "16x1000", SIZE: "100x1000"},
    "no traffic": {f'{REQUESTS}{{status="200"}}': "1000x1000"},
}


@pytest.fixture
def rules(tmp_path):
    for name in FILES:
        (tmp_path / name).write_text(config("prod", "slo-alert-rules", name))
    return tmp_path


def firing(rules, series, expected, check=True):
    """Runs promtool: at each time exactly these alerts fire."""
    merged = {name: values for name, values in (WELL | series).items() if values}
    tests = [
        {
            "expr": 'count by (alertname, severity) (ALERTS{alertstate="firing"})',
            "eval_time": time,
            "exp_samples": [{"labels": f'{{alertname="{a}", severity="{SEVERITIES[a]}"}}', "value": 1} for a in alerts],
        }
        for time, alerts in expected.items()
    ]
    content = {
        "rule_files": FILES,
        "evaluation_interval": "30s",
        "tests": [
            {
                "interval": "30s",
                "input_series": [{"series": name, "values": values} for name, values in merged.items()],
                "promql_expr_test": tests,
            }
        ],
    }
    (rules / "test.yaml").write_text(yaml.safe_dump(content))
    return tools.run(tools.program("promtool"), "test", "rules", "test.yaml", cwd=rules, check=check)


@pytest.mark.parametrize("what", FIRES)
def test_should_fire(what, rules):
    alert, series, before, after = FIRES[what]
    firing(rules, series, {before: [], after: [alert]})


@pytest.mark.parametrize("what", SILENT)
def test_should_stay_silent(what, rules):
    firing(rules, SILENT[what], {"1m": [], "30m": [], "65m": [], "120m": []})


def test_should_go_silent_when_it_is_over(rules):
    # Two per cent for an hour, then none: the short windows forget it long before the long ones do.
    series = requests(980, 20, steps=120)
    series[f'{REQUESTS}{{status="500"}}'] = "0+20x120 2400x800"
    firing(rules, series, {"30m": ["SloAvailability", "SloErrorRate"], "95m": []})


@pytest.mark.parametrize(
    "slo", ["availability", "response-time", "errors", "freshness", "query-time", "gpu", "storage"]
)
def test_should_depend_on_the_one_threshold(slo, rules):
    """With a threshold out of reach its alert no longer fires: the tests above do test something."""
    path = rules / "objectives.yaml"
    content = yaml.safe_load(path.read_text())
    for rule in content["groups"][0]["rules"]:
        if rule["record"] == "slo:objective" and rule["labels"]["slo"] == slo:
            rule["expr"] = "vector(0)" if slo == "gpu" else "vector(1e9)"
        # Availability alerts on its budget: what it allows is one minus the objective.
        if slo == "availability" and rule["record"] == "slo:budget" and rule["labels"]["slo"] == slo:
            rule["expr"] = "vector(1)"
    path.write_text(yaml.safe_dump(content))
    name = {
        "availability": "SloAvailability",
        "response-time": "SloResponseTime",
        "errors": "SloErrorRate",
        "freshness": "SloDataFreshness",
        "query-time": "SloQueryTime",
        "gpu": "SloGpuUtilisation",
        "storage": "SloStorage",
    }[slo]
    for alert, series, before, after in FIRES.values():
        if alert == name and all(series.values()):
            assert firing(rules, series, {before: [], after: [alert]}, check=False).returncode != 0


def test_should_have_seven_alerts_that_can_be_acted_on():
    groups = yaml.safe_load(config("prod", "slo-alert-rules", "alerts.yaml"))["groups"]
    alerts = {r["alert"]: r for g in groups for r in g["rules"]}
    assert {name: rule["labels"]["severity"] for name, rule in alerts.items()} == SEVERITIES
    readme = (tools.DEPLOY / "README.md").read_text().lower()
    for name, rule in alerts.items():
        notes = rule["annotations"]
        assert len(notes["description"]) > 80 and "$value" in notes["description"], name
        page, _, anchor = notes["runbook"].partition("#")
        assert page == "deploy/README.md" and f"# {anchor}\n" in readme, name
        # A threshold may be said in words, never in an expression.
        assert not re.search(r"[<>]=?\s*[0-9.]", rule["expr"]), name


def test_should_spell_thresholds_once():
    for overlay in ("prod", "ten-times", "bare-metal"):
        found = find(documents(overlay), "ConfigMap", "slo-alert-rules")["data"]
        assert list(found) == sorted(FILES)
        budgets = {
            r["labels"]["slo"]: r["expr"]
            for r in yaml.safe_load(found["objectives.yaml"])["groups"][0]["rules"]
            if r["record"] == "slo:budget"
        }
        assert budgets["availability"] == "vector(0.001)" and budgets["errors"] == "vector(0.01)"


@pytest.mark.parametrize("name", FILES)
def test_should_be_rules_that_prometheus_takes(name, rules):
    done = tools.run(tools.program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", rules / name)
    assert "SUCCESS" in done.stdout


def test_should_be_a_configuration_that_prometheus_takes(tmp_path):
    """Debian's promtool knows no Kubernetes: discovery is replaced by a fixed target, the rest is checked as it is."""
    content = yaml.safe_load(config("prod", "prometheus", "prometheus.yml"))
    roles = []
    for job in content["scrape_configs"]:
        roles += [d["role"] for d in job.pop("kubernetes_sd_configs")]
        job["static_configs"] = [{"targets": ["127.0.0.1:1"]}]
    assert roles == ["pod", "node"]
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump(content))
    tools.run(tools.program("promtool"), "check", "config", "--syntax-only", path)


@pytest.mark.parametrize(
    "severity, receiver", [("critical", "page"), ("warning", "ticket"), ("info", "digest"), ("odd", "ticket")]
)
def test_should_tell_the_right_people(severity, receiver, tmp_path):
    path = tmp_path / "alertmanager.yml"
    path.write_text(config("prod", "alertmanager", "alertmanager.yml"))
    tools.run(tools.program("amtool"), "check-config", path)
    done = tools.run(
        tools.program("amtool"), "config", "routes", "test", f"--config.file={path}", f"severity={severity}"
    )
    assert done.stdout.strip() == receiver
