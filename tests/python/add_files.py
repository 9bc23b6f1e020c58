"""Makes a table with PyIceberg whose files other writers made: they have no field ids, and are adopted as they lie.

First six files, Snappy, of the schema that the table begins with; then a column is renamed, one is widened and one added, and
three more files follow, by the new names.
"""
import datetime
import decimal
import os

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.types import LongType, StringType

import lake

STRUCT = pa.struct([("a", pa.string()), ("b", pa.int64())])


def rows(first, names):
    start = datetime.datetime(2024, 3, 1, tzinfo=datetime.timezone.utc)
    columns = {
        "id": pa.array(range(first, first + 300), pa.int64()),
        "ts": pa.array([start + datetime.timedelta(hours=first + n) for n in range(300)], pa.timestamp("us", tz="UTC")),
        "region": pa.array([None if n % 7 == 0 else f"r{n % 5}" for n in range(300)], pa.string()),
        "count": pa.array([n % 11 for n in range(300)], pa.int32()),
        "price": pa.array([decimal.Decimal(first + n) / 100 for n in range(300)], pa.decimal128(9, 2)),
        "place": pa.array([{"a": f"x{n % 3}", "b": n} for n in range(300)], STRUCT),
        "tags": pa.array([["t", None][: n % 3] for n in range(300)], pa.list_(pa.string())),
    }
    columns["count"] = columns["count"].cast(names.get("count", pa.int32()))
    table = pa.table({names.get(name, name) if name == "region" else name: values for name, values in columns.items()})
    if "extra" in names:
        table = table.append_column("extra", pa.array([f"e{n}" for n in range(300)], pa.string()))
    return table


def main():
    args = lake.arguments(__doc__).parse_args()
    catalog = lake.catalog(args)
    catalog.create_namespace_if_not_exists(args.table.rsplit(".", 1)[0])
    table = catalog.create_table(args.table, rows(0, {}).schema)
    folder = table.location().removeprefix("file://") + "/data"
    os.makedirs(folder, exist_ok=True)

    def adopt(first, names):
        path = f"{folder}/by-another-writer-{first:06}.parquet"
        # Old writers have decimals as bytes of a fixed length.
        pq.write_table(rows(first, names), path, compression="snappy", store_decimal_as_integer=first % 2 == 1)
        table.add_files([f"file://{path}"])

    for n in range(6):
        adopt(n * 1000 + n % 2, {})
    with table.update_schema() as change:
        change.rename_column("region", "area")
        change.update_column("count", LongType())
        change.add_column("extra", StringType())
    table.refresh()
    for n in range(6, 9):
        adopt(n * 1000, {"region": "area", "count": pa.int64(), "extra": True})


if __name__ == "__main__":
    main()
