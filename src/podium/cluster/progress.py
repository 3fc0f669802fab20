"""What Kubernetes' objects say of a rollout: done, under way, or stuck and why. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from podium.cluster.plan import Object

HOPELESS = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
)
"""Reasons for which a container waits that do not go away by themselves, or not soon."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """Why a pod does not start. `hopeless` says that waiting will not help."""

    pod: str
    reason: str
    hopeless: bool
    crashed: bool = False


def words(owner: Object) -> str:
    """`2 of 3 ready`."""
    status, wanted = owner.get("status") or {}, _wanted(owner)
    return f"{min(status.get('readyReplicas') or 0, wanted)} of {wanted} ready"


def is_done(owner: Object) -> bool:
    """Whether all pods of a Deployment or StatefulSet are new, and ready."""
    status, wanted = owner.get("status") or {}, _wanted(owner)
    seen = (status.get("observedGeneration") or 0) >= owner["metadata"].get("generation", 0)
    updated = status.get("updatedReplicas") or 0
    return (
        seen
        and updated >= wanted
        and (status.get("readyReplicas") or 0) >= wanted
        and (status.get("replicas") or 0) == updated
    )


def _wanted(owner: Object) -> int:
    replicas = owner["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def owned(owner: Object, pods: Sequence[Object]) -> list[Object]:
    """The pods that its selector selects."""
    wanted = owner["spec"]["selector"]["matchLabels"].items()
    return [pod for pod in pods if wanted <= (pod["metadata"].get("labels") or {}).items()]


def is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def is_running(pod: Object) -> bool:
    """Whether its container runs now, ready or not."""
    containers = _containers(pod)
    return bool(containers) and all("running" in (each.get("state") or {}) for each in containers)


def is_leaving(pod: Object) -> bool:
    """Whether it was told to go."""
    return "deletionTimestamp" in pod["metadata"]


def is_over(pod: Object) -> bool:
    """Whether it has ended for good: evicted, for one."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def restarts(pod: Object) -> int:
    return sum(each.get("restartCount") or 0 for each in _containers(pod))


def last_end(pod: Object) -> str | None:
    """How it last ended, or its container; None where that never happened."""
    if is_over(pod) and (why := pod["status"].get("reason")):
        return f"{why}: {pod['status'].get('message', '')}"
    for container in _containers(pod):
        for state in (container.get("state") or {}, container.get("lastState") or {}):
            if ended := state.get("terminated"):
                why = ended.get("reason") or ""
                return f"ended with status {ended.get('exitCode', '?')}" + (f" ({why})" if why else "")
    return None


def _containers(pod: Object) -> Sequence[Object]:
    return (pod.get("status") or {}).get("containerStatuses") or ()


def refusals(owner: Object) -> Iterator[Trouble]:
    """Why the API server makes no (more) pods for a Deployment: a quota, or a rule of the namespace."""
    for condition in (owner.get("status") or {}).get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            why = condition.get("message") or condition.get("reason", "")
            name = owner["metadata"]["name"]
            yield Trouble(pod=name, reason=f"no pod can be made: {why}", hopeless=True)


def troubles(pods: Sequence[Object]) -> Iterator[Trouble]:
    """What keeps these pods from being ready, a line each."""
    for pod in pods:
        name = pod["metadata"]["name"]
        status = pod.get("status") or {}
        for condition in status.get("conditions") or ():
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                why = condition.get("message") or condition.get("reason", "")
                yield Trouble(pod=name, reason=f"no node takes it: {why}", hopeless=False)
        for container in _containers(pod):
            if found := _waiting(name, container):
                yield found


def _waiting(pod: str, container: Object) -> Trouble | None:
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason", "")
    if reason in ("", "ContainerCreating", "PodInitializing"):
        return None
    ended = (container.get("lastState") or {}).get("terminated") or {}
    said = waiting.get("message") or ""
    if reason == "CrashLoopBackOff":
        said = f"it ended with status {ended.get('exitCode', '?')}, {container.get('restartCount', 0)} times"
    return Trouble(
        pod=pod,
        reason=f"{reason}: {said}" if said else reason,
        hopeless=reason in HOPELESS,
        crashed=reason == "CrashLoopBackOff",
    )
