"""Pickle: only for packages that the user trusts, for models that nothing else can hold."""

from __future__ import annotations

import pickle
from pathlib import Path

from podium.errors import VersionConflict
from podium.models.estimator import Estimator
from podium.models.formats.base import EXACT, Allowed, Fitted, Unfit, Written
from podium.models.layout import Layout
from podium.models.manifest import Manifest
from podium.models.modules import CODE, imported
from podium.models.requirements import imported_by

FILE = "model.pickle"
_PROTOCOL = 5


def open(package: Path, manifest: Manifest, allowed: Allowed) -> Estimator:
    """The caller has asked the trust list: this runs whatever the pickle says."""
    code = package / CODE
    try:
        with imported(code / manifest.code, code):
            model = pickle.loads((package / FILE).read_bytes())
    except Exception as error:  # unpickling raises anything; the bytes are those of the digest
        raise VersionConflict(
            f"{manifest.model}: its pickle does not load with the installed libraries: "
            f"{type(error).__name__}: {error}; install the package's requirements.txt"
        ) from None
    return Estimator(model, Layout(manifest.layout), manifest.inputs, manifest.outputs)


def write(fitted: Fitted, package: Path) -> Written | Unfit:
    try:
        content = pickle.dumps(fitted.model, protocol=_PROTOCOL)
    except Exception as error:  # pickling runs the classes' own code
        return Unfit(f"pickle cannot hold it: {error}")
    (package / FILE).write_bytes(content)
    code, files = fitted.keep_code(package)
    return Written(
        layout=fitted.layout,
        tolerance=EXACT,
        libraries=["numpy", "scikit-learn", *imported_by(files)],
        why="nothing else can hold it, and --trust-pickle was given",
        code=code,
    )
