"""Replication and failover, with the manifests' own scripts and configuration, on three real servers."""

import os
import shutil
import subprocess
import threading
import time

import psycopg
import pytest
from support import tools
from support.cluster import NODES, PASSWORDS, Cluster, binaries
from support.stack import until


class Writer:
    """Counts: one row, one transaction, one number; what was answered is remembered, what was not is never tried again."""

    def __init__(self, cluster):
        self.cluster, self.answered, self.next, self.stop, self.pause = cluster, [], 0, False, 0
        self.thread = threading.Thread(target=self.write, daemon=True)
        self.thread.start()

    def connect(self):
        return connect(self.cluster.write_port)

    def write(self):
        connection = None
        while not self.stop:
            try:
                if connection is None:
                    connection = self.connect()
                    connection.execute("create table if not exists journal (id bigint primary key)")
                number, self.next = self.next, self.next + 1
                connection.execute("insert into journal values (%s)", [number])
                self.answered.append(number)
            except psycopg.Error:
                if connection is not None:
                    connection.close()
                connection = None
                time.sleep(0.05)

    def end(self):
        self.stop = True
        self.thread.join(30)
        assert not self.thread.is_alive()

    def goes_on(self):
        """Waits until more is answered than now; how long that took."""
        count, began = len(self.answered), time.monotonic()
        assert until(lambda: len(self.answered) > count, 60), "nothing is answered any more"
        return time.monotonic() - began

    def lost(self):
        with connect(self.cluster.write_port) as connection:
            present = {row[0] for row in connection.execute("select id from journal")}
        return sorted(set(self.answered) - present)


def connect(port, user="icewright", database="iceberg"):
    password = PASSWORDS[f"{user.upper()}_PASSWORD"]
    return psycopg.connect(
        host="127.0.0.1", port=port, user=user, password=password, dbname=database, autocommit=True, connect_timeout=3
    )


def attached(cluster):
    """Names of the standbys that the primary streams to."""
    done = subprocess.run(
        [*cluster.as_postgres, str(binaries() / "psql"), "-h", str(cluster.nodes[cluster.target].sockets), "-p", str(cluster.ports[cluster.target]),
         "-U", "postgres", "-XAtc", "select application_name from pg_stat_replication where state = 'streaming' and sync_state = 'quorum' order by 1"],
        capture_output=True, text=True, cwd="/", check=False,
    )  # fmt: skip
    return done.stdout.split()


def others(cluster):
    return sorted(set(NODES) - {cluster.target})


def all_attached(cluster):
    assert until(lambda: attached(cluster) == others(cluster), 60), f"{attached(cluster)}\n{cluster.logs()}"


@pytest.fixture
def cluster():
    with tools.workplace("pg") as folder, Cluster(folder) as made:
        for node in made.nodes.values():
            node.start()
        assert until(lambda: all(node.answers() for node in made.nodes.values()), 60), made.logs()
        all_attached(made)
        yield made


def test_should_lose_no_answered_commit_when_the_primary_dies(cluster):
    writer = Writer(cluster)
    writer.goes_on()
    lake = Lake(cluster)
    assert lake.compact() == 0

    cluster.nodes["postgres-primary-0"].kill()
    # Nobody writes: icewright says so, in a way that asks for another try.
    assert lake.compact() == 5
    began = time.monotonic()
    done = cluster.failover("--yes")
    assert done.returncode == 0, done.stderr + cluster.logs()
    writer.goes_on()
    outage = time.monotonic() - began
    assert cluster.target == cluster.topology() != "postgres-primary-0"
    assert lake.compact() == 0, "the job that is tried again finishes"
    assert outage < 20, outage

    # The machine comes back: its commits that nobody confirmed are undone, and it follows.
    cluster.nodes["postgres-primary-0"].start()
    all_attached(cluster)
    assert "rewinding" in cluster.logs()
    assert cluster.nodes["postgres-primary-0"].role() == "standby"
    writer.goes_on()

    # And once more, to a planned end: the first one takes over again.
    done = cluster.failover("--planned", "--to", "postgres-primary-0", "--yes")
    assert done.returncode == 0, done.stderr + cluster.logs()
    writer.goes_on()
    all_attached(cluster)
    writer.end()
    assert writer.lost() == [] and len(writer.answered) > 100
    print(f"{len(writer.answered)} commits answered, none lost; answered again {outage:.1f} s after failover began")
    # Every node has every row.
    for name in others(cluster):
        with connect(cluster.ports[name]) as replica:
            assert until(lambda: replica.execute("select count(*) from journal").fetchone()[0] >= len(writer.answered))


