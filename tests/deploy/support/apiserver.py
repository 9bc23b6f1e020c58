"""A real API server on the loopback, with the store that it needs, and what tests ask of it. There is no cluster behind it:
nothing is scheduled or run, and nobody plays the controllers but the tests."""

import contextlib
import http.client
import json
import secrets
import ssl
import subprocess
import time
import urllib.parse

from . import tools
from .built import template


class Refused(Exception):
    """What the server has against something: its status code, and its words."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class Server:
    """Speaks to one API server as its administrator."""

    def __init__(self, port, token):
        self.token, self.address = token, f"https://127.0.0.1:{port}"
        # It made its own certificate, in the folder of this test; nothing but the loopback is between.
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        self.line = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=tls)
        self.kinds = {}

    def ask(self, method, path, body=None, kind="application/json", **query):
        """One request; the answer, and the warnings that came with it."""
        where = path + ("?" + urllib.parse.urlencode(query) if query else "")
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        try:
            self.line.request(method, where, None if body is None else json.dumps(body), headers)
            answer = self.line.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException):
            # The next request calls anew.
            self.line.close()
            raise
        if answer.status >= 400:
            raise Refused(answer.status, json.loads(text)["message"] if text.startswith("{") else text)
        return json.loads(text) if text.startswith("{") else text, answer.headers.get_all("Warning") or []

    def path(self, doc):
        """Where an object lives, as the server's own discovery says."""
        version, kind = doc["apiVersion"], doc["kind"]
        group = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if group not in self.kinds:
            found = self.ask("GET", group)[0]["resources"]
            self.kinds[group] = {r["kind"]: r for r in found if "/" not in r["name"]}
        resource = self.kinds[group][kind]
        assert resource["namespaced"] == ("namespace" in doc["metadata"]), f"{kind} {doc['metadata']}"
        space = f"/namespaces/{doc['metadata']['namespace']}" if resource["namespaced"] else ""
        return f"{group}{space}/{resource['name']}"

    def apply(self, doc, dry=False):
        """Applies as `kubectl apply --server-side` does; the object as it is then."""
        query = {"fieldManager": "kubectl", "fieldValidation": "Strict"}
        if dry:
            query["dryRun"] = "All"
        where = f"{self.path(doc)}/{doc['metadata']['name']}"
        # JSON is YAML too.
        answer, warnings = self.ask("PATCH", where, doc, "application/apply-patch+yaml", **query)
        assert warnings == [], f"{doc['kind']} {doc['metadata']['name']}: {warnings}"
        return answer

    def remove(self, doc):
        """Removes an object and what it owns."""
        where = f"{self.path(doc)}/{doc['metadata']['name']}"
        with contextlib.suppress(Refused):
            self.ask("DELETE", where, {"propagationPolicy": "Background", "gracePeriodSeconds": 0})

    def start(self, pod, dry=False):
        """Makes a pod, as a controller would."""
        query = {"dryRun": "All"} if dry else {}
        return self.ask("POST", self.path(pod), pod, fieldValidation="Strict", **query)[0]

    def allows(self, account, verb, resource, group="", namespace=None):
        """Whether the server lets an account do something."""
        resource, _, part = resource.partition("/")
        attributes = {"verb": verb, "resource": resource, "subresource": part, "group": group, "namespace": namespace}
        space, name = account
        asked = {
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": f"system:serviceaccount:{space}:{name}", "resourceAttributes": attributes},
        }  # fmt: skip
        answer, _ = self.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", asked)
        return answer["status"].get("allowed", False)

    def kubeconfig(self, path):
        """Writes what kubectl needs to speak to it."""
        cluster = {"server": self.address, "insecure-skip-tls-verify": True}
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": self.token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }  # fmt: skip
        path.write_text(json.dumps(config))

    def count_from_zero(self, quota):
        """Does what the quota controller does when a quota is new: nothing is used yet."""
        status = {"hard": quota["spec"]["hard"], "used": dict.fromkeys(quota["spec"]["hard"], "0")}
        where = f"{self.path(quota)}/{quota['metadata']['name']}/status"
        self.ask("PATCH", where, {"status": status}, "application/merge-patch+json")


def pods(doc):
    """The pods that a workload's controller would make, one for each replica."""
    shape = template(doc)
    if not shape:
        return []
    name, space = doc["metadata"]["name"], doc["metadata"]["namespace"]
    count = doc["spec"].get("replicas", 1)
    spec = shape["spec"]
    # A StatefulSet's controller turns its claims into volumes of the pod.
    claims = [c["metadata"]["name"] for c in doc["spec"].get("volumeClaimTemplates", [])]
    found = []
    for number in range(count):
        volumes = [{"name": c, "persistentVolumeClaim": {"claimName": f"{c}-{name}-{number}"}} for c in claims]
        own = spec | {"volumes": spec.get("volumes", []) + volumes}
        metadata = shape.get("metadata", {}) | {"name": f"{name}-{number}", "namespace": space}
        found.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": own})
    return found


@contextlib.contextmanager
def running(folder):
    """Starts a server, and ends it whatever happens."""
    program = tools.program("apiserver")
    port, etcd = tools.free_ports(2)
    token = secrets.token_hex(16)
    (folder / "tokens.csv").write_text(f'{token},administrator,1,"system:masters"\n')
    key = folder / "accounts.key"
    tools.run("openssl", "genrsa", "-out", key, "2048")
    command = [
        program, f"--data={folder}/etcd", f"--etcd-port={etcd}", f"--secure-port={port}", "--bind-address=127.0.0.1",
        f"--cert-dir={folder}/certificates", f"--token-auth-file={folder}/tokens.csv", "--authorization-mode=RBAC",
        # As clusters have it: what is privileged is refused by pod security, not by this.
        "--allow-privileged=true",
        "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}", "--service-cluster-ip-range=10.96.0.0/16",
    ]  # fmt: skip
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        server = Server(port, token)
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException, Refused):
                if server.ask("GET", "/readyz")[0] == "ok":
                    break
            assert process.poll() is None and time.monotonic() < end, (folder / "log").read_text()[-3000:]
            time.sleep(0.2)
        yield server
    finally:
        process.kill()
        process.wait()
