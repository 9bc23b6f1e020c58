"""Renames a column of a table: OLD=NEW."""
import lake


def main():
    parser = lake.arguments(__doc__)
    parser.add_argument("pair")
    args = parser.parse_args()
    old, new = args.pair.split("=", 1)
    with lake.catalog(args).load_table(args.table).update_schema() as change:
        change.rename_column(old, new)


if __name__ == "__main__":
    main()
