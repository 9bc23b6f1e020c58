"""What the test scripts share: catalogs from the command line, and columns as order-free hashes."""
import argparse
import datetime
import decimal
import hashlib
import math
import re
import struct

import pyarrow as pa
from pyiceberg.catalog import load_catalog


UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--name", default="local")
    parser.add_argument("--prop", action="append", default=[], help="catalog property key=value")
    parser.add_argument("--table", default="db.t")
    return parser


def catalog(args):
    return load_catalog(args.name, **dict(pair.split("=", 1) for pair in args.prop))


def text(value):
    """One spelling for a value, whichever engine it comes from."""
    if value is None:
        return "~"
    if isinstance(value, bool):
        return f"b{int(value)}"
    if isinstance(value, int):
        return f"i{value}"
    if isinstance(value, float):
        if math.isnan(value):
            return "fnan"
        return "f" + struct.pack(">d", value).hex()
    if isinstance(value, decimal.Decimal):
        return "d" + format(value.normalize(), "f")
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        return "t" + value.isoformat(timespec="microseconds")
    if isinstance(value, datetime.date):
        return "t" + value.isoformat()
    if isinstance(value, datetime.time):
        return "t" + value.isoformat(timespec="microseconds")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "x" + bytes(value).hex()
    if hasattr(value, "bytes"):
        return "x" + value.bytes.hex()
    if isinstance(value, str):
        # DuckDB hands UUIDs out as text.
        return "x" + value.replace("-", "") if UUID.fullmatch(value) else "s" + value
    if isinstance(value, dict):
        return "{" + ",".join(f"{text(k)}:{text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(item(v) for v in value) + "]"
    raise TypeError(f"no text for {type(value)}")


def item(value):
    # A map is a list of pairs for pyarrow and a dict for DuckDB.
    if isinstance(value, tuple) and len(value) == 2:
        return f"{text(value[0])}:{text(value[1])}"
    return text(value)


def canonical(value):
    out = text(value)
    return out.replace("[", "(").replace("{", "(").replace("]", ")").replace("}", ")") if out[0] in "[{" else out


def digest(values):
    """The sum of the hashes of all values: the same for the same multiset."""
    total = 0
    for value in values:
        total += int.from_bytes(hashlib.blake2b(canonical(value).encode(), digest_size=8).digest(), "big")
    return f"{total % 2**64:016x}"


def columns(table):
    """An Arrow table as {column: digest}."""
    return {name: digest(values(table.column(name))) for name in table.column_names}


def values(column):
    # Python's own times end at microseconds.
    nanos = pa.types.is_timestamp(column.type) and column.type.unit == "ns"
    return (column.cast(pa.int64()) if nanos else column).to_pylist()
