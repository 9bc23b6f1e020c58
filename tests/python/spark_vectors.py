"""Makes a table of format version 3 with Spark whose deletion vectors are in many small files. For spark_server.py.

Table vectors.db.t, by day: two days, eight inserts into both, and then a commit for each of seven of them that deletes some of its
rows, in both days.
"""


def make(spark, request):
    spark.sql("create table vectors.db.t (id bigint, ts timestamp, text string) using iceberg partitioned by (days(ts)) tblproperties "
              "('format-version'='3', 'write.delete.mode'='merge-on-read', 'write.merge.mode'='merge-on-read')")
    for i in range(8):
        spark.sql(f"insert into vectors.db.t select id + {i * 1000}, timestamp'2024-03-01' + make_dt_interval(int(id % 2)), "
                  "concat('t', id) from range(200)")
    for i in range(7):
        spark.sql(f"delete from vectors.db.t where id >= {i * 1000} and id < {i * 1000 + 20 + i}")
    return read(spark, request)


def delete(spark, request):
    spark.sql("delete from vectors.db.t where id in (100, 101, 2100, 2101, 7100)")
    return read(spark, request)


def read(spark, request):
    rows = spark.sql("select count(*), sum(xxhash64(*)), sum(xxhash64(id, _row_id, _last_updated_sequence_number)) "
                     "from vectors.db.t").collect()[0]
    deletes = spark.sql("select count(*), count(distinct file_path), sum(record_count) from vectors.db.t.delete_files "
                        "where file_format = 'PUFFIN'").collect()[0]
    return {"rows": rows[0], "hash": str(rows[1]), "lineage": str(rows[2]),
            "vectors": deletes[0], "files": deletes[1], "deleted": deletes[2]}
