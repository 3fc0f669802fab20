"""`podium compare` needs a project's folder and its archive, and nothing that runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from tests.unit.archive.comparing.world import World, inputs_of, numbered

from podium.cli.compare import compare
from podium.errors import ArchiveError, BadPeriod, MissingExtra, NotFound

TOML = """\
[endpoint]
name = "diabetes"

[models.linear]
module = "linear.py"
role = "champion"
"""
ROWS = 300


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with an archive: forest is 3 % above linear and nearer to what really happened."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "podium.toml").write_text(TOML)
    (folder / "linear.py").touch()
    world, ids = World(folder / ".podium" / "archive"), numbered(ROWS)
    columns = inputs_of(np.random.default_rng(5), ROWS)
    said = 150 + columns["bmi"]
    world.requests(ids, columns)
    world.scores("linear", ids, {"progression": said})
    world.scores("forest", ids, {"progression": said * 1.03})
    world.outcomes(ids, {"progression": said * 1.02})
    return folder


@pytest.fixture
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(project)
    return project


def run(*words: str) -> Result:
    return CliRunner().invoke(compare, words)


@pytest.mark.usefixtures("here")
def test_the_endpoint_may_be_left_out() -> None:
    done, named = run("linear", "forest"), run("diabetes", "linear", "forest")
    assert done.exit_code == 0, done.output
    assert done.output == named.output
    assert done.output.startswith("diabetes: forest@")
    assert "They agree on 100.00% of the rows" in done.output


@pytest.mark.usefixtures("here")
def test_the_tolerance_is_the_projects_or_the_one_that_is_said() -> None:
    usual = json.loads(run("linear", "forest", "--json").stdout)
    strict = json.loads(run("linear", "forest", "--json", "--tolerance", "1%").stdout)
    assert (usual["agreement"]["tolerance"], usual["agreement"]["part"]) == (0.05, 1.0)
    assert (strict["agreement"]["tolerance"], strict["agreement"]["part"]) == (0.01, 0.0)
    assert usual["outputs"][0]["errors"]["judged"]["verdict"] == "better"


def test_a_page_is_written_beside_the_words(here: Path, tmp_path: Path) -> None:
    done = run("linear", "forest", "--html", str(tmp_path / "page.html"))
    assert done.exit_code == 0, done.output
    assert f"written: {tmp_path / 'page.html'}" in done.stderr
    assert "<svg" in (tmp_path / "page.html").read_text()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["linear"], "podium compare linear forest"),
        (["linear", "forest", "--tolerance", "much"], "write as in 5%"),
        (["linear", "forest", "--html", "nowhere/page.html"], "cannot be written"),
    ],
)
def test_wrong_usage_says_what_is_right(words: list[str], said: str) -> None:
    done = run(*words)
    assert done.exit_code == 2
    assert said in done.stderr


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        (["diabete", "linear", "forest"], NotFound, "did you mean 'diabetes'"),
        (["linear", "forrest"], ArchiveError, "did you mean 'forest'"),
        (["linear", "linear"], ArchiveError, "compare two different ones"),
        (["linear", "forest", "--since", "soon"], BadPeriod, "is no time"),
        (
            ["linear", "forest", "--since", "2020-01-01", "--until", "2020-02-01"],
            ArchiveError,
            "requests from",
        ),
    ],
)
def test_what_is_not_there_is_an_error_that_says_what_is(
    words: list[str], error: type[Exception], said: str
) -> None:
    done = run(*words)
    assert isinstance(done.exception, error)
    assert said in str(done.exception)


def test_an_empty_project_says_that_nothing_is_archived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "podium.toml").write_text(TOML)
    (tmp_path / "linear.py").touch()
    monkeypatch.chdir(tmp_path)
    assert "nothing is archived" in str(run("linear", "forest").exception)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("library", "words"),
    [("duckdb", ["linear", "forest"]), ("jinja2", ["linear", "forest", "--html", "page.html"])],
)
def test_a_missing_library_says_what_installs_it(
    library: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    done = run(*words)
    assert isinstance(done.exception, MissingExtra)
    assert "pip install 'podium[reports]'" in str(done.exception)
