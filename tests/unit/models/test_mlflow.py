"""MLflow's model folders, as MLflow 3.17 writes them: each flavour, and folders that are hostile."""

from __future__ import annotations

import pickle
import textwrap
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnx
import pytest
import skops.io
import xgboost
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression

from podium.errors import PackageError, PodiumError, ProjectError, Untrusted
from podium.models.digest import digest_of
from podium.models.packing import Packed, pack
from podium.models.trust import Trust

from .formats.kept import columns, opened

NAMES = ["a", "b", "c", "d"]
TABLE, SPECIES = load_iris(return_X_y=True)
MODULE = """
from pathlib import Path
from sklearn.datasets import load_iris
import podium

X = load_iris().data[::5]

def train():
    return podium.Trained(Path("given"), inputs=INPUTS, output="species")
"""
COLUMNS = 'dict(zip("abcd", X.T))'


class Folder:
    """An MLflow folder beside a model's module."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / "given"
        self.path.mkdir(parents=True)

    def describe(self, flavours: str) -> None:
        text = f"flavors:\n{textwrap.indent(textwrap.dedent(flavours), '  ')}mlflow_version: 3.17.2\n"
        (self.path / "MLmodel").write_text(text)

    def write(self, name: str, content: bytes) -> None:
        (self.path / name).parent.mkdir(exist_ok=True)
        (self.path / name).write_bytes(content)

    def pack(self, *, trusted: bool = False, inputs: str = COLUMNS) -> Packed:
        (self.root / "model.py").write_text(MODULE.replace("INPUTS", inputs))
        into = self.root.parent / f"package-{len(list(self.root.parent.iterdir()))}"
        into.mkdir()
        lines = frozenset([digest_of(self.path)] if trusted else [])
        trust = Trust(path=Path("trust"), lines=lines)
        packed = pack(self.root / "model.py", model="model", root=self.root, into=into, trust=trust)
        into.rename(into.with_name(packed.digest))
        return Packed(
            folder=into.with_name(packed.digest),
            digest=packed.digest,
            manifest=packed.manifest,
            why=packed.why,
        )


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "project")


SKLEARN = """\
    python_function:
      loader_module: mlflow.sklearn
      model_path: {file}
    sklearn:
      code: null
      pickled_model: {file}
      serialization_format: {format}
"""


def logistic() -> LogisticRegression:
    return LogisticRegression(max_iter=500).fit(TABLE, SPECIES)


def test_scikit_learns_skops_file_is_read_and_packed_as_any_other_model(folder: Folder) -> None:
    folder.describe(SKLEARN.format(file="model.skops", format="skops"))
    folder.write("model.skops", skops.io.dumps(logistic()))
    packed = folder.pack()
    assert packed.manifest.format == "onnx"
    found = opened(packed).predict(columns(TABLE, NAMES))
    np.testing.assert_allclose(found["species_probability"], logistic().predict_proba(TABLE), rtol=1e-9)


def test_a_pickle_is_not_read_before_the_folder_is_trusted(folder: Folder) -> None:
    model = KernelRidge().fit(TABLE, SPECIES)
    folder.describe(SKLEARN.format(file="model.pkl", format="cloudpickle"))
    folder.write("model.pkl", pickle.dumps(model))
    with pytest.raises(Untrusted, match=f"an MLflow model with a pickle.*model@{digest_of(folder.path)}"):
        folder.pack()
    packed = folder.pack(trusted=True)
    assert packed.manifest.format == "skops"
    found = opened(packed).predict(columns(TABLE, NAMES))["species"]
    np.testing.assert_allclose(found, model.predict(TABLE), rtol=1e-9)


def test_an_xgboost_file_is_what_it_was_saved_from(folder: Folder) -> None:
    model = xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(TABLE, SPECIES)
    flavour = "xgboost:\n  data: model.ubj\n  model_class: xgboost.sklearn.XGBClassifier\n"
    folder.describe(flavour)
    model.save_model(folder.path / "model.ubj")
    packed = folder.pack()
    assert packed.manifest.format == "xgboost"
    found = opened(packed).predict(columns(TABLE, NAMES))
    assert found["species"].tolist() == model.predict(TABLE).tolist()
    np.testing.assert_allclose(found["species_probability"], model.predict_proba(TABLE), rtol=1e-9)


def test_a_lightgbm_text_is_read_and_its_skops_only_if_trusted(folder: Folder) -> None:
    model = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1, n_jobs=1).fit(TABLE, SPECIES)
    folder.describe("lightgbm:\n  data: model.lgb\n  model_class: lightgbm.basic.Booster\n")
    model.booster_.save_model(folder.path / "model.lgb")
    assert str(folder.pack().manifest.outputs) == "{species: float[3]}"
    folder.describe("lightgbm:\n  data: model.skops\n  serialization_format: skops\n")
    folder.write("model.skops", skops.io.dumps(model))
    with pytest.raises(Untrusted, match="LightGBM's own objects"):
        folder.pack()
    found = opened(folder.pack(trusted=True)).predict(columns(TABLE, NAMES))
    assert found["species"].tolist() == np.asarray(model.predict(TABLE)).tolist()


def test_an_onnx_file_is_kept_as_a_graph(folder: Folder) -> None:
    folder.describe("onnx:\n  data: model.onnx\npython_function:\n  loader_module: mlflow.onnx\n")
    made = to_onnx(logistic(), TABLE[:1].astype("f4"), target_opset=18)
    onnx.save(made, folder.path / "model.onnx")
    packed = folder.pack()
    assert packed.manifest.format == "onnx"
    found = opened(packed).predict(columns(TABLE, NAMES))
    assert found["species"].tolist() == logistic().predict(TABLE).tolist()


FUNCTION = """\
    python_function:
      code: code
      data: weights.txt
      loader_module: sums_of_columns
