"""Partitions of a spec that is no longer the table's, repacked into the current one: 2,000 days of 200 small files.

    benches/respec.py ICEWRIGHT [--dir DIR] [--days 2000] [--files 200] [--rows 150]

Files are by day and source; the current spec is by day alone. Says how long it took, and fails if a row is missing or there twice,
a file belongs to another spec or has rows of several days, or has less than 75 % of the target size. Needs Python with pyiceberg,
duckdb and numpy, GNU time, and 15 GB.
"""
import argparse
import multiprocessing
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [HERE]
import peers

SOURCES = 4
TARGET = 512 * 1024
FIRST_DAY = 17_000
WIDTH = 64


def written(job):
    """Writes the files of a day's source; of each, where it is, its size and its bounds. Half of every row is noise."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder, schema, day, source, files, rows = job
    rng, found = np.random.default_rng(day * SOURCES + source), []
    folder, start = f"{folder}/ts_day={day}/source={source}", (FIRST_DAY + day) * 86_400_000_000
    os.makedirs(folder)
    for file in range(files):
        first = ((day * SOURCES + source) * files + file) * rows
        times = start + np.sort(rng.integers(0, 86_400_000_000, rows))
        payload = pa.FixedSizeBinaryArray.from_buffers(pa.binary(WIDTH), rows, [None, pa.py_buffer(rng.bytes(rows * WIDTH))])
        columns = [pa.array(times, pa.timestamp("us", "UTC")), pa.array(np.full(rows, source, np.int32)),
                   pa.array(np.arange(first, first + rows)), payload]
        path = f"{folder}/{file:05d}.parquet"
        pq.write_table(pa.table(columns, schema=schema), path, compression="snappy", use_dictionary=False)
        bound = lambda at: {1: int(times[at]).to_bytes(8, "little"), 2: source.to_bytes(4, "little"),
                            3: int(first + at % rows).to_bytes(8, "little")}
        found.append((day, source, path, os.path.getsize(path), bound(0), bound(-1)))
    return found


def make(root, days, files, rows):
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.io.pyarrow import schema_to_pyarrow
    from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.transforms import DayTransform, IdentityTransform
    from pyiceberg.typedef import Record
    from pyiceberg.types import FixedType, IntegerType, LongType, NestedField, TimestamptzType

    schema = Schema(
        NestedField(1, "ts", TimestamptzType(), required=True),
        NestedField(2, "source", IntegerType(), required=True),
        NestedField(3, "id", LongType(), required=True),
        NestedField(4, "payload", FixedType(WIDTH)),
    )
    os.makedirs(root)
    catalog = SqlCatalog("local", uri=f"sqlite:///{root}/catalog.db", warehouse=f"file://{root}")
    catalog.create_namespace("db")
    spec = PartitionSpec(
        PartitionField(1, 1000, DayTransform(), "ts_day"), PartitionField(2, 1001, IdentityTransform(), "source"))
    properties = {"format-version": "2", "commit.manifest-merge.enabled": "false"}
    table = catalog.create_table("db.t", schema, partition_spec=spec, properties=properties)
    each = files // SOURCES
    jobs = ((f"{root}/db/t/data", schema_to_pyarrow(schema, include_field_ids=True), day, source, each, rows)
            for day in range(days) for source in range(SOURCES))
    pool = multiprocessing.Pool()
    made = pool.imap(written, jobs, chunksize=4)
    for first in range(0, days, 50):
        with table.transaction() as change, change.update_snapshot().fast_append() as append:
            for _ in range((min(first + 50, days) - first) * SOURCES):
                for day, source, path, size, lower, upper in next(made):
                    file = DataFile.from_args(
                        content=DataFileContent.DATA, file_format=FileFormat.PARQUET,
                        partition=Record(FIRST_DAY + day, source), file_path=f"file://{path}", record_count=rows,
                        file_size_in_bytes=size, split_offsets=[4], lower_bounds=lower, upper_bounds=upper,
                        value_counts={n: rows for n in range(1, 5)}, null_value_counts={n: 0 for n in range(1, 5)})
                    file.spec_id = 0
                    append.append_data_file(file)
    pool.terminate()
    with table.update_spec() as change:
        change.remove_field("source")


def check(root, days, files, rows):
    """The smallest and the largest share of the target, and the number of files."""
    import duckdb
    from pyiceberg.catalog.sql import SqlCatalog

    table = SqlCatalog("local", uri=f"sqlite:///{root}/catalog.db", warehouse=f"file://{root}").load_table("db.t")
    found = [task.file for task in table.scan().plan_files()]
    assert all(file.spec_id == table.spec().spec_id for file in found), "a file of another spec"
    shares = [file.file_size_in_bytes / TARGET for file in found]
    paths = [file.file_path.removeprefix("file://") for file in found]
    db = duckdb.connect()
    db.execute("set memory_limit = '4GB'")
    # Ids are numbers from 0, each given once.
    total = days * files * rows
    whole = db.execute(f"select count(*), count(distinct id), min(id), max(id) from read_parquet({paths})").fetchone()
    assert whole == (total, total, 0, total - 1), whole
    sums = "select sum(hash(ts, source, id, payload)::hugeint) from read_parquet({}, hive_partitioning=false)"
    before = db.execute(sums.format(f"'{root}/db/t/data/*/*/?????.parquet'")).fetchone()
    assert db.execute(sums.format(paths)).fetchone() == before, "rows are not what they were"
    parts = db.execute(f"select max(n), count(*) from (select filename, count(distinct epoch_us(ts) // 86400000000) n from read_parquet({paths}, "
                       "filename=true) group by all)").fetchone()
    assert parts == (1, len(paths)), "a file with rows of several days"
    return min(shares), max(shares), len(shares)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("icewright")
    parser.add_argument("--dir", default="/tmp/icewright-respec")
    for name, default in {"days": 2000, "files": 200, "rows": 150}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    root, shape = f"{args.dir}/lake", (args.days, args.files, args.rows)
    shutil.rmtree(root, ignore_errors=True)
    make(root, *shape)
    seconds, user, peak = peers.measured(
        [os.path.abspath(args.icewright), "compact", "--catalog", f"sqlite://{root}/catalog.db", "--table", "db.t",
         "--target-file-size-bytes", str(TARGET)], f"{args.dir}/time.log")
    least, most, count = check(root, *shape)
    print(f"{args.days * args.files} files in {args.days} days: {seconds:.1f} s, {user:.1f} s of user CPU, {peak:.0f} MB; "
          f"{count} files of {least:.0%} to {most:.0%} of the target, every row there once")
    assert least >= 0.75
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
