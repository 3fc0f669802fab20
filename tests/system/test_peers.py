"""Servers of other makers, each unchanged, as contenders: their scores are scikit-learn's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from bench.payloads import FEATURES
from bench.peers.base import Launch, Peer
from bench.peers.kserve.peer import PEER as KSERVE
from bench.peers.mlflow.peer import PEER as MLFLOW
from bench.peers.mlserver.peer import PEER as MLSERVER
from bench.ports import free_port
from sklearn.datasets import load_diabetes
from tests.system.peers import needs, running, served, tried

from podium import project as projects
from podium.models.checks import Verdict
from podium.models.declared import described, pack_server
from podium.models.loading import load
from podium.models.server.conformance import Suite
from podium.models.server.doors import door_of
from podium.models.server.runtime import START_SECONDS, Runtime
from podium.models.trust import Trust
from podium.project import Project

TOML = """\
[endpoint]
name = "diabetes"

[endpoint.inputs]
{inputs}

[endpoint.outputs]
progression = "float"

[models.peer]
role = "champion"
url = "http://127.0.0.1:{port}{path}"
examples = [{example}]
{keys}
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A peer, and how `podium.toml` speaks of it."""

    peer: Peer
    setting: str
    path: str = ""
    keys: str


CASES = {
    "mlserver": Case(
        peer=MLSERVER,
        setting="in process",
        path="/v2/models/bench",
        keys='protocol = "oip"\nlayout = "matrix"',
    ),
    "mlflow, a data frame": Case(peer=MLFLOW, setting="plain", keys='protocol = "mlflow"'),
    "mlflow, a matrix": Case(peer=MLFLOW, setting="plain", keys='protocol = "mlflow"\nlayout = "inputs"'),
    "kserve v1": Case(
        peer=KSERVE,
        setting="v1",
        path="/v1/models/bench:predict",
        keys='protocol = "vertex"\nlayout = "lists"',
    ),
    "kserve v2": Case(
        peer=KSERVE, setting="v2", path="/v2/models/bench", keys='protocol = "oip"\nlayout = "matrix"'
    ),
}


@pytest.fixture(scope="module")
def diabetes() -> tuple[np.ndarray, np.ndarray]:
    x, y = load_diabetes(return_X_y=True)
    return x, y


def expected(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import LinearRegression  # what bench/train.py trains

    scores: np.ndarray = LinearRegression().fit(x, y).predict(x)
    return scores


def written(folder: Path, port: int, path: str, keys: str, names: tuple[str, ...]) -> Project:
    inputs = "\n".join(f'{name} = "float"' for name in names)
    example = "{ " + ", ".join(f"{name} = 0.0{index}" for index, name in enumerate(names, 1)) + " }"
    text = TOML.format(inputs=inputs, port=port, path=path, example=example, keys=keys)
    (folder / "podium.toml").write_text(text)
    return projects.load(folder)


def assert_scores(project: Project, columns: dict[str, np.ndarray], scores: np.ndarray, folder: Path) -> None:
    """It is waited for, passes every check, is packed, and scores the data as scikit-learn does."""
    model, said = project.models["peer"], described(project, "peer", None)
    assert model.server is not None
    door = door_of(model.server, said.inputs, said.outputs)
    waiting = Runtime("peer", model.server.url, door, connections=1, timeout=5)
    waiting.start(START_SECONDS)
    waiting.close()
    suite = Suite(model.server.url, door, said.outputs, said.examples, connections=model.worker.threads)
    assert [made for made in suite.run() if made.verdict is Verdict.FAILED] == []
    into = folder / "package"
    into.mkdir()
    packed = pack_server(said, model.server, into=into)
    scorer = load(
        into, trust=Trust(path=into), digest=packed.digest, threads=model.worker.threads, timeout=30
    )
    found = scorer.predict(columns)["progression"]
    scorer.close()
    np.testing.assert_allclose(found, scores, rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if tried(case.peer.name)])
def test_a_peer_scores_as_scikit_learn_does(
    name: str, tmp_path: Path, diabetes: tuple[np.ndarray, np.ndarray]
) -> None:
    case = CASES[name]
    x, y = diabetes
    with served(case.peer, "rows", case.setting, tmp_path) as port:
        project = written(tmp_path, port, case.path, case.keys, FEATURES)
        columns = {feature: x[:, index].copy() for index, feature in enumerate(FEATURES)}
        assert_scores(project, columns, expected(x, y), tmp_path)


WORKSHOP = """\
from os import environ
from pickle import load

from flask import Flask, jsonify, request

app = Flask(__name__)
with open(environ["MODEL"], "rb") as file:
    model = load(file)


@app.route("/score")
def score():
    var1 = float(request.args.get("var1"))
    return jsonify({"prediction": model.predict([[var1]]).tolist()})
"""
MAPPING = """
[models.peer.request]
path = "/score"
query = { var1 = "bmi" }

[models.peer.response]
outputs = { progression = "$.prediction[0]" }
"""


def test_the_workshop_s_flask_service_is_a_contender(
    tmp_path: Path, diabetes: tuple[np.ndarray, np.ndarray]
) -> None:
    programs = needs("flask")
    x, y = diabetes
    (tmp_path / "app.py").write_text(WORKSHOP)
    port = free_port()
    launch = Launch(
        argv=(str(programs / "flask"), "--app", "app", "run", "--port", str(port)),
        cwd=tmp_path,
        environment={"MODEL": str(programs.parent / "models" / "linear.pkl")},
    )
    with running(launch, tmp_path / "log"):
        project = written(tmp_path, port, "", MAPPING, ("bmi",))
        bmi = x[:, 2].copy()
        assert_scores(project, {"bmi": bmi}, expected(bmi[:, None], y), tmp_path)
