"""The Dockerfile: a stage for each image, of what lies beside it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from tests.unit.docker.plans import ELSEWHERE, GATEWAY, OWN, PLANS

from podium.docker.dockerfile import context, dockerfile, requirements
from podium.docker.plan import DockerPlan
from podium.docker.stream import config


def stages(plan: DockerPlan) -> dict[str, str]:
    found = re.findall(r"^FROM (\S+) AS (\S+)\n(.*?)(?=^FROM |\Z)", dockerfile(plan), re.M | re.S)
    return {name: f"{base}\n{text}" for base, name, text in found}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_every_file_that_is_copied_is_there_and_the_other_way_round(plan: DockerPlan) -> None:
    copied = {source.rstrip("/") for source in re.findall(r"^COPY (\S+) ", dockerfile(plan), re.M)}
    there = {*context(plan), "program"}
    assert {each for each in copied if not any(path.startswith(each) for path in there)} == set()
    assert {path for path in there if not any(path.startswith(each) for each in copied)} == set()


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_no_stage_ends_as_root(plan: DockerPlan) -> None:
    for text in stages(plan).values():
        assert re.findall(r"^USER (.*)$", text, re.M)[-1] == "10001:10001"


def test_a_model_stands_on_its_own_base() -> None:
    assert stages(OWN)["worker-forest"].startswith("docker.io/library/python:3.11-slim\n")
    assert stages(ELSEWHERE)["worker-forest"].startswith("registry.example/bases/perl:1@sha256:")
    assert "stream" not in stages(ELSEWHERE)


def test_every_library_is_pinned_to_its_wheel_for_every_platform() -> None:
    assert requirements(OWN.workers["linear"]) == (
        f"numpy==2.3.5 \\\n    --hash=sha256:{'1' * 64} \\\n    --hash=sha256:{'2' * 64}\n"
    )


def test_what_a_builder_would_read_otherwise_is_quoted() -> None:
    plan = replace(GATEWAY.plan, labels={"a": 'say "$HOME" \\\nand more'})
    assert r'a="say \"\$HOME\" \\ and more"' in dockerfile(replace(OWN, gateway=replace(GATEWAY, plan=plan)))


def test_the_broker_waits_for_its_disk_only_where_the_project_says_so() -> None:
    assert 'sync_interval: "always"' in config(OWN)
    assert "sync_interval" not in config(replace(OWN, sync_always=False))
