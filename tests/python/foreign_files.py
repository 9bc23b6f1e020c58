"""Makes a table of files as their writers leave them: pyarrow with every codec, page version and encoding, old timestamps and
decimals among them, DuckDB, and Polars. What is chosen depends on --seed alone.

With --check, reads what is there now with filters, which look at statistics and page indexes, and says where they are wrong.
"""
import datetime
import decimal
import json
import os
import random

import duckdb
import polars
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table.name_mapping import create_mapping_from_schema
from pyiceberg.typedef import Record
from pyiceberg.types import (BinaryType, BooleanType, DateType, DecimalType, DoubleType, FloatType, IntegerType, ListType,
                             LongType, NestedField, StringType, StructType, TimestampType, TimestamptzType)

import lake

SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "i", IntegerType()),
    NestedField(3, "l", LongType()),
    NestedField(4, "f", FloatType()),
    NestedField(5, "d", DoubleType()),
    NestedField(6, "small", DecimalType(9, 2)),
    NestedField(7, "middle", DecimalType(18, 4)),
    NestedField(8, "wide", DecimalType(38, 10)),
    NestedField(9, "day", DateType()),
    NestedField(10, "local", TimestampType()),
    NestedField(11, "instant", TimestamptzType()),
    NestedField(12, "few", StringType()),
    NestedField(13, "many", StringType()),
    NestedField(14, "blob", BinaryType()),
    NestedField(15, "flag", BooleanType()),
    NestedField(16, "numbers", ListType(18, LongType(), element_required=False)),
    NestedField(17, "nested", StructType(NestedField(19, "a", StringType()), NestedField(20, "b", LongType()),
                                            NestedField(21, "t", TimestamptzType()))),
)
CODECS = ["none", "snappy", "gzip", "brotli", "zstd", "lz4"]
COMPARED = ["id", "i", "l", "small", "middle", "wide", "day", "few", "many", "flag"]


def rows(rng, first, count):
    """Rows as an Arrow table; how often a column is null, and how its values are spread, is up to chance. Its times may all be
    whole milliseconds."""
    epoch, step = datetime.datetime(2020, 1, 1), rng.choice([1, 1, 1000])

    def column(value):
        nulls, spread, base = rng.choice([0, 0, 0.2, 1]), rng.choice([1, 5, 300, 10**6]), rng.randrange(-50, 50)
        numbers = [base + rng.randrange(spread) for _ in range(count)]
        if rng.random() < 0.3:
            numbers.sort()
        return [None if rng.random() < nulls else value(number) for number in numbers]

    def when(n):
        return epoch + datetime.timedelta(seconds=n * 997, microseconds=n % 1000 * step)

    columns = {
        "id": list(range(first, first + count)),
        "i": column(lambda n: n), "l": column(lambda n: n * 10**11),
        "f": column(lambda n: float("nan") if n % 7 == 3 else -0.0 if n == 0 else n / 4),
        "d": column(lambda n: float("nan") if n % 11 == 3 else n / 7),
        "small": column(lambda n: decimal.Decimal(n) / 100), "middle": column(lambda n: decimal.Decimal(n * 10**6) / 10**4),
        "wide": column(lambda n: decimal.Decimal(n * 10**20).scaleb(-10)),
        "day": column(lambda n: (epoch + datetime.timedelta(days=n % 9000)).date()),
        "local": column(when), "instant": column(lambda n: when(n).replace(tzinfo=datetime.timezone.utc)),
        "few": column(lambda n: f"é{n % 9}"), "many": column(lambda n: f"text of row {n}" * (1 + n % 3)),
        "blob": column(lambda n: bytes([n % 256]) * (n % 40)), "flag": column(lambda n: n % 2 == 0),
        "numbers": column(lambda n: [None if m % 3 == 1 else m for m in range(n % 5)]),
        "nested": column(lambda n: {"a": None if n % 5 == 0 else f"x{n % 4}", "b": n,
                                    "t": when(n).replace(tzinfo=datetime.timezone.utc)}),
    }
    return pa.table(columns, schema=schema_to_pyarrow(SCHEMA, include_field_ids=True))


def in_milliseconds(table):
    times = [table["local"], table["instant"], pc.struct_field(table["nested"], "t")]
    return all(time is None or time.microsecond % 1000 == 0 for column in times for time in column.to_pylist())


