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

from podium.cluster import deploying
from podium.cluster.api import Cluster
from podium.cluster.contenders import contender_objects
from podium.cluster.manifests import manifests
from podium.cluster.plan import ClusterPlan, Object
from podium.errors import ClusterError


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


def test_an_image_that_cannot_be_pulled_ends_the_wait_with_the_reason(
    cluster: Cluster, plan: ClusterPlan
) -> None:
    nowhere = replace(plan, settings=replace(plan.settings, images="127.0.0.1:1/nothing"))
    champion = SMALL.run.policy.champion
    namespace, *others = supported(cluster, nowhere)
    (account,) = [e for e in others if deploying.title(e) == "ServiceAccount diabetes-worker"]
    objects = [namespace, account, *contender_objects(nowhere, champion)]
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "diabetes-stream", "namespace": plan.namespace},
        "stringData": {"url": "nats://127.0.0.1:1"},
    }
    deploying.apply(cluster, [objects[0], secret, *objects[1:]], plan.namespace, lambda line: None)
    with pytest.raises(ClusterError, match=r"does not start: .*(ErrImagePull|ImagePullBackOff)"):
        deploying.wait(cluster, objects, plan.namespace, lambda line: None)


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
