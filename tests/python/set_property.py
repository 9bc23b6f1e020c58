"""Sets properties of a table."""
import lake


def main():
    parser = lake.arguments(__doc__)
    parser.add_argument("pairs", nargs="+")
    args = parser.parse_args()
    table = lake.catalog(args).load_table(args.table)
    with table.transaction() as change:
        change.set_properties(dict(pair.split("=", 1) for pair in args.pairs))


if __name__ == "__main__":
    main()
