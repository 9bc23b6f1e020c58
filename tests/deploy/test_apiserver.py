"""A real API server takes every overlay: applied on the server, dry and in earnest; its pods admitted under pod security,
quotas, limits, accounts and priorities; rights as the server itself sees them. And it refuses what must be refused."""

import copy
import time

import pytest
from support import apiserver, built, stack, tools
from support.apiserver import Refused, pods
from support.built import find, template

# Without these nothing else is admitted.
FIRST = ("Namespace", "PriorityClass", "ServiceAccount", "LimitRange", "ResourceQuota")
# A claim stays until a controller lets it go, and there is none.
STAYS = ("Namespace", "PersistentVolumeClaim")
# Three nodes of PostgreSQL, two jobs for its backup, the observer or scheduler, what monitors, scales and keeps room; and
# four jobs of icewright where it is no scheduler. Ten times the load keeps room for six pods instead of two.
PODS = {"prod": 16, "bare-metal": 16, "ten-times": 20, "serve": 12, "dev": 6}


@pytest.fixture(scope="module")
def server():
    with tools.workplace("apiserver") as folder, apiserver.running(folder) as server:
        yield server


def of_kinds(docs, *kinds):
    return [d for d in docs if d["kind"] in kinds]


def prepare(server, docs):
    """Applies what admission asks for, and plays the quota controller."""
    for doc in of_kinds(docs, *FIRST):
        server.apply(doc)
    for quota in of_kinds(docs, "ResourceQuota"):
        server.count_from_zero(quota)


@pytest.fixture
def prod(server):
    """The production overlay's prerequisites; all of it is gone afterwards."""
    docs = copy.deepcopy(built.documents("prod"))
    prepare(server, docs)
    yield docs
    clear(server, docs)


def clear(server, docs):
    for doc in docs:
        for pod in pods(doc):
            server.remove(pod)
        if doc["kind"] not in STAYS:
            server.remove(doc)


def admitted(server, pod, dry=False):
    """Makes a pod; a quota that was just counted is known to the server a moment later."""
    end = []

    def tried():
        try:
            return server.start(pod, dry)
        except Refused as error:
            if "status unknown for quota" not in error.message:
                end.append(error)
                return True
            return None

    made = stack.until(tried, 10)
    if end:
        raise end[0]
    assert made, "the quota's status did not arrive"
    return made


@pytest.mark.parametrize("overlay", built.OVERLAYS)
def test_should_be_taken_by_a_real_api_server(server, overlay):
    docs = built.documents(overlay)
    prepare(server, docs)
    try:
        for doc in docs:
            server.apply(doc, dry=True)
        # In the order in which they are written, as kubectl does. A second time changes nothing.
        earnest = [d for d in docs if d["kind"] != "PersistentVolumeClaim"]
        versions = [server.apply(doc)["metadata"]["resourceVersion"] for doc in earnest]
        assert versions == [server.apply(doc)["metadata"]["resourceVersion"] for doc in earnest]
        # Everything at once: all services, and a run of every job beside them.
        count = 0
        for doc in docs:
            for pod in pods(doc):
                made = admitted(server, pod)
                wanted = template(doc)["spec"].get("priorityClassName")
                classes = {c["metadata"]["name"]: c["value"] for c in of_kinds(docs, "PriorityClass")}
                if wanted in classes:
                    assert made["spec"]["priority"] == classes[wanted], pod["metadata"]
                count += 1
        assert count == PODS[overlay], count
    finally:
        clear(server, docs)


def compaction(docs):
    (pod,) = pods(find(docs, "CronJob", "iceberg-compaction"))
    return copy.deepcopy(pod)


def privileged(pod):
    pod["spec"]["containers"][0]["securityContext"] |= {"privileged": True, "allowPrivilegeEscalation": True}


def as_root(pod):
    pod["spec"]["securityContext"] |= {"runAsNonRoot": False}


def too_large(pod):
    for kind in ("requests", "limits"):
        pod["spec"]["containers"][0]["resources"][kind] |= {"cpu": "30"}


def unknown_account(pod):
    pod["spec"]["serviceAccountName"] = "nobody"


def unknown_priority(pod):
    pod["spec"]["priorityClassName"] = "urgent"


def misspelt(pod):
    pod["spec"]["containers"][0]["imagePulPolicy"] = "Always"


@pytest.mark.parametrize(
    "change, code, words",
    [
        (privileged, 403, "violates PodSecurity"),
        (as_root, 403, "runAsNonRoot != true"),
        (too_large, 403, "exceeded quota: maintenance"),
        (unknown_account, 403, 'serviceaccount "nobody" not found'),
        (unknown_priority, 403, "no PriorityClass with name urgent"),
        (misspelt, 400, 'unknown field "spec.containers[0].imagePulPolicy"'),
    ],
)
def test_should_refuse(server, prod, change, code, words):
    pod = compaction(prod)
    assert admitted(server, pod, dry=True)
    change(pod)
    with pytest.raises(Refused) as refused:
        admitted(server, pod, dry=True)
    assert refused.value.code == code and words in refused.value.message, refused.value


