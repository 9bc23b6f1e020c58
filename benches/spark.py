"""A statement of Spark with Iceberg's reference implementation, on the tables of a SQLite catalog.

    spark.py JARS CATALOG ROOT STATEMENT     with the Python of the folder that tests/servers/spark.sh fetch makes

Prints what comes of it, and how long it took without the session's start.
"""
import glob
import os
import sys
import time


def command(folder, catalog, root, statement):
    """What runs a statement with the Spark of a folder."""
    return [f"{folder}/venv/bin/python", os.path.abspath(__file__), f"{folder}/jars", catalog, root, statement]


def main():
    from pyspark.sql import SparkSession

    jars, catalog, root, statement = sys.argv[1:5]
    paths = glob.glob(f"{jars}/*.jar")
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").config("spark.jars", ",".join(paths))
    for key, value in {"driver.extraClassPath": ":".join(paths), "driver.bindAddress": "127.0.0.1", "driver.host": "127.0.0.1",
                       "driver.memory": "4g", "sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
                       f"sql.catalog.{catalog}": "org.apache.iceberg.spark.SparkCatalog", f"sql.catalog.{catalog}.type": "jdbc",
                       f"sql.catalog.{catalog}.uri": f"jdbc:sqlite:{root}/catalog.db",
                       f"sql.catalog.{catalog}.warehouse": root}.items():
        builder = builder.config(f"spark.{key}", value)
    spark = builder.getOrCreate()
    start = time.time()
    print(spark.sql(statement).collect())
    print(f"{time.time() - start:.1f} s in a session that is up")


if __name__ == "__main__":
    main()
