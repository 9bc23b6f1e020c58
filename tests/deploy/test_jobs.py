"""The CronJobs: their exact commands, configuration, user and memory limit, in the image's own root file system, on lakes
with the servers that the manifests name. What they did is looked at from outside."""

import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import tomllib

import pytest
from support import built, stack, tools
from support.built import containers, template
from support.cluster import binaries
from support.sandbox import Network, Pod

VENV = tools.CACHE / "venv/bin"
SECRETS = {"PGPASSWORD": "icewright's", "AWS_ACCESS_KEY_ID": "lake", "AWS_SECRET_ACCESS_KEY": "secret"}
# Amazon's place is taken by a server on the loopback; all else is the manifest's.
STORE = {"ICEWRIGHT_PROP": "s3.endpoint=http://127.0.0.1:9000"}
HOSTS = "postgres-primary.shared-services.svc victoria-metrics.victoria-metrics.svc"
BUCKETS = {"hot": "254carbon-lake", "warm": "254carbon-lake-warm", "cold": "254carbon-lake-cold"}
THIS_YEAR = datetime.date.today().year
CLASSES = {"hot": "STANDARD", "warm": "STANDARD_IA", "cold": "GLACIER_IR"}


@pytest.fixture(scope="module")
def root():
    """The image's root file system, made as the Dockerfile makes it."""
    with tools.workplace("image") as folder:
        tools.run(tools.DEPLOY / "rootfs.sh", tools.icewright(), folder / "root")
        yield folder / "root"


@pytest.fixture(scope="module")
def lake():
    """PostgreSQL, an S3 server and VictoriaMetrics under the manifests' names, and a table of four years."""
    if not (VENV / "moto_server").exists():
        tools.missing("moto's S3 server")
    with tools.workplace("lake") as folder, Network() as network:
        network.folder = folder
        postgres(network, folder)
        network.serve(9000, VENV / "moto_server", "-H", "127.0.0.1", "-p", "9000", log=folder / "s3.log")
        arguments = [
            f"-storageDataPath={folder}/victoria" if a.startswith("-storageDataPath") else a
            for a in stack.flags("prod", "StatefulSet", "victoria-metrics")
        ]
        network.serve(8428, tools.program("victoria-metrics"), *arguments, log=folder / "victoria.log")
        store(network, f"[s3.create_bucket(Bucket=bucket) for bucket in {list(BUCKETS.values())}]")
        environment = SECRETS | STORE | {"PATH": os.environ["PATH"]}
        where = [
            "--catalog",
            "postgresql://icewright@127.0.0.1:5432/iceberg",
            "--catalog-name",
            "lake",
            "--warehouse",
            f"s3://{BUCKETS['hot']}/warehouse",
        ]
        network.run(
            tools.icewright(), "fixture", *where, "--table", "market.prices", "--files", "48", "--rows", "2000", "--years", f"{THIS_YEAR - 3}-{THIS_YEAR}",
            "--commits", "24", "--age", "40d", env=environment,
        )  # fmt: skip
        network.before = rows(network)
        yield network


def postgres(network, folder):
    """One server, with the role and the database that the first start of deploy's own makes."""
    data, sockets = folder / "pg", folder / "sockets"
    for place in (data, sockets):
        place.mkdir()
        shutil.chown(place, "postgres")
    # Becomes the server instead of waiting for it, so that a signal to it is a signal to the server.
    as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
    tools.run(
        *as_postgres,
        binaries() / "initdb",
        "-D",
        data,
        "-U",
        "postgres",
        "--auth-local=trust",
        "--auth-host=scram-sha-256",
        "--no-sync",
        cwd="/",
    )
    options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={sockets}", "-c", "fsync=off"]
    network.serve(
        5432, *as_postgres, binaries() / "postgres", "-D", data, *options, log=folder / "postgres.log", cwd="/"
    )
    psql = [*as_postgres, binaries() / "psql", "-h", sockets, "-U", "postgres", "-v", "ON_ERROR_STOP=1"]
    stack.until(lambda: tools.run(*psql, "-c", "select 1", check=False, cwd="/").returncode == 0)
    tools.run(
        *psql,
        "-c",
        "create role icewright login password 'icewright''s'",
        "-c",
        "create database iceberg owner icewright",
        cwd="/",
    )