def test_should_refuse_to_promote_a_standby_that_may_lack_commits(cluster):
    writer = Writer(cluster)
    writer.goes_on()
    # One replica falls behind, the other confirms alone; then both the primary and that one are gone.
    cluster.nodes["postgres-read-replicas-1"].kill()
    writer.goes_on()
    cluster.nodes["postgres-read-replicas-0"].kill()
    cluster.nodes["postgres-primary-0"].kill()
    cluster.nodes["postgres-read-replicas-1"].start()
    assert until(lambda: cluster.nodes["postgres-read-replicas-1"].answers(), 30), cluster.logs()
    done = cluster.failover("--yes")
    assert done.returncode == 3 and "nothing was changed" in done.stderr, done.stderr
    assert cluster.topology() == "postgres-primary-0" == cluster.target
    assert cluster.nodes["postgres-read-replicas-1"].role() == "standby"

    # What the refusal was good for: the other one has commits that this one lacks, and is the one to promote.
    cluster.nodes["postgres-read-replicas-0"].start()
    assert until(lambda: cluster.nodes["postgres-read-replicas-0"].answers(), 30), cluster.logs()
    # Interrupted in the middle it is run again, and ends.
    cluster.interrupt = "service"
    assert cluster.failover("--to", "postgres-read-replicas-1", "--yes").returncode != 0
    done = cluster.failover("--to", "postgres-read-replicas-1", "--yes")
    assert done.returncode == 0, done.stderr
    assert cluster.target == "postgres-read-replicas-0", "a wish does not outweigh commits"
    writer.goes_on()
    writer.end()
    assert writer.lost() == []


def test_should_count_commits_that_are_lost(cluster):
    """The counter of these tests can count: whoever promotes the wrong standby by hand loses commits."""
    writer = Writer(cluster)
    writer.goes_on()
    cluster.nodes["postgres-read-replicas-1"].kill()
    behind = len(writer.answered)
    assert until(lambda: len(writer.answered) > behind + 20)
    writer.end()
    for name in ("postgres-read-replicas-0", "postgres-primary-0"):
        cluster.nodes[name].kill()
    cluster.nodes["postgres-read-replicas-1"].start()
    assert until(lambda: cluster.nodes["postgres-read-replicas-1"].answers(), 30), cluster.logs()
    cluster.nodes["postgres-read-replicas-1"].run("promote")
    cluster.target = "postgres-read-replicas-1"
    assert len(writer.lost()) >= 20


