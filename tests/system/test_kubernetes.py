"""`podium deploy` against a real API server, scheduler and kubelet: what is refused, said and left.

Collected only where `PODIUM_KUBERNETES` names the kubeconfig of a cluster that the tests may use
(`tests/kubernetes` builds and starts one).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.unit.cluster.plans import LARGE, SMALL

from podium.cli.cluster_status import processes_of
from podium.cluster import deploying
from podium.cluster.api import KINDS, Cluster, Kind
from podium.cluster.contenders import contender_objects
from podium.cluster.manifests import manifests
from podium.cluster.plan import ClusterPlan, Object
from podium.errors import ClusterError
from podium.node.state import ProcessState


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("KUBECONFIG", os.environ["PODIUM_KUBERNETES"])
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def plan(cluster: Cluster) -> Iterator[ClusterPlan]:
    """A namespace of its own, which goes with the test."""
    namespace = f"podium-{secrets.token_hex(4)}"
    yield replace(SMALL, settings=replace(SMALL.settings, namespace=namespace))
    if cluster.read("Namespace", namespace, "") is not None:
        cluster.delete("Namespace", namespace, "")


def supported(cluster: Cluster, plan: ClusterPlan) -> list[Object]:
    """The objects of kinds that this cluster has; an old one lacks some."""
    objects = [each for file in manifests(plan).values() for each in file]
    return [each for each in objects if each["kind"] != "PodDisruptionBudget"]


def apply_all(cluster: Cluster, plan: ClusterPlan) -> list[str]:
    said: list[str] = []
    deploying.apply(cluster, supported(cluster, plan), plan.namespace, said.append)
    return said


def test_what_is_applied_twice_changes_nothing_the_second_time(cluster: Cluster, plan: ClusterPlan) -> None:
    first = apply_all(cluster, plan)
    assert f"Namespace {plan.namespace}: made" in first
    assert "Deployment diabetes-gateway: made" in first
    assert apply_all(cluster, plan) == []


def test_a_preview_shows_the_difference_and_changes_nothing(cluster: Cluster, plan: ClusterPlan) -> None:
    apply_all(cluster, plan)
    wider = replace(plan, settings=replace(plan.settings, memory="1Gi"))
    for _ in range(2):
        changes = deploying.preview(cluster, supported(cluster, wider), plan.namespace)
        found = {change.name: change.lines for change in changes if change.lines}
        assert set(found) == {
            "diabetes-linear-9f2c1ab04d5e",
            "diabetes-forest-0a1b2c3d4e5f",
            "diabetes-decoy",
        }
        assert any(line.startswith("+") and '"1Gi"' in line for line in found["diabetes-decoy"])


def test_what_the_server_refuses_is_said_and_nothing_is_changed(cluster: Cluster, plan: ClusterPlan) -> None:
    apply_all(cluster, plan)
    wrong = supported(cluster, plan)
    (service,) = [each for each in wrong if each["kind"] == "Service"]
    service["spec"]["ports"][0]["port"] = 123456
    with pytest.raises(ClusterError, match=r"nothing was changed: Service diabetes-gateway: .*65535"):
        deploying.preview(cluster, wrong, plan.namespace)


def test_an_extension_that_the_cluster_lacks_is_named_with_the_way_round(
    cluster: Cluster, plan: ClusterPlan
) -> None:
    if cluster.listed("Pod", "keda", {}) or cluster.listed("Pod", "envoy-gateway-system", {}):
        pytest.skip("this cluster has the extensions")
    apply_all(cluster, plan)
    large = replace(LARGE, settings=replace(LARGE.settings, namespace=plan.namespace))
    objects = [each for file in manifests(large).values() for each in file]
    with pytest.raises(ClusterError) as error:
        deploying.preview(cluster, objects, plan.namespace)
    assert 'KEDA: install it, or say `scale = "cpu"`' in str(error.value)
    assert 'the Gateway API: install it, or say `route = "ingress"`' in str(error.value)
    assert "cert-manager: install it, or leave `issuer` out" in str(error.value)


def apply_champion(cluster: Cluster, plan: ClusterPlan, *more: Object) -> list[Object]:
    """Its Deployment, of an image that is nowhere, with what that needs; `more` comes before it."""
    nowhere = replace(plan, settings=replace(plan.settings, images="127.0.0.1:1/nothing"))
    champion = SMALL.run.policy.champion
    namespace, *others = supported(cluster, nowhere)
    (account,) = [e for e in others if deploying.title(e) == "ServiceAccount diabetes-worker"]
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "diabetes-stream", "namespace": plan.namespace},
        "stringData": {"url": "nats://127.0.0.1:1"},
    }
    objects = [namespace, account, secret, *more, *contender_objects(nowhere, champion)]
    deploying.apply(cluster, objects, plan.namespace, lambda line: None)
    return objects


def test_an_image_that_cannot_be_pulled_ends_the_wait_with_the_reason(
    cluster: Cluster, plan: ClusterPlan
) -> None:
    objects = apply_champion(cluster, plan)
    with pytest.raises(ClusterError, match=r"does not start: .*(ErrImagePull|ImagePullBackOff)"):
        deploying.wait(cluster, objects, plan.namespace, lambda line: None)
    (pod,) = cluster.listed("Pod", plan.namespace, plan.labels())
    (process,) = processes_of([pod], [])
    assert process.name == f"worker linear {pod['metadata']['name']}"
    assert process.state is ProcessState.BACKING_OFF
    assert "127.0.0.1:1/nothing" in str(process.reason)
    assert cluster.log(pod["metadata"]["name"], plan.namespace, lines=5) == []
    with pytest.raises(ClusterError, match=r"a command in diabetes-linear-.*") as refused:
        cluster.run(pod["metadata"]["name"], plan.namespace, ["true"])
    assert "\n" not in str(refused.value)


def test_a_quota_that_is_used_up_ends_the_wait_with_the_reason(
    cluster: Cluster, plan: ClusterPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "ResourceQuota", Kind("", "v1", "resourcequotas"))
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few", "namespace": plan.namespace},
        "spec": {"hard": {"pods": "0"}},
    }
    objects = apply_champion(cluster, plan, quota)
    with pytest.raises(ClusterError, match=r"does not start: .*no pod can be made: .*exceeded quota: few"):
        deploying.wait(cluster, objects, plan.namespace, lambda line: None)
    owners = cluster.listed("Deployment", plan.namespace, plan.labels())
    (process,) = processes_of([], owners)
    assert "exceeded quota: few" in str(process.reason)


def test_what_left_is_found_and_removed(cluster: Cluster, plan: ClusterPlan) -> None:
    apply_all(cluster, plan)
    fewer = [each for each in supported(cluster, plan) if each["metadata"]["name"] != "diabetes-decoy"]
    left = deploying.leftovers(cluster, fewer, plan.namespace, plan.labels())
    assert [deploying.title(each) for each in left] == ["Deployment diabetes-decoy"]
    deploying.remove(cluster, left, plan.namespace, lambda line: None)
    assert cluster.read("Deployment", "diabetes-decoy", plan.namespace) is None


def test_a_wrong_context_is_named_with_those_that_there_are(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="no context 'nowhere'; there are "):
        Cluster("nowhere")
