"""Three PostgreSQL nodes on the loopback, run by the manifests' own scripts and configuration, and the little of Kubernetes
that these need: pods that are started again, two objects that can be patched, a service that leads to one pod, kubectl."""

import http.server
import json
import os
import pathlib
import pwd
import select
import signal
import socket
import subprocess
import sys
import threading
import time

from . import built, tools

NODES = ["postgres-primary-0", "postgres-read-replicas-0", "postgres-read-replicas-1"]
PASSWORDS = {
    "REPLICATION_PASSWORD": "re:pl\\ica'tion",
    "ICEWRIGHT_PASSWORD": "ice'wright",
    "BACKUP_PASSWORD": 'back"up',
}
# What differs from the cluster: its memory, the network, and that nobody pulls the plug.
OPTIONS = "-c shared_buffers=64MB -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=40"
KUBECTL = """#!{python}
import json, sys, urllib.request
request = urllib.request.Request("http://127.0.0.1:{port}", json.dumps(sys.argv[1:]).encode())
answer = json.load(urllib.request.urlopen(request, timeout=120))
sys.stdout.write(answer["out"]); sys.stderr.write(answer["err"]); sys.exit(answer["code"])
"""


def binaries():
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        tools.missing("PostgreSQL")
    return found[-1].parent


class Node:
    """A pod: its container is started again when it ends, the whole pod when it is deleted, until its machine is lost."""

    def __init__(self, cluster, name, port):
        self.cluster, self.name, self.port = cluster, name, port
        self.folder = cluster.folder / name
        self.sockets = cluster.folder / f"s{port}"
        for folder in (self.folder, self.sockets):
            folder.mkdir()
            cluster.give(folder)
        self.process, self.lost, self.fresh = None, True, True
        self.log = open(self.folder.with_suffix(".log"), "a")

    def environment(self):
        return {
            "PATH": f"{binaries()}:/usr/bin:/bin",
            "NODE": self.name,
            "NODES": " ".join(f"{n}=127.0.0.1:{p}" for n, p in self.cluster.ports.items()),
            "PGDATA": str(self.folder / "pgdata"),
            "PGPORT": str(self.port),
            "SOCKETS": str(self.sockets),
            "CONFIG": str(self.cluster.folder / "config"),
            "TOPOLOGY": str(self.cluster.folder / "topology"),
            "POSTGRES_OPTIONS": OPTIONS,
            "PAUSE": "0.3",
            "LANG": "C.UTF-8",
            **PASSWORDS,
        }

    def command(self, *arguments):
        variables = [f"{k}={v}" for k, v in self.environment().items()]
        return [
            *self.cluster.as_postgres,
            "env",
            "-i",
            *variables,
            "bash",
            str(self.cluster.folder / "scripts/node.sh"),
            *arguments,
        ]

    def run(self, *arguments, timeout=90):
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=timeout, cwd="/")

    def start(self):
        self.lost, self.fresh = False, True
        threading.Thread(target=self.live, daemon=True).start()

    def live(self):
        while not self.lost:
            step = "prepare" if self.fresh else "serve"
            self.process = subprocess.Popen(
                self.command(step), stdout=self.log, stderr=self.log, cwd="/", start_new_session=True
            )
            code = self.process.wait()
            if step == "prepare":
                self.fresh = code != 0
            time.sleep(0.1)

    def kill(self):
        """The machine is gone: nothing of it runs any more, and nothing comes back by itself."""
        self.lost = True
        self.signal_all(signal.SIGKILL)
        self.process.wait()

    def delete(self, wait):
        """The pod is stopped in order (PostgreSQL's image asks for SIGINT) and made anew."""
        self.fresh = True
        self.signal_all(signal.SIGINT)
        old = self.process
        if wait and not self.lost:
            old.wait(60)

    def signal_all(self, number):
        """Signals PostgreSQL: the postmaster alone, or every process of the pod."""
        if number == signal.SIGKILL:
            for pid in self.pids():
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
            return
        pidfile = self.folder / "pgdata/postmaster.pid"
        if pidfile.exists():
            os.kill(int(pidfile.read_text().split()[0]), number)
        else:
            os.killpg(self.process.pid, signal.SIGTERM)

    def pids(self):
        """The session that `start` made: processes of PostgreSQL open groups of their own, never another session."""
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(fields[3]) == self.process.pid:
                    yield int(entry.name)

    def answers(self):
        return not self.lost and not self.fresh and self.run("ready").returncode == 0

    def role(self):
        return self.run("role").stdout.strip()


