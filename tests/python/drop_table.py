"""Takes a table out of its catalog; its files stay."""
import lake


def main():
    args = lake.arguments(__doc__).parse_args()
    lake.catalog(args).drop_table(args.table)


if __name__ == "__main__":
    main()
