#!/usr/bin/env python3
"""Writes slo.json and icewright.json, so that panels of one kind look alike and no grid is counted by hand.

python3 deploy/base/monitoring/dashboards/make.py
"""

import json
import pathlib

PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
# SLO, title, unit, what it measures.
SLOS = [
    ("availability", "Availability", "percentunit", "Share of requests that were not answered with 5xx."),
    ("response-time", "Response time, p95", "s", "95 % of requests were answered within this time."),
    ("errors", "Error rate", "percentunit", "Share of requests that failed: 5xx, 429, 499."),
    ("freshness", "Data freshness", "s", "Age of the newest rows, of the live table that waits longest."),
    ("query-time", "Query time, p95", "s", "95 % of the last hour's queries took no longer."),
    ("gpu", "GPU utilisation", "percentunit", "Average over all GPUs, half an hour."),
    ("storage", "Storage use", "percentunit", "The fullest volume."),
]
WORST = {"availability": "min", "gpu": "min"}


def target(expr, legend, ref="A", **more):
    return {"datasource": PROMETHEUS, "expr": expr, "legendFormat": legend, "refId": ref, **more}


def panel(kind, title, description, targets, unit="short", **more):
    defaults = {"unit": unit, "custom": {}} if kind == "timeseries" else {"unit": unit}
    base = {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": PROMETHEUS,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {},
    }
    base.update(more)
    return base


def override(name, **properties):
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": i, "value": v} for i, v in properties.items()],
    }


def slo_panel(slo, title, unit, what):
    worst = WORST.get(slo, "max")
    trend = panel(
        "timeseries",
        title,
        f"{what} Dashed: the objective. Right axis: how many times faster than planned the budget burns (1 is as planned).",
        [
            target(f'{worst}(slo:indicator{{slo="{slo}"}})', "now"),
            target(f'slo:objective{{slo="{slo}"}}', "objective", "B"),
            target(f'slo:burn_rate:1h{{slo="{slo}"}}', "burn rate, 1 h", "C"),
            target(f'slo:burn_rate:6h{{slo="{slo}"}}', "burn rate, 6 h", "D"),
        ],
        unit,
    )
    dashed = {"custom.lineStyle": {"fill": "dash", "dash": [10, 10]}, "color": {"mode": "fixed", "fixedColor": "red"}}
    burn = {"unit": "none", "custom.axisPlacement": "right", "custom.axisLabel": "burn rate", "custom.fillOpacity": 10}
    trend["fieldConfig"]["overrides"] = [
        override("objective", **dashed),
        override("burn rate, 1 h", **burn),
        override("burn rate, 6 h", **burn),
    ]
    return trend


def table(title, description, expr, legend):
    return panel("table", title, description, [target(expr, legend, format="table", instant=True)])


def slo_dashboard():
    compliance = panel(
        "stat",
        "Kept now",
        "1: the objective is kept, 0: it is missed.",
        [target("1 - slo:violation", "{{slo}}", instant=True)],
        "none",
    )
    compliance["fieldConfig"]["defaults"] = {
        "mappings": [
            {
                "type": "value",
                "options": {"0": {"text": "missed", "color": "red"}, "1": {"text": "kept", "color": "green"}},
            }
        ],
    }
    budget = panel(
        "bargauge",
        "Budget left, at the pace of the last three days",
        "1 minus the burn rate over three days: below 0 the month's budget will not last.",
        [target("clamp_min(1 - slo:burn_rate:3d, -1)", "{{slo}}", instant=True)],
        "percentunit",
    )
    budget["fieldConfig"]["defaults"] |= {
        "min": -1,
        "max": 1,
        "thresholds": steps([("red", None), ("yellow", 0), ("green", 0.25)]),
    }
    alerts = table("Alerts", "Pending and firing, with severity.", 'ALERTS{alertname=~"Slo.+"}', "{{alertname}}")
    rows = [[(compliance, 12, 5), (budget, 12, 5)]]
    trends = [slo_panel(*slo) for slo in SLOS]
    rows += [[(left, 12, 8), (right, 12, 8)] for left, right in zip(trends[0:6:2], trends[1:6:2])]
    rows += [[(trends[6], 12, 8), (alerts, 12, 8)]]
    return dashboard("slo", "Service level objectives", rows, "now-24h")


