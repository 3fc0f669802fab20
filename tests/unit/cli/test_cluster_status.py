"""Pods as the processes that `podium status` shows."""

from __future__ import annotations

from typing import Any

import pytest

from podium.cli.cluster_status import processes_of
from podium.cluster.plan import Object
from podium.node.state import ProcessReport, ProcessState

COMPONENT = "app.kubernetes.io/component"
FOREST = {COMPONENT: "worker", "podium/model": "forest", "podium/version": "0a1b2c3d4e5f"}
RUNNING = {"state": {"running": {}}, "restartCount": 2}
READY = [{"type": "Ready", "status": "True"}]


def pod(name: str, labels: dict[str, str] | None = None, **status: Any) -> Object:
    return {"metadata": {"name": name, "labels": labels or FOREST}, "status": status}


def only(*pods: Object) -> ProcessReport:
    (found,) = processes_of(pods, [])
    return found


def test_a_pod_that_is_ready_runs() -> None:
    found = only(pod("forest-1", conditions=READY, containerStatuses=[RUNNING]))
    assert found == ProcessReport(
        name="worker forest forest-1",
        pid=None,
        state=ProcessState.RUNNING,
        restarts=2,
        rss_mb=None,
        contender="forest@0a1b2c3d4e5f",
    )


def test_a_decoy_has_no_version() -> None:
    labels = {COMPONENT: "worker", "podium/model": "decoy"}
    assert only(pod("decoy-1", labels)).contender == "decoy"


def test_they_are_in_the_order_in_which_a_request_meets_them() -> None:
    components = ("archiver", "worker", "gateway", "stream")
    pods = [pod(f"{component}-1", {COMPONENT: component}) for component in components]
    names = [found.name for found in processes_of(pods, [])]
    assert names == ["broker stream-1", "gateway gateway-1", "worker worker-1", "archiver archiver-1"]


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [
        ({"containerStatuses": [RUNNING]}, ProcessState.STARTING, None),
        ({}, ProcessState.STARTING, None),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "Insufficient cpu"}]},
            ProcessState.STARTING,
            "no node takes it: Insufficient cpu",
        ),
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}}]},
            ProcessState.BACKING_OFF,
            "ErrImagePull: no",
        ),
        (
            {
                "containerStatuses": [
                    {
                        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                        "lastState": {"terminated": {"exitCode": 1}},
                        "restartCount": 4,
                    }
                ]
            },
            ProcessState.CRASH_LOOPING,
            "CrashLoopBackOff: it ended with status 1, 4 times",
        ),
        (
            {
                "conditions": READY,
                "containerStatuses": [
                    {**RUNNING, "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
                ],
            },
            ProcessState.RUNNING,
            "ended with status 137 (OOMKilled)",
        ),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "low on memory"},
            ProcessState.STOPPED,
            "Evicted: low on memory",
        ),
    ],
)
def test_why_a_pod_does_not_run_is_its_reason(
    status: dict[str, Any], state: ProcessState, reason: str | None
) -> None:
    found = only(pod("forest-1", **status))
    assert (found.state, found.reason) == (state, reason)


def test_a_pod_that_was_told_to_go_counts_as_stopped() -> None:
    going = pod("forest-1", conditions=READY, containerStatuses=[RUNNING])
    going["metadata"]["deletionTimestamp"] = "2026-11-24T20:00:00Z"
    assert only(going).state is ProcessState.STOPPED


def test_a_pod_that_may_not_be_made_is_shown_with_the_reason() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: few"}
    owner = {
        "metadata": {"name": "diabetes-forest", "labels": {COMPONENT: "worker"}},
        "spec": {"template": {"metadata": {"labels": FOREST}}},
        "status": {"conditions": [failure]},
    }
    (found,) = processes_of([], [owner])
    assert (found.name, found.state) == ("worker forest diabetes-forest", ProcessState.BACKING_OFF)
    assert found.reason == "no pod can be made: exceeded quota: few"