"""
LOADER = b"""
from pathlib import Path

class Sums:
    def __init__(self, factor):
        self.factor = factor

    def predict(self, frame):
        return (frame["a"] + frame["d"]) * self.factor

def _load_pyfunc(path):
    return Sums(float(Path(path).read_text()))
"""


def test_a_python_function_runs_only_if_folder_and_package_are_trusted(folder: Folder) -> None:
    folder.describe(FUNCTION)
    folder.write("weights.txt", b"2")
    folder.write("code/sums_of_columns.py", LOADER)
    with pytest.raises(Untrusted, match="an MLflow python_function, so loading it runs its code"):
        folder.pack()
    packed = folder.pack(trusted=True)
    assert packed.why == "it is an MLflow python_function, loaded by sums_of_columns"
    with pytest.raises(Untrusted, match="an MLflow python_function"):
        opened(packed)
    for rows in (1, 150):
        found = opened(packed, trusted=True).predict(columns(TABLE[:rows], NAMES))["species"]
        np.testing.assert_allclose(found, 2 * (TABLE[:rows, 0] + TABLE[:rows, 3]))


def test_two_folders_may_call_their_loaders_the_same(folder: Folder, tmp_path: Path) -> None:
    other = Folder(tmp_path / "other")
    for each, loader in ((folder, LOADER), (other, LOADER.replace(b'frame["a"]', b'frame["b"]'))):
        each.describe(FUNCTION)
        each.write("weights.txt", b"1")
        each.write("code/sums_of_columns.py", loader)
        packed = each.pack(trusted=True)
    found = opened(packed, trusted=True).predict(columns(TABLE, NAMES))["species"]
    np.testing.assert_allclose(found, TABLE[:, 1] + TABLE[:, 3])


def test_a_loader_that_is_not_installed_is_named(folder: Folder) -> None:
    folder.describe("python_function:\n  loader_module: no_such_library\n")
    with pytest.raises(PackageError, match="No module named 'no_such_library'; install what"):
        folder.pack(trusted=True)


# --- hostile and malformed ------------------------------------------------------------------


class Evil:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("name", ["model.pkl", "model.skops", "model.onnx", "model.lgb", "model.ubj"])
def test_a_pickle_under_whatever_name_is_not_run(folder: Folder, tmp_path: Path, name: str) -> None:
    touched = tmp_path / "touched"
    kinds = {"pkl": "sklearn", "skops": "sklearn", "onnx": "onnx", "lgb": "lightgbm", "ubj": "xgboost"}
    kind, format = kinds[name.rpartition(".")[2]], name.rpartition(".")[2]
    folder.describe(
        f"{kind}:\n  data: {name}\n  pickled_model: {name}\n  serialization_format: {format}\n"
        "  model_class: xgboost.sklearn.XGBClassifier\n"
    )
    folder.write(name, pickle.dumps(Evil(touched)))
    with pytest.raises(PodiumError):
        folder.pack()
    assert not touched.exists()


@pytest.mark.parametrize("where", ["../secret.onnx", "/etc/hostname", "sub/../../secret.onnx"])
def test_a_path_out_of_the_folder_is_refused(folder: Folder, where: str) -> None:
    (folder.root / "secret.onnx").write_bytes(b"")
    folder.describe(f"onnx:\n  data: {where}\n")
    with pytest.raises(PackageError, match="outside of the folder: refused"):
        folder.pack()


def test_a_link_in_the_folder_is_refused(folder: Folder) -> None:
    folder.describe("onnx:\n  data: model.onnx\n")
    (folder.path / "model.onnx").symlink_to("/etc/hostname")
    with pytest.raises(PackageError, match=r"'model\.onnx' is not a plain file"):
        folder.pack()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no flavors"),
        ("flavors: {}", "names no flavors"),
        ("flavors: [1", "cannot be read"),
        ("flavors: !!python/object/apply:os.system ['true']", "cannot be read: could not determine"),
        ("x: " + "[" * 5000, "cannot be read"),
        ("#" * 1_000_001, "longer than 1000000 bytes"),
        ("flavors: {onnx: {}}", "data of MLmodel names no file"),
        ("flavors: {onnx: {data: gone.onnx}}", "no such file"),
        ("flavors: {onnx: {data: [1]}}", "names no file"),
        ("flavors: {spark: {}}", "flavours spark; Podium reads onnx, xgboost"),
        ("flavors: {python_function: {}}", "has no loader_module"),
    ],
)
def test_a_malformed_description_is_one_clear_error(folder: Folder, text: str, says: str) -> None:
    (folder.path / "MLmodel").write_text(text)
    with pytest.raises((PackageError, ProjectError), match=says):
        folder.pack()


def test_a_folder_without_a_description_is_none_of_mlflows(folder: Folder) -> None:
    with pytest.raises(ProjectError, match="is no MLflow folder: it has no file MLmodel"):
        folder.pack()