def icewright_dashboard():
    week = "now-7d"
    rows = [
        [
            (stat("Tables", "In the catalog.", "icewright_tables"), 4, 4),
            (stat("Unreadable", "Could not be read.", "icewright_tables_unreadable"), 4, 4),
            (stat("Paused", "Left alone after failures.", "icewright_tables_paused"), 4, 4),
            (stat("Small files", "Of all tables.", "sum(icewright_table_small_files)"), 4, 4),
            (stat("Live data", "Of all tables.", "sum(icewright_table_bytes)", "bytes"), 4, 4),
            (
                stat(
                    "Observed",
                    "Age of the last inspection.",
                    "time() - max(icewright_inspection_timestamp_seconds)",
                    "s",
                ),
                4,
                4,
            ),
        ],
        [
            (
                lines(
                    "Small files, worst tables",
                    "Compaction brings them down.",
                    "topk(10, icewright_table_small_files)",
                    "{{table}}",
                ),
                12,
                8,
            ),
            (
                lines(
                    "Bytes by tier",
                    "Archival moves them to the right.",
                    "sum by (tier) (icewright_table_bytes)",
                    "{{tier}}",
                    "bytes",
                ),
                12,
                8,
            ),
        ],
        [
            (
                lines(
                    "Freshness, worst tables",
                    "Now minus the last snapshot with new rows.",
                    "topk(10, icewright_table_freshness_seconds)",
                    "{{table}}",
                    "s",
                ),
                12,
                8,
            ),
            (
                lines(
                    "Snapshots, worst tables", "Expiry keeps 10–20.", "topk(10, icewright_table_snapshots)", "{{table}}"
                ),
                12,
                8,
            ),
        ],
        [
            (
                lines(
                    "Deleted rows, worst tables",
                    "Share of rows under deletes.",
                    "topk(10, icewright_table_delete_ratio)",
                    "{{table}}",
                    "percentunit",
                ),
                12,
                8,
            ),
            (
                lines(
                    "Metadata",
                    "Metadata file, manifest list and manifests.",
                    "topk(10, icewright_table_metadata_bytes)",
                    "{{table}}",
                    "bytes",
                ),
                12,
                8,
            ),
        ],
        [
            (
                lines(
                    "Last success",
                    "Age, by operation. Two periods old: look at its CronJob.",
                    f"time() - max by (operation) ({last('icewright_last_success_timestamp_seconds')})",
                    "{{operation}}",
                    "s",
                ),
                12,
                8,
            ),
            (
                table(
                    "Failed last",
                    "Tables whose last run failed.",
                    f"{last('icewright_table_last_run_success')} == 0",
                    "{{table}}",
                ),
                12,
                8,
            ),
        ],
        [
            (
                lines(
                    "Duration of runs",
                    "All tables of one run.",
                    last("icewright_last_run_duration_seconds"),
                    "{{operation}}",
                    "s",
                ),
                12,
                8,
            ),
            (
                lines(
                    "Saved in a week",
                    "Bytes that queries no longer read, and bytes that expiry removed.",
                    "sum by (operation) (sum_over_time(icewright_last_run_saved_bytes[7d])) + sum by (operation) (sum_over_time(icewright_last_run_removed_bytes[7d]))",
                    "{{operation}}",
                    "bytes",
                ),
                12,
                8,
            ),
        ],
        [
            (
                lines(
                    "Due", "Tables for which an operation is worth its cost.", "icewright_tables_due", "{{operation}}"
                ),
                12,
                8,
            ),
            (
                lines(
                    "Write amplification",
                    "Bytes written over bytes that writers added.",
                    "topk(10, icewright_table_write_amplification_ratio)",
                    "{{table}}",
                    "none",
                ),
                12,
                8,
            ),
        ],
    ]
    return dashboard("icewright", "icewright", rows, week)


def last(metric):
    """Jobs push when they end, once a month at the rarest: their figures are looked up that far back."""
    return f"last_over_time({metric}[35d])"


def stat(title, description, expr, unit="short"):
    return panel("stat", title, description, [target(expr, "", instant=True)], unit)


def lines(title, description, expr, legend, unit="short"):
    return panel("timeseries", title, description, [target(expr, legend)], unit)


def steps(colours):
    return {"mode": "absolute", "steps": [{"color": colour, "value": value} for colour, value in colours]}


def dashboard(uid, title, rows, since):
    panels, y = [], 0
    for row in rows:
        x = 0
        for made, width, height in row:
            panels.append({"id": len(panels) + 1, "gridPos": {"x": x, "y": y, "w": width, "h": height}, **made})
            x += width
        y += max(height for _, _, height in row)
    source = {
        "name": "datasource",
        "type": "datasource",
        "query": "prometheus",
        "label": "Data source (VictoriaMetrics has all)",
    }
    return {
        "uid": uid,
        "title": title,
        "tags": ["lakehouse"],
        "timezone": "utc",
        "schemaVersion": 39,
        "editable": False,
        "refresh": "1m",
        "time": {"from": since, "to": "now"},
        "templating": {"list": [source]},
        "annotations": {"list": []},
        "panels": panels,
    }


def made():
    return {"slo.json": slo_dashboard(), "icewright.json": icewright_dashboard()}


if __name__ == "__main__":
    for name, content in made().items():
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        pathlib.Path(__file__).with_name(name).write_text(text)
