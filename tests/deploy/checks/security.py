"""Pods as restricted as pod security has them, rights as few as can be, doors closed."""

from support.built import containers, template

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
# Who may talk to the API server, and so gets a token.
TOKENS = {"cluster-autoscaler", "prometheus"}


def where(doc):
    return f"{doc['kind']} {doc['metadata']['name']}"


def restricted(docs):
    """The restricted profile, a root file system that can't be written, and a user with a number."""
    for doc in docs:
        if not template(doc):
            continue
        pod = template(doc)["spec"]
        context = pod.get("securityContext", {})
        if not context.get("runAsNonRoot") or not context.get("runAsUser"):
            yield f"{where(doc)}: may run as root"
        if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{where(doc)}: has no seccomp profile"
        for host in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.get(host):
                yield f"{where(doc)}: uses the node's {host}"
        for volume in pod.get("volumes", []):
            if kinds := set(volume) - VOLUMES - {"name"}:
                yield f"{where(doc)}: volume {volume['name']} is {kinds}"
        if pod.get("automountServiceAccountToken") is not (pod.get("serviceAccountName") in TOKENS):
            yield f"{where(doc)}: gets a token it does not need, or lacks one that it needs"
        if pod.get("enableServiceLinks") is not False:
            yield f"{where(doc)}: gets every service of its namespace as variables"
        for container in containers(doc):
            own = container.get("securityContext", {})
            if own.get("allowPrivilegeEscalation") is not False or own.get("readOnlyRootFilesystem") is not True:
                yield f"{where(doc)}: {container['name']} may escalate or write its root"
            if own.get("capabilities", {}).get("drop") != ["ALL"] or own.get("capabilities", {}).get("add"):
                yield f"{where(doc)}: {container['name']} keeps capabilities"
            if (
                own.get("privileged")
                or own.get("runAsUser") == 0
                or any("hostPort" in p for p in container.get("ports", []))
            ):
                yield f"{where(doc)}: {container['name']} is privileged, root, or on the node's port"


def namespaces(docs):
    """Every namespaced object says where it lives, and every namespace but the cluster's enforces the profile."""
    known = {d["metadata"]["name"]: d["metadata"].get("labels", {}) for d in docs if d["kind"] == "Namespace"}
    for doc in docs:
        space = doc["metadata"].get("namespace")
        cluster_wide = doc["kind"] in ("Namespace", "ClusterRole", "ClusterRoleBinding", "PriorityClass")
        if cluster_wide != (space is None):
            yield f"{where(doc)}: lives in {space}"
        if space and space != "kube-system" and space not in known:
            yield f"{where(doc)}: there is no namespace {space}"
    for name, labels in known.items():
        if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"Namespace {name}: does not enforce pod security"


def rights(docs):
    """No wildcard, no secrets, nothing that makes pods or rights."""
    for doc in docs:
        for rule in doc.get("rules", []) if doc["kind"] in ("Role", "ClusterRole") else []:
            if "*" in rule["verbs"] + rule["resources"] + rule["apiGroups"]:
                yield f"{where(doc)}: a wildcard"
            writes = set(rule["verbs"]) - {"get", "list", "watch"}
            for resource in rule["resources"]:
                if resource == "secrets" or (
                    writes and resource in ("pods", "clusterroles", "roles", "deployments", "jobs")
                ):
                    yield f"{where(doc)}: may {rule['verbs']} {resource}"
    bound = {(s["namespace"], s["name"]) for d in docs for s in d.get("subjects", [])}
    if ("data-platform", "icewright") in bound:
        yield "the account of icewright has rights"


def networks(docs):
    """Every namespace with pods is closed by default, and every policy names ports for what it opens."""
    spaces = {d["metadata"]["namespace"] for d in docs if template(d)} - {"kube-system"}
    policies = [d for d in docs if d["kind"] == "NetworkPolicy"]
    for space in sorted(spaces):
        closed = [
            p
            for p in policies
            if p["metadata"]["namespace"] == space
            and p["spec"]["podSelector"] == {}
            and "Ingress" in p["spec"]["policyTypes"]
            and not p["spec"].get("ingress")
        ]
        if not closed:
            yield f"namespace {space}: nothing denies by default"
    for policy in policies:
        for rule in policy["spec"].get("ingress", []) + policy["spec"].get("egress", []):
            if not rule.get("ports") or not (rule.get("from") or rule.get("to")):
                yield f"{where(policy)}: opens every port, or opens to everybody"


def images(docs):
    """Images have a version."""
    for doc in docs:
        for container in containers(doc):
            tag = container["image"].rsplit("/", 1)[-1].partition(":")[2]
            if not tag or tag == "latest":
                yield f"{where(doc)}: image {container['image']} may be anything"
