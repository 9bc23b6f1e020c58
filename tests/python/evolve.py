"""Renames the partition's source, partitions by region as well from now on, and appends under the new spec."""
import random

import pyarrow as pa
from pyiceberg.transforms import IdentityTransform

import lake
from make_lake import year_rows


def main():
    parser = lake.arguments(__doc__)
    parser.add_argument("--appends", type=int, default=3)
    args = parser.parse_args()
    table = lake.catalog(args).load_table(args.table)
    with table.update_schema() as change:
        change.rename_column("ts", "at")
    with table.update_spec() as change:
        change.add_field("region", IdentityTransform(), "region")
    rng = random.Random(9)
    for i in range(args.appends):
        rows = [{("at" if k == "ts" else k): v for k, v in row.items()} for row in year_rows(rng, 10**6 + i * 100, 100)]
        table.append(pa.Table.from_pylist(rows, schema=table.schema().as_arrow()))


if __name__ == "__main__":
    main()
