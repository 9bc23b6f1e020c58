"""Mistakes that people make in manifests. Each changes one built overlay in one place; the gate must see every one."""

from support.built import containers, find, template


def job(docs):
    return find(docs, "CronJob", "iceberg-compaction")


def pod(docs):
    return template(job(docs))["spec"]


def container(docs):
    return pod(docs)["containers"][0]


def replicas(docs):
    return find(docs, "StatefulSet", "postgres-read-replicas")


def put(thing, key, value):
    thing[key] = value


def rename(thing, old, new):
    thing[new] = thing.pop(old)


def drop(docs, kind, name):
    docs.remove(find(docs, kind, name))


def rules(docs):
    return job(docs)["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]


ALL = {
    "a field misspelt": lambda d: rename(job(d)["spec"], "concurrencyPolicy", "concurencyPolicy"),
    "a policy misspelt": lambda d: put(job(d)["spec"], "concurrencyPolicy", "forbid"),
    "two runs at a time": lambda d: put(job(d)["spec"], "concurrencyPolicy", "Allow"),
    "a schedule of four fields": lambda d: put(job(d)["spec"], "schedule", "0 3 * *"),
    "a schedule out of range": lambda d: put(job(d)["spec"], "schedule", "0 25 * * 0"),
    "a zone that does not exist": lambda d: put(job(d)["spec"], "timeZone", "Mars/Base"),
    "a run longer than its period": lambda d: put(
        job(d)["spec"]["jobTemplate"]["spec"], "activeDeadlineSeconds", 700000
    ),
    "a job that restarts in place": lambda d: put(pod(d), "restartPolicy", "OnFailure"),
    "exit code 0 as a failure": lambda d: put(rules(d)[1]["onExitCodes"], "values", [0, 2]),
    "a rule for no container": lambda d: put(rules(d)[1]["onExitCodes"], "containerName", "icewrigth"),
    "a quantity nobody can read": lambda d: put(container(d)["resources"]["requests"], "cpu", "2 cores"),
    "a request above its limit": lambda d: put(container(d)["resources"]["requests"], "memory", "3Gi"),
    "no limit": lambda d: container(d)["resources"].pop("limits"),
    "more than the quota": lambda d: put(
        container(d)["resources"], "limits", {"cpu": "90", "memory": "90Gi", "ephemeral-storage": "22Gi"}
    ),
    "a spill without an end": lambda d: put(pod(d)["volumes"][1], "emptyDir", {}),
    "a mount without a volume": lambda d: put(container(d)["volumeMounts"][0], "name", "konfig"),
    "configuration that is not there": lambda d: put(pod(d)["volumes"][0]["configMap"], "name", "icewright-old"),
    "a secret that nobody makes": lambda d: put(container(d)["envFrom"][0]["secretRef"], "name", "credentials"),
    "an account that is not there": lambda d: drop(d, "ServiceAccount", "icewright"),
    "a priority that is not there": lambda d: drop(d, "PriorityClass", "batch-maintenance"),
    "root": lambda d: put(pod(d)["securityContext"], "runAsNonRoot", False),
    "capabilities misspelt": lambda d: rename(container(d)["securityContext"], "capabilities", "capabilites"),
    "a folder of the node": lambda d: pod(d)["volumes"].append({"name": "node", "hostPath": {"path": "/"}}),
    "a token for icewright": lambda d: put(pod(d), "automountServiceAccountToken", True),
    "rights for icewright": lambda d: find(d, "ClusterRoleBinding", "lakehouse-prometheus")["subjects"].append(
        {"kind": "ServiceAccount", "name": "icewright", "namespace": "data-platform"}
    ),
    "a wildcard": lambda d: put(find(d, "ClusterRole", "cluster-autoscaler")["rules"][0], "verbs", ["*"]),
    "a namespace left open": lambda d: d.remove(
        next(
            p
            for p in d
            if p["kind"] == "NetworkPolicy"
            and p["metadata"] | {"labels": 0} == {"name": "default-deny", "namespace": "shared-services", "labels": 0}
        )
    ),
    "a policy for every port": lambda d: find(d, "NetworkPolicy", "victoria-metrics")["spec"]["ingress"][0].pop(
        "ports"
    ),
    "a namespace without pod security": lambda d: find(d, "Namespace", "data-platform")["metadata"].pop("labels"),
    "a service that selects nobody": lambda d: put(
        find(d, "Service", "postgres-read-replicas")["spec"]["selector"], "app.kubernetes.io/name", "postgre"
    ),
    "writes to a pod that is not there": lambda d: put(
        find(d, "Service", "postgres-primary")["spec"]["selector"],
        "statefulset.kubernetes.io/pod-name",
        "postgres-primary-1",
    ),
    "a port that no pod has": lambda d: put(
        find(d, "Service", "victoria-metrics")["spec"]["ports"][0], "targetPort", "web"
    ),
    "a backend that is not there": lambda d: put(
        find(d, "Ingress", "victoria-metrics")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"],
        "name",
        "vm",
    ),
    "an ingress of ten years ago": lambda d: put(
        find(d, "Ingress", "victoria-metrics"), "apiVersion", "networking.k8s.io/v1beta1"
    ),
    "a selector for other pods": lambda d: put(
        replicas(d)["spec"]["selector"]["matchLabels"], "app.kubernetes.io/name", "pg"
    ),
    "a name in capitals": lambda d: put(replicas(d)["metadata"], "name", "Postgres_Replicas"),
    "a port that is a word": lambda d: put(containers(replicas(d))[1]["ports"][0], "containerPort", "postgres"),
    "an image without a version": lambda d: put(container(d), "image", "icewright"),
}
