"""Rows of a lake sorted by two columns: icewright and DuckDB's ORDER BY … COPY, partition by partition, both within 512 MB.

    benches/sort.py ICEWRIGHT [--dir DIR] [--files 300] [--rows 100000] [--by hub,ts] [--runs 3]

Needs Python with pyiceberg, duckdb and numpy, GNU time, and 5 GB. DuckDB plans, verifies and commits nothing. Both spill to DIR.
Times hold as ratios within one run.
"""
import argparse
import glob
import os
import shutil
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [HERE]
import peers

MEMORY = "512MB"


def duckdb(root, out, by):
    import duckdb as engine

    db = engine.connect()
    db.execute(f"SET threads={os.cpu_count()}; SET preserve_insertion_order=false; SET memory_limit='{MEMORY}'; "
               f"SET temp_directory='{out}/spill'")
    for folder in sorted(glob.glob(f"{root}/db/t/data/*=*")):
        db.execute(f"COPY (SELECT * FROM read_parquet('{folder}/f?????.parquet', hive_partitioning=false) ORDER BY {by}) "
                   f"TO '{out}/{os.path.basename(folder)}.parquet' "
                   "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3, ROW_GROUP_SIZE 1000000)")


def sorted_rows(paths, by):
    """Rows and bytes of files, which have to be in order."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    rows = 0
    for path in paths:
        file = pq.ParquetFile(path)
        last = None
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=by)
            first, end = (tuple(table[name][at].as_py() for name in by) for at in (0, table.num_rows - 1))
            lead = table[by[0]].combine_chunks()
            assert pc.all(pc.less_equal(lead[:-1], lead[1:])).as_py() is not False, path
            assert (last is None or last <= first) and first <= end, path
            rows, last = rows + table.num_rows, end
    return rows, sum(os.path.getsize(path) for path in paths) / 1e6


def main():
    if sys.argv[1:2] == ["--duckdb"]:
        return duckdb(*sys.argv[2:5])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("icewright")
    parser.add_argument("--dir", default="/tmp/icewright-sort")
    parser.add_argument("--by", default="hub,ts")
    for name, default in {"files": 300, "rows": 100_000, "runs": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    by = args.by.split(",")
    kept, run, out = (f"{args.dir}/{name}" for name in (f"kept-{args.files}-{args.rows}", "lake", "out"))
    if not os.path.exists(f"{kept}/catalog.db"):
        # Metadata holds absolute paths: the lake is made where it will run, and kept elsewhere.
        shutil.rmtree(run, ignore_errors=True)
        peers.lake(run, args.files, args.rows, "snappy")
        os.rename(run, kept)
    figures = {"icewright": [], "DuckDB": []}
    for _ in range(args.runs):
        for who, done in figures.items():
            for folder in (run, out):
                shutil.rmtree(folder, ignore_errors=True)
            # Data files are never written twice: links will do.
            shutil.copytree(kept, run, copy_function=lambda a, b: os.link(a, b) if a.endswith(".parquet") else shutil.copy(a, b))
            os.makedirs(f"{out}/spill")
            command = [args.icewright, "compact", "--catalog", f"sqlite://{run}/catalog.db", "--table", "db.t",
                       "--sort-order", args.by, "--spill-dir", f"{out}/spill"]
            if who == "DuckDB":
                command = [sys.executable, os.path.abspath(__file__), "--duckdb", run, out, args.by]
            figure = peers.measured(command, f"{args.dir}/time.log")
            if figure is None:
                done.append(None)
                continue
            made = glob.glob(f"{out}/*.parquet") if who == "DuckDB" else [
                path for path in glob.glob(f"{run}/db/t/data/*/*.parquet") if os.stat(path).st_nlink == 1]
            done.append((*figure, *sorted_rows(sorted(made), by)))
    print("| who | seconds | user | peak MB | rows | output MB |\n|---|---|---|---|---|---|")
    for who, done in figures.items():
        if None in done:
            print(f"| {who} | out of memory ({MEMORY}) |")
            continue
        middle = [statistics.median(figure[i] for figure in done) for i in range(5)]
        print("| {} | {:.1f} | {:.1f} | {:.0f} | {:.0f} | {:.0f} |".format(who, *middle))


if __name__ == "__main__":
    main()
