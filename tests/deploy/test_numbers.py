"""The names and numbers that are promised, read from what is applied."""

import re
import tomllib

import pytest
import yaml
from support import built, tools
from support.built import config, containers, documents, find, names, template

PRODUCTION = ["prod", "bare-metal", "ten-times", "serve"]
WITH_JOBS = ["prod", "bare-metal", "ten-times", "dev"]


def args(container):
    return container.get("command", []) + container.get("args", [])


def environment(container):
    return {e["name"]: e.get("value") for e in container["env"]}


@pytest.mark.parametrize("overlay", WITH_JOBS)
def test_should_run_the_lifecycle_on_time(overlay):
    docs = [d for d in documents(overlay) if d["metadata"].get("namespace") == "data-platform"]
    jobs = {
        "iceberg-compaction": ("0 3 * * 0", ["compact", "--all"]),
        "data-archival": ("0 2 1 * *", ["archive", "--all"]),
        "snapshot-expiry": ("30 0 * * *", ["expire", "--all"]),
        "orphan-removal": ("0 5 * * 6", ["remove-orphans", "--all", "--delete"]),
    }
    assert names(docs, "CronJob") == sorted(jobs)
    for name, (schedule, command) in jobs.items():
        job = find(docs, "CronJob", name)
        assert job["spec"]["schedule"] == schedule and job["spec"]["timeZone"] == "Etc/UTC"
        assert job["spec"]["concurrencyPolicy"] == "Forbid"
        (container,) = containers(job)
        assert args(container)[: len(command)] == command
        policy = job["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
        codes = {r["action"]: r["onExitCodes"]["values"] for r in policy if "onExitCodes" in r}
        assert codes == {"FailJob": [2, 3, 7], "Count": [4, 5]}
        assert policy[0] == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
        note = template(job)["metadata"]["annotations"]
        assert note["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
        assert template(job)["spec"]["priorityClassName"] == "batch-maintenance"


@pytest.mark.parametrize("overlay", PRODUCTION)
def test_should_hold_the_lifecycle_policies(overlay):
    settings = tomllib.loads(config(overlay, "icewright", "icewright.toml"))
    assert settings["defaults"]["target-file-size"] == "512MiB"
    assert (settings["defaults"]["retain-min"], settings["defaults"]["retain-max"]) == (10, 20)
    tiers = [(t["name"], t.get("older-than"), t.get("storage-class")) for t in settings["tier"]]
    # ZSTD, and more of it where data is read seldom.
    levels = [t.get("zstd-level", settings["defaults"]["zstd-level"]) for t in settings["tier"]]
    assert levels == [3, 9, 9]
    assert tiers == [("hot", None, None), ("warm", "90d", "STANDARD_IA"), ("cold", "365d", "GLACIER_IR")]


@pytest.mark.parametrize("overlay", ["prod", "bare-metal", "ten-times", "dev"])
def test_should_observe_what_the_jobs_work_on(overlay):
    text = config(overlay, "icewright-observer", "icewright.toml")
    assert text.startswith(config(overlay, "icewright", "icewright.toml")), "the policies are those of the jobs"
    settings = tomllib.loads(text)
    (port,) = containers(find(documents(overlay), "Deployment", "icewright-observer"))[0]["ports"]
    # Freshness is promised to five minutes: it is measured five times as often.
    assert settings["serve"] == {"listen": f"0.0.0.0:{port['containerPort']}", "inspect-every": "1m"}
    assert [s["tables"] for s in settings["schedule"]] == [["none.of-these"]], "the observer changes nothing"


def test_should_serve_what_the_jobs_run():
    text = config("serve", "icewright-observer", "icewright.toml")
    assert text.startswith(config("prod", "icewright-observer", "icewright.toml")), "the policies are those of the jobs"
    assert names(documents("serve"), "CronJob") == ["postgres-backup", "postgres-restore"]
    served = {s["run"]: s["cron"] for s in tomllib.loads(text)["schedule"] if "tables" not in s}
    jobs = [d for d in documents("prod") if d["kind"] == "CronJob" and d["metadata"]["namespace"] == "data-platform"]
    assert served == {containers(j)[0]["args"][0]: j["spec"]["schedule"] for j in jobs}


@pytest.mark.parametrize("overlay", PRODUCTION)
def test_should_have_read_replicas(overlay):
    docs = documents(overlay)
    for name, count in (("postgres-primary", 1), ("postgres-read-replicas", 2)):
        nodes = find(docs, "StatefulSet", name)
        assert nodes["spec"]["replicas"] == count
        (claim,) = nodes["spec"]["volumeClaimTemplates"]
        assert claim["spec"]["resources"]["requests"]["storage"] == "100Gi"
        server = find(docs, "StatefulSet", name)["spec"]["template"]["spec"]["containers"][0]["resources"]
        assert (server["requests"]["cpu"], server["limits"]["cpu"]) == ("2", "4")
        assert (server["requests"]["memory"], server["limits"]["memory"]) == ("8Gi", "16Gi")
    reads, single = (
        find(docs, "Service", "postgres-read-replicas"),
        find(docs, "Service", "postgres-read-replicas-headless"),
    )
    assert single["spec"]["clusterIP"] == "None" and "clusterIP" not in reads["spec"]
    for doc in (reads, single, find(docs, "Service", "postgres-primary"), find(docs, "StatefulSet", "postgres-primary")):
        assert doc["metadata"]["namespace"] == "shared-services"
    assert reads["spec"]["selector"] == single["spec"]["selector"]
    conf = config(overlay, "postgres-config", "postgresql.conf")
    everybody = '("postgres-primary-0", "postgres-read-replicas-0", "postgres-read-replicas-1")'
    assert f"synchronous_standby_names = 'ANY 1 {everybody}'" in conf
    assert "synchronous_commit = remote_apply" in conf
    primary = find(docs, "ConfigMap", "postgres-topology")["data"]["primary"]
    writes = find(docs, "Service", "postgres-primary")["spec"]["selector"]
    assert writes == {"statefulset.kubernetes.io/pod-name": primary}


@pytest.mark.parametrize("overlay", PRODUCTION)
def test_should_keep_metrics_for_a_year(overlay):
    docs = documents(overlay)
    server = find(docs, "StatefulSet", "victoria-metrics")
    assert server["metadata"]["namespace"] == "victoria-metrics"
    (container,) = containers(server)
    flags = {
        "-retentionPeriod=12",
        "-memory.allowedPercent=80",
        "-search.maxConcurrentRequests=16",
        "-httpListenAddr=:8428",
    }
    assert flags <= set(args(container))
    assert container["ports"] == [{"name": "http", "containerPort": 8428}]
    assert server["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] == "200Gi"
    service = find(docs, "Service", "victoria-metrics")
    assert [p["port"] for p in service["spec"]["ports"]] == [8428]
    ingress = find(docs, "Ingress", "victoria-metrics")
    assert [r["host"] for r in ingress["spec"]["rules"]] == ["metrics.254carbon.com"]
    assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/auth-type"] == "basic"
    prometheus = yaml.safe_load(config(overlay, "prometheus", "prometheus.yml"))
    assert [w["url"] for w in prometheus["remote_write"]] == [
        "http://victoria-metrics.victoria-metrics.svc:8428/api/v1/write"
    ]


@pytest.mark.parametrize("overlay", PRODUCTION)
def test_should_watch_the_objectives(overlay):
    docs = documents(overlay)
    for name in ("slo-dashboard", "slo-alert-rules"):
        found = find(docs, "ConfigMap", name)
        assert found["metadata"]["name"] == name and found["metadata"]["namespace"] == "monitoring"
    alertmanager = find(docs, "Service", "alertmanager")
    assert alertmanager["spec"]["ports"][0]["port"] == 9093 and alertmanager["metadata"]["namespace"] == "monitoring"
    prometheus = yaml.safe_load(config(overlay, "prometheus", "prometheus.yml"))
    (managers,) = prometheus["alerting"]["alertmanagers"]
    assert managers["static_configs"] == [{"targets": ["alertmanager:9093"]}], "a name of its own namespace"
    rules = yaml.safe_load(config(overlay, "slo-alert-rules", "objectives.yaml"))["groups"][0]["rules"]
    objectives = {r["labels"]["slo"]: r["expr"] for r in rules if r["record"] == "slo:objective"}
    assert objectives == {
        "availability": "vector(0.999)",
        "response-time": "vector(0.2)",
        "errors": "vector(0.01)",
        "freshness": "vector(300)",
        "query-time": "vector(5)",
        "gpu": "vector(0.8)",
        "storage": "vector(0.85)",
    }


@pytest.mark.parametrize("overlay", PRODUCTION)
def test_should_scale_the_cluster(overlay):
    (container,) = containers(find(documents(overlay), "Deployment", "cluster-autoscaler"))
    assert {"--expander=least-waste", "--balance-similar-node-groups=true"} <= set(args(container))
    cloud = "clusterapi" if overlay == "bare-metal" else "aws"
    assert f"--cloud-provider={cloud}" in args(container)


def node_groups(overlay):
    flags = [
        a.removeprefix("--nodes=")
        for a in args(containers(find(documents(overlay), "Deployment", "cluster-autoscaler"))[0])
        if a.startswith("--nodes=")
    ]
    return {name: int(most) for _, most, name in (f.split(":") for f in flags)}


def test_should_have_room_for_ten_times_as_much():
    now, later = node_groups("prod"), node_groups("ten-times")
    # GPU nodes have four GPUs each: 8 now, 16 then.
    assert (now["gpu"] * 4, later["gpu"] * 4) == (8, 16)
    for overlay, groups in (("prod", now), ("ten-times", later)):
        most = [
            a
            for a in args(containers(find(documents(overlay), "Deployment", "cluster-autoscaler"))[0])
            if a.startswith("--max-nodes-total")
        ]
        # The nodes that no group has: the control plane's three.
        assert most == [f"--max-nodes-total={sum(groups.values()) + 3}"]
    assert now["services-a"] == now["services-b"] and later["services-a"] == later["services-b"]
    for job in ("iceberg-compaction", "data-archival"):
        before = containers(find(documents("prod"), "CronJob", job))[0]["resources"]["limits"]
        after = containers(find(documents("ten-times"), "CronJob", job))[0]["resources"]["limits"]
        assert (before["cpu"], after["cpu"]) == ("4", "8") and (before["memory"], after["memory"]) == ("2Gi", "8Gi")


def test_should_yield_to_services():
    docs = documents("prod")
    service, batch, reserve = (
        find(docs, "PriorityClass", n) for n in ("platform-service", "batch-maintenance", "capacity-reserve")
    )
    assert service["value"] > batch["value"] > reserve["value"] >= -10
    assert batch["preemptionPolicy"] == "Never", "else maintenance would take the reserve's room"
    assert "preemptionPolicy" not in service
    for doc in docs:
        if (
            template(doc)
            and doc["kind"] != "CronJob"
            and doc["metadata"]["namespace"] not in ("kube-system", "capacity-reserve")
        ):
            assert template(doc)["spec"]["priorityClassName"] == "platform-service", doc["metadata"]["name"]


def test_should_use_one_image_of_icewright():
    for overlay in built.OVERLAYS:
        images = {c["image"] for d in documents(overlay) for c in containers(d) if c["name"] == "icewright"}
        assert len(images) == 1, images


def test_should_have_a_readme_that_speaks_of_what_is_there():
    text = (tools.DEPLOY / "README.md").read_text()
    kinds = {"cronjob": "CronJob", "statefulset": "StatefulSet", "deploy": "Deployment"}
    named = set(re.findall(r"\b(cronjob|statefulset|deploy)/([a-z-]+)", text)) - {
        ("deploy", "overlays"),
        ("deploy", "base"),
    }
    assert len(named) >= 5
    for kind, name in named:
        assert name in names(documents("prod"), kinds[kind]), f"{kind}/{name}"
    for path in set(re.findall(r"`(?:deploy/)?((?:base|overlays)/[a-z0-9./-]+)`", text)):
        assert (tools.DEPLOY / path).exists(), path
    for overlay in built.OVERLAYS:
        assert f"`overlays/{overlay}`" in text
