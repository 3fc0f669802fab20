"""`podium new`: the project works at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from podium import project as projects
from podium.cli.new import new
from podium.errors import ProjectError
from podium.records import Role


def made(folder: Path) -> str:
    return CliRunner().invoke(new, [str(folder)], catch_exceptions=False).output


def test_the_project_has_a_champion_a_challenger_a_canary_and_a_decoy(tmp_path: Path) -> None:
    output = made(tmp_path / "diabetes")
    project = projects.load(tmp_path / "diabetes")
    assert project.name == "diabetes"
    assert {m.role for m in project.models.values()} == {Role.CHAMPION, Role.CHALLENGER, Role.CANARY}
    assert project.decoy
    assert project.endpoint.deadline_ms == 100
    assert "podium train" in output
    assert "score/diabetes?bmi=0.05" in output


@pytest.mark.parametrize(("folder", "name"), [("iris-2", "iris-2"), ("2 words", "diabetes")])
def test_the_endpoint_is_named_after_the_folder_where_that_is_a_name(
    tmp_path: Path, folder: str, name: str
) -> None:
    made(tmp_path / folder)
    assert projects.load(tmp_path / folder).name == name
    assert f"podium status {name} " in (tmp_path / folder / "README.md").read_text()


def test_only_the_body_mass_index_is_required(tmp_path: Path) -> None:
    made(tmp_path / "diabetes")
    inputs = projects.load(tmp_path / "diabetes").endpoint.inputs
    assert inputs is not None
    assert [field.name for field in inputs.fields if not field.optional] == ["bmi"]


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(ProjectError, match="is not empty"):
        made(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ProjectError, match="cannot be written"):
        made(tmp_path / "file")


def test_the_tests_of_the_new_project_pass(tmp_path: Path) -> None:
    made(tmp_path / "diabetes")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:asyncio", "-p", "no:cacheprovider"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(
        command,
        cwd=tmp_path / "diabetes",
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
