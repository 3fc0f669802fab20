"""What Kubernetes says of a rollout, in words."""

from __future__ import annotations

from typing import Any

import pytest

from podium.cluster.differences import difference
from podium.cluster.plan import Object
from podium.cluster.progress import Trouble, is_done, owned, refusals, troubles, words


def deployment(**status: Any) -> Object:
    labels = {"app": "a"}
    return {
        "kind": "Deployment",
        "metadata": {"name": "a", "generation": 2},
        "spec": {"replicas": 3, "selector": {"matchLabels": labels}},
        "status": status,
    }


ALL = {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3}


@pytest.mark.parametrize(
    "other",
    [
        {"observedGeneration": 1},
        {"readyReplicas": 2},
        {"updatedReplicas": 2},
        {"replicas": 4},  # an old one is there still
        {"readyReplicas": None},
    ],
)
def test_a_rollout_is_done_only_when_all_pods_are_new_and_ready(other: dict[str, Any]) -> None:
    assert is_done(deployment(**ALL))
    assert not is_done(deployment(**ALL, **{}) | {"status": {**ALL, **other}})


def test_progress_is_a_few_words() -> None:
    assert words(deployment(**ALL)) == "3 of 3 ready"
    assert words(deployment()) == "0 of 3 ready"


def pod(name: str, **status: Any) -> Object:
    return {"metadata": {"name": name, "labels": {"app": "a"}}, "status": status}


def waits(reason: str, message: str = "") -> dict[str, Any]:
    return {"containerStatuses": [{"state": {"waiting": {"reason": reason, "message": message}}}]}


def test_only_its_own_pods_count() -> None:
    other = {"metadata": {"name": "b", "labels": {"app": "b"}}}
    assert owned(deployment(), [pod("a-1"), other]) == [pod("a-1")]


def test_an_image_that_cannot_be_pulled_is_hopeless() -> None:
    (found,) = troubles([pod("a-1", **waits("ErrImagePull", "not found"))])
    assert found == Trouble(pod="a-1", reason="ErrImagePull: not found", hopeless=True)


def test_a_pod_that_is_being_made_is_no_trouble() -> None:
    assert list(troubles([pod("a-1", **waits("ContainerCreating")), pod("a-2")])) == []


def test_a_pod_that_no_node_takes_may_be_taken_later() -> None:
    condition = {"type": "PodScheduled", "status": "False", "message": "Insufficient cpu"}
    (found,) = troubles([pod("a-1", conditions=[condition])])
    assert found == Trouble(pod="a-1", reason="no node takes it: Insufficient cpu", hopeless=False)


def test_a_crash_is_told_with_its_status() -> None:
    container = {
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 1}},
        "restartCount": 4,
    }
    (found,) = troubles([pod("a-1", containerStatuses=[container])])
    assert found.crashed
    assert found.reason == "CrashLoopBackOff: it ended with status 1, 4 times"


def test_a_difference_leaves_out_what_the_server_writes_by_itself() -> None:
    before = deployment(**ALL)
    before["metadata"] |= {"resourceVersion": "1", "uid": "x", "managedFields": []}
    after = deployment()
    after["metadata"] |= {"resourceVersion": "2"}
    assert difference(before, after) == []
    after["spec"]["replicas"] = 4
    assert [line for line in difference(before, after) if line[:2] in ("- ", "+ ")] == [
        "-  replicas: 3",
        "+  replicas: 4",
    ]


def test_a_quota_that_is_used_up_is_hopeless() -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: few"}
    (found,) = refusals(deployment(conditions=[condition]))
    assert found == Trouble(pod="a", reason="no pod can be made: exceeded quota: few", hopeless=True)
    assert list(refusals(deployment(conditions=[{**condition, "status": "False"}]))) == []
