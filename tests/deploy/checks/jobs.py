"""CronJobs: when they run, what a failure means, when they end."""

import zoneinfo
from datetime import datetime, timedelta, timezone

import croniter

from support.built import template


def cron_jobs(docs):
    return [d for d in docs if d["kind"] == "CronJob"]


def schedules(docs):
    """Five fields that can be read, a zone that exists, and no second run beside the first."""
    for doc in cron_jobs(docs):
        name, spec = doc["metadata"]["name"], doc["spec"]
        schedule = spec["schedule"]
        if len(schedule.split()) != 5 or not croniter.croniter.is_valid(schedule):
            yield f"CronJob {name}: {schedule!r} is no schedule"
        try:
            zoneinfo.ZoneInfo(spec.get("timeZone", ""))
        except (ValueError, zoneinfo.ZoneInfoNotFoundError, IsADirectoryError, PermissionError):
            yield f"CronJob {name}: there is no time zone {spec.get('timeZone')!r}"
        if spec.get("concurrencyPolicy") != "Forbid":
            yield f"CronJob {name}: two runs at a time are not forbidden"
        if spec.get("startingDeadlineSeconds", 0) < 60:
            yield f"CronJob {name}: has no deadline for its start that a busy controller would meet"
        if len(name) > 52:
            yield f"CronJob {name}: its name leaves no room for its jobs'"


def failures(docs):
    """What is tried again and what is not; the rules of podFailurePolicy that the server checks."""
    jobs = [(d, d["spec"]["jobTemplate"]["spec"]) for d in cron_jobs(docs)]
    jobs += [(d, d["spec"]) for d in docs if d["kind"] == "Job"]
    for doc, job in jobs:
        name = f"{doc['kind']} {doc['metadata']['name']}"
        pod = template(doc)["spec"]
        if "backoffLimit" not in job:
            yield f"{name}: has no backoffLimit"
        rules = job.get("podFailurePolicy", {}).get("rules", [])
        if rules and pod.get("restartPolicy") != "Never":
            yield f"{name}: podFailurePolicy needs restartPolicy Never"
        if pod.get("restartPolicy") not in ("Never", "OnFailure"):
            yield f"{name}: a job's restartPolicy is Never or OnFailure"
        names = {c["name"] for c in pod["containers"]}
        for rule in rules:
            codes = rule.get("onExitCodes")
            if codes and (
                codes["operator"] == "In" and 0 in codes["values"] or codes.get("containerName") not in names
            ):
                yield f"{name}: a rule names exit code 0 or no container"
            if codes and codes["values"] != sorted(set(codes["values"])):
                yield f"{name}: exit codes are not in order"


def deadlines(docs):
    """A run ends before the next one of its kind is due."""
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)
    for doc in cron_jobs(docs):
        if doc["spec"].get("suspend") or not croniter.croniter.is_valid(doc["spec"]["schedule"]):
            continue
        longest = doc["spec"]["jobTemplate"]["spec"].get("activeDeadlineSeconds")
        times = croniter.croniter(doc["spec"]["schedule"], start)
        due = [times.get_next(datetime) for _ in range(25)]
        shortest = min(later - earlier for earlier, later in zip(due, due[1:]))
        if not longest or timedelta(seconds=longest) >= shortest:
            yield f"CronJob {doc['metadata']['name']}: may still run when it is due again"
