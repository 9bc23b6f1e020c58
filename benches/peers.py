"""What benches/peers needs of Python: lakes, and engines that do the same work.

    peers.py lake DIR FILES ROWS CODEC   a PyIceberg table db.t (SQLite catalog) of many small files
    peers.py million DIR                 the metadata of a table of a million files, in 100 manifests
    peers.py polars | duckdb SRC OUT     every partition folder of SRC becomes one file of OUT
    peers.py plan_files DIR              PyIceberg's plan of a scan of everything
"""

import glob
import os
import subprocess
import sys


def lake(root, files, rows, codec):
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.io.pyarrow import schema_to_pyarrow
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.transforms import YearTransform
    from pyiceberg.types import DoubleType, IntegerType, LongType, NestedField, StringType, TimestamptzType

    schema = Schema(
        NestedField(1, "ts", TimestamptzType(), required=True),
        NestedField(2, "meter_id", LongType(), required=True),
        NestedField(3, "price", DoubleType()),
        NestedField(4, "volume", DoubleType()),
        NestedField(5, "hub", StringType()),
        NestedField(6, "trade_id", StringType()),
        NestedField(7, "qty", IntegerType()),
    )
    os.makedirs(root)
    catalog = SqlCatalog("local", uri=f"sqlite:///{root}/catalog.db", warehouse=f"file://{root}")
    catalog.create_namespace("db")
    spec = PartitionSpec(PartitionField(1, 1000, YearTransform(), "ts_year"))
    table = catalog.create_table("db.t", schema, partition_spec=spec, properties={"format-version": "2"})
    rng, years, paths = np.random.default_rng(1), [2023, 2024, 2025], []
    hubs = np.array([f"HUB_{k:04d}" for k in range(500)])
    span = 360 * 86400 * 1_000_000 // (files // len(years) + 1)
    for i in range(files):
        year = years[i % len(years)]
        start = int(np.datetime64(f"{year}-01-01", "us").astype(np.int64)) + (i // len(years)) * span
        columns = [
            pa.array(start + np.sort(rng.integers(0, span, rows)), pa.timestamp("us", "UTC")),
            pa.array(rng.integers(0, 5000, rows)),
            pa.array(np.round(rng.normal(45, 12, rows), 2)),
            pa.array(rng.random(rows) * 1000),
            pa.array(hubs[rng.zipf(1.3, rows) % 500]),
            pa.array(np.char.add("T", rng.integers(0, 2**40, rows).astype(str))),
            pa.array(rng.integers(0, 100, rows).astype(np.int32)),
        ]
        path = f"{root}/db/t/data/ts_year={year}/f{i:05d}.parquet"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        arrow = schema_to_pyarrow(schema, include_field_ids=True)
        pq.write_table(pa.table(columns, schema=arrow), path, compression=codec)
        paths.append(f"file://{path}")
    table.add_files(paths)


def millionth(path, schema, rows, size):
    """A data file that takes no disk: a few values, a hole, and the footer at the end of `size` bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    if os.path.exists(path):
        os.remove(path)  # The file stays for those who link to it.
    arrow = schema_to_pyarrow(schema, include_field_ids=True)
    pq.write_table(pa.table([pa.nulls(rows, field.type) for field in arrow], schema=arrow), path, compression="zstd")
    with open(path, "r+b") as file:
        data = file.read()
        footer = int.from_bytes(data[-8:-4], "little") + 8
        file.truncate(len(data) - footer)
        file.seek(size - footer)
        file.write(data[-footer:])


def million(root):
    import struct

    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.transforms import YearTransform
    from pyiceberg.typedef import Record
    from pyiceberg.types import DoubleType, LongType, NestedField, StringType, TimestamptzType

    types = [TimestamptzType(), LongType(), DoubleType(), DoubleType(), StringType(), StringType(), LongType()]
    schema = Schema(*(NestedField(i + 1, f"c{i}", kind) for i, kind in enumerate(types)))
    os.makedirs(root)
    catalog = SqlCatalog("local", uri=f"sqlite:///{root}/catalog.db", warehouse=f"file://{root}")
    catalog.create_namespace("db")
    spec = PartitionSpec(PartitionField(1, 1000, YearTransform(), "c0_year"))
    merge = {"format-version": "2", "commit.manifest-merge.enabled": "false"}
    table = catalog.create_table("db.t", schema, partition_spec=spec, properties=merge)
    ids = range(1, len(types) + 1)

    # Planning looks at the footers of files of good size, so all are there: as hard links, 50,000 of a file.
    rows, size = 100_000, 420_000_000
    for year in range(2020, 2030):
        os.makedirs(f"{root}/db/t/data/c0_year={year}")

    def file(n):
        path = f"{root}/db/t/data/c0_year={2020 + n % 10}/{n * 2654435761 % 2**32:08x}-{n:08d}.parquet"
        if n % 50_000 == 0:
            millionth(f"{root}/linked.parquet", schema, rows, size)
        os.link(f"{root}/linked.parquet", path)
        lower = [struct.pack("<q", n * 1000003), struct.pack("<q", 1), struct.pack("<d", -5.5), struct.pack("<d", n / 10),
                 b"HUB_0000", b"T1000%08d" % n, struct.pack("<q", 0)]
        upper = [struct.pack("<q", (n + 1) * 1000003), struct.pack("<q", 4999), struct.pack("<d", 95.5),
                 struct.pack("<d", n / 10 + 900), b"HUB_0499", b"T9999%08d" % n, struct.pack("<q", 99)]
        made = DataFile.from_args(
            content=DataFileContent.DATA, file_format=FileFormat.PARQUET, partition=Record(50 + n % 10),
            file_path=f"file://{path}", record_count=rows, file_size_in_bytes=size, split_offsets=[4],
            column_sizes={i: 50_000 + i * n % 9999 for i in ids}, value_counts=dict.fromkeys(ids, rows),
            null_value_counts=dict.fromkeys(ids, 0), nan_value_counts={3: 0, 4: 0},
            lower_bounds=dict(zip(ids, lower)), upper_bounds=dict(zip(ids, upper)))
        made.spec_id = 0
        return made

    for manifest in range(100):
        with table.transaction() as change, change.update_snapshot().fast_append() as append:
            for n in range(10_000):
                append.append_data_file(file(manifest * 10_000 + n))


def measured(command, log):
    """Seconds, seconds of user CPU and peak MB of a command; None when its engine ran out of memory. A child inherits its
    parent's peak when it is asked directly; GNU time has next to none."""
    done = subprocess.run(["/usr/bin/time", "-o", log, "-f", "%e %U %M", *command], capture_output=True, text=True)
    if done.returncode != 0 and "OutOfMemory" in done.stderr:
        return None
    if done.returncode != 0:
        raise SystemExit(f"{command} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    with open(log) as file:
        seconds, user, kilobytes = file.read().split()
    return float(seconds), float(user), int(kilobytes) / 1024


def plan_files(root):
    from pyiceberg.catalog.sql import SqlCatalog

    table = SqlCatalog("local", uri=f"sqlite:///{root}/catalog.db", warehouse=f"file://{root}").load_table("db.t")
    print(sum(1 for _ in table.scan().plan_files()))


def by_polars(src, out):
    import polars as pl

    for folder in sorted(glob.glob(f"{src}/*=*")):
        rows = pl.scan_parquet(f"{folder}/f?????.parquet", hive_partitioning=False)
        rows.sink_parquet(f"{out}/{os.path.basename(folder)}.parquet", compression="zstd", compression_level=3)


def by_duckdb(src, out):
    import duckdb

    db = duckdb.connect()
    db.execute(f"SET threads={os.cpu_count()}; SET preserve_insertion_order=false")
    for folder in sorted(glob.glob(f"{src}/*")):
        db.execute(
            f"COPY (SELECT * FROM read_parquet('{folder}/*.parquet')) TO '{out}/{os.path.basename(folder)}.parquet' "
            "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3, ROW_GROUP_SIZE 1000000)"
        )


if __name__ == "__main__":
    verb, *rest = sys.argv[1:]
    if verb == "lake":
        lake(rest[0], int(rest[1]), int(rest[2]), rest[3])
    elif verb in ("million", "plan_files"):
        {"million": million, "plan_files": plan_files}[verb](rest[0])
    else:
        {"polars": by_polars, "duckdb": by_duckdb}[verb](*rest)
