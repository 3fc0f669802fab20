"""What an endpoint becomes on Kubernetes: as reviewed, valid for several versions, and safe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml as pyyaml
from msgspec.structs import replace as changed
from tests.unit.cluster.plans import DECOY, FOREST, LARGE, LINEAR, PLANS, RUN, SMALL, SNAPSHOTS, rendered

from podium.cluster import stream
from podium.cluster.manifests import manifests
from podium.cluster.plan import ClusterPlan, Object, dns_name
from podium.records import Policy
from podium.run import Limits

VERSIONS = ("1.29", "1.33", "1.36")
OTHERS = {"HTTPRoute", "ScaledObject", "Certificate"}
"""Kinds of other projects."""

SCHEMAS = Path(__file__).parent / "schemas"
"""Of their definitions (Gateway API, KEDA, cert-manager; all Apache-2.0), without the descriptions."""


def objects(plan: ClusterPlan) -> list[Object]:
    return [each for file in manifests(plan).values() for each in file]


def kinds(plan: ClusterPlan) -> set[str]:
    return {each["kind"] for each in objects(plan)}


def named(plan: ClusterPlan, kind: str, name: str) -> Object:
    (found,) = [o for o in objects(plan) if o["kind"] == kind and o["metadata"]["name"] == name]
    return found


def pod_specs(plan: ClusterPlan) -> Iterator[Object]:
    for each in objects(plan):
        if "template" in each.get("spec", {}):
            yield each["spec"]["template"]["spec"]


@pytest.mark.parametrize("name", PLANS)
def test_the_objects_are_those_that_were_reviewed(name: str) -> None:
    files = rendered(name)
    there = {p.relative_to(SNAPSHOTS).as_posix(): p.read_text() for p in (SNAPSHOTS / name).iterdir()}
    assert files == there, "`python -m tests.unit.cluster.plans` writes them anew; then read the difference"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", PLANS)
def test_every_object_is_valid_in_several_versions_of_kubernetes(name: str, version: str) -> None:
    for content in rendered(name).values():
        for each in pyyaml.safe_load_all(content):
            if each["kind"] not in OTHERS:
                kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("kind", sorted(OTHERS))
def test_objects_of_other_projects_fit_their_schemas(kind: str) -> None:
    schema = json.loads((SCHEMAS / f"{kind}.json").read_text())
    found = [each for each in objects(LARGE) if each["kind"] == kind]
    assert found
    for each in found:
        jsonschema.validate(each, schema)


def test_a_field_that_kubernetes_does_not_have_would_be_found() -> None:
    wrong = json.loads(json.dumps(named(SMALL, "Deployment", "diabetes-gateway")))
    wrong["spec"]["template"]["spec"]["containers"][0]["imagee"] = "x"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


# --- who may do what ------------------------------------------------------------------------


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_every_pod_keeps_to_the_restricted_standard_and_has_no_token(plan: ClusterPlan) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    specs = list(pod_specs(plan))
    assert len(specs) >= 5
    for spec in specs:
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        assert {next(iter(set(v) - {"name"})) for v in spec["volumes"]} <= {"emptyDir", "secret", "configMap"}
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert "limits" in container["resources"]


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_no_secret_is_written_down(plan: ClusterPlan) -> None:
    assert "Secret" not in kinds(plan)
    assert "digest-of-a-key" not in json.dumps(objects(plan))
    assert "/home/somebody" not in json.dumps(objects(plan))


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_every_account_and_volume_that_is_named_is_there(plan: ClusterPlan) -> None:
    there = {(each["kind"], each["metadata"]["name"]) for each in objects(plan)}
    for spec in pod_specs(plan):
        assert ("ServiceAccount", spec["serviceAccountName"]) in there
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        claims = {"data"}
        for container in spec["containers"]:
            assert {m["name"] for m in container["volumeMounts"]} <= volumes.keys() | claims
        for volume in volumes.values():
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in there


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_every_selector_selects_the_pods_of_one_owner(plan: ClusterPlan) -> None:
    owners = [each for each in objects(plan) if "template" in each.get("spec", {})]
    for owner in owners:
        wanted = owner["spec"]["selector"]["matchLabels"].items()
        labels = [other["spec"]["template"]["metadata"]["labels"] for other in owners]
        assert sum(wanted <= found.items() for found in labels) == 1


def test_only_a_model_with_a_server_elsewhere_may_go_out() -> None:
    open_to = [
        each["spec"]["podSelector"]["matchLabels"].get("podium/model")
        for each in objects(LARGE)
        if each["kind"] == "NetworkPolicy" and {} in each["spec"]["egress"]
    ]
    assert open_to == [None, "forest"]  # the archiver's tables may be anywhere


# --- what is there --------------------------------------------------------------------------


def test_each_contender_is_a_deployment_with_its_own_image() -> None:
    found = named(LARGE, "Deployment", "diabetes-forest-0a1b2c3d4e5f")
    (container,) = found["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/diabetes/forest:0a1b2c3d4e5f"
    assert container["args"] == ["run", "worker", "forest@0a1b2c3d4e5f"]
    env = {each["name"]: each.get("value") for each in container["env"]}
    assert env["PODIUM_ENDPOINT"] == "diabetes"
    assert env["PODIUM_THREADS"] == "2"
    assert named(LARGE, "Deployment", "diabetes-decoy")


def test_what_is_scaled_says_no_number_of_its_own() -> None:
    assert "replicas" not in named(LARGE, "Deployment", "diabetes-linear-9f2c1ab04d5e")["spec"]
    assert named(LARGE, "Deployment", "diabetes-decoy")["spec"]["replicas"] == 1
    assert named(SMALL, "Deployment", "diabetes-forest-0a1b2c3d4e5f")["spec"]["replicas"] == 2
    scaled = named(LARGE, "ScaledObject", "diabetes-forest-0a1b2c3d4e5f")["spec"]
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (2, 10)


def test_little_is_asked_of_a_cluster_without_anything_installed() -> None:
    assert kinds(SMALL) == {"Namespace", "NetworkPolicy", "ConfigMap", "ServiceAccount", "Deployment",
                            "PodDisruptionBudget", "Service"}  # fmt: skip


def test_a_route_is_one_of_the_gateway_api_or_an_ingress() -> None:
    ingress = replace(LARGE, settings=replace(LARGE.settings, route="ingress", route_class="nginx"))
    assert "HTTPRoute" in kinds(LARGE)
    assert "Ingress" in kinds(ingress)
    assert "HTTPRoute" not in kinds(ingress)


def test_the_stream_is_three_servers_that_all_know_each_other() -> None:
    config = named(LARGE, "ConfigMap", "diabetes-nats")["data"]["nats.conf"]
    assert named(LARGE, "StatefulSet", "diabetes-nats")["spec"]["replicas"] == 3
    for number in range(3):
        assert f"tls://diabetes-nats-{number}.diabetes-nats:6222" in config
    url = stream.url(LARGE, "pw")
    assert url.startswith("tls://podium:pw@diabetes-nats.scoring.svc:4222?")
    assert "diabetes-nats.scoring.svc" in stream.certificate_names(LARGE)


def test_a_worker_may_compute_for_its_timeout_before_the_stream_gives_it_up() -> None:
    assert stream.liveliness(patience=5.0) == 'ping_interval: "2s", ping_max: 3'
    assert stream.liveliness(patience=60.0) == 'ping_interval: "2s", ping_max: 30'


def test_pods_are_replaced_for_new_settings_and_not_for_a_new_policy() -> None:
    policy: Policy = changed(RUN.policy, revision=2, contenders=(FOREST, LINEAR, DECOY))
    other_policy = replace(SMALL, run=changed(RUN, policy=policy))
    other_limits = replace(SMALL, run=changed(RUN, limits=Limits(in_flight=7)))
    assert other_policy.settings_digest() == SMALL.settings_digest()
    assert other_limits.settings_digest() != SMALL.settings_digest()


def test_names_are_such_as_kubernetes_takes_and_stay_different() -> None:
    names = [dns_name("Diabetes", "a_b"), dns_name("diabetes", "a-b"), dns_name("diabetes", "a" * 80)]
    assert len(set(names)) == 3
    for name in names:
        assert len(name) <= 52
        assert name == name.lower()
        assert name.replace("-", "").isalnum()


def test_clients_are_let_in_from_everywhere_and_the_stream_from_the_endpoint_alone() -> None:
    gateway: Any = named(LARGE, "NetworkPolicy", "diabetes-gateway")["spec"]["ingress"]
    nats: Any = named(LARGE, "NetworkPolicy", "diabetes-stream")["spec"]["ingress"]
    assert gateway == [{"ports": [{"protocol": "TCP", "port": 8080}]}]
    assert nats[0]["from"] == [{"podSelector": {"matchLabels": LARGE.labels()}}]


def test_an_identity_on_azure_is_said_of_accounts_and_pods_but_of_no_selector() -> None:
    plain = changed_settings(SMALL, azure_identity="")
    marked = changed_settings(SMALL, azure_identity=LARGE.settings.azure_identity)
    for component in ("gateway", "worker", "archiver"):
        account = named(marked, "ServiceAccount", f"{marked.name}-{component}")
        assert account["metadata"]["annotations"] == {
            "azure.workload.identity/client-id": LARGE.settings.azure_identity
        }
    deployments = [each for each in objects(marked) if each["kind"] == "Deployment"]
    for each in deployments:
        assert each["spec"]["template"]["metadata"]["labels"]["azure.workload.identity/use"] == "true"
        before = named(plain, "Deployment", each["metadata"]["name"])
        assert each["spec"]["selector"] == before["spec"]["selector"]
        assert before["spec"]["template"]["metadata"]["labels"] == each["spec"]["selector"]["matchLabels"]
    nats = named(LARGE, "StatefulSet", f"{LARGE.name}-nats")
    assert "azure.workload.identity/use" not in nats["spec"]["template"]["metadata"]["labels"]


def changed_settings(plan: ClusterPlan, **settings: Any) -> ClusterPlan:
    return replace(plan, settings=replace(plan.settings, **settings))