def by_pyarrow(rng, table, path):
    dictionary = rng.choice([True, False, ["few", "i"]])
    encodings = {}
    if dictionary is False and rng.random() < 0.7:
        encodings = {"i": "DELTA_BINARY_PACKED", "l": "DELTA_BINARY_PACKED", "f": "BYTE_STREAM_SPLIT", "d": "BYTE_STREAM_SPLIT",
                     "few": "DELTA_BYTE_ARRAY", "many": "DELTA_LENGTH_BYTE_ARRAY", "flag": "RLE"}
        encodings = {name: kind for name, kind in encodings.items() if rng.random() < 0.7}
    options = {
        "compression": rng.choice(CODECS), "use_dictionary": dictionary, "column_encoding": encodings or None,
        "data_page_version": rng.choice(["1.0", "2.0"]), "data_page_size": rng.choice([64, 1000, 1 << 20]),
        "write_batch_size": rng.choice([7, 1024]), "dictionary_pagesize_limit": rng.choice([200, 1 << 20]),
        "write_statistics": rng.random() < 0.8, "write_page_index": rng.random() < 0.5,
        "store_decimal_as_integer": rng.random() < 0.5, "version": rng.choice(["1.0", "2.4", "2.6"]),
        "use_deprecated_int96_timestamps": rng.random() < 0.15, "flavor": rng.choice([None, "spark"]),
    }
    if options["use_deprecated_int96_timestamps"]:
        options["version"] = "1.0"
    elif rng.random() < 0.5 and in_milliseconds(table):
        options["coerce_timestamps"] = "ms"
    with pq.ParquetWriter(path, table.schema, **options) as writer:
        if rng.random() < 0.3:
            writer.write_table(table.slice(0, 0), row_group_size=1)
        writer.write_table(table, row_group_size=rng.choice([50, 333, 10**6]))


def by_duckdb(rng, table, path):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.register("lines", table)
    ids = {field.name: field.field_id for field in SCHEMA.fields}
    ids["numbers"] = "{__duckdb_field_id: 16, element: 18}"
    ids["nested"] = "{__duckdb_field_id: 17, a: 19, b: 20, t: 21}"
    ids = ", ".join(f"{name}: {id}" for name, id in ids.items())
    codec, version = rng.choice(["uncompressed", "snappy", "gzip", "zstd", "lz4_raw"]), rng.choice(["V1", "V2"])
    connection.execute(f"COPY (SELECT * FROM lines) TO '{path}' (FORMAT parquet, FIELD_IDS {{{ids}}}, COMPRESSION {codec}, "
                       f"PARQUET_VERSION {version}, ROW_GROUP_SIZE {rng.choice([2048, 100000])})")


def by_polars(rng, table, path):
    frame = polars.from_arrow(table)
    frame.write_parquet(path, compression=rng.choice(["uncompressed", "snappy", "gzip", "brotli", "zstd", "lz4"]),
                        row_group_size=rng.choice([100, 5000]), data_page_size=rng.choice([500, 1 << 20]),
                        statistics=rng.choice([True, False, "full"]))


def make(args, rng):
    catalog = lake.catalog(args)
    catalog.create_namespace_if_not_exists(args.table.rsplit(".", 1)[0])
    properties = {"format-version": "2", "schema.name-mapping.default": create_mapping_from_schema(SCHEMA).model_dump_json()}
    table = catalog.create_table(args.table, SCHEMA, properties=properties)
    folder = table.location().removeprefix("file://") + "/data"
    os.makedirs(folder, exist_ok=True)
    first = 0
    with table.transaction() as change, change.update_snapshot().fast_append() as append:
        for number in range(args.files):
            writer = [by_pyarrow, by_pyarrow, by_pyarrow, by_duckdb, by_polars][number % 5]
            count = rng.choice([1, 40, 700, 700])
            path = f"{folder}/{writer.__name__}-{number:03}.parquet"
            writer(rng, rows(rng, first, count), path)
            first += count
            append.append_data_file(DataFile.from_args(
                content=DataFileContent.DATA, file_format=FileFormat.PARQUET, partition=Record(), file_path=f"file://{path}",
                record_count=count, file_size_in_bytes=os.path.getsize(path)))


def check(args, rng):
    """Whether filters find as many rows as there are: with DuckDB and pyarrow over all files, which skip by statistics."""
    table = lake.catalog(args).load_table(args.table)
    paths = [task.file.file_path.removeprefix("file://") for task in table.scan().plan_files()]
    whole, connection, problems = pa.concat_tables([pq.read_table(path) for path in paths]), duckdb.connect(), []
    for name in COMPARED:
        values = [value for value in whole.column(name).unique().to_pylist() if value is not None]
        for value in rng.sample(values, min(4, len(values))):
            there = pc.sum(pc.equal(whole.column(name), pa.scalar(value, whole.schema.field(name).type))).as_py()
            by_duck = connection.execute(f"select count(*) from read_parquet({paths}) where {name} = ?", [value]).fetchone()[0]
            by_arrow = pq.read_table(paths, columns=[name], filters=[(name, "==", value)]).num_rows
            if (by_duck, by_arrow) != (there, there):
                problems.append(f"{name} = {value}: {there} rows, DuckDB finds {by_duck}, pyarrow {by_arrow}")
    print(json.dumps({"problems": problems, "files": len(paths)}))


def main():
    parser = lake.arguments(__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--files", type=int, default=15)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    (check if args.check else make)(args, random.Random(args.seed))


if __name__ == "__main__":
    main()