def test_should_refuse_more_runs_than_the_quota_has_room_for(server, prod):
    """Each is small enough; together they are not."""
    pod, made = compaction(prod), []
    # Admission may still see the quota of the test before, which was removed: what it counts there is lost.
    time.sleep(3)
    try:
        with pytest.raises(Refused) as refused:
            for number in range(20):
                pod["metadata"]["name"] = f"one-more-{number}"
                admitted(server, pod)
                made.append(copy.deepcopy(pod))
        assert "exceeded quota: maintenance" in refused.value.message, refused.value
        quota = find(prod, "ResourceQuota", "maintenance")["spec"]["hard"]
        (container,) = pod["spec"]["containers"]
        assert len(made) == int(quota["limits.cpu"]) // int(container["resources"]["limits"]["cpu"])
    finally:
        for pod in made:
            server.remove(pod)


def test_should_give_defaults_to_a_pod_that_says_nothing(server, prod):
    pod = compaction(prod)
    pod["spec"]["containers"][0].pop("resources")
    resources = admitted(server, pod, dry=True)["spec"]["containers"][0]["resources"]
    assert resources["limits"]["memory"] == "512Mi" and resources["requests"]["cpu"] == "100m"


def test_should_refuse_workloads_that_the_server_would(server, prod):
    """Some of the mistakes that the gate sees, as the real server sees them."""
    job = find(prod, "CronJob", "iceberg-compaction")
    for path, value, words in (
        (("schedule",), "0 25 * * 0", "Invalid value"),
        (("timeZone",), "Mars/Base", "unknown time zone"),
        (("concurrencyPolicy",), "forbid", "Unsupported value"),
        (("jobTemplate", "spec", "template", "spec", "restartPolicy"), "OnFailure", "podFailurePolicy"),
    ):
        changed = copy.deepcopy(job)
        place = changed["spec"]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        with pytest.raises(Refused) as refused:
            server.apply(changed, dry=True)
        assert refused.value.code == 422 and words in refused.value.message, refused.value


AUTOSCALER = ("kube-system", "cluster-autoscaler")
PROMETHEUS = ("monitoring", "prometheus")
ICEWRIGHT = ("data-platform", "icewright")
RIGHTS = [
    (AUTOSCALER, "list", "nodes", "", None, True),
    (AUTOSCALER, "update", "nodes", "", None, True),
    (AUTOSCALER, "create", "pods/eviction", "", "data-platform", True),
    (AUTOSCALER, "watch", "statefulsets", "apps", None, True),
    (AUTOSCALER, "list", "poddisruptionbudgets", "policy", None, True),
    (AUTOSCALER, "create", "leases", "coordination.k8s.io", "kube-system", True),
    (AUTOSCALER, "create", "pods", "", "data-platform", False),
    (AUTOSCALER, "get", "secrets", "", "data-platform", False),
    (AUTOSCALER, "create", "clusterrolebindings", "rbac.authorization.k8s.io", None, False),
    (PROMETHEUS, "list", "pods", "", "data-platform", True),
    (PROMETHEUS, "get", "nodes/metrics", "", None, True),
    (PROMETHEUS, "get", "secrets", "", "data-platform", False),
    (PROMETHEUS, "delete", "pods", "", "data-platform", False),
    (ICEWRIGHT, "get", "secrets", "", "data-platform", False),
    (ICEWRIGHT, "list", "pods", "", "data-platform", False),
    (ICEWRIGHT, "get", "configmaps", "", "data-platform", False),
]


def test_should_have_the_rights_that_are_needed_and_no_others(server, prod):
    for doc in of_kinds(prod, "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"):
        server.apply(doc)
    assert stack.until(lambda: server.allows(AUTOSCALER, "list", "nodes"), 10), "rights arrive a moment later"
    assert stack.until(lambda: server.allows(PROMETHEUS, "list", "pods"), 10)
    wrong = [r for r in RIGHTS if server.allows(r[0], r[1], r[2], group=r[3], namespace=r[4]) is not r[5]]
    assert wrong == []


def test_should_get_no_token(server, prod):
    """Whatever else is set, nothing in a job's pod can speak to Kubernetes."""
    made = admitted(server, compaction(prod), dry=True)
    assert made["spec"]["serviceAccountName"] == "icewright"
    assert [v["name"] for v in made["spec"]["volumes"]] == ["config", "spill"], "a token was mounted"
