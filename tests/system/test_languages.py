"""The examples of other languages: each keeps the protocol and scores the diabetes data as Python does."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

from podium import project as projects
from podium.models import commands
from podium.models.checks import Verdict
from podium.models.declared import described, pack_command, pack_sql
from podium.models.loading import Scorer, load
from podium.models.packing import pack
from podium.models.process.child import Launch
from podium.models.process.conformance import Suite
from podium.models.trust import Trust
from podium.project import Project

FOLDER = Path(__file__).parents[2] / "examples" / "languages"
EXAMPLES = projects.load(FOLDER)
COMMANDS = [name for name, model in EXAMPLES.models.items() if model.command]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return projects.load(shutil.copytree(FOLDER, tmp_path / "languages"))


@pytest.fixture(scope="module")
def expected() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The diabetes data, and what scikit-learn's own model says of it."""
    from sklearn.linear_model import LinearRegression

    x, y = load_diabetes(return_X_y=True)
    x = x[:, [2, 8]]
    model = LinearRegression().fit(x[:-20], y[:-20])
    return {"bmi": x[:, 0].copy(), "s5": x[:, 1].copy()}, model.predict(x)


def needs(project: Project, name: str) -> None:
    command = project.models[name].command
    assert command is not None
    programs = {argv[0] for argv in (command.argv, command.build) if argv and "/" not in argv[0]}
    if missing := [program for program in programs if shutil.which(program) is None]:
        pytest.skip(f"{name}: {', '.join(missing)} is not installed")


def opened(folder: Path, digest: str) -> Scorer:
    return load(folder, trust=Trust(path=folder, lines=frozenset([digest])), digest=digest)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_scores_as_python_does(
    name: str, project: Project, tmp_path: Path, expected: tuple[dict[str, np.ndarray], np.ndarray]
) -> None:
    needs(project, name)
    into = tmp_path / "package"
    into.mkdir()
    command = project.models[name].command
    assert command is not None
    packed = pack_command(described(project, name, None), command, root=project.folder, into=into)
    scorer = opened(into, packed.digest)
    columns, scores = expected
    found = scorer.predict(columns)["progression"]
    scorer.close()
    np.testing.assert_allclose(found, scores, rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_passes_every_check(name: str, project: Project, tmp_path: Path) -> None:
    needs(project, name)
    said = described(project, name, None)
    command = project.models[name].command
    assert command is not None
    folder = tmp_path / "code"
    folder.mkdir()
    kept = commands.gather(command, root=project.folder, into=folder)
    suite = Suite(
        Launch(name=name, argv=kept.argv, folder=folder),
        said.inputs,
        said.outputs,
        said.examples,
        packed=True,
    )
    failed = [made for made in suite.run() if made.verdict is Verdict.FAILED]
    assert failed == []


def test_sql_and_python_score_the_same(
    project: Project, tmp_path: Path, expected: tuple[dict[str, np.ndarray], np.ndarray]
) -> None:
    columns, scores = expected
    for name in ("sql", "python"):
        model = project.models[name]
        into = tmp_path / name
        into.mkdir()
        if model.sql is not None:
            packed = pack_sql(described(project, name, None), model.sql, into=into)
        else:
            assert model.module is not None
            packed = pack(model.module, model=name, root=project.folder, into=into)
        found = opened(into, packed.digest).predict(columns)["progression"]
        np.testing.assert_allclose(found, scores, rtol=1e-9, atol=0)
