"""Prints what the manifests of the current snapshot say, as JSON: how many there are, and every live entry with snapshot
id, sequence numbers, partition and statistics."""
import json
from collections.abc import Mapping

import lake


def plain(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in sorted(value.items())}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value if value is None or isinstance(value, (int, float, bool, str)) else str(value)


def main():
    args = lake.arguments(__doc__).parse_args()
    table = lake.catalog(args).load_table(args.table)
    manifests = table.current_snapshot().manifests(table.io)
    entries, statuses = {}, set()
    for manifest in manifests:
        live = 0
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            data = entry.data_file
            statuses.add(entry.status.name)
            live += 1
            entries[data.file_path] = [
                entry.snapshot_id, entry.sequence_number, entry.file_sequence_number, manifest.partition_spec_id,
                plain(list(data.partition)) if data.partition else [],
                plain([data.content, data.record_count, data.file_size_in_bytes, data.split_offsets, data.equality_ids,
                       data.sort_order_id, data.key_metadata]),
                plain([data.column_sizes or {}, data.value_counts or {}, data.null_value_counts or {},
                       data.nan_value_counts or {}, data.lower_bounds or {}, data.upper_bounds or {}])]
        assert live == (manifest.added_files_count or 0) + (manifest.existing_files_count or 0), manifest
    print(json.dumps({"manifests": len(manifests), "entries": entries, "statuses": sorted(statuses),
                      "snapshots": [s.snapshot_id for s in table.metadata.snapshots]}))


if __name__ == "__main__":
    main()
