"""A table of types that Spark has no word for, written and read by the rows of Iceberg's Java library. For spark_server.py.

`make` writes `n.db.types` (version 3, two partitions): nanoseconds, times, UUIDs, fixed bytes, floats with NaN and both zeros, and
equality deletes as Flink writes them, by each of these (but not by nanoseconds: Iceberg 1.10 does not compare them); then a
column with a default is added. One column is of type unknown, which is in no file. `read` answers with its rows, as the same library reads them.
"""
import uuid

FIELDS = ["id", "part", "local", "instant", "clock", "key", "raw", "ratio", "flag", "nothing"]


def java(spark):
    return spark._jvm, spark.sparkContext._gateway


def load(spark):
    return spark._jvm.org.apache.iceberg.spark.Spark3Util.loadIcebergTable(spark._jsparkSession, "n.db.types")


def listed(jvm, values):
    out = jvm.java.util.ArrayList()
    for value in values:
        out.add(value)
    return out


def make(spark, request):
    jvm, gateway = java(spark)
    iceberg, types = jvm.org.apache.iceberg, jvm.org.apache.iceberg.types.Types
    kinds = [types.IntegerType.get(), types.IntegerType.get(), types.TimestampNanoType.withoutZone(), types.TimestampNanoType.withZone(), types.TimeType.get(),
             types.UUIDType.get(), types.FixedType.ofLength(4), types.DoubleType.get(), types.BooleanType.get(), types.UnknownType.get()]
    fields = [types.NestedField.optional(n + 1, name, kind) for n, (name, kind) in enumerate(zip(FIELDS, kinds))]
    schema = iceberg.Schema(listed(jvm, fields))
    spec = iceberg.PartitionSpec.builderFor(schema).identity("part").build()
    catalog = jvm.org.apache.iceberg.spark.Spark3Util.loadIcebergCatalog(spark._jsparkSession, "n")
    name = iceberg.catalog.TableIdentifier.parse("db.types")
    spark.sql("create namespace if not exists n.db")
    catalog.createTable(name, schema, spec, None, {"format-version": "3"})
    writer = Writer(spark, load(spark))
    for n in range(6):
        writer.append([row(jvm, n * 20 + i) for i in range(20)])
    # Deletes of a partition each, by one column or two; half of what they name is there.
    for columns, numbers in ((["clock"], [1, 3, 200]), (["clock", "part"], [5, 7]), (["key"], [9, 301]), (["raw"], [13]),
                             (["ratio"], [0, 14]), (["flag", "id"], [20, 34]), (["ratio"], [8, 400])):
        writer.delete(columns, [row(jvm, n) for n in numbers])
    change = load(spark).updateSchema()
    change.addColumn("number", types.IntegerType.get(), "", getattr(iceberg.expressions, "Literal").of(42))
    change.renameColumn("flag", "marked")
    change.commit()
    Writer(spark, load(spark)).append([row(jvm, 120 + i) | {"number": 43, "marked": True} for i in range(10)])
    return read(spark, request)


def drop(spark, request):
    """Drops a column that rows were deleted by: Iceberg 1.10 can't read the table then."""
    load(spark).updateSchema().deleteColumn("clock").commit()


def row(jvm, n):
    """Odd numbers in one partition and day, even ones in the other; numbers that differ by a nanosecond alone."""
    zone = jvm.java.time.ZoneOffset.UTC
    local = jvm.java.time.LocalDateTime.ofEpochSecond(1_700_000_000 + 86400 * (n % 2), 123_456_000 + n, zone)
    ratio = [float("nan"), -0.0, 0.0, float("-inf"), 1.5, None, 2.5][n % 7]
    return {"id": n, "part": n % 2, "local": local, "instant": None if n % 10 == 4 else local.atOffset(zone),
            "clock": jvm.java.time.LocalTime.ofNanoOfDay(n * 1_000_000_000 + 1000), "key": jvm.java.util.UUID.fromString(
                str(uuid.UUID(int=n // 2 * 7919))), "raw": bytes([n % 256, 0, 255, n % 3]), "ratio": ratio,
            "flag": [None, True, False][n % 3]}


class Writer:
    def __init__(self, spark, table):
        self.jvm, self.gateway = java(spark)
        self.table = table

    def records(self, rows, schema):
        jvm = self.jvm
        for row in rows:
            record = jvm.org.apache.iceberg.data.GenericRecord.create(schema)
            for field in schema.columns():
                value = row.get(field.name())
                record.setField(field.name(), value)
            yield record

    def by_part(self, rows):
        parts = {}
        for row in rows:
            parts.setdefault(row["id"] % 2, []).append(row)
        return parts.values()

    def partition(self, rows):
        data, schema = self.jvm.org.apache.iceberg.data, self.table.schema()
        key = self.jvm.org.apache.iceberg.PartitionKey(self.table.spec(), schema)
        record = next(self.records(rows[:1], schema))
        key.partition(data.InternalRecordWrapper(schema.asStruct()).wrap(record))
        return key

    def out(self):
        path = f"{self.table.location()}/data/{uuid.uuid4()}.parquet"
        return self.jvm.org.apache.iceberg.encryption.EncryptionUtil.plainAsEncryptedOutput(self.table.io().newOutputFile(path))

    def append(self, rows):
        commit, parquet = self.table.newAppend(), self.jvm.org.apache.iceberg.FileFormat.PARQUET
        for rows in self.by_part(rows):
            factory = self.jvm.org.apache.iceberg.data.GenericAppenderFactory(self.table.schema(), self.table.spec())
            writer = factory.newDataWriter(self.out(), parquet, self.partition(rows))
            for record in self.records(rows, self.table.schema()):
                writer.write(record)
            writer.close()
            commit.appendFile(writer.toDataFile())
        commit.commit()

    def delete(self, columns, rows):
        commit, schema = self.table.newRowDelta(), self.table.schema()
        keys = schema.select(columns)
        ids = self.gateway.new_array(self.jvm.int, len(columns))
        for n, column in enumerate(columns):
            ids[n] = schema.findField(column).fieldId()
        for rows in self.by_part(rows):
            factory = self.jvm.org.apache.iceberg.data.GenericAppenderFactory(schema, self.table.spec(), ids, keys, None)
            writer = factory.newEqDeleteWriter(self.out(), self.jvm.org.apache.iceberg.FileFormat.PARQUET, self.partition(rows))
            for record in self.records(rows, keys):
                writer.write(record)
            writer.close()
            commit.addDeletes(writer.toDeleteFile())
        commit.commit()


def shown(value):
    return value if value is None or isinstance(value, (int, str)) else value.hex() if isinstance(value, bytes) else str(value)


def read(spark, request):
    jvm, _ = java(spark)
    table, rows = load(spark), []
    records = jvm.org.apache.iceberg.data.IcebergGenerics.read(table).build().iterator()
    columns = table.schema().columns().size()  # what it needs for deletes comes after these
    while records.hasNext():
        record = records.next()
        rows.append([shown(record.get(n)) for n in range(columns)])
    return sorted(rows)
