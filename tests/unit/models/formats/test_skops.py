"""What skops holds, and when it is not read."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator, RegressorMixin

from podium.errors import Untrusted, VersionConflict
from podium.models import manifest as manifests
from podium.models.digest import digest_of
from podium.models.loading import load
from podium.models.packing import Packed
from podium.models.trust import Trust

from ..sources import Make

NOBODY = Trust(path=Path("trust"))
KERNEL = """
    from sklearn.datasets import load_diabetes
    from sklearn.kernel_ridge import KernelRidge
    import podium

    def train():
        X, y = load_diabetes(return_X_y=True, as_frame=True)
        model = KernelRidge().fit(X[["bmi", "bp"]], y)
        return podium.Trained(model, inputs=X[["bmi", "bp"]][-20:], output="progression")
"""


class Stranger(RegressorMixin, BaseEstimator):
    """A class that skops can write, and nobody vouches for."""


@pytest.fixture
def kernel(make: Make) -> Packed:
    return make(KERNEL)


def renamed(folder: Path) -> Path:
    return folder.rename(folder.with_name(digest_of(folder)))


def test_a_model_fitted_with_names_scores_without_a_warning(kernel: Packed) -> None:
    assert kernel.manifest.format == "skops"
    columns = {name: np.frombuffer(np.zeros(3).tobytes(), "<f8") for name in ("bp", "bmi")}
    assert load(kernel.folder, trust=NOBODY).predict(columns)["progression"].shape == (3,)


def test_an_unknown_type_is_refused_by_name(kernel: Packed) -> None:
    (kernel.folder / "model.skops").write_bytes(skops.io.dumps(Stranger()))
    with pytest.raises(Untrusted, match=r"holds .*Stranger, which Podium does not know"):
        load(renamed(kernel.folder), trust=NOBODY)


def test_a_newer_scikit_learn_than_installed_is_named(kernel: Packed) -> None:
    copy = kernel.folder.with_name("copy")
    shutil.copytree(kernel.folder, copy)
    libraries = kernel.manifest.libraries | {"scikit-learn": "99.1.0"}
    manifests.write(msgspec.structs.replace(kernel.manifest, libraries=libraries), copy)
    with pytest.raises(VersionConflict, match=r"packed with scikit-learn 99\.1\.0, installed is \d"):
        load(renamed(copy), trust=NOBODY)


def test_a_newer_skops_protocol_is_a_conflict_of_versions(
    kernel: Packed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skops.io._utils.PROTOCOL", -1)  # as if the installed one were older
    with pytest.raises(VersionConflict, match="cannot read"):
        load(kernel.folder, trust=NOBODY)
