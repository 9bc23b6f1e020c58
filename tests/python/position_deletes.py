"""Adds a partition-scoped position delete file to a table, as merge-on-read writers do: the first row of every file of one
year is deleted. PyIceberg 0.12 has no such writer: manifest and snapshot are put together from its parts."""
import time
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.manifest import (DataFile, DataFileContent, FileFormat, ManifestContent, ManifestEntry, ManifestEntryStatus,
                                write_manifest, write_manifest_list)
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update import AddSnapshotUpdate, AssertRefSnapshotId, SetSnapshotRefUpdate
from pyiceberg.typedef import Record

import lake


def main():
    parser = lake.arguments(__doc__)
    parser.add_argument("--year", type=int, required=True)
    args = parser.parse_args()
    table = lake.catalog(args).load_table(args.table)
    files = [t.file for t in table.scan().plan_files() if t.file.partition[0] == args.year - 1970]
    base = table.location()
    path = f"{base}/data/ts_year={args.year}/{uuid.uuid4()}-deletes.parquet"
    schema = pa.schema([
        pa.field("file_path", pa.string(), nullable=False, metadata={"PARQUET:field_id": "2147483546"}),
        pa.field("pos", pa.int64(), nullable=False, metadata={"PARQUET:field_id": "2147483545"}),
    ])
    local = path.removeprefix("file://")
    pq.write_table(pa.table([sorted(f.file_path for f in files), [0] * len(files)], schema=schema), local)
    import os
    spec, snapshot_id = table.spec(), int(time.time() * 1e6)
    deletes = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES, file_path=path, file_format=FileFormat.PARQUET,
        partition=Record(args.year - 1970), record_count=len(files), file_size_in_bytes=os.path.getsize(local),
        sort_order_id=None, spec_id=spec.spec_id, equality_ids=None, key_metadata=None)
    deletes.spec_id = spec.spec_id
    parent = table.current_snapshot()
    sequence = table.metadata.last_sequence_number + 1

    manifest_path = f"{base}/metadata/{uuid.uuid4()}-m0.avro"
    with write_manifest(2, spec, table.schema(), table.io.new_output(manifest_path), snapshot_id, "deflate") as writer:
        writer.content = lambda: ManifestContent.DELETES
        writer._meta["content"] = "deletes"
        writer.add_entry(ManifestEntry.from_args(status=ManifestEntryStatus.ADDED, snapshot_id=snapshot_id,
                                                 sequence_number=None, file_sequence_number=None, data_file=deletes))
    manifest = writer.to_manifest_file()
    list_path = f"{base}/metadata/snap-{snapshot_id}-0-{uuid.uuid4()}.avro"
    with write_manifest_list(2, table.io.new_output(list_path), snapshot_id, parent.snapshot_id, sequence, "deflate") as out:
        out.add_manifests([manifest] + parent.manifests(table.io))
    totals = parent.summary.additional_properties
    kept = {k: v for k, v in totals.items() if k.startswith("total-")}
    added = {"total-delete-files": 1, "total-position-deletes": len(files), "total-files-size": deletes.file_size_in_bytes}
    after = {key: str(int(kept.get(key, 0)) + more) for key, more in added.items()}
    summary = Summary(Operation.DELETE, **(kept | after))
    snapshot = Snapshot(snapshot_id=snapshot_id, parent_snapshot_id=parent.snapshot_id, manifest_list=list_path,
                        sequence_number=sequence, summary=summary, schema_id=table.schema().schema_id)
    updates = (AddSnapshotUpdate(snapshot=snapshot),
               SetSnapshotRefUpdate(ref_name="main", type="branch", snapshot_id=snapshot_id))
    table._do_commit(updates, (AssertRefSnapshotId(snapshot_id=parent.snapshot_id, ref="main"),))


if __name__ == "__main__":
    main()
