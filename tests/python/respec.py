"""Gives a table another partition spec, as in `respec.py --spec "month(ts), region, bucket(3, id)"`, and appends under it."""
import random
import re

import pyarrow as pa
from pyiceberg.transforms import (BucketTransform, DayTransform, IdentityTransform, MonthTransform, TruncateTransform,
                                  YearTransform)

import lake
from make_lake import year_rows

TIMES = {"year": YearTransform, "month": MonthTransform, "day": DayTransform}
WIDTHS = {"bucket": BucketTransform, "truncate": TruncateTransform}


def fields(text):
    """Column, transform and name of each field."""
    for part in re.findall(r"\w+(?:\([^)]*\))?", text):
        name, _, inside = part.partition("(")
        arguments = [word.strip() for word in inside.rstrip(")").split(",")]
        if not inside:
            yield name, IdentityTransform(), name
        elif name in TIMES:
            yield arguments[0], TIMES[name](), f"{arguments[0]}_{name}"
        else:
            yield arguments[1], WIDTHS[name](int(arguments[0])), f"{arguments[1]}_{name}"


def main():
    parser = lake.arguments(__doc__)
    parser.add_argument("--spec", default="")
    parser.add_argument("--appends", type=int, default=0)
    args = parser.parse_args()
    table = lake.catalog(args).load_table(args.table)
    with table.update_spec() as change:
        for field in table.spec().fields:
            change.remove_field(field.name)
    with table.update_spec() as change:
        for column, transform, name in fields(args.spec):
            change.add_field(column, transform, name)
    rng = random.Random(5)
    for i in range(args.appends):
        rows = year_rows(rng, 10**6 + i * 100, 100)
        table.append(pa.Table.from_pylist(rows, schema=table.schema().as_arrow()))


if __name__ == "__main__":
    main()