def test_should_leave_a_primary_alone_that_is_well(cluster):
    done = cluster.failover("--yes")
    assert done.returncode == 3 and "is well" in done.stderr, done.stderr
    assert cluster.failover().returncode == 2, "nothing happens without --yes"
    assert attached(cluster) == others(cluster)
    # Killed and started again by the kubelet, it goes on as the primary.
    node = cluster.nodes["postgres-primary-0"]
    node.kill()
    node.start()
    all_attached(cluster)
    assert node.role() == "primary"
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        with connect(cluster.ports["postgres-read-replicas-0"]) as replica:
            replica.execute("create table x ()")

    # A read replica dies: writes and the other's reads go on. Back with an empty disk, it clones itself anew.
    replica = cluster.nodes["postgres-read-replicas-1"]
    replica.kill()
    with connect(cluster.write_port) as primary, connect(cluster.ports["postgres-read-replicas-0"]) as other:
        primary.execute("create table while_away as select 1 as id")
        assert other.execute("select count(*) from while_away").fetchone() == (1,), (
            "applied there before it was answered"
        )
    shutil.rmtree(replica.folder / "pgdata")
    replica.start()
    all_attached(cluster)
    assert cluster.logs().count("cloning postgres-primary-0") >= 3
    with connect(replica.port) as reader:
        assert reader.execute("select count(*) from while_away").fetchone() == (1,)

    # Two nights of backups, of which one is kept; then it comes back beside the living database.
    with connect(cluster.write_port) as primary:
        primary.execute("create table rows as select generate_series(1, 5000) as id")
    until(
        lambda: (
            cluster.nodes["postgres-read-replicas-0"].run("position").stdout
            == cluster.nodes["postgres-read-replicas-1"].run("position").stdout
        )
    )
    backups = cluster.folder / "backups"
    backups.mkdir()
    environment = {
        "PATH": f"{binaries()}:/usr/bin:/bin", "PGHOST": "127.0.0.1", "PGUSER": "backup", "PGPASSWORD": PASSWORDS["BACKUP_PASSWORD"],
        "BACKUPS": str(backups), "KEEP": "1", "BACKUP": "latest", "DATABASE": "iceberg", "INTO": "iceberg_restored",
    }  # fmt: skip
    replica, writes = str(cluster.ports["postgres-read-replicas-0"]), str(cluster.write_port)
    for _ in range(2):
        tools.run("bash", cluster.folder / "scripts/backup.sh", env=environment | {"PGPORT": replica})
        time.sleep(1)
    assert len(list(backups.iterdir())) == 1
    tools.run("bash", cluster.folder / "scripts/restore.sh", env=environment | {"PGPORT": writes})
    with connect(cluster.write_port, database="iceberg_restored") as restored:
        assert restored.execute("select count(*) from rows").fetchone() == (5000,)
        assert restored.execute("select tableowner from pg_tables where tablename = 'rows'").fetchone() == (
            "icewright",
        )
    again = tools.run("bash", cluster.folder / "scripts/restore.sh", env=environment | {"PGPORT": writes}, check=False)
    assert again.returncode != 0 and "already exists" in again.stderr
    next(backups.rglob("iceberg.dump")).write_bytes(b"damaged")
    damaged = tools.run(
        "bash",
        cluster.folder / "scripts/restore.sh",
        env=environment | {"PGPORT": writes, "INTO": "other"},
        check=False,
    )
    assert damaged.returncode != 0 and "FAILED" in damaged.stdout + damaged.stderr


class Lake:
    """A table whose catalog is this PostgreSQL, reached as jobs reach it: through the write service."""

    def __init__(self, cluster):
        self.folder = cluster.folder / "lake"
        self.environment = {
            "PATH": os.environ["PATH"],
            "ICEWRIGHT_CATALOG": f"postgresql://icewright@127.0.0.1:{cluster.write_port}/iceberg",
            "ICEWRIGHT_WAREHOUSE": f"file://{self.folder}",
            "PGPASSWORD": PASSWORDS["ICEWRIGHT_PASSWORD"],
        }
        self.tables = 0

    def compact(self):
        """Merges a new table's files; the exit code. The table is made while writing is possible."""
        if self.tables < 2:
            for self.tables in (1, 2):
                tools.run(
                    tools.icewright(),
                    "fixture",
                    "--table",
                    f"db.t{self.tables}",
                    "--files",
                    "10",
                    "--rows",
                    "100",
                    "--years",
                    "2025-2025",
                    env=self.environment,
                )
            return self.run("db.t1")
        return self.run("db.t2")

    def run(self, table):
        done = tools.run(tools.icewright(), "compact", "--table", table, "--json", env=self.environment, check=False)
        if done.returncode == 0:
            assert '"committed"' in done.stdout, done.stdout
        return done.returncode
