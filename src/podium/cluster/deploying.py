"""From objects to a running endpoint: tried as a whole, then applied and awaited; what left is removed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from podium.cluster.api import KINDS, Cluster
from podium.cluster.differences import difference
from podium.cluster.plan import MANAGER, Object
from podium.cluster.progress import Trouble, is_done, owned, refusals, troubles, words
from podium.errors import ClusterError

POLL_SECONDS = 1.0
WAIT_SECONDS = 300.0
HOPELESS_LOOKS = 5
"""A reason that is seen so often in a row is not a moment's."""

LOG_LINES = 3
ROLLED_OUT = ("StatefulSet", "Deployment")
NEVER_REMOVED = ("Namespace", "Secret", "Pod")

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What applying an object does; no lines where it is as it should be."""

    kind: str
    name: str
    new: bool
    lines: Sequence[str]


def title(each: Mapping[str, object]) -> str:
    metadata = each["metadata"]
    assert isinstance(metadata, dict)
    return f"{each['kind']} {metadata['name']}"


def preview(cluster: Cluster, objects: Sequence[Object], namespace: str) -> list[Change]:
    """What the API server would make of all objects. Raises ClusterError with everything that it refuses.

    In a namespace that is not there yet nothing but new objects can be.
    """
    there = cluster.read("Namespace", namespace, "") is not None
    found, refused = [], []
    for each in objects:
        kind, name = each["kind"], each["metadata"]["name"]
        if not there and kind != "Namespace":
            found.append(Change(kind=kind, name=name, new=True, lines=difference(None, each)))
            continue
        before = cluster.read(kind, name, namespace)
        try:
            lines = difference(before, cluster.apply(each, dry_run=True))
        except ClusterError as error:
            refused.append(str(error))
        else:
            found.append(Change(kind=kind, name=name, new=before is None, lines=lines))
    if refused:
        raise ClusterError(f"nothing was changed: {'; '.join(refused)}")
    return found


def apply(cluster: Cluster, objects: Sequence[Object], namespace: str, say: Say) -> None:
    """Apply all, in their order. Raises ClusterError that says what was applied already."""
    (first, *rest) = objects
    if cluster.read("Namespace", namespace, "") is None:
        cluster.apply(first)
        say(f"{title(first)}: made")
        try:
            preview(cluster, rest, namespace)
        except ClusterError as error:
            raise ClusterError(f"only {title(first)} was made: {error}") from None
    applied = 0
    try:
        for each in objects:
            before = cluster.read(each["kind"], each["metadata"]["name"], namespace)
            after = cluster.apply(each)
            applied += 1
            if difference(before, after):
                say(f"{title(each)}: {'changed' if before else 'made'}")
    except ClusterError as error:
        raise ClusterError(
            f"{error}; {applied} of {len(objects)} objects were applied before, the others are as they were: "
            "`podium deploy` goes on"
        ) from None


# --- until it runs --------------------------------------------------------------------------


def wait(cluster: Cluster, objects: Iterable[Object], namespace: str, say: Say) -> None:
    """Return when every pod is new and ready. Raises ClusterError with the reason where one never will be."""
    waiting = [each for each in objects if each["kind"] in ROLLED_OUT]
    looks = _Looks(cluster, namespace, say)
    give_up = time.monotonic() + WAIT_SECONDS
    while waiting := looks.undone(waiting):
        if time.monotonic() > give_up:
            names = ", ".join(title(each) for each in waiting)
            raise ClusterError(f"not ready within {WAIT_SECONDS:g} s: {names}{_kept()}")
        time.sleep(POLL_SECONDS)


class _Looks:
    """Looks again and again, and tells only what is new."""

    def __init__(self, cluster: Cluster, namespace: str, say: Say) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._say = say
        self._said: dict[str, str] = {}
        self._stuck: dict[str, int] = {}

    def undone(self, owners: Sequence[Object]) -> list[Object]:
        """Those that are not ready yet."""
        pods = self._cluster.listed("Pod", self._namespace, {"app.kubernetes.io/name": "podium"})
        return [each for each in owners if not self._is_done(each, pods)]

    def _is_done(self, each: Object, pods: Sequence[Object]) -> bool:
        name = title(each)
        there = self._cluster.read(each["kind"], each["metadata"]["name"], self._namespace)
        if there is None:
            raise ClusterError(f"{name} is gone: somebody else has deleted it meanwhile")
        if is_done(there):
            self._say(f"{name}: {words(there)}")
            return True
        found = [*refusals(there), *troubles(owned(there, pods))]
        self._tell(name, "; ".join([words(there), *(trouble.reason for trouble in found[:1])]))
        hopeless = next((trouble for trouble in found if trouble.hopeless), None)
        self._stuck[name] = self._stuck.get(name, 0) + 1 if hopeless else 0
        if hopeless and self._stuck[name] >= HOPELESS_LOOKS:
            raise ClusterError(f"{name} does not start: {self._explained(hopeless)}{_kept()}")
        return False

    def _tell(self, name: str, now: str) -> None:
        if now != self._said.get(name):
            self._said[name] = now
            self._say(f"{name}: {now}")

    def _explained(self, trouble: Trouble) -> str:
        if not trouble.crashed:
            return f"{trouble.pod}: {trouble.reason}"
        log = self._cluster.log(trouble.pod, self._namespace, lines=LOG_LINES)
        last = next((line for line in reversed(log) if line.strip()), "nothing")
        return f"{trouble.pod}: {trouble.reason}; its log ends with: {last}"


def _kept() -> str:
    return ". What ran before goes on; the new objects stay, so mend it and `podium deploy` again"


# --- what left ------------------------------------------------------------------------------


def leftovers(
    cluster: Cluster, objects: Iterable[Object], namespace: str, labels: Mapping[str, str]
) -> list[Object]:
    """What Podium made for this endpoint and what is not among these objects."""
    wanted = {(each["kind"], each["metadata"]["name"]) for each in objects}
    mine = {**labels, "app.kubernetes.io/managed-by": MANAGER}
    return [
        {**each, "kind": kind}
        for kind in KINDS
        if kind not in NEVER_REMOVED
        for each in cluster.listed(kind, namespace, mine)
        if (kind, each["metadata"]["name"]) not in wanted
    ]


def age(each: Object, now: float) -> float:
    """Seconds since it was made; `now` is in seconds since the epoch."""
    return now - datetime.fromisoformat(each["metadata"]["creationTimestamp"]).timestamp()


def remove(cluster: Cluster, objects: Iterable[Object], namespace: str, say: Say) -> None:
    for each in objects:
        cluster.delete(each["kind"], each["metadata"]["name"], namespace)
        say(f"{title(each)}: removed")
