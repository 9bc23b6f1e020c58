"""Compares each data file's partition with what PyIceberg's transforms make of its rows, and scans with what PyIceberg
prunes; prints the files by spec, the partitions of the current one, and what is wrong, as JSON."""
import datetime
import json
import sys
from collections import Counter

import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.expressions import And, EqualTo, GreaterThanOrEqual, IsNull, LessThan

import lake


def of_row(value, source_type, transform):
    if isinstance(value, datetime.datetime):
        epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
        value = (value - epoch) // datetime.timedelta(microseconds=1)
    return transform.transform(source_type)(value)


def main():
    args = lake.arguments(__doc__).parse_args()
    table = lake.catalog(args).load_table(args.table)
    schema, specs, problems, by_spec, partitions = table.schema(), table.specs(), [], Counter(), set()
    for manifest in table.current_snapshot().manifests(table.io):
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            data = entry.data_file
            if int(data.content) != 0:
                continue
            spec = specs[manifest.partition_spec_id]
            by_spec[spec.spec_id] += 1
            if spec.spec_id == table.spec().spec_id:
                partitions.add(str(data.partition))
            with table.io.new_input(data.file_path).open() as file:
                rows = pq.ParquetFile(file).read()
            for place, field in enumerate(spec.fields):
                source = schema.find_field(field.source_id)
                values = set(rows.column(source.name).to_pylist())
                found = {of_row(value, source.field_type, field.transform) for value in values}
                if found != {data.partition[place]}:
                    problems.append(f"{data.file_path}: {field.name} is {data.partition[place]}, its rows say {found}")
    everything = table.scan().to_arrow()
    first = datetime.datetime(2023, 3, 1, tzinfo=datetime.timezone.utc)
    last = datetime.datetime(2023, 4, 1, tzinfo=datetime.timezone.utc)
    times = everything.column("ts")
    filters = {
        "month": (And(GreaterThanOrEqual("ts", first.isoformat()), LessThan("ts", last.isoformat())),
                  pc.and_(pc.greater_equal(times, first), pc.less(times, last))),
        "region": (EqualTo("region", "eu"), pc.equal(everything.column("region"), "eu")),
        "null": (IsNull("region"), pc.is_null(everything.column("region"))),
        "id": (EqualTo("id", 7), pc.equal(everything.column("id"), 7)),
    }
    planned = {}
    for name, (expression, mask) in filters.items():
        scan = table.scan(row_filter=expression)
        planned[name] = len(list(scan.plan_files()))
        have, want = scan.to_arrow().num_rows, pc.sum(mask).as_py() or 0
        if have != want:
            problems.append(f"a scan by {name} finds {have} rows instead of {want}")
    json.dump({"specs": {str(k): v for k, v in sorted(by_spec.items())}, "partitions": sorted(partitions),
               "planned": planned, "problems": problems}, sys.stdout)


if __name__ == "__main__":
    main()
