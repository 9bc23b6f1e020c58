"""The CronJobs: their exact commands, configuration, user and memory limit, in the image's own root file system, on lakes
with the servers that the manifests name. What they did is looked at from outside."""

import datetime
import json
import pathlib
import re
import shutil
import subprocess
import tomllib

import pytest
from support import built, stack, tools
from support import lake as lakes
from support.built import containers, template
from support.lake import BUCKETS, CLASSES, HOSTS, SECRETS, STORE, THIS_YEAR, placed, rows, store
from support.sandbox import Network, Pod


@pytest.fixture(scope="module")
def lake():
    """Its table has four years and a history of 40 days."""
    with lakes.running() as network:
        lakes.make(network, "market.prices", "--files", "48", "--rows", "2000", "--commits", "24", "--age", "40d")
        network.before = rows(network)
        yield network


def tier_of(year):
    """Where a year belongs today: its newest possible row decides."""
    age = (datetime.date.today() - datetime.date(year + 1, 1, 1)).days
    return "cold" if age > 365 else "warm" if age > 90 else "hot"


def job(lake, root, name, **extra):
    """Runs a CronJob's pod; its report."""
    done = Pod("prod", "CronJob", name, lake.folder, lake).run(root, SECRETS, STORE | extra, hosts=HOSTS)
    assert done.returncode == 0, f"{name} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    (report,) = json.loads(done.stdout)["tables"]
    # Jobs speak in a form that machines read, and what they did is in the metrics.
    for line in done.stderr.splitlines():
        json.loads(line)
    series = f'icewright_last_run_tables{{operation="{json.loads(done.stdout)["command"]}"}}'
    assert stack.until(lambda: pushed(lake, series), 20), done.stderr
    return report


def pushed(lake, series):
    """What VictoriaMetrics has of it."""
    lake.run("curl", "-sf", "http://127.0.0.1:8428/internal/force_flush")
    export = ["-G", "http://127.0.0.1:8428/api/v1/export", "--data-urlencode", f"match[]={series}"]
    return lake.run("curl", "-sf", *export).stdout


def same(lake):
    after = rows(lake)
    assert (after["rows"], after["columns"]) == (lake.before["rows"], lake.before["columns"])
    return after


def test_should_make_the_same_image_twice(tmp_path):
    root, again = tmp_path / "one", tmp_path / "two"
    for folder in (root, again):
        tools.run(tools.DEPLOY / "rootfs.sh", tools.icewright(), folder)
    tar = ["tar", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "-cf"]
    archives = [tmp_path / "one.tar", tmp_path / "two.tar"]
    for archive, folder in zip(archives, (root, again)):
        subprocess.run([*tar, archive, "-C", folder, "."], check=True)
    assert tools.run("cmp", *archives).returncode == 0
    names = {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}
    assert "usr/local/bin/icewright" in names and len(names) < 16, names
    assert not any("sh" == pathlib.Path(n).name for n in names)


