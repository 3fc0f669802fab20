"""What an endpoint on a cluster is doing: its pods as processes, and what they have counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from podium.archive.drift_report import DriftReport
from podium.cli.cluster_pods import gateway_to_ask, kept, name_of, reports
from podium.cli.clusters import plan_here
from podium.cli.endpoints import check_endpoint
from podium.cli.run_report import PodReport
from podium.cluster import archiver, contenders, gateway, progress, stream
from podium.cluster.api import Cluster
from podium.cluster.plan import SETTINGS_FILE, Object
from podium.counters import Counts, added
from podium.errors import ClusterError, NotRunning
from podium.failures import Failure
from podium.node.state import EndpointState, ProcessReport, ProcessState
from podium.project import Project
from podium.records import Policy
from podium.run import Run

COMPONENT = "app.kubernetes.io/component"
KINDS = {
    stream.COMPONENT: "broker",
    gateway.COMPONENT: "gateway",
    contenders.COMPONENT: "worker",
    archiver.COMPONENT: "archiver",
}
"""What processes are called, by the component of their pods; in the order in which a request meets them."""


class Seen(NamedTuple):
    """`failures` are what contenders last failed with; `uncounted` says whose counts are missing, and why."""

    run: Run
    state: EndpointState
    counts: Counts
    drift: DriftReport
    failures: Mapping[str, Failure]
    uncounted: tuple[str, ...]


class ClusterView:
    """An endpoint that `podium deploy` runs, to be looked at. `with` holds the connection."""

    def __init__(self, project: Project, endpoint: str | None, context: str) -> None:
        check_endpoint(endpoint, project.name)
        self._plan = plan_here(project)
        self._cluster = Cluster(context)
        self.name = self._cluster.name

    def __enter__(self) -> ClusterView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cluster.close()

    def look(self) -> Seen:
        """What is there now. Raises NotRunning where nothing was deployed, ClusterError."""
        plan = self._plan
        pods = self._listed("Pod")
        policy, without = self._policy()
        processes = tuple(processes_of(pods, [*self._listed("StatefulSet"), *self._listed("Deployment")]))
        there = {name for name in KINDS.values() if _runs(processes, name)}
        counting = [pod for pod in pods if _component(pod) != stream.COMPONENT]
        said = reports(self._cluster, plan, [name_of(pod) for pod in counting if progress.is_running(pod)])
        found = [each for each in said.values() if isinstance(each, PodReport)]
        return Seen(
            run=replace(plan.run, policy=policy),
            state=EndpointState(
                endpoint=plan.run.endpoint,
                url=f"http://{plan.settings.host or f'{plan.name}-gateway.{plan.namespace}'}",
                ready={"gateway", *(["broker"] if plan.own_stream else [])} <= there,
                processes=processes,
            ),
            counts=added(report.counts for report in found),
            drift=next((report.drift for report in found if report.drift.contenders), DriftReport()),
            failures=_newest(report.failures for report in found),
            uncounted=(
                *without,
                *(f"{pod}: {error}" for pod, error in said.items() if not isinstance(error, PodReport)),
            ),
        )

    def _listed(self, kind: str) -> list[Object]:
        return self._cluster.listed(kind, self._plan.namespace, self._plan.labels())

    def _policy(self) -> tuple[Policy, tuple[str, ...]]:
        """The live one; where no gateway can say it, the one that was deployed, and why it is that."""
        why = "no gateway runs that could be asked"
        if asked := gateway_to_ask(self._cluster, self._plan):
            try:
                found = kept(self._cluster, self._plan, asked)
            except ClusterError as error:
                why = f"no gateway can say which policy is live ({error})"
            else:
                if found:
                    return found[-1], ()
                why = "there is no policy yet"
        deployed = self._cluster.read("ConfigMap", f"{self._plan.name}-settings", self._plan.namespace)
        if deployed is None:
            raise NotRunning(
                f"nothing of {self._plan.run.endpoint!r} is in namespace {self._plan.namespace} of "
                f"{self.name}; `podium deploy` brings it up"
            )
        told = msgspec.json.decode(deployed["data"][SETTINGS_FILE], type=_Deployed)
        return told.policy, (f"{why}: contenders are those of the last deploy",)


class _Deployed(msgspec.Struct):
    """What is read of the settings that pods are given."""

    policy: Policy


# --- from objects to processes, pure ----------------------------------------------------------


def processes_of(pods: Sequence[Object], owners: Sequence[Object]) -> Iterator[ProcessReport]:
    """A process for each pod, and one for each of `owners` for which the API server makes no pod."""
    for component in KINDS:
        for pod in sorted(pods, key=name_of):
            if _component(pod) == component:
                yield _process(pod)
        for owner in owners:
            for trouble in progress.refusals(owner):
                if _component(owner) == component:
                    labels = owner["spec"]["template"]["metadata"]["labels"]
                    yield _report(trouble.pod, labels, ProcessState.BACKING_OFF, trouble.reason)


def _process(pod: Object) -> ProcessReport:
    labels = pod["metadata"]["labels"]
    trouble = next(progress.troubles([pod]), None)
    reason = trouble.reason if trouble else progress.last_end(pod)
    return _report(name_of(pod), labels, _state(pod, trouble), reason, restarts=progress.restarts(pod))


def _report(
    pod: str, labels: Object, state: ProcessState, reason: str | None, *, restarts: int = 0
) -> ProcessReport:
    model, version = labels.get("podium/model", ""), labels.get("podium/version", "")
    words = (KINDS[labels[COMPONENT]], model, pod)
    return ProcessReport(
        name=" ".join(word for word in words if word),
        pid=None,
        state=state,
        restarts=restarts,
        rss_mb=None,
        reason=reason,
        contender=f"{model}@{version}" if version else model,
    )


def _state(pod: Object, trouble: progress.Trouble | None) -> ProcessState:
    if progress.is_leaving(pod) or progress.is_over(pod):
        return ProcessState.STOPPED
    if trouble is not None and trouble.hopeless:
        return ProcessState.CRASH_LOOPING if trouble.crashed else ProcessState.BACKING_OFF
    if progress.is_ready(pod):
        return ProcessState.RUNNING
    return ProcessState.STARTING


def _newest(parts: Iterable[Mapping[str, Failure]]) -> dict[str, Failure]:
    """A contender may have several pods."""
    every = sorted((item for part in parts for item in part.items()), key=lambda item: item[1].at)
    return dict(every)


def _component(each: Object) -> str:
    return str(each["metadata"]["labels"].get(COMPONENT, ""))


def _runs(processes: Sequence[ProcessReport], name: str) -> bool:
    return any(p.state is ProcessState.RUNNING and p.name.startswith(f"{name} ") for p in processes)
