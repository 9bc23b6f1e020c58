"""Compares a table with a writer's journal: every row is there, once, in its last version."""
import json
import sys
from collections import Counter

import lake


def main():
    parser = lake.arguments(__doc__)
    parser.add_argument("--journal", required=True)
    args = parser.parse_args()
    expected = {int(k): v for k, v in json.load(open(args.journal)).items()}
    found = lake.catalog(args).load_table(args.table).scan().to_arrow().to_pylist()
    counts = Counter(row["id"] for row in found)
    json.dump({
        "rows": len(found), "expected": len(expected),
        "twice": sum(1 for n in counts.values() if n > 1),
        "lost": sum(1 for k in expected if k not in counts),
        "unknown": sum(1 for k in counts if k not in expected),
        "stale": sum(1 for row in found if expected.get(row["id"]) != row["version"]),
    }, sys.stdout)


if __name__ == "__main__":
    main()
