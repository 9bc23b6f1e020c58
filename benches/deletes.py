"""Rows deleted in a lake of small files: icewright compacts it, DuckDB does the anti-join and writes Parquet, both within 512 MB.

    benches/deletes.py ICEWRIGHT [--dir DIR] [--files 300] [--rows 100000] [--keys 10000000] [--runs 3]
                                 [--only positions|equality] [--spark FOLDER]

    positions   a tenth of the rows of every file, in one delete file a data file
    equality    keys in ten files for the whole table; three in ten of them are rows of the lake (of 300 files)

Needs Python with pyiceberg, duckdb and numpy, GNU time, and 5 GB. DuckDB plans, verifies and commits nothing, and knows nothing of
sequence numbers. --spark (the folder that tests/servers/spark.sh fetch makes) runs Spark's rewrite_data_files as well, once, with
4 GB. Times hold as ratios within one run.
"""
import argparse
import glob
import os
import shutil
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [HERE, f"{HERE}/../tests/python"]
import peers
import spark

# DuckDB's limits, tried until one is enough; icewright has 512 MiB.
MEMORY = ("512MB", "1GB", "2GB", "4GB")


def load(root):
    from pyiceberg.catalog.sql import SqlCatalog
    return SqlCatalog("local", uri=f"sqlite:///{root}/catalog.db", warehouse=f"file://{root}").load_table("db.t")


def make(kind, root, args):
    import delete_files
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    peers.lake(root, args.files, args.rows, "snappy")
    table = load(root)
    paths = sorted(glob.glob(f"{root}/db/t/data/*/f*.parquet"))
    if kind == "positions":
        rows = pa.array(np.arange(0, args.rows, 10, dtype=np.int64))
        schema = pa.schema([delete_files.field("file_path", pa.string(), 2147483546),
                            delete_files.field("pos", pa.int64(), 2147483545)])
        for path in paths:
            pairs = pa.table([pa.array([f"file://{path}"] * len(rows)), rows], schema=schema)
            delete_files.commit(table, table.spec(), pairs, int(path.split("ts_year=")[1][:4]), None)
        return
    spec, column = delete_files.unpartitioned(table), table.schema().find_field("trade_id").field_id
    some = np.concatenate([pq.read_table(p, columns=["trade_id"])[0].to_numpy()[::10] for p in paths])
    rng = np.random.default_rng(7)
    rest = np.char.add("X", rng.integers(0, 2**40, max(0, args.keys - len(some))).astype(str))
    keys = np.concatenate([some, rest])
    rng.shuffle(keys)
    for part in np.array_split(keys, 10):
        schema = pa.schema([delete_files.field("trade_id", pa.string(), column)])
        delete_files.commit(table, spec, pa.table([pa.array(part, pa.string())], schema=schema), None, [column])


def duckdb(kind, root, out, memory):
    import duckdb as engine

    db = engine.connect()
    db.execute(f"SET threads={os.cpu_count()}; SET preserve_insertion_order=false; SET memory_limit='{memory}'; "
               f"SET temp_directory='{out}/spill'")
    deletes = f"read_parquet('{root}/db/t/data/{'*/' if kind == 'positions' else ''}*-deletes.parquet')"
    on = {"positions": "p.file_path = 'file://' || d.filename AND p.pos = d.file_row_number",
          "equality": "p.trade_id IS NOT DISTINCT FROM d.trade_id"}[kind]
    for folder in sorted(glob.glob(f"{root}/db/t/data/*=*")):
        data = f"read_parquet('{folder}/f?????.parquet', hive_partitioning=false, filename=true, file_row_number=true)"
        if kind == "positions":
            deletes = f"read_parquet('{folder}/*-deletes.parquet', hive_partitioning=false)"
        db.execute(f"COPY (SELECT d.* EXCLUDE (filename, file_row_number) FROM {data} d ANTI JOIN {deletes} p ON {on}) "
                   f"TO '{out}/{os.path.basename(folder)}.parquet' "
                   "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3, ROW_GROUP_SIZE 1000000)")


