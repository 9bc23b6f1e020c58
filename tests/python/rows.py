"""Reads a table with PyIceberg and with DuckDB; prints rows and a digest of every column of each, as JSON.

Also checks that the metadata holds together: every manifest can be read, every file in it exists with the size that the
manifest says, and the summary's totals are the sums of the live entries.
"""
import json
import os
import sys

import duckdb
import pyarrow as pa
from duckdb_extensions import import_extension

import lake
from pyiceberg.manifest import FileFormat


def duck(metadata_location):
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    for name in ("avro", "iceberg"):
        import_extension(name)
        connection.execute(f"LOAD {name}")
    connection.execute("SET TimeZone = 'UTC'")
    path = metadata_location.removeprefix("file://")
    return connection.execute(f"SELECT * FROM iceberg_scan('{path}')").to_arrow_table()


def check(table):
    problems = []
    snapshot = table.current_snapshot()
    if snapshot is None:
        return problems, 0
    files = records = size = delete_files = vectors = positions = equalities = 0
    seen = set()
    for manifest in snapshot.manifests(table.io):
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            data = entry.data_file
            vectors += data.file_format == FileFormat.PUFFIN
            size += data.file_size_in_bytes
            if int(data.content) != 0:
                delete_files += 1
                positions += data.record_count if int(data.content) == 1 else 0
                equalities += data.record_count if int(data.content) == 2 else 0
                continue
            if data.file_path in seen:
                problems.append(f"{data.file_path} is listed twice")
            seen.add(data.file_path)
            files += 1
            records += data.record_count
            try:
                length = len(table.io.new_input(data.file_path))
                if length != data.file_size_in_bytes:
                    problems.append(f"{data.file_path} has {length} bytes, not {data.file_size_in_bytes}")
            except Exception as error:  # any failure to look means that readers fail too
                problems.append(f"{data.file_path}: {error}")
    summary = snapshot.summary.additional_properties if snapshot.summary else {}
    sums = {"total-data-files": files, "total-records": records, "total-files-size": size,
            "total-delete-files": delete_files, "total-position-deletes": positions, "total-equality-deletes": equalities}
    if vectors:  # they count with their own size, which PyIceberg 0.12 does not read
        del sums["total-files-size"]
    for key, have in sums.items():
        if key in summary and int(summary[key]) != have:
            problems.append(f"summary {key} is {summary[key]}, the entries say {have}")
    return problems, files


def main():
    parser = lake.arguments(__doc__)
    parser.add_argument("--snapshot-id", type=int)
    parser.add_argument("--no-duckdb", action="store_true")
    args = parser.parse_args()
    table = lake.catalog(args).load_table(args.table)
    arrow = table.scan(snapshot_id=args.snapshot_id).to_arrow()
    problems, live = check(table)
    out = {
        "rows": arrow.num_rows,
        "columns": lake.columns(arrow),
        "problems": problems,
        "snapshots": len(table.metadata.snapshots),
        "files": live,
        "metadata": table.metadata_location,
    }
    local = table.metadata_location.startswith(("file:", "/"))
    if local and args.snapshot_id is None and not args.no_duckdb and table.current_snapshot():
        other = duck(table.metadata_location)
        out["duckdb_rows"] = other.num_rows
        out["duckdb"] = lake.columns(other)
        # PyIceberg 0.12 reads a null list of structs as an empty one: such columns are compared engine by engine only.
        known = {f.name for f in arrow.schema if pa.types.is_large_list(f.type) or pa.types.is_list(f.type)}
        known = {n for n in known if pa.types.is_struct(arrow.schema.field(n).type.value_type)}
        differing = {n for n, d in out["duckdb"].items() if out["columns"].get(n) != d} - known
        if differing:
            out["problems"].append(f"DuckDB reads other values in {sorted(differing)}")
        if other.num_rows != arrow.num_rows:
            out["problems"].append(f"DuckDB reads {other.num_rows} rows")
    json.dump(out, sys.stdout)
    print()
    os._exit(0)


if __name__ == "__main__":
    main()
