"""`podium render docker`: files of a project, with the wheels of its lock; or what stands in the way."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml as pyyaml
from click.testing import CliRunner, Result
from tests.wheels import index

from podium import project as projects
from podium.cli import image_plans, podium
from podium.errors import ProjectError
from podium.images.wheels import LOCK

BUS = 'stream = "servicebus://shop.servicebus.windows.net?policies=https://shop.table.core.windows.net"\n'
PROJECT = """
[endpoint]
name = "sums"

[endpoint.inputs]
a = "float"
b = "float"

[endpoint.outputs]
total = "float"

[models.sum]
sql = "sum.sql"
role = "champion"
"""
BUCKET = '\n[archive]\nlocation = "s3://bucket/archive"\n'
FEATURES = (
    '\n[features]\nmodule = "features.py"\n\n[features.fields]\nincome = { type = "float", default = 0.0 }\n'
)

Render = Callable[..., Result]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sums")
    (folder / "sum.sql").write_text("select a + b as total from input\n")
    (folder / "features.py").touch()
    (folder / "podium.toml").write_text(PROJECT)
    here = Path.cwd()
    os.chdir(folder)
    try:
        assert CliRunner().invoke(podium, ["train"]).exit_code == 0
    finally:
        os.chdir(here)
    return folder


@pytest.fixture
def project(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Trained, with an index that has its wheels for Service Bus as well."""
    monkeypatch.chdir(trained)
    (trained / "podium.toml").write_text(BUS + PROJECT)
    read = projects.load(trained)
    wanted = image_plans.gateway_of(read, grpc=False).libraries | image_plans.model_of(read, "sum").libraries
    for name, value in index(trained / "index", dict(wanted)).items():
        monkeypatch.setenv(name, value)
    (trained / "podium.toml").write_text(PROJECT)
    return trained


@pytest.fixture
def render(project: Path, tmp_path: Path) -> Render:
    return lambda *words: CliRunner().invoke(
        podium, ["render", "docker", "--out", str(tmp_path / "out"), *words]
    )


def libraries(out: Path, image: str) -> set[str]:
    text = (out / "images" / image / "requirements.txt").read_text()
    return {line.partition("==")[0] for line in text.splitlines() if "==" in line}


def test_what_is_written_can_be_read_by_everybody_and_says_which_secrets_are_missing(
    render: Render, tmp_path: Path
) -> None:
    before = os.umask(0o077)
    try:
        done = render()
    finally:
        os.umask(before)
    assert done.exit_code == 0, done.output + str(done.exception)
    assert "secrets/stream, secrets/admin_key, secrets/nats (docs/guide/docker.md)" in done.output
    out = tmp_path / "out"
    written = [path for path in out.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o644}
    folders = [path for path in out.rglob("*") if path.is_dir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o755}
    assert stat.S_IMODE(out.stat().st_mode) == 0o700, "the user's own folder"
    assert (out / "images" / "program" / "podium" / "cli" / "run.py").exists()
    assert json.loads((out / "settings.json").read_text())["archive"] == "/archive"
    assert str(tmp_path) not in "".join(path.read_text() for path in written if "program" not in path.parts)


def test_an_image_of_the_dockerfile_has_the_wheels_of_the_lock(
    render: Render, project: Path, tmp_path: Path
) -> None:
    assert render("--platform", "linux/amd64,linux/arm64", "--python", "3.11").exit_code == 0
    lock = json.loads((project / LOCK).read_text())
    assert set(lock) >= {"linux/amd64 python3.11", "linux/arm64 python3.11"}
    text = (tmp_path / "out" / "images" / "worker-sum" / "requirements.txt").read_text()
    numpy = next(wheel for wheel in lock["linux/amd64 python3.11"] if wheel["name"] == "numpy")
    assert f"numpy=={numpy['version']} \\\n    --hash=sha256:{numpy['sha256']}\n" in text
    assert "azure-servicebus" not in text


def test_a_stream_elsewhere_has_no_broker_here_and_images_that_speak_to_it(
    render: Render, project: Path, tmp_path: Path
) -> None:
    (project / "podium.toml").write_text(BUS + PROJECT + BUCKET)
    done = render()
    assert "secrets/stream, secrets/admin_key, stream.env, archive.env" in done.output
    out = tmp_path / "out"
    there = pyyaml.safe_load((out / "compose.yaml").read_text())["services"]
    assert list(there) == ["gateway", "worker-sum", "archiver"]
    assert there["worker-sum"]["env_file"] == ["./stream.env"]
    assert {"azure-servicebus", "azure-identity"} <= libraries(out, "gateway") & libraries(out, "worker-sum")
    assert "shop.servicebus" not in (out / "compose.yaml").read_text()


def test_the_users_own_files_beside_stay_and_a_stale_one_for_builders_is_said(
    render: Render, tmp_path: Path
) -> None:
    mine = tmp_path / "out" / "secrets" / "stream"
    mine.parent.mkdir(parents=True)
    mine.write_text("nats://…")
    assert render().exit_code == 0
    assert render().exit_code == 0, "again"
    assert mine.read_text() == "nats://…"
    (tmp_path / "out" / "images" / "worker-gone").mkdir()
    (tmp_path / "out" / "images" / "worker-gone" / "requirements.txt").touch()
    assert "holds images/worker-gone/requirements.txt, which is not of this" in str(render().exception)


def test_a_model_may_stand_on_a_base_of_its_own(render: Render, tmp_path: Path) -> None:
    words = ("--base", "registry.example/python:1", "--base", "sum=registry.example/duck@sha256:" + "0" * 64)
    assert render(*words).exit_code == 0
    dockerfile = (tmp_path / "out" / "images" / "Dockerfile").read_text()
    assert "FROM registry.example/python:1 AS gateway\n" in dockerfile
    assert f"FROM registry.example/duck@sha256:{'0' * 64} AS worker-sum\n" in dockerfile


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("forest=x:1", "there is no model forest; there are sum"),
        ("oci:folder", "an image that a builder can pull or has"),
        ("python:3 AS x", "an image that a builder can pull or has"),
    ],
)
def test_a_base_that_cannot_be_is_said(render: Render, word: str, says: str) -> None:
    failed = render("--base", word).exception
    assert isinstance(failed, ProjectError)
    assert says in str(failed)


def test_features_out_of_a_file_are_refused(render: Render, project: Path, tmp_path: Path) -> None:
    (project / "podium.toml").write_text(PROJECT + FEATURES)
    assert "features.py is a file of this machine, and containers do not have it" in str(render().exception)
    assert not (tmp_path / "out").exists()
