"""Gives the current snapshot of a table a statistics file."""
import lake
from pyiceberg.table.statistics import StatisticsFile


def main():
    args = lake.arguments(__doc__).parse_args()
    table = lake.catalog(args).load_table(args.table)
    path = f"{table.location()}/metadata/{table.current_snapshot().snapshot_id}.stats"
    with table.io.new_output(path).create() as out:
        out.write(b"PFA1 not read by anybody")
    with table.update_statistics() as update:
        update.set_statistics(StatisticsFile(**{
            "snapshot-id": table.current_snapshot().snapshot_id, "statistics-path": path, "file-size-in-bytes": 24,
            "file-footer-size-in-bytes": 4, "blob-metadata": []}))


if __name__ == "__main__":
    main()
