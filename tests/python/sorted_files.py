"""Reads the data files of a table one by one, as they are: prints partition, sort order and rows of each, as JSON."""
import json
import sys

import pyarrow.parquet as pq

import lake


def main():
    args = lake.arguments(__doc__).parse_args()
    table = lake.catalog(args).load_table(args.table)
    files = []
    for manifest in table.current_snapshot().manifests(table.io):
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            data = entry.data_file
            with table.io.new_input(data.file_path).open() as file:
                parquet = pq.ParquetFile(file)
                footer = parquet.metadata.metadata or {}
                rows = parquet.read(columns=["id", "ts", "region", "price"]).to_pylist()
            files.append({
                "path": data.file_path,
                "partition": str(data.partition),
                "order": data.sort_order_id,
                "mark": footer.get(b"icewright.arrangement", b"").decode(),
                "rows": [[r["region"], int(r["ts"].timestamp() * 1e6), r["id"], r["price"]] for r in rows],
            })
    json.dump(sorted(files, key=lambda f: (f["partition"], f["path"])), sys.stdout)


if __name__ == "__main__":
    main()