def store(network, expression):
    """Asks the S3 server, from within its network."""
    script = f"""
import boto3, json
s3 = boto3.client("s3", endpoint_url="http://127.0.0.1:9000", region_name="us-east-1", aws_access_key_id="lake", aws_secret_access_key="secret")
print(json.dumps({expression}, default=str))
"""
    return json.loads(network.run(VENV / "python", "-c", script).stdout)


PYICEBERG = {
    "type": "sql", "uri": "postgresql+psycopg2://icewright:icewright%27s@127.0.0.1:5432/iceberg",
    "s3.endpoint": "http://127.0.0.1:9000", "s3.region": "us-east-1", "s3.access-key-id": "lake", "s3.secret-access-key": "secret",
}  # fmt: skip


def rows(network):
    """What PyIceberg reads: rows, a digest of every column, files, snapshots."""
    arguments = [part for key, value in PYICEBERG.items() for part in ("--prop", f"{key}={value}")]
    script = tools.ROOT / "tests/python/rows.py"
    found = json.loads(
        network.run(
            VENV / "python", script, "--no-duckdb", "--name", "lake", "--table", "market.prices", *arguments
        ).stdout
    )
    assert found["problems"] == [], found
    return found


def placed(network):
    """Each live file: its year, its bucket, and the class that the store says it has."""
    script = f"""
import boto3, json
from pyiceberg.catalog import load_catalog
s3 = boto3.client("s3", endpoint_url="http://127.0.0.1:9000", region_name="us-east-1", aws_access_key_id="lake", aws_secret_access_key="secret")
table = load_catalog("lake", **{PYICEBERG!r}).load_table("market.prices")
found = []
for task in table.scan().plan_files():
    bucket, _, key = task.file.file_path.removeprefix("s3://").partition("/")
    head = s3.head_object(Bucket=bucket, Key=key)
    found.append([1970 + task.file.partition[0], bucket, head.get("StorageClass", "STANDARD")])
print(json.dumps(found))
"""
    return json.loads(network.run(VENV / "python", "-c", script).stdout)


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
    assert stack.until(lambda: stored(lake, series), 20), done.stderr
    return report


def stored(lake, series):
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
    report = job(lake, root, "iceberg-compaction")
    assert report["status"] == "committed" and report["files_after"] < report["files_before"] == 48, report
    after = same(lake)
    assert after["files"] == report["files_after"]


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
    files = placed(lake)
    assert {year for year, _, _ in files} == set(range(THIS_YEAR - 3, THIS_YEAR + 1))
    for year, bucket, storage_class in files:
        tier = tier_of(year)
        assert (bucket, storage_class) == (BUCKETS[tier], CLASSES[tier]), year
    assert job(lake, root, "data-archival")["status"] == "nothing-to-do"


def test_should_expire_as_the_cron_job_does(lake, root):
    report = job(lake, root, "snapshot-expiry")
    assert report["status"] == "committed" and report["snapshots_before"] > 20, report
    assert 10 <= report["snapshots_after"] <= 20 and report["files_removed"] > 0, report
    same(lake)


def test_should_remove_orphans_as_the_cron_job_does(lake, root):
    # Young files may be a writer's that has not committed yet.
    store(
        lake,
        f"s3.put_object(Bucket='{BUCKETS['hot']}', Key='warehouse/market/prices/data/young.parquet', Body=b'x')['ETag']",
    )
    report = job(lake, root, "orphan-removal")
    assert report["status"] == "nothing-to-do", report
    store(lake, f"s3.head_object(Bucket='{BUCKETS['hot']}', Key='warehouse/market/prices/data/young.parquet')['ETag']")
    same(lake)


def test_should_fail_at_once_when_the_configuration_is_wrong(lake, root):
    pod = Pod("prod", "CronJob", "iceberg-compaction", lake.folder, lake)
    policy = pod.doc["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    at_once, again = (
        next(r["onExitCodes"]["values"] for r in policy if r["action"] == a) for a in ("FailJob", "Count")
    )
    wrong = pod.run(root, SECRETS | {"PGPASSWORD": "wrong"}, STORE, hosts=HOSTS)
    assert wrong.returncode in at_once, wrong.stderr
    # Names that lead nowhere, a store that is away: tried again.
    away = pod.run(root, SECRETS, {"ICEWRIGHT_PROP": "s3.endpoint=http://127.0.0.1:1"}, hosts=HOSTS)
    assert away.returncode in again, (away.returncode, away.stderr)


def test_should_run_on_a_laptop(root):
    """The dev overlay: its job makes the lake on the volume, its CronJob compacts it within half a GiB."""
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