def by_spark(folder, kind, root, log):
    """Spark's procedure on all files: a row of the table, with the time of the whole process."""
    rewrite = "call local.system.rewrite_data_files(table => 'db.t', options => map('rewrite-all', 'true'))"
    took = peers.measured(spark.command(folder, "local", root, rewrite), log)
    if took is None:
        return f"| {kind} | Spark with 4 GB | out of memory | | |"
    left = load(root).current_snapshot().summary.additional_properties["total-records"]
    return f"| {kind} | Spark with 4 GB | {took[0]:.1f} | | {left} |"


def rows_of(pattern):
    import pyarrow.parquet as pq
    return sum(pq.ParquetFile(path).metadata.num_rows for path in glob.glob(pattern))


def main():
    if sys.argv[1:2] == ["--duckdb"]:
        return duckdb(*sys.argv[2:6])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("icewright")
    parser.add_argument("--dir", default="/tmp/icewright-deletes")
    for name, default in {"files": 300, "rows": 100_000, "keys": 10_000_000, "runs": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--only", choices=["positions", "equality"])
    parser.add_argument("--spark", help="a folder with Spark and Iceberg's runtime for it")
    args = parser.parse_args()
    print("| deletes | who | seconds | peak MB | rows left |\n|---|---|---|---|---|", flush=True)
    for kind in [args.only] if args.only else ("positions", "equality"):
        kept, run, out = (f"{args.dir}/{name}" for name in (f"{kind}-{args.files}-{args.rows}-{args.keys}", kind, "out"))
        if not os.path.exists(f"{kept}.made"):
            # Metadata holds absolute paths: the lake is made where it will run, and kept elsewhere.
            shutil.rmtree(run, ignore_errors=True)
            make(kind, run, args)
            os.rename(run, kept)
            open(f"{kept}.made", "w").close()
        figures, memory = {"icewright": [], "DuckDB": [], "Polars, deletes ignored": []}, list(MEMORY)
        for _ in range(args.runs):
            for who, done in figures.items():
                for folder in (run, out):
                    shutil.rmtree(folder, ignore_errors=True)
                shutil.copytree(kept, run, copy_function=shutil.copy)
                os.makedirs(out)
                catalog = f"sqlite://{run}/catalog.db"
                command = [args.icewright, "compact", "--catalog", catalog, "--table", "db.t"]
                if who == "DuckDB":
                    command = [sys.executable, os.path.abspath(__file__), "--duckdb", kind, run, out]
                if who.startswith("Polars"):
                    command = [sys.executable, f"{HERE}/peers.py", "polars", f"{run}/db/t/data", out]
                while not (took := peers.measured([*command, *memory[:1]] if who == "DuckDB" else command, f"{args.dir}/time.log")):
                    print(f"| {kind} | DuckDB with {memory.pop(0)} | out of memory | | |", flush=True)
                    shutil.rmtree(out)
                    os.makedirs(out)
                seconds, _, peak = took
                if who != "icewright":
                    left = rows_of(f"{out}/*.parquet")
                else:
                    left = int(load(run).current_snapshot().summary.additional_properties["total-records"])
                done.append((seconds, peak, left))
        for who, done in figures.items():
            seconds, peak = (statistics.median(figure[i] for figure in done) for i in (0, 1))
            who += f" with {memory[0]}" if who == "DuckDB" else ""
            print(f"| {kind} | {who} | {seconds:.1f} | {peak:.0f} | {done[0][2]} |", flush=True)
        if args.spark:
            shutil.rmtree(run, ignore_errors=True)
            shutil.copytree(kept, run, copy_function=shutil.copy)
            print(by_spark(args.spark, kind, run, f"{args.dir}/time.log"), flush=True)


if __name__ == "__main__":
    main()
