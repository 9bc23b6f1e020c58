"""Prometheus, Alertmanager and VictoriaMetrics, started from what the manifests say, with a target and a webhook."""

import contextlib
import http.server
import json
import re
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import yaml

from . import built, tools

# What the platform's exporters would say, as (name with labels, start, growth a second). Five in a hundred requests fail, a
# volume is full, GPUs idle: one alert for each receiver.
SERIES = [
    ('nginx_ingress_controller_requests{status="200"}', 0, 95),
    ('nginx_ingress_controller_requests{status="500"}', 0, 5),
    ('nginx_ingress_controller_request_duration_seconds_bucket{le="0.1"}', 0, 99),
    ('nginx_ingress_controller_request_duration_seconds_bucket{le="+Inf"}', 0, 100),
    ('query_duration_seconds_bucket{le="5"}', 0, 10),
    ('query_duration_seconds_bucket{le="+Inf"}', 0, 10),
    ('DCGM_FI_DEV_GPU_UTIL{gpu="0"}', 10, 0),
    (
        'kubelet_volume_stats_available_bytes{namespace="shared-services",persistentvolumeclaim="data-postgres-primary-0"}',
        10,
        0,
    ),
    (
        'kubelet_volume_stats_capacity_bytes{namespace="shared-services",persistentvolumeclaim="data-postgres-primary-0"}',
        100,
        0,
    ),
    ("icewright_tables", 3, 0),
    ("icewright_tables_unreadable", 0, 0),
    ("icewright_tables_paused", 0, 0),
    ('icewright_tables_due{operation="compact"}', 1, 0),
    ("icewright_inspection_timestamp_seconds", time.time(), 1),
    ('icewright_table_small_files{table="market.prices"}', 40, 0),
    ('icewright_table_bytes{table="market.prices",tier="hot"}', 1e9, 0),
    ('icewright_table_freshness_seconds{table="market.prices"}', 20, 0),
    ('icewright_table_last_snapshot_timestamp_seconds{table="market.prices"}', time.time(), 1),
    ('icewright_table_snapshots{table="market.prices"}', 12, 0),
    ('icewright_table_delete_ratio{table="market.prices"}', 0.1, 0),
    ('icewright_table_metadata_bytes{table="market.prices"}', 1e5, 0),
    ('icewright_table_write_amplification_ratio{table="market.prices"}', 2, 0),
    ('icewright_table_last_run_success{table="market.prices",operation="compact"}', 0, 0),
    ('icewright_last_success_timestamp_seconds{operation="compact"}', time.time(), 0),
    ('icewright_last_run_duration_seconds{operation="compact"}', 12, 0),
    ('icewright_last_run_saved_bytes{operation="compact"}', 1e6, 0),
    ('icewright_last_run_removed_bytes{operation="compact"}', 0, 0),
]


def get(url):
    """A GET; JSON when it is some."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    return json.loads(text) if text.startswith("{") and "\n{" not in text else text


def until(what, seconds=40):
    """Asks until the answer is not empty; the last answer when time is up."""
    end = time.monotonic() + seconds
    while True:
        try:
            answer = what()
        except (OSError, urllib.error.HTTPError, urllib.error.URLError):
            answer = None
        if answer or time.monotonic() > end:
            return answer
        time.sleep(0.2)


class Web:
    """A server on the loopback: metrics for whoever gets, and a memory of what was posted."""

    def __init__(self, port):
        self.posted = []
        began = time.monotonic()
        posted = self.posted

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                since = time.monotonic() - began
                text = "".join(f"{name} {start + growth * since}\n" for name, start, growth in SERIES)
                self.answer(text.encode())

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                posted.append((self.path, json.loads(body)))
                self.answer(b"")

            def answer(self, body):
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def flags(overlay, kind, name):
    """The arguments of a workload's only container."""
    (container,) = built.containers(built.find(built.documents(overlay), kind, name))
    return container["args"]


