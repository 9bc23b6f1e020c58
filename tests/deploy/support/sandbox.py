"""A network of its own, in which servers have the manifests' names and ports, and pods: the minimal root file system, with
the manifest's user, files, variables and memory."""

import contextlib
import os
import pathlib
import signal
import subprocess
import time

from . import built, tools
from checks.workloads import amount

CGROUPS = pathlib.Path("/sys/fs/cgroup")


class Network:
    """A network namespace with nothing but its loopback. Commands run in it with `inside`."""

    def __enter__(self):
        if os.geteuid() != 0:
            tools.missing("root (to make a network namespace)")
        holder = ["unshare", "--net", "sh", "-c", "ip link set lo up && exec sleep 3600"]
        self.holder = subprocess.Popen(holder)
        end = time.monotonic() + 10
        while "LOOPBACK,UP" not in self.look() and time.monotonic() < end:
            time.sleep(0.05)
        self.servers = []
        return self

    def look(self):
        return subprocess.run(self.inside("ip", "link"), capture_output=True, text=True).stdout

    def inside(self, *command):
        return ["nsenter", "-t", str(self.holder.pid), "-n", "--", *map(str, command)]

    def run(self, *command, **more):
        return tools.run(*self.inside(*command), **more)

    def serve(self, port, *command, log, **more):
        """Starts a server and waits until it listens."""
        process = subprocess.Popen(self.inside(*command), stdout=open(log, "w"), stderr=subprocess.STDOUT, **more)
        self.servers.append(process)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if f":{port} " in self.run("ss", "-Hltn").stdout:
                return
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        raise AssertionError(f"nothing listens on port {port}: {log.read_text()}")

    def __exit__(self, *_):
        for process in [*reversed(self.servers), self.holder]:
            process.send_signal(signal.SIGINT if process is not self.holder else signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Memory:
    """A memory cgroup with a limit (version 2, else 1), as a container has one."""

    def __init__(self, limit):
        self.two = (CGROUPS / "cgroup.controllers").exists()
        parent = CGROUPS if self.two else CGROUPS / "memory"
        self.folder = parent / f"icewright-test-{os.getpid()}"
        try:
            if self.two:
                (parent / "cgroup.subtree_control").write_text("+memory")
            self.folder.mkdir()
            (self.folder / ("memory.max" if self.two else "memory.limit_in_bytes")).write_text(str(limit))
            if self.two:
                (self.folder / "memory.swap.max").write_text("0")
        except OSError as error:
            tools.missing(f"a memory cgroup that can be made ({error})")

    def join(self):
        """Called in the child: from here on it and its children are within the limit."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def killed(self):
        """How many processes the limit killed."""
        name = "memory.events" if self.two else "memory.oom_control"
        lines = dict(line.split() for line in (self.folder / name).read_text().splitlines())
        return int(lines.get("oom_kill", 0))

    def processes(self, name):
        """Ids of the processes of this name within the limit."""
        every = (self.folder / "cgroup.procs").read_text().split()
        return [int(pid) for pid in every if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == name]

    def remove(self):
        for _ in range(50):
            with contextlib.suppress(OSError):
                self.folder.rmdir()
                return
            time.sleep(0.1)


class Pod:
    """A workload's only container as the manifest describes it."""

    def __init__(self, overlay, kind, name, folder, network):
        docs = built.documents(overlay)
        self.doc = built.find(docs, kind, name)
        (self.container,) = built.containers(self.doc)
        self.spec = built.template(self.doc)["spec"]
        self.docs, self.folder, self.network = docs, folder, network

    def run(self, root, secrets, extra, claims=None, hosts=""):
        """Runs it to its end in `root`; what it said, and that the memory limit killed nothing."""
        with self.limited() as memory:
            command = self.network.inside(*self.sandbox(root, secrets, extra, claims or {}, hosts))
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, preexec_fn=memory.join)
            assert memory.killed() == 0, f"needed more than the limit: {done.stderr}"
            return done

    @contextlib.contextmanager
    def running(self, root, secrets, extra, claims=None, hosts=""):
        """Starts it as the first process of its own, as in a container. Stopped as Kubernetes stops it, it has to come to its
        end by itself, with 0, within the pod's grace."""
        sandbox = self.sandbox(root, secrets, extra, claims or {}, hosts)
        sandbox.insert(1, "--as-pid-1")
        with self.limited() as memory, open(self.folder / "pod.log", "w") as log:
            process = subprocess.Popen(self.network.inside(*sandbox), stdout=log, stderr=log, preexec_fn=memory.join)
            try:
                yield self
                for pid in memory.processes("icewright"):
                    os.kill(pid, signal.SIGTERM)
                code = process.wait(self.spec["terminationGracePeriodSeconds"])
                assert code == 0, f"it ended with {code}: {self.log()}"
                assert memory.killed() == 0, f"needed more than the limit: {self.log()}"
            finally:
                process.kill()
                process.wait()

    def log(self):
        """What a pod that runs has said so far."""
        return (self.folder / "pod.log").read_text()

    @contextlib.contextmanager
    def limited(self):
        """The container's memory limit."""
        memory = Memory(int(amount(self.container["resources"]["limits"]["memory"])))
        try:
            yield memory
        finally:
            memory.remove()

    def sandbox(self, root, secrets, extra, claims, hosts):
        user = self.spec["securityContext"]
        assert self.container["securityContext"]["readOnlyRootFilesystem"] is True
        command = [
            tools.program("bwrap"),
            "--ro-bind",
            root,
            "/",
            "--dev",
            "/dev",
            "--proc",
            "/proc",
            "--die-with-parent",
        ]
        command += [
            "--unshare-user",
            "--uid",
            user["runAsUser"],
            "--gid",
            user["runAsGroup"],
            "--unshare-pid",
            "--unshare-ipc",
        ]
        if self.container["securityContext"]["capabilities"]["drop"] == ["ALL"]:
            command += ["--cap-drop", "ALL"]
        hostfile = self.folder / "hosts"
        hostfile.write_text(f"127.0.0.1 localhost {hosts}\n")
        command += ["--ro-bind", hostfile, "/etc/hosts"]
        volumes = {v["name"]: v for v in self.spec["volumes"]}
        for mount in self.container["volumeMounts"]:
            # A runtime makes the place of a mount where an image lacks it.
            (pathlib.Path(root) / mount["mountPath"].lstrip("/")).mkdir(exist_ok=True)
            volume = volumes[mount["name"]]
            if "configMap" in volume:
                place = self.folder / volume["configMap"]["name"]
                place.mkdir(exist_ok=True)
                for name, text in built.find(self.docs, "ConfigMap", volume["configMap"]["name"])["data"].items():
                    (place / name).write_text(text)
                command += ["--ro-bind", place, mount["mountPath"]]
            elif "emptyDir" in volume:
                command += ["--tmpfs", mount["mountPath"]]
            else:
                command += ["--bind", claims[volume["persistentVolumeClaim"]["claimName"]], mount["mountPath"]]
        # Variables: those of the secret, then the manifest's, then where the store is that stands in for the cloud's.
        variables = secrets | {e["name"]: e["value"] for e in self.container.get("env", [])} | extra
        command += ["--clearenv"] + [part for name, value in variables.items() for part in ("--setenv", name, value)]
        return [*command, "--chdir", "/", "/usr/local/bin/icewright", *self.container["args"]]
