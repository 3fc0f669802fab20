"""Podium projects made for measuring: a champion, challengers and a decoy, trained once in a run."""

import atexit
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from bench import environments
from bench.peers.base import Model

ENDPOINT = "bench"
TRAIN_SECONDS = 300

CONFIGURATION = """\
[endpoint]
name = "{endpoint}"
# Long enough that no answer is the default one at the most load: a default answer is no work.
deadline = "2s"
default = {{ progression = 152.13 }}

[models.champion]
module = "models/champion.py"
role = "champion"
{challengers}
[decoy]
enabled = true
"""

CHALLENGER = """
[models.{name}]
module = "models/{name}.py"
role = "challenger"
"""

MODULE = '''\
"""A model for measuring."""
{imports}
from sklearn.datasets import load_diabetes

import podium


def train() -> podium.Trained:
    {data}
    model = {estimator}.fit(x[:-20], y[:-20])
    return podium.Trained(model, inputs=x[-20:], output="progression")
'''

ESTIMATORS: dict[Model, tuple[str, str]] = {
    "linear": ("from sklearn.linear_model import LinearRegression", "LinearRegression(positive={seed} > 0)"),
    "forest": (
        "from sklearn.ensemble import RandomForestRegressor",
        "RandomForestRegressor(n_estimators=100, random_state={seed})",
    ),
    "rows": ("from sklearn.linear_model import LinearRegression", "LinearRegression(positive={seed} > 0)"),
}
# A data frame gives a field for each column, an array one tensor field `x`.
DATA: dict[Model, str] = {
    "linear": 'x, y = load_diabetes(return_X_y=True, as_frame=True)\n    x = x[["bmi"]]',
    "forest": "x, y = load_diabetes(return_X_y=True, as_frame=True)",
    "rows": "x, y = load_diabetes(return_X_y=True)",
}


@cache
def trained(model: Model, challengers: int = 1) -> Path:
    """A folder with the project, trained; made once in a run, never run in itself."""
    root = environments.cache()
    root.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"project-{model}-", dir=root))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write(folder, model, challengers)
    podium = Path(sys.executable).with_name("podium")
    subprocess.run([podium, "train"], cwd=folder, check=True, timeout=TRAIN_SECONDS, capture_output=True)
    return folder


def write(folder: Path, model: Model, challengers: int) -> None:
    names = [f"challenger{number}" for number in range(1, challengers + 1)]
    (folder / "models").mkdir()
    for seed, name in enumerate(["champion", *names]):
        (folder / "models" / f"{name}.py").write_text(_module(model, seed))
    described = "".join(CHALLENGER.format(name=name) for name in names)
    configuration = CONFIGURATION.format(endpoint=ENDPOINT, challengers=described)
    (folder / "podium.toml").write_text(configuration)


def _module(model: Model, seed: int) -> str:
    imports, estimator = ESTIMATORS[model]
    return MODULE.format(imports=imports, estimator=estimator.format(seed=seed), data=DATA[model])
