"""`podium train` and `podium models`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from podium import project as projects
from podium.cli.models import models_command, train
from podium.cli.new import new
from podium.errors import ProjectError, Untrusted
from podium.models.loading import load
from podium.models.trust import Trust
from podium.registry.folder import FolderRegistry
from podium.schema import check_contender

RULE = """
import podium

class Model(podium.Model):
    inputs = {"bmi": "float"}
    output = "progression"

    def predict(self, columns):
        return {"progression": 152.13 + 949.4 * columns["bmi"]}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PODIUM_TRUST", str(tmp_path / "trust"))
    CliRunner().invoke(new, [str(tmp_path / "diabetes")], catch_exceptions=False)
    monkeypatch.chdir(tmp_path / "diabetes")
    return tmp_path / "diabetes"


def run(*arguments: str) -> str:
    return CliRunner().invoke(train, list(arguments), catch_exceptions=False).output


def listed() -> list[dict[str, object]]:
    result = CliRunner().invoke(models_command, ["--json"], catch_exceptions=False)
    found: list[dict[str, object]] = json.loads(result.stdout)
    return found


def test_all_models_of_a_new_project_train_and_fit_its_endpoint(folder: Path) -> None:
    output = run()
    assert "metrics  mae=41" in output
    assert "Next: podium up" in output
    project = projects.load(folder)
    assert project.endpoint.inputs is not None
    registry = FolderRegistry(project.registry_dir)
    for name in ("linear", "forest", "reference"):
        version = registry.find(name)
        assert version.digest in output
        assert version.format == "onnx"
        scorer = load(version.path, trust=Trust.load())
        check_contender(project.endpoint.inputs, scorer.inputs, what=name)


def test_training_again_makes_no_new_version(folder: Path) -> None:
    run("linear")
    assert "nothing new" in run("linear")
    (version,) = listed()
    assert (version["model"], version["number"], version["format"]) == ("linear", 1, "onnx")
    assert len(str(version["version"])) == 12


def test_the_list_is_a_table_too(folder: Path) -> None:
    assert "podium train" in CliRunner().invoke(models_command, catch_exceptions=False).output
    run("linear")
    assert "mae=41.2" in CliRunner().invoke(models_command, catch_exceptions=False).output


def test_a_name_that_is_no_model_is_told_the_nearest(folder: Path) -> None:
    with pytest.raises(ProjectError, match=r"'liner' \(did you mean 'linear'\?\); podium.toml has linear"):
        run("liner")


def test_a_class_of_the_users_own_is_trusted_where_it_is_trained_and_nowhere_else(folder: Path) -> None:
    (folder / "models" / "reference.py").write_text(RULE)
    output = run("reference")
    version = FolderRegistry(folder / ".podium" / "registry").find("reference")
    assert f"added to {folder.parent / 'trust'}" in output
    assert load(version.path, trust=Trust.load()).manifest.format == "python"
    (folder.parent / "trust").unlink()
    with pytest.raises(Untrusted, match=f"reference@{version.digest}"):
        load(version.path, trust=Trust.load())


def test_a_broken_trust_list_stops_before_anything_is_trained(folder: Path) -> None:
    (folder.parent / "trust").write_text("everything\n")
    (folder.parent / "trust").chmod(0o600)
    with pytest.raises(Untrusted, match="trust:1"):
        run("linear")
    assert listed() == []
