"""`podium build` packs what the project's stream and features need; the index of wheels is a folder."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.bases import small
from tests.wheels import index

from podium import project as projects
from podium.cli import image_plans, podium
from podium.errors import MissingExtra
from podium.images.wheels import LOCK
from podium.models import requirements

BUS = 'stream = "servicebus://shop.servicebus.windows.net?policies=https://shop.table.core.windows.net"\n'
REDIS = """
[features]
redis = "redis://features.example:6379"
key = "customer"

[features.fields]
income = { type = "float", default = 0.0 }
"""
PROJECT = """
[endpoint]
name = "shop"

[endpoint.inputs]
customer = "int"

[endpoint.outputs]
limit = "float"

[models.rule]
command = ["cat", "rule.txt"]
role = "champion"
"""


def project(folder: Path, *, stream: str = "", features: str = "") -> projects.Project:
    (folder / "rule.txt").touch()
    (folder / "podium.toml").write_text(f"{stream}{PROJECT}{features}")
    return projects.load(folder)


@pytest.mark.parametrize(
    ("stream", "features", "there"),
    [
        ("", "", set()),
        (BUS, "", {"azure-servicebus", "azure-data-tables", "azure-identity", "aiohttp", "msal"}),
        ("", REDIS, {"redis"}),
        (BUS, REDIS, {"azure-servicebus", "redis"}),
    ],
    ids=["nothing", "azure", "redis", "both"],
)
def test_the_gateway_brings_what_stream_and_features_need(
    tmp_path: Path, stream: str, features: str, there: set[str]
) -> None:
    found = image_plans.gateway_of(project(tmp_path, stream=stream, features=features), grpc=False).libraries
    asked = {"azure-servicebus", "azure-data-tables", "azure-identity", "aiohttp", "msal", "redis", "grpcio"}
    assert there <= found.keys()
    assert ("redis" in found, "azure-servicebus" in found) == (bool(features), bool(stream))
    assert {name: found[name] for name in asked & found.keys()} == {
        name: metadata.version(name) for name in asked & found.keys()
    }


def test_what_is_asked_for_and_not_installed_here_is_an_error_and_no_image_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = requirements.versions

    def without(libraries: list[str]) -> dict[str, str]:
        return {name: version for name, version in installed(libraries).items() if name != "redis"}

    monkeypatch.setattr(requirements, "versions", without)
    with pytest.raises(MissingExtra, match=r"redis is not installed: pip install 'podium\[redis\]'"):
        image_plans.gateway_of(project(tmp_path, features=REDIS), grpc=False)


def test_the_lock_has_the_wheels_that_the_project_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "shop"
    home.mkdir()
    plan = image_plans.gateway_of(project(home, stream=BUS, features=REDIS), grpc=False)
    for name, value in index(tmp_path / "index", plan.libraries).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(home)
    base = small(tmp_path / "base")
    words = ["build", "gateway", "-t", "shop/gateway:1", "--base", str(base), "--python", "3.11"]
    done = CliRunner().invoke(podium, words)
    assert done.exit_code == 0, done.output + str(done.exception)
    (locked,) = json.loads((home / LOCK).read_text()).values()
    assert {each["name"]: each["version"] for each in locked} == plan.libraries
    assert {"azure-servicebus", "redis"} <= plan.libraries.keys()
