"""skops: scikit-learn objects without a pickle. Reading a file makes objects of known types only."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from podium.errors import MissingExtra, PackageError, Untrusted, VersionConflict
from podium.models.estimator import Estimator
from podium.models.formats.base import EXACT, Allowed, Fitted, Unfit, Written
from podium.models.layout import Layout
from podium.models.manifest import Manifest
from podium.models.requirements import older, versions

try:
    import skops.io as skops
    from sklearn.exceptions import InconsistentVersionWarning
except ImportError:
    raise MissingExtra("skops", "models") from None

FILE = "model.skops"
TRUSTED = [
    "numpy.dtype",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogLink",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.MultinomialLogit",
    "sklearn._loss.loss.AbsoluteError",
    "sklearn._loss.loss.ExponentialLoss",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfGammaLoss",
    "sklearn._loss.loss.HalfMultinomialLoss",
    "sklearn._loss.loss.HalfPoissonLoss",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn._loss.loss.HalfTweedieLoss",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn._loss.loss.HuberLoss",
    "sklearn._loss.loss.PinballLoss",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.feature_selection._univariate_selection.f_regression",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.Matern",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.gaussian_process.kernels.Sum",
    "sklearn.gaussian_process.kernels.WhiteKernel",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.metrics._scorer._Scorer",
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
]
"""What skops does not know as harmless, and Podium does: parts of scikit-learn's own models."""


def open(package: Path, manifest: Manifest, allowed: Allowed) -> Estimator:
    _refuse_newer(manifest)
    content = (package / FILE).read_bytes()
    try:
        unknown = _unknown(content)
        model = None if unknown else _loaded(content)
    except Exception as error:  # whatever a type's own constructor raises; the bytes are those of the digest
        raise VersionConflict(
            f"{manifest.model}: the installed {_installed()} cannot read what {_written_by(manifest)} wrote: "
            f"{error}; install the package's requirements.txt"
        ) from None
    if unknown:
        raise Untrusted(
            f"{manifest.model}: {FILE} holds {', '.join(unknown)}, which Podium does not know as harmless; "
            f"`podium train {manifest.model} --trust-pickle` packs it for those who trust it"
        )
    return Estimator(model, Layout(manifest.layout), manifest.inputs, manifest.outputs)


def read(content: bytes, name: str, *, also: Sequence[str] = ()) -> Any:
    """The model in somebody's file, if it holds nothing unknown. Raises Untrusted or PackageError.

    `also` are types that the caller trusts in this file.
    """
    try:
        unknown = [found for found in _unknown(content) if found not in also]
        model = None if unknown else _loaded(content, [*TRUSTED, *also])
    except Exception as error:  # whatever a type's own constructor raises
        raise PackageError(f"{name} is no file that skops reads: {error}") from None
    if unknown:
        raise Untrusted(f"{name} holds {', '.join(unknown)}, which Podium does not know as harmless")
    return model


def _loaded(content: bytes, trusted: Sequence[str] = TRUSTED) -> Any:
    with warnings.catch_warnings():
        # Of an older scikit-learn: the samples, checked next, tell whether it matters.
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        return skops.loads(content, trusted=list(trusted))


def _unknown(content: bytes) -> list[str]:
    return [name for name in skops.get_untrusted_types(data=content) if name not in TRUSTED]


def _refuse_newer(manifest: Manifest) -> None:
    for library, installed in versions(["scikit-learn", "skops"]).items():
        wanted = manifest.libraries.get(library, installed)
        if older(installed, wanted):
            raise VersionConflict(
                f"{manifest.model} was packed with {library} {wanted}, installed is {installed}: "
                f"pip install '{library}>={wanted}'"
            )


def _installed() -> str:
    return ", ".join(f"{name} {version}" for name, version in versions(["scikit-learn", "skops"]).items())


def _written_by(manifest: Manifest) -> str:
    names = ("scikit-learn", "skops")
    return ", ".join(f"{name} {manifest.libraries.get(name, '?')}" for name in names)


def write(fitted: Fitted, package: Path) -> Written | Unfit:
    try:
        content = _normal(skops.dumps(fitted.model))
        unknown = _unknown(content)
    except Exception as error:  # a type that skops cannot write, said in many ways
        return Unfit(f"skops cannot hold it: {error}")
    if unknown:
        return Unfit(f"skops would hold types that Podium does not know as harmless: {', '.join(unknown)}")
    (package / FILE).write_bytes(content)
    libraries = ["numpy", "scikit-learn", "skops"]
    libraries += ["pandas"] if fitted.layout is Layout.FRAME else []
    return Written(layout=fitted.layout, tolerance=EXACT, libraries=libraries, why="it is kept as it is")


def _normal(content: bytes) -> bytes:
    """The same file with no time and no memory addresses in it, so that equal models have equal bytes."""
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        parts = {name: source.read(name) for name in source.namelist()}
    schema = json.loads(parts.pop("schema.json"))
    addresses: dict[int, int] = {}
    files: dict[str, str] = {}
    _renumber(schema, addresses, files)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for old, new in files.items():
            archive.writestr(zipfile.ZipInfo(new), parts[old])
        archive.writestr(zipfile.ZipInfo("schema.json"), json.dumps(schema))
    return target.getvalue()


def _renumber(node: Any, addresses: dict[int, int], files: dict[str, str]) -> None:
    """Name objects and files in the order in which the schema mentions them."""
    if isinstance(node, list):
        for inner in node:
            _renumber(inner, addresses, files)
    if not isinstance(node, dict):
        return
    if type(node.get("__id__")) is int:
        node["__id__"] = addresses.setdefault(node["__id__"], len(addresses))
    if "__loader__" in node and isinstance(node.get("file"), str):
        suffix = node["file"].rpartition(".")[2]
        node["file"] = files.setdefault(node["file"], f"{len(files)}.{suffix}")
    for inner in node.values():
        _renumber(inner, addresses, files)
