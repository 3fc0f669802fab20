"""`podium check`: the report as text and as JSON, of a project's model and of any command."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from podium.cli.check import check
from podium.errors import ProjectError

PROGRAM = """\
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    try:
        answer = {"columns": {"y": [2 * x for x in asked["columns"]["x"]]}}
    except KeyError as problem:
        answer = {"error": f"no column {problem}"}
    print(json.dumps({"id": asked["id"], **answer}), flush=True)
"""
TOML = """\
[endpoint]
name = "e"

[endpoint.inputs]
x = "float"

[endpoint.outputs]
y = "float"

[models.rule]
command = [{python}, "models/rule.py"]
role = "champion"

[models.plain]
module = "models/rule.py"
role = "challenger"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "rule.py").write_text(PROGRAM)
    (tmp_path / "podium.toml").write_text(TOML.format(python=json.dumps(sys.executable)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(check, list(arguments), catch_exceptions=False)


def test_a_model_of_the_project_is_checked_line_by_line(folder: Path) -> None:
    result = run("rule")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0].startswith("ok       starts: the first answer came after")
    assert "skipped  text: no input is text" in lines
    assert lines[-1] == "rule: all is well"


def test_a_failure_says_what_to_do_and_is_the_exit_status(folder: Path) -> None:
    (folder / "models" / "rule.py").write_text(PROGRAM.replace("except KeyError", "except OSError"))
    result = run("rule")
    assert result.exit_code == 1
    (line,) = [line for line in result.output.splitlines() if line.startswith("failed")]
    assert line.startswith("failed   nonsense: it ended with exit status 1; it said last: KeyError: 'x'")
    assert "-> go on reading lines until standard input ends; where" in result.output
    assert result.output.endswith("rule: 1 of 15 checks failed\n")


def test_any_command_is_checked_and_reported_as_json(folder: Path) -> None:
    command = shlex.join([sys.executable, "models/rule.py"])
    result = run("--command", command, "--input", "x=float", "--output", "y=float", "--json")
    report = json.loads(result.output)
    assert (result.exit_code, report["ok"], report["subject"]) == (0, True, command)
    assert {made["verdict"] for made in report["checks"]} == {"ok", "skipped"}
    assert set(report["checks"][0]) == {"name", "verdict", "said", "todo"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a model of the project, or give a --command"),
        (("rule", "--command", "x"), "name a model of the project, or give a --command"),
        (("--command", "x"), "at least one --input and one --output"),
        (("--command", "x", "--input", "a", "--output", "y=float"), "'a' has no type"),
    ],
)
def test_wrong_usage_is_told(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize(
    ("model", "said"), [("rul", "did you mean 'rule'"), ("plain", "has neither a `command` nor a `url`")]
)
def test_what_cannot_be_checked_says_why(folder: Path, model: str, said: str) -> None:
    with pytest.raises(ProjectError, match=said):
        run(model)
