"""What an object names must be there: in the same overlay, or in the README's list of what a person makes."""

import pathlib

from support.built import containers, template

README = pathlib.Path(__file__).resolve().parents[3] / "deploy/README.md"


def where(doc):
    return f"{doc['kind']} {doc['metadata']['name']}"


def has(docs, kind, name, namespace=None):
    return any(
        d["kind"] == kind and d["metadata"]["name"] == name and namespace in (None, d["metadata"].get("namespace"))
        for d in docs
    )


def made_by_hand(name):
    """Whether the README tells how to make this secret."""
    return f"`{name}`" in README.read_text()


def mounts(docs):
    """Every mount has its volume, every volume a mount, and no two mounts one place."""
    for doc in docs:
        if not template(doc):
            continue
        volumes = {v["name"] for v in template(doc)["spec"].get("volumes", [])}
        volumes |= {c["metadata"]["name"] for c in doc["spec"].get("volumeClaimTemplates", [])}
        mounted = set()
        for container in containers(doc):
            places = [m["mountPath"] for m in container.get("volumeMounts", [])]
            if len(set(places)) != len(places):
                yield f"{where(doc)}: two volumes in one place"
            for mount in container.get("volumeMounts", []):
                mounted.add(mount["name"])
                if mount["name"] not in volumes:
                    yield f"{where(doc)}: mounts {mount['name']}, which is no volume"
        for unused in volumes - mounted:
            yield f"{where(doc)}: volume {unused} is mounted nowhere"


def configuration(docs):
    """ConfigMaps and secrets, and their keys."""
    for doc in docs:
        spec = (template(doc) or {}).get("spec", {})
        space = doc["metadata"].get("namespace")
        maps = [(v["configMap"]["name"], None) for v in spec.get("volumes", []) if "configMap" in v]
        secrets = [v["secret"]["secretName"] for v in spec.get("volumes", []) if "secret" in v]
        for container in containers(doc):
            for source in container.get("envFrom", []):
                secrets += [source["secretRef"]["name"]] if "secretRef" in source else []
                maps += [(source["configMapRef"]["name"], None)] if "configMapRef" in source else []
            for variable in container.get("env", []):
                source = variable.get("valueFrom", {})
                secrets += [source["secretKeyRef"]["name"]] if "secretKeyRef" in source else []
                if "configMapKeyRef" in source:
                    maps.append((source["configMapKeyRef"]["name"], source["configMapKeyRef"]["key"]))
        for name, key in maps:
            found = [
                d
                for d in docs
                if d["kind"] == "ConfigMap"
                and d["metadata"]["name"] == name
                and d["metadata"].get("namespace") == space
            ]
            if not found:
                yield f"{where(doc)}: there is no ConfigMap {name}"
            elif key and key not in found[0]["data"]:
                yield f"{where(doc)}: ConfigMap {name} has no {key}"
        for name in secrets:
            if not has(docs, "Secret", name, space) and not made_by_hand(name):
                yield f"{where(doc)}: nobody makes the secret {name}"


def accounts(docs):
    """Every pod has an account of its own, never the namespace's default one."""
    for doc in docs:
        if template(doc):
            name = template(doc)["spec"].get("serviceAccountName")
            if not name or not has(docs, "ServiceAccount", name, doc["metadata"].get("namespace")):
                yield f"{where(doc)}: there is no ServiceAccount {name}"
        for subject in doc.get("subjects", []):
            if not has(docs, "ServiceAccount", subject["name"], subject["namespace"]):
                yield f"{where(doc)}: there is no ServiceAccount {subject['namespace']}/{subject['name']}"
        if doc["kind"].endswith("Binding") and not has(docs, doc["roleRef"]["kind"], doc["roleRef"]["name"]):
            yield f"{where(doc)}: there is no {doc['roleRef']['kind']} {doc['roleRef']['name']}"


def services(docs):
    """Ports by name are ports of the pods; a StatefulSet's service is there."""
    for doc in docs:
        if doc["kind"] == "StatefulSet" and not has(
            docs, "Service", doc["spec"]["serviceName"], doc["metadata"]["namespace"]
        ):
            yield f"{where(doc)}: there is no Service {doc['spec']['serviceName']}"
        if doc["kind"] != "Service" or doc["spec"].get("type") == "ExternalName":
            continue
        spaces = [d for d in docs if template(d) and d["metadata"].get("namespace") == doc["metadata"].get("namespace")]
        ports = {p["name"] for d in spaces for c in containers(d) for p in c.get("ports", [])}
        for port in doc["spec"]["ports"]:
            if isinstance(port["targetPort"], str) and port["targetPort"] not in ports:
                yield f"{where(doc)}: no pod has a port {port['targetPort']}"


def ingresses(docs):
    """Backends exist with their port, and so do the secrets."""
    for doc in (d for d in docs if d["kind"] == "Ingress"):
        for rule in doc["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                found = [
                    d
                    for d in docs
                    if d["kind"] == "Service"
                    and d["metadata"]["name"] == service["name"]
                    and d["metadata"]["namespace"] == doc["metadata"]["namespace"]
                ]
                if not found:
                    yield f"{where(doc)}: there is no Service {service['name']}"
                elif service["port"] not in [
                    {k: p.get(k)} for p in found[0]["spec"]["ports"] for k in ("name", "number")
                ]:
                    yield f"{where(doc)}: Service {service['name']} has no port {service['port']}"
        secrets = [t["secretName"] for t in doc["spec"].get("tls", [])]
        secrets.append(doc["metadata"]["annotations"].get("nginx.ingress.kubernetes.io/auth-secret"))
        for name in secrets:
            if not name or not made_by_hand(name):
                yield f"{where(doc)}: nobody makes the secret {name}"


def priorities(docs):
    """Priority classes exist."""
    for doc in docs:
        if template(doc):
            name = template(doc)["spec"].get("priorityClassName")
            if name and not name.startswith("system-") and not has(docs, "PriorityClass", name):
                yield f"{where(doc)}: there is no PriorityClass {name}"


def claims(docs):
    """Claims exist in the pod's namespace."""
    for doc in docs:
        for volume in (template(doc) or {}).get("spec", {}).get("volumes", []):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim and not has(docs, "PersistentVolumeClaim", claim, doc["metadata"].get("namespace")):
                yield f"{where(doc)}: there is no PersistentVolumeClaim {claim}"
