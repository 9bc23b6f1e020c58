"""What Kubernetes' schemas can't say about manifests. Each check takes all objects of an overlay and returns problems."""

from . import jobs, references, security, workloads

ALL = [
    workloads.quantities,
    workloads.requests_and_limits,
    workloads.quota,
    workloads.selectors,
    workloads.probes,
    references.mounts,
    references.configuration,
    references.accounts,
    references.services,
    references.ingresses,
    references.priorities,
    references.claims,
    jobs.schedules,
    jobs.failures,
    jobs.deadlines,
    security.restricted,
    security.namespaces,
    security.rights,
    security.networks,
    security.images,
]


def problems(docs):
    """Everything that is wrong."""
    return [problem for check in ALL for problem in check(docs)]


def name(doc):
    """How people call an object."""
    return f"{doc['kind']} {doc['metadata'].get('namespace', '-')}/{doc['metadata']['name']}"
