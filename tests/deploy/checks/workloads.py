"""Pods: what they ask for, how they are found, how they are known to be well."""

import decimal
import re

from support.built import containers, template

SUFFIX = {
    "": 1,
    "m": decimal.Decimal("0.001"),
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}


def amount(text):
    """A quantity as a number."""
    match = re.fullmatch(r"([0-9.]+)(m|k|M|G|T|Ki|Mi|Gi|Ti)?", str(text))
    if not match:
        raise ValueError(f"{text!r} is no quantity")
    return decimal.Decimal(match[1]) * SUFFIX[match[2] or ""]


def label(doc, container):
    return f"{doc['kind']} {doc['metadata']['name']}, container {container['name']}"


def quantities(docs):
    """Every quantity can be read."""
    for doc in docs:
        found = [
            (label(doc, c), v) for c in containers(doc) for p in c.get("resources", {}).values() for v in p.values()
        ]
        found += [(doc["metadata"]["name"], v) for v in doc.get("spec", {}).get("hard", {}).values()]
        for claim in doc.get("spec", {}).get("volumeClaimTemplates", []):
            found.append((doc["metadata"]["name"], claim["spec"]["resources"]["requests"]["storage"]))
        if template(doc):
            for volume in template(doc)["spec"].get("volumes", []):
                if "emptyDir" in volume:
                    found.append((doc["metadata"]["name"], (volume["emptyDir"] or {}).get("sizeLimit", "no limit")))
        for where, value in found:
            try:
                amount(value)
            except ValueError as error:
                yield f"{where}: {error}"


def requests_and_limits(docs):
    """Every container asks for processor, memory and disk, and for no more than it may have."""
    for doc in docs:
        for container in containers(doc):
            resources = container.get("resources", {})
            for what in ("cpu", "memory", "ephemeral-storage"):
                asked, limit = resources.get("requests", {}).get(what), resources.get("limits", {}).get(what)
                if asked is None or limit is None:
                    yield f"{label(doc, container)}: no request or no limit for {what}"
                    continue
                try:
                    if amount(asked) > amount(limit):
                        yield f"{label(doc, container)}: asks for more {what} than its limit"
                except ValueError:
                    pass  # said by quantities
            spill = [v for v in template(doc)["spec"].get("volumes", []) if v["name"] == "spill"]
            if spill and amount(spill[0]["emptyDir"]["sizeLimit"]) > amount(resources["limits"]["ephemeral-storage"]):
                yield f"{label(doc, container)}: its spill may outgrow its disk"
            env = {e["name"]: e.get("value") for e in container.get("env", [])}
            if "ICEWRIGHT_MEMORY" in env:
                budget = amount(env["ICEWRIGHT_MEMORY"].removesuffix("B"))
                if budget * 4 != amount(resources["limits"]["memory"]) * 3:
                    yield f"{label(doc, container)}: its budget is not three quarters of its memory"


def quota(docs):
    """All pods of a namespace together fit into its quota, each job once."""
    for limit in (d for d in docs if d["kind"] == "ResourceQuota"):
        sums = {}
        for doc in docs:
            if doc["metadata"].get("namespace") != limit["metadata"]["namespace"] or not template(doc):
                continue
            for container in containers(doc):
                for part, values in container.get("resources", {}).items():
                    for what, value in values.items():
                        key = f"{part}.{what}"
                        sums[key] = sums.get(key, 0) + amount(value) * doc["spec"].get("replicas", 1)
        for key, most in limit["spec"]["hard"].items():
            if sums.get(key, 0) > amount(most):
                yield f"quota {limit['metadata']['name']}: {key} of all pods is {sums[key]}, more than {most}"


def selectors(docs):
    """What selects pods finds some: its own, for workloads."""
    pods = [(d["metadata"].get("namespace"), template(d)["metadata"]["labels"], d) for d in docs if template(d)]
    for doc in docs:
        if doc["kind"] in ("Deployment", "StatefulSet"):
            wanted = doc["spec"]["selector"]["matchLabels"]
            if not wanted.items() <= template(doc)["metadata"]["labels"].items():
                yield f"{doc['kind']} {doc['metadata']['name']}: does not select its own pods"
        wanted = None
        if doc["kind"] == "Service":
            wanted = doc["spec"].get("selector")
        elif doc["kind"] in ("NetworkPolicy", "PodDisruptionBudget"):
            selector = doc["spec"].get("podSelector", doc["spec"].get("selector", {}))
            wanted = selector.get("matchLabels")
        if not wanted:
            continue
        if pod := wanted.get("statefulset.kubernetes.io/pod-name"):
            owners = {d["metadata"]["name"]: d["spec"]["replicas"] for d in docs if d["kind"] == "StatefulSet"}
            owner, _, ordinal = pod.rpartition("-")
            if int(ordinal) >= owners.get(owner, 0):
                yield f"{doc['kind']} {doc['metadata']['name']}: there is no pod {pod}"
        elif not any(
            ns == doc["metadata"].get("namespace") and wanted.items() <= labels.items() for ns, labels, _ in pods
        ):
            yield f"{doc['kind']} {doc['metadata']['name']}: selects no pod"


def probes(docs):
    """Whatever serves says when it is ready."""
    for doc in docs:
        if doc["kind"] in ("Deployment", "StatefulSet"):
            for container in doc["spec"]["template"]["spec"]["containers"]:
                if container.get("ports") and not (container.get("readinessProbe") or container.get("livenessProbe")):
                    yield f"{label(doc, container)}: has ports and no probe"
                ports = {p["name"] for p in container.get("ports", [])}
                for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
                    port = container.get(probe, {}).get("httpGet", {}).get("port")
                    if port is not None and port not in ports:
                        yield f"{label(doc, container)}: {probe} asks port {port}, which it has not"
