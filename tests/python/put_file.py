"""Writes a file below a table's location that nothing refers to."""
import lake


def main():
    parser = lake.arguments(__doc__)
    parser.add_argument("path")
    args = parser.parse_args()
    table = lake.catalog(args).load_table(args.table)
    with table.io.new_output(f"{table.location()}/{args.path}").create() as out:
        out.write(args.path.encode())


if __name__ == "__main__":
    main()