def test_should_describe_an_image_that_can_be_built(tmp_path):
    """What Docker would do up to the compiler: the files that it copies are a package that cargo can read."""
    text = (tools.DEPLOY / "Dockerfile").read_text()
    copies = [line.split()[1:] for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line]
    for *sources, target in copies:
        for source in sources:
            path = tools.ROOT / source
            place = tmp_path / (target if target not in (".", "./") else pathlib.Path(source).name)
            place.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if path.is_dir() else shutil.copy)(path, place)
    prepare = text[text.index("RUN ") + 4 :].split(" && ")
    for command in prepare[:2]:
        subprocess.run(command.replace("\\\n", " "), shell=True, check=True, cwd=tmp_path)
    package = json.loads(
        tools.run("cargo", "metadata", "--no-deps", "--offline", "--locked", "--format-version=1", cwd=tmp_path).stdout
    )["packages"][0]
    label = f'org.opencontainers.image.version="{package["version"]}"'
    assert label in text and "FROM scratch" in text and "org.opencontainers.image.revision" in text
    toolchain = tomllib.loads((tools.ROOT / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
    assert f"library/rust:{toolchain.rpartition('.0')[0] or toolchain}-" in text, toolchain
    users = {
        (template(d)["spec"]["securityContext"]["runAsUser"], c["image"])
        for d in built.documents("prod")
        for c in containers(d)
        if c["name"] == "icewright"
    }
    assert "USER 65532:65532" in text and users == {
        (65532, f"registry.254carbon.com/data-platform/icewright:{package['version']}")
    }
    # Sources that the compiler reads from elsewhere would be missing.
    for source in (tools.ROOT / "src").rglob("*.rs"):
        for included in re.findall(r'include_(?:str|bytes)!\(\s*"([^"]+)"', source.read_text()):
            place = tmp_path / (source.parent / included).resolve().relative_to(tools.ROOT)
            assert place.exists(), f"{source} includes {included}, which the Dockerfile does not copy"


def test_should_compact_as_the_cron_job_does(lake, root):
    assert "ZSTD" not in lakes.codecs(lake)
    report = job(lake, root, "iceberg-compaction")
    assert report["status"] == "committed" and report["files_after"] < report["files_before"] == 48, report
    after = same(lake)
    assert after["files"] == report["files_after"]
    assert lakes.codecs(lake) == ["ZSTD"]


def test_should_archive_as_the_cron_job_does(lake, root):
    assert {bucket for _, bucket, _ in placed(lake)} == {BUCKETS["hot"]}
    report = job(lake, root, "data-archival")
    assert report["status"] == "committed", report
    same(lake)
    for year, bucket, storage_class in placed(lake):
        assert (bucket, storage_class) == (BUCKETS["cold"], CLASSES["cold"]) or tier_of(year) != "cold", year
    # Moves that never pay are not made, and the lake is too small for a few weeks in the warm tier to pay.
    job(lake, root, "data-archival", ICEWRIGHT_IGNORE_COST="true")
    same(lake)
    assert lakes.codecs(lake) == ["ZSTD"]
    files = placed(lake)
    assert {year for year, _, _ in files} == set(range(THIS_YEAR - 3, THIS_YEAR + 1))
    for year, bucket, storage_class in files:
        tier = tier_of(year)
        assert (bucket, storage_class) == (BUCKETS[tier], CLASSES[tier]), year
    assert job(lake, root, "data-archival")["status"] == "nothing-to-do"


def test_should_expire_as_the_cron_job_does(lake, root):
    before, (snapshots, _) = lakes.stored(lake), lakes.snapshots(lake)
    report = job(lake, root, "snapshot-expiry")
    assert report["status"] == "committed" and report["snapshots_before"] == snapshots > 20, report
    kept, versions = lakes.snapshots(lake)
    assert report["snapshots_after"] == kept and 10 <= kept <= 20 and versions <= 20, (report, kept, versions)
    gone = before - lakes.stored(lake)
    assert len(gone) == report["files_removed"] > 0, (report, gone)
    # Metadata versions and manifest lists; the data of the snapshots that are kept is all there is.
    assert {key.rpartition(".")[2] for key in gone} == {"json", "avro"}, gone
    # Every file that is still referred to is there (the reader asks for each), and the rows are the same.
    same(lake)


def test_should_remove_orphans_as_the_cron_job_does(lake, root):
    """Old files that nothing refers to go, in the table's place of every tier. Young ones stay: they may be a writer's that
    has not committed yet."""
    place = "warehouse/market/prices/data"
    old = {f"{BUCKETS[tier]}/{place}/crashed-{tier}.parquet" for tier in ("hot", "cold")}
    young = {f"{BUCKETS['hot']}/{place}/young.parquet", f"{BUCKETS['hot']}/{place}/nearly-three-days.parquet"}
    # A neighbour's file is none of this table's business.
    others = {f"{BUCKETS['hot']}/warehouse/elsewhere/old.parquet"}
    before = lakes.stored(lake)
    for days, names in ((4, old | others), (2.9, young)):
        for bucket, _, key in (name.partition("/") for name in names):
            put = f"Bucket='{bucket}', Key='{key}', Body=b'x', Metadata={{'written-days-ago': '{days}'}}"
            store(lake, f"s3.put_object({put})['ETag']")
    assert lakes.stored(lake) == before | old | young | others
    report = job(lake, root, "orphan-removal")
    assert report["status"] == "committed" and report["files_removed"] == len(old), report
    assert lakes.stored(lake) == before | young | others
    same(lake)
    assert job(lake, root, "orphan-removal")["status"] == "nothing-to-do"


def test_should_fail_at_once_when_the_configuration_is_wrong(lake, root):
    pod = Pod("prod", "CronJob", "iceberg-compaction", lake.folder, lake)
    policy = pod.doc["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    at_once, again = (
        next(r["onExitCodes"]["values"] for r in policy if r["action"] == a) for a in ("FailJob", "Count")
    )
    wrong = pod.run(root, SECRETS | {"PGPASSWORD": "wrong"}, STORE, hosts=HOSTS)
    assert wrong.returncode in at_once, wrong.stderr
    # Whoever collects the pod's log reads why.
    said = [json.loads(line) for line in wrong.stderr.splitlines()]
    assert "password" in said[-1]["message"] and said[-1]["level"] == "ERROR", said
    # Names that lead nowhere, a store that is away: tried again.
    away = pod.run(root, SECRETS, {"ICEWRIGHT_PROP": "s3.endpoint=http://127.0.0.1:1"}, hosts=HOSTS)
    assert away.returncode in again, (away.returncode, away.stderr)


def test_should_run_on_a_laptop(root):
    """The dev overlay: its job makes the lake on the volume, its CronJobs do their work on it within half a GiB."""
    with tools.workplace("dev") as folder, Network() as network:
        volume = folder / "lake"
        volume.mkdir()
        volume.chmod(0o777)
        for kind, name in (("Job", "make-lake"), ("CronJob", "iceberg-compaction")):
            pod = Pod("dev", kind, name, folder, network)
            done = pod.run(root, {}, {}, claims={"lake": volume})
            assert done.returncode == 0, done.stderr
        (report,) = json.loads(done.stdout)["tables"]
        assert report["status"] == "committed" and report["peak_memory_bytes"] < 512 << 20, report
        for name in ("data-archival", "snapshot-expiry", "orphan-removal"):
            done = Pod("dev", "CronJob", name, folder, network).run(root, {}, {}, claims={"lake": volume})
            assert done.returncode == 0, done.stderr
        # Its observer shows the table; stopped, it ends in order.
        pod = Pod("dev", "Deployment", "icewright-observer", folder, network)
        with pod.running(root, {}, {}, claims={"lake": volume}):
            metrics = ["curl", "-sf", "http://127.0.0.1:9464/metrics"]
            shows = lambda: 'icewright_table_files{table="market.prices"}' in network.run(*metrics, check=False).stdout  # noqa: E731
            assert stack.until(shows), pod.log()
