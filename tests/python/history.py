"""A table whose history has every shape, and what is to be read of it.

    history.py make    appends, overwrites and deletes; a tag, a branch with commits of its own, one of which is picked for
                       main, a rollback, statistics
    history.py read    every snapshot in full, as {id: {rows, columns}}; branches and tags; what is on disk and what is named
"""
import json
import os
import sys

import pyarrow as pa
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.schema import Schema
from pyiceberg.table.statistics import StatisticsFile
from pyiceberg.types import LongType, NestedField, StringType

import lake

SCHEMA = Schema(NestedField(1, "id", LongType()), NestedField(2, "name", StringType()))


def rows(first, count=20):
    return pa.Table.from_pylist([{"id": first + i, "name": f"n{i % 7}"} for i in range(count)], schema=SCHEMA.as_arrow())


def statistics(table, snapshot_id):
    path = f"{table.location()}/metadata/stats-{snapshot_id}.puffin"
    with table.io.new_output(path).create(overwrite=True) as out:
        out.write(b"PFA1 not looked into PFA1")
    file = StatisticsFile(snapshot_id=snapshot_id, statistics_path=path, file_size_in_bytes=25,
                          file_footer_size_in_bytes=4, blob_metadata=[])
    table.update_statistics().set_statistics(file).commit()


def cherry_pick(table, branch):
    """What Iceberg's cherrypick makes of an append that is no child of main's head: a snapshot of main that adds the same
    files, in a manifest of its own, and says where they come from."""
    picked = table.metadata.snapshot_by_id(table.metadata.refs[branch].snapshot_id)
    manifests = [m for m in picked.manifests(table.io) if m.added_snapshot_id == picked.snapshot_id]
    files = [e.data_file for m in manifests for e in m.fetch_manifest_entry(table.io)]
    origin = {"source-snapshot-id": str(picked.snapshot_id)}
    with table.transaction() as change, change.update_snapshot(snapshot_properties=origin).fast_append() as append:
        for file in files:
            append.append_data_file(file)


def make(catalog, args):
    catalog.create_namespace_if_not_exists("db")
    properties = {"format-version": args.format_version} | dict(p.split("=", 1) for p in args.property)
    table = catalog.create_table(args.table, SCHEMA, properties=properties)
    for i in range(4):
        table.append(rows(i * 100))
    first = [s.snapshot_id for s in table.metadata.snapshots]
    statistics(table, first[0])
    table.manage_snapshots().create_tag(first[1], "release").commit()
    table.manage_snapshots().create_branch(first[2], "side").commit()
    table.append(rows(5000), branch="side")
    cherry_pick(table, "side")
    table.append(rows(5500), branch="side")
    table.delete("id >= 100 and id < 105")
    table.overwrite(rows(700), overwrite_filter="id >= 200 and id < 300")
    back_to = table.current_snapshot().snapshot_id
    for i in range(2):
        table.append(rows(9000 + i * 100))
    # These two are taken back; their files are live in no branch.
    table.manage_snapshots().rollback_to_snapshot(back_to).commit()
    for i in range(3):
        table.append(rows(1000 + i * 100))
    table.delete("id >= 1000 and id < 1020")
    statistics(table, table.current_snapshot().snapshot_id)


def add(catalog, args):
    table = catalog.load_table(args.table)
    for i in range(args.count):
        table.append(rows(20_000 + i * 100))
    table.delete("id >= 20000 and id < 20050")


def named(table):
    """Every file that the metadata names: of all snapshots, the log, statistics."""
    metadata = table.metadata
    paths = {table.metadata_location} | {e.metadata_file for e in metadata.metadata_log}
    paths |= {s.statistics_path for s in metadata.statistics}
    data = set()
    for snapshot in metadata.snapshots:
        paths.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            paths.add(manifest.manifest_path)
            data |= {e.data_file.file_path for e in manifest.fetch_manifest_entry(table.io, discard_deleted=True)}
    return paths, data


def on_disk(table):
    io = table.io
    assert isinstance(io, PyArrowFileIO)
    from pyarrow.fs import FileSelector
    scheme, netloc, path = io.parse_location(table.location())
    fs = io.fs_by_scheme(scheme, netloc)
    infos = fs.get_file_info(FileSelector(path, recursive=True))
    # Hadoop writes checksums beside local files; no other store has them.
    return {i.path for i in infos if i.is_file and not i.path.endswith(".crc")}


def read(catalog, args):
    table = catalog.load_table(args.table)
    snapshots = {}
    for snapshot in [] if args.quick else table.metadata.snapshots:
        arrow = table.scan(snapshot_id=snapshot.snapshot_id).to_arrow()
        snapshots[snapshot.snapshot_id] = {"rows": arrow.num_rows, "columns": lake.columns(arrow)}
    # Writers differ in how many slashes a file's location begins with: paths alone are compared.
    metadata, data = ({table.io.parse_location(path)[2] for path in paths} for paths in named(table))
    disk = on_disk(table)
    return {
        "snapshots": snapshots,
        "count": len(table.metadata.snapshots),
        "main": table.scan().to_arrow().num_rows,
        "refs": {name: ref.snapshot_id for name, ref in table.metadata.refs.items()},
        "current": table.current_snapshot().snapshot_id,
        "log": len(table.metadata.metadata_log),
        "missing": sorted((metadata | data) - disk),
        "unnamed": sorted(disk - metadata - data),
        "files": len(disk),
        "location": table.metadata_location,
    }


def main():
    parser = lake.arguments(__doc__)
    parser.add_argument("action", choices=["make", "add", "read"])
    parser.add_argument("--format-version", default="2")
    parser.add_argument("--property", action="append", default=[])
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="does not read the rows of older snapshots")
    args = parser.parse_args()
    catalog = lake.catalog(args)
    if args.action == "make":
        make(catalog, args)
    if args.action == "add":
        add(catalog, args)
    json.dump(read(catalog, args), sys.stdout)
    print()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
