"""moto's S3 server, where an object may have been written in the past: a day earlier for each of its metadata's
`written-days-ago`. No S3 server takes a time from whoever writes, and orphans are judged by it."""

import datetime

from moto.s3 import models
from moto.server import main


def days_ago(key):
    return float(key.metadata.get("x-amz-meta-written-days-ago", 0))


def written(key):
    return vars(key)["written"] - datetime.timedelta(days=days_ago(key))


def write(key, time):
    vars(key)["written"] = time


models.FakeKey.last_modified = property(written, write)

if __name__ == "__main__":
    main()
