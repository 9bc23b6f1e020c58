"""Makes tables with Spark, and reads them with Spark: Iceberg's reference implementation. For spark_server.py.

Five tables in catalog c: copy-on-write (version 2), version 1, merge-on-read with position deletes, such a one for `upgrade`
to make it version 3, and version 3 with deletion vectors; all partitioned by day, with rows deleted and the schema evolved;
the first and the last get a sort order in the end. `change` adds, updates and deletes rows of those of version 3. Answers
with a digest of each.
"""
TABLES = {
    "cow": "'format-version'='2'",
    "v1": "'format-version'='1'",
    "mor": "'format-version'='2', 'write.delete.mode'='merge-on-read'",
    "upgraded": "'format-version'='2', 'write.delete.mode'='merge-on-read'",
    "v3": "'format-version'='3', 'write.delete.mode'='merge-on-read', 'write.update.mode'='merge-on-read'",
}
VERSION_3 = ["upgraded", "v3"]


def make(spark, request):
    spark.sql("create namespace if not exists c.db")
    for table, properties in TABLES.items():
        spark.sql(f"create table c.db.{table} (id bigint not null, ts timestamp, region string, price double, "
                  "d decimal(20,3), arr array<struct<x:int,y:string>>, m struct<a:date,b:map<string,bigint>>, b boolean) "
                  f"using iceberg partitioned by (days(ts)) tblproperties ({properties})")
        for i in range(6):
            spark.sql(f"insert into c.db.{table} select id + {i} * 1000, "
                      "timestamp'2024-03-01' + make_interval(0, 0, 0, cast(id % 2 as int)), concat('r', id % 7), "
                      "if(id % 9 = 0, double('NaN'), id / 3), cast(id * 1.5 as decimal(20,3)), "
                      "array(named_struct('x', int(id), 'y', if(id % 3 = 0, null, 's'))), "
                      "named_struct('a', date'2020-01-01' + int(id % 100), 'b', map('k', id)), id % 2 = 0 from range(500)")
        spark.sql(f"delete from c.db.{table} where id % 1000 = 7 and ts >= timestamp'2024-03-02'")
        spark.sql(f"alter table c.db.{table} add column extra string")
        spark.sql(f"alter table c.db.{table} rename column region to area")
    for table in ("cow", "v3"):
        spark.sql(f"alter table c.db.{table} write locally ordered by area desc nulls last, bucket(8, id), ts")


def change(spark, request):
    for table in VERSION_3:
        for i in range(4):
            spark.sql(f"insert into c.db.{table} select id + {10 + i} * 1000, timestamp'2024-03-01', 'new', id, id, null, "
                      "null, true, 'x' from range(100)")
        spark.sql(f"update c.db.{table} set extra = 'changed' where id % 1000 < 30 and id % 2 = 0")
        spark.sql(f"delete from c.db.{table} where id % 1000 in (11, 12, 13)")
    return read(spark, request)


def upgrade(spark, request):
    spark.sql("alter table c.db.upgraded set tblproperties ('format-version'='3', 'write.update.mode'='merge-on-read')")
    return read(spark, request)


def read(spark, request):
    return {table: digest(spark, table) for table in TABLES}


def digest(spark, table):
    row = spark.sql("select count(*), sum(xxhash64(*)) from (select id, ts, area, price, d, arr, m.a as a, "
                    f"m.b['k'] as k, b, extra from c.db.{table})").collect()[0]
    files = spark.sql(f"select count(*) from c.db.{table}.data_files").collect()[0][0]
    archived = spark.sql(f"select count(*) from c.db.{table}.data_files where file_path like '%/tier/%'").collect()[0][0]
    found = {"rows": row[0], "hash": str(row[1]), "files": files, "archived": archived}
    orders = spark.sql(f"select distinct sort_order_id from c.db.{table}.data_files").collect()
    found["orders"] = sorted({order[0] or 0 for order in orders})
    if spark.sql(f"show tblproperties c.db.{table} ('format-version')").collect()[0][1] == "3":
        deletes = spark.sql(f"select count(*), count(distinct file_path), sum(int(file_format = 'PUFFIN')) from c.db.{table}"
                            ".delete_files").collect()[0]
        found["vectors"] = {"deletes": deletes[0], "files": deletes[1], "vectors": deletes[2]}
        ids = spark.sql("select count(distinct _row_id), sum(xxhash64(id, _row_id, _last_updated_sequence_number)), "
                        f"max(_row_id) from c.db.{table}").collect()[0]
        found |= {"ids": ids[0], "lineage": str(ids[1]), "max": ids[2]}
    return found
