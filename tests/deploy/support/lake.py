"""A lake with the servers that the manifests name, under their names and ports, and what is in it as others see it:
PostgreSQL, an S3 server, VictoriaMetrics."""

import contextlib
import datetime
import json
import os
import pathlib
import shutil

from . import built, stack, tools
from .cluster import binaries
from .sandbox import Network

VENV = tools.CACHE / "venv/bin"
SECRETS = {"PGPASSWORD": "icewright's", "AWS_ACCESS_KEY_ID": "lake", "AWS_SECRET_ACCESS_KEY": "secret"}
# Amazon's place is taken by a server on the loopback; all else is the manifest's.
STORE = {"ICEWRIGHT_PROP": "s3.endpoint=http://127.0.0.1:9000"}
HOSTS = "postgres-primary.shared-services.svc victoria-metrics.victoria-metrics.svc"
BUCKETS = {"hot": "254carbon-lake", "warm": "254carbon-lake-warm", "cold": "254carbon-lake-cold"}
THIS_YEAR = datetime.date.today().year
CLASSES = {"hot": "STANDARD", "warm": "STANDARD_IA", "cold": "GLACIER_IR"}


@contextlib.contextmanager
def running():
    """The servers in a network of their own, and empty buckets."""
    if not (VENV / "moto_server").exists():
        tools.missing("moto's S3 server")
    with tools.workplace("lake") as folder, Network() as network:
        network.folder = folder
        postgres(network, folder)
        s3 = tools.ROOT / "tests/deploy/support/s3.py"
        network.serve(9000, VENV / "python", s3, "-H", "127.0.0.1", "-p", "9000", log=folder / "s3.log")
        arguments = [
            f"-storageDataPath={folder}/victoria" if a.startswith("-storageDataPath") else a
            for a in stack.flags("prod", "StatefulSet", "victoria-metrics")
        ]
        network.serve(8428, tools.program("victoria-metrics"), *arguments, log=folder / "victoria.log")
        store(network, f"[s3.create_bucket(Bucket=bucket) for bucket in {list(BUCKETS.values())}]")
        yield network


def make(network, table, *arguments):
    """Makes a table, or several, of the last four years."""
    environment = SECRETS | STORE | {"PATH": os.environ["PATH"]}
    catalog = ["--catalog", "postgresql://icewright@127.0.0.1:5432/iceberg", "--catalog-name", "lake"]
    warehouse = ["--warehouse", f"s3://{BUCKETS['hot']}/warehouse"]
    years = ["--years", f"{THIS_YEAR - 3}-{THIS_YEAR}"]
    network.run(
        tools.icewright(), "fixture", *catalog, *warehouse, "--table", table, *years, *arguments, env=environment
    )


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


def rows(network, table="market.prices"):
    """What PyIceberg reads: rows, a digest of every column, files, snapshots."""
    arguments = [part for key, value in PYICEBERG.items() for part in ("--prop", f"{key}={value}")]
    script = tools.ROOT / "tests/python/rows.py"
    found = json.loads(
        network.run(
            VENV / "python", script, "--no-duckdb", "--name", "lake", "--table", table, *arguments
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


def stored(network):
    """Every object of every bucket."""
    pages = "s3.get_paginator('list_objects_v2').paginate(Bucket=b)"
    every = f"for b in {list(BUCKETS.values())} for p in {pages} for o in p.get('Contents', [])"
    return set(store(network, f"[b + '/' + o['Key'] {every}]"))


def snapshots(network, table="market.prices"):
    """Snapshots and older metadata files that the table knows, as PyIceberg reads it."""
    script = f"""
import json
from pyiceberg.catalog import load_catalog
metadata = load_catalog("lake", **{PYICEBERG!r}).load_table("{table}").metadata
print(json.dumps([len(metadata.snapshots), len(metadata.metadata_log)]))
"""
    return json.loads(network.run(VENV / "python", "-c", script).stdout)


def codecs(network, table="market.prices"):
    """How columns of the live files are compressed, as their footers say."""
    script = f"""
import json
import pyarrow.parquet as parquet
from pyiceberg.catalog import load_catalog
table = load_catalog("lake", **{PYICEBERG!r}).load_table("{table}")
found = set()
for task in table.scan().plan_files():
    with table.io.new_input(task.file.file_path).open() as file:
        footer = parquet.ParquetFile(file).metadata
        groups = [footer.row_group(group) for group in range(footer.num_row_groups)]
        found |= {{g.column(c).compression for g in groups for c in range(g.num_columns)}}
print(json.dumps(sorted(found)))
"""
    return json.loads(network.run(VENV / "python", "-c", script).stdout)
