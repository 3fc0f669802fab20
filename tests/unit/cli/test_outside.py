"""A worker on the stream, from the project file to its package; only the stream opens that."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from podium.cli.check import check
from podium.cli.models import train
from podium.errors import PackageError, Untrusted
from podium.models.loading import load, trusted
from podium.models.samples import read as read_samples
from podium.models.trust import Trust
from podium.registry.folder import FolderRegistry

OUTSIDER = Path(__file__).parents[1] / "workers" / "outsider.py"
TOML = """\
[endpoint]
name = "e"

[endpoint.inputs]
x = "float"

[endpoint.outputs]
y = "float"

[models.rule]
command = [{python}, "models/outsider.py"]
stream = true
role = "champion"
examples = [{{ x = 1.0 }}, {{ x = 2.5 }}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "models").mkdir()
    shutil.copy(OUTSIDER, tmp_path / "models")
    (tmp_path / "podium.toml").write_text(TOML.format(python=json.dumps(sys.executable)))
    monkeypatch.setenv("PODIUM_TRUST", str(tmp_path / "trust"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(check, list(arguments), catch_exceptions=False)


def test_a_worker_is_packed_with_what_it_scored_on_a_stream_of_its_own(folder: Path) -> None:
    output = CliRunner().invoke(train, ["rule"], catch_exceptions=False).output
    assert "format   stream: it is a worker on the stream" in output
    assert "trusted  it runs this project's own code" in output
    version = FolderRegistry(folder / ".podium" / "registry").find("rule")
    trust = Trust.load(folder / "trust")
    manifest = trusted(version.path, trust=trust, digest=version.digest)
    assert read_samples(version.path, manifest).outputs["y"].tolist() == [2.0, 5.0]
    with pytest.raises(PackageError, match="rule is a worker on the stream, and scores only there"):
        load(version.path, trust=trust)
    with pytest.raises(Untrusted, match="is a command, so loading it runs its code"):
        trusted(version.path, trust=Trust(path=folder), digest=version.digest)


def test_a_worker_that_cannot_score_its_examples_is_no_version(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTOR", "nan")
    with pytest.raises(PackageError, match="'y' is NaN or infinite for some of the model's own examples"):
        CliRunner().invoke(train, ["rule"], catch_exceptions=False)
    (folder / "models" / "outsider.py").write_text("raise SystemExit(4)")
    with pytest.raises(PackageError, match="the worker ended with exit status 4 before it answered"):
        CliRunner().invoke(train, ["rule"], catch_exceptions=False)


def test_a_model_of_the_project_and_any_command_are_checked(folder: Path) -> None:
    result = run("rule")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[0].startswith("ok       starts: its first scores came after")
    assert result.output.endswith("rule: all is well\n")
    command = shlex.join([sys.executable, "models/outsider.py", "early"])
    words = ("--command", command, "--stream", "--input", "x=float", "--output", "y=float", "--json")
    result = run(*words)
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert [made["name"] for made in report["checks"] if made["verdict"] == "failed"] == ["starts"]


def test_stream_is_said_of_a_command_only_there(folder: Path) -> None:
    result = CliRunner().invoke(check, ["rule", "--stream"])
    assert result.exit_code == 2
    assert "--stream goes with --command" in result.output
