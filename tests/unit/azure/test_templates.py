"""What is rendered for Azure: known to its last letter, parsed, linted, and without secrets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import hcl2
import pytest
from pycep import BicepParser

from podium.azure.templates import render
from podium.cluster.plan import NAME_LENGTH

SNAPSHOTS = Path(__file__).with_name("snapshots")
FILES = render("Wine_Cellar", name="wine-cellar-1f", namespace="cellar", location="northeurope")
BICEP = [name for name in FILES if name.endswith(".bicep")]
TERRAFORM = [name for name in FILES if name.endswith(".tf")]
RESOURCES = "bicep/resources.bicep"
MADE = {
    "azurerm_resource_group": "Microsoft.Resources/resourceGroups",
    "azurerm_container_registry": "Microsoft.ContainerRegistry/registries",
    "azurerm_kubernetes_cluster": "Microsoft.ContainerService/managedClusters",
    "azurerm_role_assignment": "Microsoft.Authorization/roleAssignments",
    "azurerm_servicebus_namespace": "Microsoft.ServiceBus/namespaces",
    "azurerm_servicebus_topic": "Microsoft.ServiceBus/namespaces/topics",
    "azurerm_storage_account": "Microsoft.Storage/storageAccounts",
    "azurerm_storage_container": "Microsoft.Storage/storageAccounts/blobServices/containers",
    "azurerm_user_assigned_identity": "Microsoft.ManagedIdentity/userAssignedIdentities",
    "azurerm_federated_identity_credential": (
        "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials"
    ),
}


def parsed(name: str) -> dict[str, Any]:
    found: dict[str, Any] = BicepParser().parse(text=FILES[name])
    return found


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_is_as_it_was_reviewed(name: str) -> None:
    kept = SNAPSHOTS / name
    assert FILES[name] == kept.read_text(), f"review the change, then write it to {kept}"


@pytest.mark.parametrize("name", BICEP)
def test_bicep_parses(name: str) -> None:
    assert parsed(name)["resources"]


@pytest.mark.parametrize("name", TERRAFORM)
def test_terraform_parses(name: str) -> None:
    assert hcl2.loads(FILES[name])


def test_both_make_the_same_kinds_of_resources() -> None:
    text = "".join(FILES[name] for name in BICEP)
    bicep = set(re.findall(r"^resource \w+ '([^@]+)@", text, re.M))
    terraform = set(re.findall(r'^resource "(\w+)"', FILES["terraform/main.tf"], re.M))
    assert {MADE[kind] for kind in terraform} <= bicep
    assert bicep - {MADE[kind] for kind in terraform} == {"Microsoft.Storage/storageAccounts/blobServices"}


def test_the_module_gets_every_parameter_that_it_has() -> None:
    given = parsed("bicep/main.bicep")["modules"]["resources"]["config"]["params"]
    assert set(given) == set(parsed(RESOURCES)["parameters"])


def test_every_output_that_is_passed_on_is_there() -> None:
    passed = set(re.findall(r"resources\.outputs\.(\w+)", FILES["bicep/main.bicep"]))
    assert passed == set(parsed(RESOURCES)["outputs"])


@pytest.mark.parametrize("name", [*BICEP, *TERRAFORM])
def test_every_variable_that_is_used_is_declared_and_the_other_way_round(name: str) -> None:
    if name in BICEP:
        for parameter in parsed(name)["parameters"]:
            assert len(re.findall(rf"\b{parameter}\b", FILES[name])) > 1, parameter
        return
    whole = "".join(FILES[each] for each in TERRAFORM)
    declared = set(re.findall(r'^variable "(\w+)"', whole, re.M))
    assert declared == set(re.findall(r"\bvar\.(\w+)", whole))


def test_no_file_makes_or_shows_a_secret() -> None:
    for name, content in FILES.items():
        assert not re.search(r"listKeys|connection_string|primary_.*key|password\s*=", content), name
    text = FILES[RESOURCES]
    assert "disableLocalAuth: true" in text
    assert "allowSharedKeyAccess: false" in text
    assert "adminUserEnabled: false" in text


def test_names_are_the_endpoint_s_and_no_mark_is_left() -> None:
    whole = "".join(FILES.values())
    assert not re.search(r"@[a-z]+@", whole)
    assert "podium-wine-cellar-1f" in whole
    assert "param kubernetesNamespace string = 'cellar'" in FILES["bicep/main.bicep"]
    assert 'default     = "cellar"' in FILES["terraform/variables.tf"]
    assert "topicName = 'podium-Wine_Cellar'" in FILES[RESOURCES]
    assert 'topic = "podium-Wine_Cellar"' in FILES["terraform/main.tf"]
    assert "northeurope" in FILES["terraform/variables.tf"]


def test_names_are_short_enough_and_of_letters_that_azure_takes() -> None:
    """With the longest name of an endpoint on a cluster, and the longest suffix."""
    name = "n" * NAME_LENGTH
    text = render("e", name=name, namespace=name)[RESOURCES].replace("${suffix}", "s" * 8)
    names = dict(re.findall(r"^resource (\w+) '[^\n]*\n(?:  parent: \w+\n)?  name: '?([^'\n]+)", text, re.M))
    names |= dict(re.findall(r"^var (\w+Name) = '([^']+)'", text, re.M))
    (prefix,) = re.findall(r"dnsPrefix: '([^']+)'", text)
    assert re.fullmatch(r"[a-zA-Z0-9]{5,50}", names["registryName"])
    assert re.fullmatch(r"[a-z0-9]{3,24}", names["storageName"])
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9-]{4,48}[a-zA-Z0-9]", names["namespace"])
    assert re.fullmatch(r"[a-zA-Z0-9][\w-]{0,61}[a-zA-Z0-9]", names["cluster"])
    assert re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9-]{0,52}[a-zA-Z0-9]", prefix)
    assert re.fullmatch(r"[a-zA-Z0-9][\w-]{2,127}", names["identity"])
