"""Prints the locations of a table's live data files, as JSON."""
import json

import lake


def main():
    args = lake.arguments(__doc__).parse_args()
    table = lake.catalog(args).load_table(args.table)
    print(json.dumps(sorted(task.file.file_path for task in table.scan().plan_files())))


if __name__ == "__main__":
    main()
