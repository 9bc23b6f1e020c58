"""Spark with Iceberg's reference implementation, for as long as somebody asks: starting it takes longer than most questions.

    spark_server.py JARS

Reads requests from stdin, one a line: {"script": module beside this one, "action": function of it, "catalog": name, "folder":
where its SQLite database and warehouse are, ...}. Answers each with one line: `ANSWER` or `FAILED`, and JSON.
"""
import glob
import importlib
import json
import sys
import traceback

from pyspark.sql import SparkSession


def session(jars):
    paths = glob.glob(f"{jars}/*.jar")
    builder = SparkSession.builder.master("local[2]")
    for key, value in {
        "spark.jars": ",".join(paths),
        "spark.driver.extraClassPath": ":".join(paths),
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
    }.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    return spark


def connect(spark, catalog, folder):
    key = f"spark.sql.catalog.{catalog}"
    for name, value in {
        "": "org.apache.iceberg.spark.SparkCatalog",
        ".type": "jdbc",
        ".uri": f"jdbc:sqlite:{folder}/catalog.db",
        ".warehouse": folder,
        # Others commit between two requests.
        ".cache-enabled": "false",
    }.items():
        spark.conf.set(key + name, value)


def main():
    spark = session(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        try:
            connect(spark, request["catalog"], request["folder"])
            answer = getattr(importlib.import_module(request["script"]), request["action"])(spark, request)
            print("ANSWER", json.dumps(answer), flush=True)
        except Exception:  # whatever it is, the test is told
            print("FAILED", json.dumps(traceback.format_exc()), flush=True)


if __name__ == "__main__":
    main()
