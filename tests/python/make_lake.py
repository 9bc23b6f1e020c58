"""Makes a table of many small appends with PyIceberg, as a streaming writer would leave it."""
import datetime
import decimal
import random
import uuid

import pyarrow as pa
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER, NullOrder, SortDirection, SortField, SortOrder
from pyiceberg.transforms import BucketTransform, IdentityTransform, YearTransform
from pyiceberg.types import (BinaryType, BooleanType, DateType, DecimalType, DoubleType, FixedType, FloatType,
                             IntegerType, ListType, LongType, MapType, NestedField, StringType, StructType,
                             TimestampType, TimestamptzType, TimeType, UUIDType)

import lake

YEARS = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "ts", TimestamptzType(), required=True),
    NestedField(3, "region", StringType()),
    NestedField(4, "price", DoubleType()),
)
TYPES = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "flag", BooleanType()),
    NestedField(3, "i", IntegerType()),
    NestedField(4, "f", FloatType()),
    NestedField(5, "d", DoubleType()),
    NestedField(6, "dec", DecimalType(9, 2)),
    NestedField(7, "wide", DecimalType(38, 10)),
    NestedField(8, "day", DateType()),
    NestedField(9, "clock", TimeType()),
    NestedField(10, "local", TimestampType()),
    NestedField(11, "instant", TimestamptzType()),
    NestedField(12, "text", StringType()),
    NestedField(14, "key", FixedType(4)),
    NestedField(15, "blob", BinaryType()),
    NestedField(16, "numbers", ListType(17, IntegerType(), element_required=False)),
    NestedField(18, "tags", MapType(19, StringType(), 20, LongType(), value_required=False)),
    NestedField(21, "nested", StructType(NestedField(22, "a", StringType()), NestedField(23, "b", LongType()))),
)


def year_rows(rng, first, count):
    start = datetime.datetime(2022, 6, 1, tzinfo=datetime.timezone.utc)
    return [{"id": first + i, "ts": start + datetime.timedelta(days=rng.random() * 900),
             "region": rng.choice(["eu", "us", "asia", None]), "price": rng.choice([None, rng.gauss(45, 12)])}
            for i in range(count)]


def type_rows(rng, first, count):
    epoch = datetime.datetime(2020, 1, 1)
    rows = []
    for i in range(count):
        when = epoch + datetime.timedelta(seconds=rng.random() * 1e8)
        row = {
            "flag": rng.random() < 0.5, "i": rng.randrange(-1000, 1000),
            "f": rng.choice([float("nan"), -0.0, 1.5, rng.random()]), "d": rng.choice([float("nan"), -0.0, rng.random()]),
            "dec": decimal.Decimal(rng.randrange(-10**9 + 1, 10**9)) / 100,
            "wide": decimal.Decimal(rng.randrange(-10**30, 10**30)).scaleb(-10),
            "day": when.date(), "clock": when.time(), "local": when,
            "instant": when.replace(tzinfo=datetime.timezone.utc), "text": rng.choice(["", "a" * 70, "δ🧊", "plain"]),
            "key": rng.randbytes(4), "blob": rng.randbytes(rng.randrange(0, 9)),
            "numbers": [rng.choice([None, 1, 2]) for _ in range(rng.randrange(0, 4))],
            "tags": [(f"k{k}", rng.choice([None, k])) for k in range(rng.randrange(0, 3))],
            "nested": {"a": rng.choice([None, "x"]), "b": rng.randrange(9)},
        }
        rows.append({"id": first + i} | {k: (None if rng.random() < 0.1 else v) for k, v in row.items()})
    return rows


def main():
    parser = lake.arguments(__doc__)
    parser.add_argument("--kind", choices=["years", "plain", "types"], default="years")
    parser.add_argument("--appends", type=int, default=8)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--format-version", default="2")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--property", action="append", default=[])
    parser.add_argument("--ordered", action="store_true", help="by region DESC NULLS LAST, ts ASC NULLS FIRST")
    parser.add_argument("--location", help="where the table goes, instead of the warehouse")
    parser.add_argument("--tag", help="tags the first snapshot, and makes a branch of the second")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    schema = TYPES if args.kind == "types" else YEARS
    spec = {
        "years": PartitionSpec(PartitionField(2, 1000, YearTransform(), "ts_year")),
        "plain": PartitionSpec(),
        "types": PartitionSpec(PartitionField(8, 1000, BucketTransform(2), "day_bucket"),
                               PartitionField(2, 1001, IdentityTransform(), "flag")),
    }[args.kind]
    catalog = lake.catalog(args)
    catalog.create_namespace_if_not_exists(args.table.rsplit(".", 1)[0])
    properties = {"format-version": args.format_version} | dict(p.split("=", 1) for p in args.property)
    order = SortOrder(
        SortField(3, IdentityTransform(), SortDirection.DESC, NullOrder.NULLS_LAST),
        SortField(2, IdentityTransform(), SortDirection.ASC, NullOrder.NULLS_FIRST),
    ) if args.ordered else UNSORTED_SORT_ORDER
    table = catalog.create_table(args.table, schema, partition_spec=spec, properties=properties, location=args.location,
                                 sort_order=order)
    make = type_rows if args.kind == "types" else year_rows
    for i in range(args.appends):
        table.append(pa.Table.from_pylist(make(rng, i * args.rows, args.rows), schema=table.schema().as_arrow()))
    if args.tag:
        snapshots = [s.snapshot_id for s in table.metadata.snapshots]
        table.manage_snapshots().create_tag(snapshots[0], args.tag, max_ref_age_ms=10**12).commit()
        table.manage_snapshots().create_branch(snapshots[1], "side", min_snapshots_to_keep=3).commit()
    assert uuid and UUIDType  # DuckDB and PyIceberg 0.12 disagree on writing UUIDs: fixtures of our own cover them


if __name__ == "__main__":
    main()
