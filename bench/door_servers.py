"""The servers that `bench doors` asks: the peers that are installed here, each as its makers start it.

All have one linear model of one number; the Python model of their project has the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import environments
from bench.payloads import BMI, json_request
from bench.peers.base import Launch, Peer, Site
from bench.peers.kserve.peer import PEER as KSERVE
from bench.peers.mlflow.peer import PEER as MLFLOW
from bench.peers.mlserver.peer import PEER as MLSERVER
from bench.ports import free_port
from bench.processes import Server

HEAD = """\
[endpoint]
name = "diabetes"
deadline = "2s"

[endpoint.inputs]
bmi = "float"

[endpoint.outputs]
progression = "float"

[models.python]
module = "models/linear.py"
role = "champion"
"""
LINEAR = """\
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
import podium


def train():
    x, y = load_diabetes(return_X_y=True, as_frame=True)
    model = LinearRegression().fit(x[["bmi"]], y)
    return podium.Trained(model, inputs=x[["bmi"]][:20], output="progression")
"""


@dataclass(frozen=True, kw_only=True)
class Door:
    """A peer, and how `podium.toml` speaks of it."""

    peer: Peer
    setting: str = "plain"
    path: str = ""
    keys: str


DOORS: Mapping[str, Door] = {
    "mlserver": Door(
        peer=MLSERVER,
        setting="in process",
        path="/v2/models/bench",
        keys='protocol = "oip"\nlayout = "matrix"',
    ),
    "kserve": Door(
        peer=KSERVE,
        setting="v1",
        path="/v1/models/bench:predict",
        keys='protocol = "vertex"\nlayout = "lists"',
    ),
    "mlflow": Door(peer=MLFLOW, keys='protocol = "mlflow"\nlayout = "inputs"'),
}
FLASK = """\
import os, pickle

from flask import Flask, jsonify, request

app = Flask(__name__)
with open(os.environ["MODEL"], "rb") as file:
    model = pickle.load(file)


@app.route("/score", methods=["GET", "POST"])
def score():
    return jsonify(score=float(model.predict([[float(request.args["var1"])]])[0]))
"""
MAPPED = """\
request = { path = "/score", query = { var1 = "bmi" } }
response = { outputs = { progression = "$.score" } }
"""


NAMES = (*DOORS, "flask")


def started(stack: ExitStack, place: Path, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Those of these servers that are installed here, running, each with its table of `podium.toml`."""
    for name in filter(_is_here, names):
        folder = place / name
        folder.mkdir(parents=True)
        if name == "flask":
            yield name, _table(name, stack.enter_context(_flask(folder)), "", MAPPED.strip())
        else:
            door = DOORS[name]
            yield name, _table(name, stack.enter_context(_peer(door, folder)), door.path, door.keys)


def _is_here(name: str) -> bool:
    made = environments.is_made(name)
    if not made:
        print(f"left out: {name}; python -m bench setup --only {name}", flush=True)
    return made


@contextmanager
def _peer(door: Door, folder: Path) -> Iterator[int]:
    name, port = door.peer.name, free_port()
    site = Site(bin=environments.programs(name), models=environments.models(name), scratch=folder, port=port)
    request = door.peer.request("linear", door.setting, "json")
    assert request is not None
    with Server(door.peer.launch(site, "linear", door.setting), port, folder / "log", core=None) as server:
        server.first_answer(request)
        yield port


@contextmanager
def _flask(folder: Path) -> Iterator[int]:
    """gunicorn with threads, which keep connections; its usual worker closes each one."""
    (folder / "app.py").write_text(FLASK)
    port, programs = free_port(), environments.programs("flask")
    argv = (str(programs / "gunicorn"), "--bind", f"127.0.0.1:{port}", "--threads", "8", "app:app")
    model = environments.models("flask") / "linear.pkl"
    launch = Launch(argv=argv, cwd=folder, environment={"MODEL": str(model)})
    with Server(launch, port, folder / "log", core=None) as server:
        server.first_answer(json_request(f"/score?var1={BMI}", {}))
        yield port


def _table(name: str, port: int, path: str, keys: str) -> str:
    lines = [f"[models.{name}]", 'role = "challenger"', f'url = "http://127.0.0.1:{port}{path}"', keys]
    return "\n".join(line for line in lines if line) + f"\nexamples = [{{ bmi = {BMI} }}]\n"


def project(folder: Path, tables: Mapping[str, str]) -> None:
    """A Python model, and these servers beside it."""
    (folder / "models").mkdir(parents=True)
    (folder / "podium.toml").write_text("\n".join([HEAD, *tables.values()]))
    (folder / "models" / "linear.py").write_text(LINEAR)
