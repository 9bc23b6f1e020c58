"""Appends rows with times in one year to a time series, as a writer that is late would."""
import datetime

import pyarrow as pa

import lake


def main():
    parser = lake.arguments(__doc__)
    parser.add_argument("--year", type=int, required=True)
    parser.add_argument("--files", type=int, default=1)
    args = parser.parse_args()
    table = lake.catalog(args).load_table(args.table)
    schema = table.schema().as_arrow()
    start = datetime.datetime(args.year, 7, 1, tzinfo=datetime.timezone.utc)
    for number in range(args.files):
        rows = [{"ts": start + datetime.timedelta(minutes=number * 100 + n), "meter_id": n} for n in range(50)]
        columns = [
            pa.array([row.get(field.name) for row in rows], field.type)
            if field.name in ("ts", "meter_id")
            else pa.nulls(len(rows), field.type)
            for field in schema
        ]
        table.append(pa.Table.from_arrays(columns, schema=schema))


if __name__ == "__main__":
    main()
