"""Tables that Spark evolved, with branches, tags, defaults, and files of other tools in them. For spark_server.py.

`make` gives a table of each format version (`e1`, `e2`, `e3`; copy-on-write below version 2) a first life: partitioned by day,
with a tag and a branch, and rows deleted; the third is of version 2 until `evolve`, so that others can write deletes to it.
`evolve` changes schema and partition spec, and adds and deletes again, twice. `adopt` makes the table `added` of Parquet files
that know no field ids. `read` answers with a digest of each table, branch and tag.
"""
VERSIONS = (1, 2, 3)
MODES = ", ".join(f"'write.{what}.mode'='merge-on-read'" for what in ("delete", "update"))
TABLES = ("e1", "e2", "e3", "added")


def make(spark, request):
    spark.sql("create namespace if not exists e.db")
    for version in VERSIONS:
        name = f"e.db.e{version}"
        properties = f"'format-version'='{min(version, 2)}'" + (f", {MODES}" if version > 1 else "")
        spark.sql(f"create table {name} (id bigint not null, i int, f float, dec decimal(9,2), gone string, old string, "
                  f"s struct<a:int,b:string>, ts timestamp) using iceberg partitioned by (days(ts)) tblproperties ({properties})")
        for n in range(3):
            spark.sql(f"insert into {name} select id + {n} * 100, int(id - 20), if(id % 9 = 0, float('NaN'), if(id % 9 = 1, "
                      f"float('-0.0'), float(id / 4))), cast(id * 1.25 as decimal(9,2)), concat('g', id % 5), {text('id')}, "
                      f"{struct('int(id)')}, {time('id')} from range(60)")
        spark.sql(f"alter table {name} create tag first")
        spark.sql(f"delete from {name} where id % 10 = 3")
        spark.sql(f"alter table {name} create branch side")
        # The branch goes its own way.
        spark.sql(f"insert into {name}.branch_side select id + 5000, 1, 1.5, 2.5, 'side', 'side', null, {time('id')} from range(20)")
        spark.sql(f"delete from {name}.branch_side where id % 10 = 4")


def text(number):
    return f"if({number} % 7 = 0, null, concat('text ', {number} % 7))"


def struct(number):
    return f"if({number} % 6 = 0, null, named_struct('a', if({number} % 4 = 0, null, {number}), 'b', 'x'))"


def time(number):
    return f"timestamp'2023-11-05' + make_interval(0, 0, 0, cast({number} % 2 as int))"


def evolve(spark, request):
    for version in VERSIONS:
        name = f"e.db.e{version}"
        if version == 3:
            spark.sql(f"alter table {name} set tblproperties ('format-version'='3')")
        for change in ("alter column i type bigint", "alter column f type double", "alter column dec type decimal(18,2)",
                       "alter column s.a type bigint", "add column s.c string", "drop column gone", "add column gone double",
                       "rename column old to fresh", "alter column fresh first", "add column late int after id",
                       "add partition field bucket(2, id)"):
            spark.sql(f"alter table {name} {change}")
        if version == 3:
            defaults(spark, name)
        values = ("%(n)s, id + %(first)d, id, 5000000000 + id, id / 3, %(dec)s, %(s)s, %(ts)s, id / 7" + (
            ", 43, 'new'" if version == 3 else ""))
        columns = "(fresh, id, late, i, f, dec, s, ts, gone" + (", number, word)" if version == 3 else ")")
        struct_c = f"if(id % 6 = 0, null, named_struct('a', if(id % 4 = 0, null, 6000000000 + id), 'b', 'y', 'c', 'z'))"
        for n in range(2):
            row = values % {"n": text("id"), "first": 1000 + n * 100, "s": struct_c, "ts": time("id"),
                            "dec": "cast(id * 1000000.25 as decimal(18,2))"}
            spark.sql(f"insert into {name} {columns} select {row} from range(60)")
        spark.sql(f"delete from {name} where id % 10 = 5")
        for change in ("alter column dec type decimal(30,2)", "rename column late to later", "drop partition field ts_day",
                       "replace partition field id_bucket_2 with truncate(5, fresh) as piece"):
            spark.sql(f"alter table {name} {change}")
        for n in range(2):
            row = values % {"n": text("id"), "first": 2000 + n * 100, "s": struct_c, "ts": time("id"),
                            "dec": "cast(id as decimal(30,2)) * 10000000000000"}
            spark.sql(f"insert into {name} {columns.replace('late', 'later')} select {row} from range(60)")
        spark.sql(f"delete from {name} where id % 10 = 6")
        if version == 3:
            spark.sql(f"update {name} set word = null where id % 100 = 20")
    return read(spark, request)


def defaults(spark, name):
    """Columns with defaults: Spark 3.5 has no SQL for them."""
    jvm = spark._jvm
    table = jvm.org.apache.iceberg.spark.Spark3Util.loadIcebergTable(spark._jsparkSession, name)
    types, literal = jvm.org.apache.iceberg.types.Types, getattr(jvm.org.apache.iceberg.expressions, "Literal")
    change = table.updateSchema()
    change.addColumn("number", types.IntegerType.get(), "", literal.of(42))
    change.addColumn("word", types.StringType.get(), "", literal.of("default"))
    change.commit()


def adopt(spark, request):
    files = f"{request['folder']}/foreign"
    for n in range(6):
        spark.sql(f"select id + {n * 100} as id, concat('w', id % 5) as word, named_struct('x', int(id), 'y', id * 2) as s, "
                  "array(id, null) as l from range(50)").coalesce(1).write.mode("append").parquet(files)
    spark.sql("create table e.db.added (id bigint, word string, s struct<x:int,y:bigint>, l array<bigint>) using iceberg "
              "tblproperties ('format-version'='2')")
    spark.sql(f"call e.system.add_files(table => 'db.added', source_table => '`parquet`.`{files}`')")
    for change in ("rename column word to term", "rename column s.y to z", "alter column s.x type bigint", "add column more int"):
        spark.sql(f"alter table e.db.added {change}")
    spark.sql("insert into e.db.added select id + 1000, 'new', named_struct('x', 7000000000, 'z', id), null, 3 from range(20)")


def read(spark, request):
    refs = [(table, ref) for table in TABLES for ref in (["main"] if table == "added" else ["main", "side", "first"])]
    return {f"{table}.{ref}": digest(spark, table, ref) for table, ref in refs}


def digest(spark, table, ref):
    rows = spark.sql(f"select count(*), sum(xxhash64(*)) from e.db.{table} version as of '{ref}'").collect()[0]
    found = {"rows": rows[0], "hash": str(rows[1])}
    if ref == "main":
        # A file of every spec that is in use, and its files.
        specs = spark.sql(f"select spec_id, count(*) from e.db.{table}.data_files group by spec_id order by spec_id").collect()
        found["specs"] = {str(spec[0]): spec[1] for spec in specs}
        found["deletes"] = spark.sql(f"select count(*) from e.db.{table}.delete_files").collect()[0][0]
        if table == "e3":
            ids = spark.sql("select count(distinct _row_id), sum(xxhash64(id, _row_id, _last_updated_sequence_number)) "
                            "from e.db.e3").collect()[0]
            found |= {"ids": ids[0], "lineage": str(ids[1])}
    return found