class Cluster:
    """All of it. Use as a context: whatever was started ends with it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        root = os.geteuid() == 0
        self.as_postgres = ["runuser", "-u", "postgres", "--"] if root else []
        self.owner = pwd.getpwnam("postgres").pw_uid if root else os.geteuid()
        ports = tools.free_ports(4)
        self.ports = dict(zip(NODES, ports))
        self.write_port = ports[3]
        docs = built.documents("prod")
        for name in ("config", "scripts", "topology"):
            (self.folder / name).mkdir()
            for file, text in built.find(docs, "ConfigMap", f"postgres-{name}")["data"].items():
                (self.folder / name / file).write_text(text)
        # What kubectl does not get through with the next time: how a failover is interrupted.
        self.interrupt = None
        self.target = built.find(docs, "Service", "postgres-primary")["spec"]["selector"][
            "statefulset.kubernetes.io/pod-name"
        ]
        self.nodes = {name: Node(self, name, port) for name, port in self.ports.items()}

    def give(self, path):
        os.chown(path, self.owner, -1)

    def __enter__(self):
        self.kubectl = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        threading.Thread(target=self.kubectl.serve_forever, daemon=True).start()
        (self.folder / "bin").mkdir()
        path = self.folder / "bin/kubectl"
        path.write_text(KUBECTL.format(python=sys.executable, port=self.kubectl.server_port))
        path.chmod(0o755)
        self.listener = socket.create_server(("127.0.0.1", self.write_port))
        threading.Thread(target=self.serve_writes, daemon=True).start()
        return self

    def __exit__(self, *_):
        for node in self.nodes.values():
            if node.process:
                node.kill()
        self.listener.close()
        self.kubectl.shutdown()

    def logs(self):
        return "\n".join(f"== {p.name}\n{p.read_text()[-30000:]}" for p in sorted(self.folder.glob("*.log")))

    def failover(self, *arguments):
        """Runs failover.sh as a person would, with kubectl on the path."""
        script = self.folder / "scripts/failover.sh"
        environment = {"PATH": f"{self.folder / 'bin'}:/usr/bin:/bin"}
        return subprocess.run(
            ["bash", str(script), *arguments], env=environment, capture_output=True, text=True, timeout=120
        )

    def topology(self):
        return (self.folder / "topology/primary").read_text().strip()

    # kubectl

    def handler(self):
        cluster = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                arguments = json.loads(self.rfile.read(int(self.headers["content-length"])))
                try:
                    code, out, err = cluster.answer(arguments)
                except Exception as error:  # noqa: BLE001 what kubectl does not know must not pass as success
                    code, out, err = 1, "", f"kubectl {arguments}: {error!r}\n"
                body = json.dumps({"code": code, "out": out, "err": err}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler

    def answer(self, arguments):
        assert arguments[:2] == ["-n", "shared-services"], arguments
        if self.interrupt and self.interrupt in arguments:
            self.interrupt = None
            return 1, "", "connection refused\n"
        match arguments[2:]:
            case ["get", "configmap", "postgres-topology", "-o", path]:
                key = path.removeprefix("jsonpath={.data.").removesuffix("}")
                file = self.folder / "topology" / key
                return 0, file.read_text() if file.exists() else "", ""
            case ["patch", "configmap", "postgres-topology", "--type", "merge", "-p", patch]:
                for key, value in json.loads(patch)["data"].items():
                    (self.folder / "topology" / key).write_text(value)
                return 0, "patched\n", ""
            case ["patch", "service", "postgres-primary", "--type", "merge", "-p", patch]:
                self.target = json.loads(patch)["spec"]["selector"]["statefulset.kubernetes.io/pod-name"]
                return 0, "patched\n", ""
            case ["delete", "pod", name, wait]:
                node = self.nodes[name]
                if not node.lost:
                    node.delete(wait == "--wait=true")
                return 0, "deleted\n", ""
            case ["exec", name, "-c", "postgres", "--", "bash", "/scripts/node.sh", *command]:
                node = self.nodes[name]
                if node.lost or node.fresh:
                    return 1, "", f"pod {name} does not run\n"
                done = node.run(*command)
                return done.returncode, done.stdout, done.stderr
        raise ValueError("unknown")

    # The service postgres-primary

    def serve_writes(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.forward, args=(client, self.ports[self.target]), daemon=True).start()

    @staticmethod
    def forward(client, port):
        with client:
            try:
                server = socket.create_connection(("127.0.0.1", port), 5)
            except OSError:
                return
            with server:
                try:
                    while True:
                        for one in select.select([client, server], [], [])[0]:
                            data = one.recv(65536)
                            if not data:
                                return
                            (server if one is client else client).sendall(data)
                except OSError:
                    return
