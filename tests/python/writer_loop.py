"""Appends and overwrites in a loop, and keeps a journal of what was committed: {id: version}."""
import json
import time

import pyarrow as pa
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.expressions import EqualTo
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

import lake

SCHEMA = Schema(NestedField(1, "id", LongType()), NestedField(2, "batch", LongType()), NestedField(3, "version", LongType()))


def rows(batch, version):
    return pa.Table.from_pylist([{"id": batch * 50 + i, "batch": batch, "version": version} for i in range(50)],
                                schema=SCHEMA.as_arrow())


def retried(action):
    for _ in range(50):
        try:
            action()
            return True
        except (CommitFailedException, ValidationException):
            time.sleep(0.02)
        except Exception as error:  # SQLite says "locked" in several ways
            if "locked" not in str(error):
                raise
            time.sleep(0.02)
    return False


def main():
    parser = lake.arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--create", action="store_true")
    parser.add_argument("--journal", required=True)
    args = parser.parse_args()
    catalog = lake.catalog(args)
    if args.create:
        catalog.create_namespace_if_not_exists("db")
        catalog.create_table(args.table, SCHEMA)
    journal, batch, end = {}, 0, time.time() + args.seconds
    while time.time() < end:
        kind = batch % 4
        if kind == 3:
            # Replaces a batch of some time ago: PyIceberg rewrites the files that hold it.
            old = batch // 4
            version = batch

            def replace():
                catalog.load_table(args.table).overwrite(rows(old, version), overwrite_filter=EqualTo("batch", old))

            if retried(replace):
                journal.update({str(old * 50 + i): version for i in range(50)})
        elif retried(lambda: catalog.load_table(args.table).append(rows(batch, 0))):
            journal.update({str(batch * 50 + i): 0 for i in range(50)})
        batch += 1
        json.dump(journal, open(args.journal, "w"))


if __name__ == "__main__":
    main()
