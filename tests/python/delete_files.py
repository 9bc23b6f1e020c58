"""Adds delete files to a table, as merge-on-read writers do. PyIceberg 0.12 has no such writer: manifest and snapshot are put
together from its parts.

    delete_files.py --positions --year Y   the first row of every file of one year, in one file for the partition (Spark, Flink)
    delete_files.py --equality id,id,...   rows by id, in one unpartitioned file that applies to the whole table (Flink);
                                           with --year Y in one for that partition; --rewrite does the same by
                                           rewriting data files, for comparison
    delete_files.py --by column=text,...   rows by a column of texts, in the whole table
"""
import contextlib
import os
import time
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.expressions import And, GreaterThanOrEqual, In, LessThan
from pyiceberg.manifest import (DATA_FILE_TYPE, DataFile, DataFileContent, FileFormat, ManifestContent, ManifestEntry, ManifestEntryStatus,
                                write_manifest, write_manifest_list)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update import AddSnapshotUpdate, AssertRefSnapshotId, SetSnapshotRefUpdate
from pyiceberg.typedef import Record
from pyiceberg.types import IntegerType, ListType

import lake


@contextlib.contextmanager
def ids_as_ints():
    """The spec's equality_ids are ints; PyIceberg 0.12 writes longs, which the reference implementation can't read."""
    column = next(f for f in DATA_FILE_TYPE[2].fields if f.name == "equality_ids").__dict__
    longs, column["field_type"] = column["field_type"], ListType(
        element_id=136, element_type=IntegerType(), element_required=True)
    yield
    column["field_type"] = longs


def field(name, kind, number, nullable=False):
    return pa.field(name, kind, nullable=nullable, metadata={"PARQUET:field_id": str(number)})


def positions(table, year):
    files = sorted(t.file.file_path for t in table.scan().plan_files() if t.file.partition[0] == year - 1970)
    schema = pa.schema([field("file_path", pa.string(), 2147483546), field("pos", pa.int64(), 2147483545)])
    return pa.table([files, [0] * len(files)], schema=schema)


def equalities(table, name, kind, values):
    return pa.table([values], schema=pa.schema([field(name, kind, table.schema().find_field(name).field_id)]))


def unpartitioned(table):
    """The table's unpartitioned spec; makes one where there is none, and goes back to the partitioned one."""
    for spec in table.specs().values():
        if not spec.fields:
            return spec
    from pyiceberg.table.update import AddPartitionSpecUpdate
    spec = PartitionSpec(spec_id=max(table.specs()) + 1)
    table._do_commit((AddPartitionSpecUpdate(spec=spec),), ())
    return table.specs()[spec.spec_id]


def commit(table, spec, rows, year, equality_ids):
    base = table.location()
    folder = f"{base}/data/ts_year={year}" if year else f"{base}/data"
    path = f"{folder}/{uuid.uuid4()}-deletes.parquet"
    local = path.removeprefix("file://")
    pq.write_table(rows, local)
    snapshot_id, equality = int(time.time() * 1e6), equality_ids is not None
    content = DataFileContent.EQUALITY_DELETES if equality else DataFileContent.POSITION_DELETES
    deletes = DataFile.from_args(
        content=content, file_path=path, file_format=FileFormat.PARQUET, partition=Record(year - 1970) if year else Record(),
        record_count=rows.num_rows, file_size_in_bytes=os.path.getsize(local), sort_order_id=None, spec_id=spec.spec_id,
        equality_ids=equality_ids, key_metadata=None)
    deletes.spec_id = spec.spec_id
    parent = table.current_snapshot()
    sequence = table.metadata.last_sequence_number + 1

    manifest_path = f"{base}/metadata/{uuid.uuid4()}-m0.avro"
    with ids_as_ints(), write_manifest(
            2, spec, table.schema(), table.io.new_output(manifest_path), snapshot_id, "deflate") as writer:
        writer.content = lambda: ManifestContent.DELETES
        writer._meta["content"] = "deletes"
        writer.add_entry(ManifestEntry.from_args(status=ManifestEntryStatus.ADDED, snapshot_id=snapshot_id,
                                                 sequence_number=None, file_sequence_number=None, data_file=deletes))
    manifest = writer.to_manifest_file()
    list_path = f"{base}/metadata/snap-{snapshot_id}-0-{uuid.uuid4()}.avro"
    with write_manifest_list(2, table.io.new_output(list_path), snapshot_id, parent.snapshot_id, sequence, "deflate") as out:
        out.add_manifests([manifest] + parent.manifests(table.io))
    totals = {k: v for k, v in parent.summary.additional_properties.items() if k.startswith("total-")}
    more = {"total-files-size": deletes.file_size_in_bytes, "total-delete-files": 1,
            "total-equality-deletes" if equality else "total-position-deletes": rows.num_rows}
    totals |= {key: str(int(totals.get(key, 0)) + add) for key, add in more.items()}
    snapshot = Snapshot(snapshot_id=snapshot_id, parent_snapshot_id=parent.snapshot_id, manifest_list=list_path,
                        sequence_number=sequence, summary=Summary(Operation.DELETE, **totals),
                        schema_id=table.schema().schema_id)
    updates = (AddSnapshotUpdate(snapshot=snapshot),
               SetSnapshotRefUpdate(ref_name="main", type="branch", snapshot_id=snapshot_id))
    table._do_commit(updates, (AssertRefSnapshotId(snapshot_id=parent.snapshot_id, ref="main"),))


def main():
    parser = lake.arguments(__doc__)
    parser.add_argument("--positions", action="store_true")
    parser.add_argument("--equality")
    parser.add_argument("--by")
    parser.add_argument("--year", type=int)
    parser.add_argument("--rewrite", action="store_true")
    args = parser.parse_args()
    table = lake.catalog(args).load_table(args.table)
    if args.positions:
        commit(table, table.spec(), positions(table, args.year), args.year, None)
    elif args.rewrite:
        rows = In("id", [int(n) for n in args.equality.split(",")])
        start, end = (f"{args.year or 1970}-01-01T00:00:00+00:00", f"{(args.year or 9998) + 1}-01-01T00:00:00+00:00")
        table.delete(And(rows, GreaterThanOrEqual("ts", start), LessThan("ts", end)))
    else:
        name, values = args.by.split("=") if args.by else ("id", args.equality)
        kind, value = (pa.string(), str) if args.by else (pa.int64(), int)
        rows = equalities(table, name, kind, [value(text) for text in values.split(",")])
        spec = table.spec() if args.year else unpartitioned(table)
        commit(table, spec, rows, args.year, [table.schema().find_field(name).field_id])


if __name__ == "__main__":
    main()
