"""Expiry of a table with 5,020 snapshots and 200,000 files down to 20, next to PyIceberg, in one run.

    benches/expire.py ICEWRIGHT [--dir DIR] [--snapshots 5020] [--files 200000] [--alone] [--spark FOLDER]

Run it with the tests' Python ($ICEWRIGHT_CACHE/venv/bin/python; tests/run makes it). The table is written directly: every
snapshot adds some files, every 100th merges the manifests, every 1000th replaces all live files by a few large ones. Data
files are real, of one byte. PyIceberg expires the same snapshots in a second table of the same metadata, and walks both
states (each manifest once) to find the files that only expired snapshots reach; it removes none of them. icewright does
all of that and removes them. What both found must be the same. The peer takes half an hour at full size: --alone leaves its
commit out, and only walks. --spark (the folder that tests/servers/spark.sh fetch makes) runs Spark's procedure on a table of its
own, which it expires and cleans as icewright does.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid

import spark

from pyiceberg.catalog import load_catalog
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import (DataFile, DataFileContent, FileFormat, ManifestEntry, ManifestEntryStatus,
                                write_manifest, write_manifest_list)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.typedef import Record
from pyiceberg.types import LongType, NestedField

SCHEMA = Schema(NestedField(1, "id", LongType()))
DAY = 24 * 3600 * 1000


class Maker:
    def __init__(self, root, snapshots, files):
        self.io, self.root, self.count = PyArrowFileIO({}), root, snapshots
        self.each = files // snapshots + 1
        self.live, self.manifests, self.snapshots, self.made = [], [], [], 0
        os.makedirs(f"{root}/metadata")
        os.makedirs(f"{root}/data")

    def file(self):
        path = f"{self.root}/data/{uuid.uuid4()}-{self.made:06}.parquet"
        self.made += 1
        with open(path, "wb") as out:
            out.write(b"x")
        return DataFile.from_args(content=DataFileContent.DATA, file_path=f"file://{path}", partition=Record(),
                                  file_format=FileFormat.PARQUET, record_count=1000, file_size_in_bytes=1,
                                  column_sizes={1: 4000}, value_counts={1: 1000}, null_value_counts={1: 0},
                                  nan_value_counts={}, lower_bounds={1: bytes(8)}, upper_bounds={1: b"\x7f" + bytes(7)},
                                  spec_id=0)

    def manifest(self, snapshot, entries):
        path = f"{self.root}/metadata/{uuid.uuid4()}-m0.avro"
        with write_manifest(2, PartitionSpec(), SCHEMA, self.io.new_output(f"file://{path}"), snapshot, "deflate") as out:
            for status, data, origin in entries:
                out.add_entry(ManifestEntry.from_args(status=status, snapshot_id=origin, sequence_number=origin % 10**6,
                                                      file_sequence_number=origin % 10**6, data_file=data))
        return out.to_manifest_file()

    def commit(self, index, now):
        snapshot = (index + 1) * 10**6 + index + 1
        new = []
        if index % 1000 == 999:
            gone = [(ManifestEntryStatus.DELETED, data, snapshot) for data, _ in self.live]
            self.live, new = [], [self.file() for _ in range(8)]
            self.manifests = [self.manifest(snapshot, gone)]
        elif index % 100 == 99:
            kept = [(ManifestEntryStatus.EXISTING, data, origin) for data, origin in self.live]
            self.manifests = [self.manifest(snapshot, kept)]
        if not new:
            new = [self.file() for _ in range(self.each)]
        self.manifests.insert(0, self.manifest(snapshot, [(ManifestEntryStatus.ADDED, data, snapshot) for data in new]))
        self.live += [(data, snapshot) for data in new]
        path = f"{self.root}/metadata/snap-{snapshot}.avro"
        parent = self.snapshots[-1]["snapshot-id"] if self.snapshots else None
        with write_manifest_list(2, self.io.new_output(f"file://{path}"), snapshot, parent, index + 1, "deflate") as out:
            out.add_manifests(self.manifests)
        entry = {"snapshot-id": snapshot, "sequence-number": index + 1, "timestamp-ms": now - (self.count - index) * 600_000 - DAY,
                 "manifest-list": f"file://{path}", "schema-id": 0,
                 "summary": {"operation": "append", "added-data-files": str(len(new)), "total-data-files": str(len(self.live))}}
        self.snapshots.append(entry | ({"parent-snapshot-id": parent} if parent else {}))

    def metadata(self, now):
        last = self.snapshots[-1]["snapshot-id"]
        document = {
            "format-version": 2, "table-uuid": str(uuid.uuid4()), "location": f"file://{self.root}",
            "last-sequence-number": self.count, "last-updated-ms": now, "last-column-id": 1, "current-schema-id": 0,
            "schemas": [json.loads(SCHEMA.model_dump_json())], "default-spec-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}],
            "last-partition-id": 999, "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}],
            "properties": {}, "current-snapshot-id": last, "refs": {"main": {"snapshot-id": last, "type": "branch"}},
            "snapshots": self.snapshots, "metadata-log": [],
            "snapshot-log": [{"snapshot-id": s["snapshot-id"], "timestamp-ms": s["timestamp-ms"]} for s in self.snapshots],
        }
        path = f"{self.root}/metadata/00001-{uuid.uuid4()}.metadata.json"
        with open(path, "w") as out:
            json.dump(document, out)
        return f"file://{path}"


def walk(table):
    """Everything that the snapshots reach; each manifest is read once."""
    found, manifests = set(), set()
    for snapshot in table.metadata.snapshots:
        found.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path not in manifests:
                manifests.add(manifest.manifest_path)
                found |= {e.data_file.file_path for e in manifest.fetch_manifest_entry(table.io, discard_deleted=True)}
    return found | manifests


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("icewright")
    parser.add_argument("--dir", default=None)
    parser.add_argument("--snapshots", type=int, default=5020)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--keep", type=int, default=20)
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--spark", help="a folder with Spark and Iceberg's runtime for it")
    args = parser.parse_args()
    root = tempfile.mkdtemp(prefix="icewright-expire-", dir=args.dir)
    try:
        run(root, args)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def run(root, args):
    start, now = time.time(), int(time.time() * 1000)
    maker = Maker(f"{root}/db/t", args.snapshots, args.files)
    for index in range(args.snapshots):
        maker.commit(index, now)
    location = maker.metadata(now)
    catalog = load_catalog("bench", type="sql", uri=f"sqlite:///{root}/catalog.db", warehouse=f"file://{root}")
    catalog.create_namespace("db")
    catalog.register_table("db.t", location)
    catalog.register_table("db.peer", location)
    print(f"made {args.snapshots} snapshots, {maker.made} files in {time.time() - start:.0f} s", flush=True)

    start = time.time()
    peer = catalog.load_table("db.peer")
    before = walk(peer)
    gone = [s.snapshot_id for s in peer.metadata.snapshots[:-args.keep]]
    if args.alone:
        peer.metadata.snapshots[:] = peer.metadata.snapshots[-args.keep:]
    else:
        peer.maintenance.expire_snapshots().by_ids(gone).commit()
        peer = catalog.load_table("db.peer")
    unreachable = before - walk(peer)
    peer_seconds = time.time() - start
    what = "PyIceberg's walks alone" if args.alone else "PyIceberg"
    print(f"{what}: {peer_seconds:.1f} s, {len(unreachable)} files found", flush=True)

    on_disk = lambda: sum(len(files) for _, _, files in os.walk(f"{root}/db/t"))
    files = on_disk()
    command = [args.icewright, "expire", "--catalog", f"sqlite://{root}/catalog.db", "--table", "db.t", "--json",
               "--retain-min", str(args.keep), "--retain-max", str(args.keep)]
    dry = json.loads(subprocess.run(command + ["--dry-run"], capture_output=True, check=True).stdout)["tables"][0]
    start = time.time()
    done = subprocess.run(command, capture_output=True)
    seconds = time.time() - start
    report = json.loads(done.stdout)["tables"][0]
    assert done.returncode == 0, done.stderr
    print(f"icewright: {seconds:.2f} s (finding alone, as a dry run: {dry['seconds']:.2f} s), {report['files_removed']} files "
          f"removed, {report['peak_memory_bytes'] / 1e6:.0f} MB; {peer_seconds / seconds:.0f} times as fast")
    assert report["snapshots_after"] == args.keep, report
    assert report["files_removed"] == len(unreachable), (report, len(unreachable))
    assert not any(os.path.exists(path.removeprefix("file://")) for path in unreachable), "a file is still there"
    assert files - on_disk() == len(unreachable) - 1, "one metadata file more"
    left = walk(catalog.load_table("db.t"))
    assert all(os.path.exists(path.removeprefix("file://")) for path in left), "something reachable is gone"
    if args.spark:
        by_spark(root, args, catalog, now)


def by_spark(root, args, catalog, now):
    maker = Maker(f"{root}/db/spark", args.snapshots, args.files)
    for index in range(args.snapshots):
        maker.commit(index, now)
    catalog.register_table("db.spark", maker.metadata(now))
    start = time.time()
    expire = ("call bench.system.expire_snapshots(table => 'db.spark', older_than => timestamp '2100-01-01 00:00:00', "
              f"retain_last => {args.keep}, stream_results => true)")
    ran = subprocess.run(spark.command(args.spark, "bench", root, expire), capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"Spark failed: {ran.stderr[-2000:]}")
    print(f"Spark's procedure: {time.time() - start:.1f} s as a process; {' | '.join(ran.stdout.splitlines())}")


if __name__ == "__main__":
    sys.exit(main())
