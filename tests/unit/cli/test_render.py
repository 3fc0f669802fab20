"""`podium render kubernetes`: files of a project, or what stands in the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml as pyyaml
from click.testing import CliRunner, Result
from tests.unit.cluster.plans import LARGE, SMALL

from podium.cli import clusters
from podium.cli import render as command
from podium.cli.deploy import stream_secret
from podium.environment import run_of
from podium.errors import ProjectError
from podium.project import load

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command over a plan that is already made; what makes one is tested beside it."""
    monkeypatch.setattr(command, "project_here", lambda: None)
    monkeypatch.setattr(command, "plan_here", lambda project, **_: LARGE)
    return lambda *words: CliRunner().invoke(command.render, ["kubernetes", *words])


def test_the_screen_gets_documents_that_kubectl_takes(run: Run) -> None:
    kinds = [each["kind"] for each in pyyaml.safe_load_all(run().output)]
    assert kinds[0] == "Namespace"
    assert "StatefulSet" in kinds


def test_files_are_written_with_the_secrets_that_are_needed(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "manifests"
    said = run("--out", str(out)).output
    assert "00-namespace.yaml" in {path.name for path in out.iterdir()}
    assert "diabetes-stream (url, password), bucket" in said
    assert "diabetes-nats-tls" not in said  # cert-manager makes it


def test_writing_again_is_fine_and_a_file_of_others_is_not(run: Run, tmp_path: Path) -> None:
    assert run("--out", str(tmp_path)).exit_code == 0
    assert run("--out", str(tmp_path)).exit_code == 0
    (tmp_path / "old.yaml").touch()
    assert "holds old.yaml, which is not of this" in str(run("--out", str(tmp_path)).exception)


def test_a_chart_needs_a_folder(run: Run, tmp_path: Path) -> None:
    assert run("--helm").exit_code == 2
    run("--helm", "--out", str(tmp_path))
    assert (tmp_path / "Chart.yaml").exists()


def test_the_settings_file_is_what_an_image_reads_and_holds_no_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "project_here", lambda: None)
    monkeypatch.setattr(command, "run_here", lambda project, reason: LARGE.run)
    said = CliRunner().invoke(command.render, ["settings"]).output
    assert "digest-of-a-key" not in said
    file = tmp_path / "settings.json"
    file.write_text(said)
    told = run_of({"PODIUM_SETTINGS": str(file), "PODIUM_STREAM": "nats://broker:4222"})
    assert (told.policy, told.inputs, told.workers) == (LARGE.run.policy, LARGE.run.inputs, LARGE.run.workers)
    assert (told.stream, told.admin_key) == ("nats://broker:4222", "")


IMAGES = '[kubernetes]\nimages = "r.example/x"\n'
BUCKET = '[archive]\nlocation = "s3://bucket/archive"\n'
FEATURES = """[features]
module = "features.py"
[features.fields]
income = { type = "float", default = 0.0 }
[endpoint.inputs]
x = "float"
"""


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ("", "pods need images"),
        (IMAGES, "is a folder of this machine, and pods keep no files"),
        (f"{IMAGES}{BUCKET}{FEATURES}", r"features.py is a file of this machine, and pods do not have it"),
    ],
)
def test_what_only_works_on_one_machine_is_said(tmp_path: Path, tables: str, says: str) -> None:
    with pytest.raises(ProjectError, match=says):
        check(tmp_path, tables)


def test_a_stream_for_up_alone_is_not_silently_another_one_for_pods(tmp_path: Path) -> None:
    elsewhere = 'stream = "nats://broker.example:4222"\n'
    with pytest.raises(ProjectError, match="pods would get a NATS of their own"):
        check(tmp_path, f"{IMAGES}{BUCKET}", top=elsewhere)
    check(tmp_path, f'{IMAGES}stream = "existing"\n{BUCKET}', top=elsewhere)


def check(folder: Path, tables: str, *, top: str = "") -> None:
    for module in ("linear.py", "features.py"):
        (folder / module).touch()
    (folder / "podium.toml").write_text(
        f'{top}[endpoint]\nname = "d"\n[models.linear]\nmodule = "linear.py"\nrole = "champion"\n{tables}\n'
    )
    project = load(folder)
    clusters.check(project, project.kubernetes)


def test_the_streams_secret_is_read_as_text_by_nats_too() -> None:
    plan = replace(SMALL, settings=replace(SMALL.settings, stream="own"))
    made = stream_secret(plan, "123")["stringData"]
    assert made["password"] == "p123"
    assert made["url"].startswith("tls://podium:p123@diabetes-nats.diabetes.svc:4222?ca=")
