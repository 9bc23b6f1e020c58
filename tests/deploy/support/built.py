"""Overlays as kustomize builds them: what is tested is what is applied."""

import functools

import yaml

from . import tools

OVERLAYS = ["prod", "bare-metal", "ten-times", "serve", "dev"]


def build(folder):
    """The YAML of a kustomization; a warning counts as a failure."""
    done = tools.run(tools.program("kustomize"), "build", folder)
    assert done.stderr == "", done.stderr
    return done.stdout


@functools.cache
def text(overlay):
    """An overlay's YAML."""
    return build(tools.DEPLOY / "overlays" / overlay)


@functools.cache
def documents(overlay):
    """An overlay's objects. They are shared: copy before changing one."""
    return list(yaml.safe_load_all(text(overlay)))


def find(docs, kind, name):
    """The one object of this kind and name; a generated name may carry a hash."""
    found = [d for d in docs if d["kind"] == kind and (d["metadata"]["name"] == name)]
    if not found and kind == "ConfigMap":
        found = [d for d in docs if d["kind"] == kind and d["metadata"]["name"].rsplit("-", 1)[0] == name]
    assert len(found) == 1, f"{len(found)} objects {kind} {name}"
    return found[0]


def names(docs, kind):
    """Names of all objects of a kind."""
    return sorted(d["metadata"]["name"] for d in docs if d["kind"] == kind)


def template(doc):
    """The pod template of a workload, or None."""
    spec = doc.get("spec", {})
    if doc["kind"] == "CronJob":
        return spec["jobTemplate"]["spec"]["template"]
    return spec.get("template") if doc["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job") else None


def containers(doc):
    """All containers of a workload, those that prepare it too."""
    spec = (template(doc) or {}).get("spec", {})
    return spec.get("initContainers", []) + spec.get("containers", [])


def config(overlay, name, key):
    """A file as the cluster gets it."""
    return find(documents(overlay), "ConfigMap", name)["data"][key]