class Stack:
    """The three programs with the manifests' configuration; only addresses, folders and waiting times differ."""

    def __init__(self, folder, ports):
        self.folder = folder
        self.web_port, self.prometheus, self.alertmanager, self.victoria = ports

    def write(self):
        (self.folder / "rules").mkdir()
        for name, text in built.find(built.documents("prod"), "ConfigMap", "slo-alert-rules")["data"].items():
            # promtool's tests keep the time; here only the way counts.
            (self.folder / "rules" / name).write_text(re.sub(r"for: \S+", "for: 1s", text))
        config = yaml.safe_load(built.config("prod", "prometheus", "prometheus.yml"))
        config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(self.folder / "rules/*.yaml")]
        config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{self.alertmanager}"]
        config["remote_write"][0]["url"] = config["remote_write"][0]["url"].replace(
            "victoria-metrics.victoria-metrics.svc:8428", f"127.0.0.1:{self.victoria}"
        )
        config["scrape_configs"] = [
            {"job_name": "pods", "static_configs": [{"targets": [f"127.0.0.1:{self.web_port}"]}]}
        ]
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        text = built.config("prod", "alertmanager", "alertmanager.yml")
        text = text.replace("alert-gateway.monitoring.svc:8080", f"127.0.0.1:{self.web_port}")
        text = re.sub(r"(group_wait|group_interval): \S+", r"\1: 1s", text)
        (self.folder / "alertmanager.yml").write_text(text)

    def commands(self):
        def replaced(arguments, **values):
            out = []
            for argument in arguments:
                key = argument.partition("=")[0]
                out.append(f"{key}={values[key.lstrip('-')]}" if key.lstrip("-") in values else argument)
            return out

        prometheus = replaced(
            flags("prod", "StatefulSet", "prometheus"),
            **{"config.file": self.folder / "prometheus.yml", "storage.tsdb.path": self.folder / "prometheus"},
        )
        alertmanager = replaced(
            flags("prod", "StatefulSet", "alertmanager"),
            **{"config.file": self.folder / "alertmanager.yml", "storage.path": self.folder / "alertmanager"},
        )
        victoria = replaced(
            flags("prod", "StatefulSet", "victoria-metrics"),
            storageDataPath=self.folder / "victoria",
            httpListenAddr=f"127.0.0.1:{self.victoria}",
        )
        yield [tools.program("victoria-metrics"), *victoria]
        yield [
            tools.program("prometheus-alertmanager"),
            *alertmanager,
            f"--web.listen-address=127.0.0.1:{self.alertmanager}",
        ]
        yield [tools.program("prometheus"), *prometheus, f"--web.listen-address=127.0.0.1:{self.prometheus}"]

    def query(self, expression):
        """What Prometheus answers to an expression."""
        return get(f"http://127.0.0.1:{self.prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": expression}))[
            "data"
        ]["result"]

    def stored(self, match):
        """Raw series in VictoriaMetrics: its queries hide what is younger than 30 seconds."""
        get(f"http://127.0.0.1:{self.victoria}/internal/force_flush")
        return get(f"http://127.0.0.1:{self.victoria}/api/v1/export?" + urllib.parse.urlencode({"match[]": match}))


@contextlib.contextmanager
def running(folder):
    """Starts all, and ends all of them whatever happens."""
    stack = Stack(folder, tools.free_ports(4))
    stack.write()
    stack.web = Web(stack.web_port)
    processes = []
    try:
        for number, command in enumerate(stack.commands()):
            log = open(folder / f"{number}.log", "w")
            processes.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=folder))
        for port, path in (
            (stack.victoria, "/health"),
            (stack.alertmanager, "/-/ready"),
            (stack.prometheus, "/-/ready"),
        ):
            assert until(lambda: get(f"http://127.0.0.1:{port}{path}")), (folder / "2.log").read_text()
        yield stack
    finally:
        # Prometheus first: it sends what it still has to VictoriaMetrics.
        for process in reversed(processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        stack.web.server.shutdown()
