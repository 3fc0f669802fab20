"""What an endpoint becomes under Docker Compose: as reviewed, by its specification, and safe."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import PurePosixPath
from typing import Any

import jsonschema
import pytest
import yaml as pyyaml
from tests.unit.docker.plans import ELSEWHERE, OWN, PLANS, SNAPSHOTS, rendered

from podium.docker.compose import STOP_SECONDS, document, needed
from podium.docker.files import COMPOSE, files
from podium.docker.plan import DockerPlan, worker
from podium.environment import KNOWN, check_names
from podium.node.plan import GRACE

SPECIFICATION = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
every_plan = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)


def read(plan: DockerPlan) -> dict[str, Any]:
    found: dict[str, Any] = pyyaml.safe_load(files(plan)[COMPOSE])
    return found


def services(plan: DockerPlan) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from read(plan)["services"].items()


@pytest.mark.parametrize("name", PLANS)
def test_the_files_are_those_that_were_reviewed(name: str) -> None:
    there = {
        path.relative_to(SNAPSHOTS).as_posix(): path.read_text()
        for path in (SNAPSHOTS / name).rglob("*")
        if path.is_file()
    }
    assert rendered(name) == there, (
        "`python -m tests.unit.docker.plans` writes them anew; then read the difference"
    )


@every_plan
def test_the_compose_file_fits_the_specification(plan: DockerPlan) -> None:
    jsonschema.validate(read(plan), json.loads(SPECIFICATION.read_text()))
    assert read(plan) == document(plan)


def test_a_key_that_compose_does_not_have_would_be_found() -> None:
    wrong = read(OWN)
    wrong["services"]["gateway"]["imagee"] = "x"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, json.loads(SPECIFICATION.read_text()))


# --- who may do what ------------------------------------------------------------------------


@every_plan
def test_nobody_is_root_or_writes_but_in_memory_and_volumes(plan: DockerPlan) -> None:
    for _, service in services(plan):
        assert service["user"] == "10001:10001"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        mounted = service.get("volumes", [])
        assert [each for each in mounted if each["type"] == "bind" and not each["read_only"]] == []


@every_plan
def test_no_secret_and_no_path_of_this_machine_is_written_down(plan: DockerPlan) -> None:
    written = b"".join(files(plan).values())
    assert b"digest-of-a-key" not in written
    assert b"/home/somebody" not in written


@every_plan
def test_all_that_is_named_is_there(plan: DockerPlan) -> None:
    there, written = read(plan), files(plan)
    stages = set(re.findall(r"^FROM .* AS (.*)$", written["images/Dockerfile"].decode(), re.M))
    built = {
        service["image"]: service["build"]["target"] for _, service in services(plan) if "build" in service
    }
    assert stages == set(built.values())
    for _, service in services(plan):
        assert service["image"] in built
        assert set(service["networks"]) <= there["networks"].keys()
        assert set(service["secrets"]) <= there["secrets"].keys()
        for each in service.get("volumes", []):
            known = there.get("volumes", {}) if each["type"] == "volume" else {f"./{p}" for p in written}
            assert each["source"] in known
    made = {each["file"] for each in there["secrets"].values()}
    made |= {file for _, service in services(plan) for file in service.get("env_file", [])}
    assert made == {f"./{path}" for path in needed(plan)}


@every_plan
def test_processes_are_told_only_what_they_know(plan: DockerPlan) -> None:
    for _, service in services(plan):
        told = service.get("environment", {})
        check_names(told)
        assert told.keys() <= set(KNOWN)
        files_told = {PurePosixPath(told[name]).name for name in told if name.endswith("_FILE")}
        assert files_told <= set(service["secrets"])


@every_plan
def test_everybody_has_the_time_to_stop_that_the_drain_takes(plan: DockerPlan) -> None:
    assert max(GRACE.values()) < STOP_SECONDS
    assert {service["stop_grace_period"] for _, service in services(plan)} == {f"{STOP_SECONDS}s"}


def test_only_what_has_to_go_out_can() -> None:
    assert read(OWN)["networks"]["inside"] == {"internal": True}
    assert [name for name, service in services(OWN) if "outside" in service["networks"]] == ["gateway"]
    open_own = read(replace(OWN, outbound=frozenset({"forest"})))["services"]
    assert [name for name, each in open_own.items() if "outside" in each["networks"]] == [
        "gateway",
        "worker-forest",
    ]


# --- what is there --------------------------------------------------------------------------


def test_each_contender_is_a_service_with_its_own_image() -> None:
    there = read(ELSEWHERE)["services"]
    assert list(there) == ["gateway", "worker-linear", "worker-forest", "worker-decoy", "archiver"]
    assert there["worker-forest"]["image"] == "registry.example/diabetes/forest:0a1b2c3d4e5f"
    assert there["worker-forest"]["deploy"] == {"replicas": 2}
    assert there["worker-decoy"]["image"] == there["gateway"]["image"]
    assert "nats" in read(OWN)["services"]


def test_clients_come_in_on_this_machine_alone_unless_it_is_said() -> None:
    assert read(OWN)["services"]["gateway"]["ports"] == [
        "${PODIUM_HOST:-127.0.0.1}:${PODIUM_PORT:-8080}:8080"
    ]


def test_names_that_differ_by_case_alone_stay_different() -> None:
    assert len({worker("linear"), worker("Linear"), worker("LINEAR")}) == 3
    assert worker("Linear") == worker("Linear").lower()
