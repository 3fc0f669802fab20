"""From a model's module to a package: trained, written in a format that fits, loaded once as proof."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
from msgspec.structs import replace as with_fields

from podium.errors import ModelFailed, PackageError, ProjectError, Untrusted
from podium.models import modules, native, requirements
from podium.models.estimator import answers, layout_of, outputs_of
from podium.models.examples import Examples, examples_of, mixed, training_of
from podium.models.formats import format_of
from podium.models.formats.base import EXACT, Fitted, Given, Kept, Unfit, Written
from podium.models.layout import Layout, feed
from podium.models.manifest import Manifest
from podium.models.profiling import profiles_of
from podium.models.revision import revision_of
from podium.models.sealing import Packed, seal
from podium.models.trained import Model, Trained
from podium.models.training import trained_by
from podium.models.trust import Trust, trust_path
from podium.models.values import conform_all, fingerprint, rows_of
from podium.schema import Columns, Field, Schema, schema_of

_MAKERS = ("numpy", "onnxruntime", "pandas", "scikit-learn", "scipy", "skl2onnx", "skops")
"""Libraries whose versions the manifest keeps, where they are installed."""


@dataclass(frozen=True, kw_only=True)
class _Source:
    """The user's module, and the folder that its package grows in."""

    module: ModuleType
    file: Path
    root: Path
    into: Path


def pack(
    file: Path, *, model: str, root: Path, into: Path, trust_pickle: bool = False, trust: Trust | None = None
) -> Packed:
    """Train the model in `file`, a module of the project in `root`, and pack it into an empty folder.

    `trust` is asked about a model's own file whose reading would run code; without one, none is read.
    Raises ProjectError for a module that says something that cannot be, PackageError where no format
    holds the model, Untrusted where only a pickle would and `trust_pickle` is false.
    """
    try:
        trust = trust or Trust(path=trust_path(os.environ))
        return _pack(file.resolve(), model, root.resolve(), into, trust_pickle=trust_pickle, trust=trust)
    except OSError as error:
        raise PackageError(f"{model} cannot be packed in {into}: {error.strerror}") from error


def _pack(file: Path, model: str, root: Path, into: Path, *, trust_pickle: bool, trust: Trust) -> Packed:
    root = root if file.is_relative_to(root) else file.parent
    with modules.imported(file, root) as module:
        trained = trained_by(module, file)
        if isinstance(trained.model, Path):
            trained = replace(trained, model=native.read(file.parent / trained.model, model, trust))
        examples = examples_of(trained.inputs)
        training = training_of(trained.training, examples)
        if training is not None:
            examples = replace(examples, inputs=training.inputs)
        source = _Source(module=module, file=file, root=root, into=into)
        if isinstance(trained.model, Model):
            content = _class(source, trained.model, trained, examples)
        elif format := native.format_for(trained.model):
            content = _native(source, format, trained, examples)
        else:
            content = _estimator(source, trained, examples, trust_pickle)
    manifest = _manifest(model, file, trained, examples, content)
    if training is not None:
        manifest = with_fields(manifest, profiles=profiles_of(into, manifest, training.columns))
    return seal(
        into,
        manifest,
        inputs=examples.columns,
        answers=content.answers,
        libraries=content.written.libraries,
        why=content.written.why,
    )


def _manifest(model: str, file: Path, trained: Trained, examples: Examples, content: Kept) -> Manifest:
    return Manifest(
        model=model,
        format=content.format,
        inputs=examples.inputs,
        outputs=content.outputs,
        metrics=_metrics(trained.metrics),
        tolerance=content.written.tolerance,
        data=fingerprint(examples.inputs, examples.columns),
        revision=revision_of(file),
        python=platform.python_version(),
        libraries=requirements.versions([*content.written.libraries, *_MAKERS]),
        layout=content.written.layout.value if content.written.layout else "",
        code=content.written.code,
    )


def _metrics(given: Mapping[str, float]) -> dict[str, float]:
    metrics = {str(name): float(value) for name, value in given.items()}
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise ProjectError(f"metrics: {name!r} is {value}, expected a finite number")
    return metrics


def _names(output: str | Sequence[str]) -> list[str]:
    names = [output] if isinstance(output, str) else list(output)
    if not names or len(set(names)) < len(names) or not all(isinstance(n, str) and n for n in names):
        raise ProjectError(f'output is {output!r}, expected a name or a list of them, as in "progression"')
    return names


# --- a model that its own library keeps, or a file ------------------------------------------


def _native(source: _Source, format: str, trained: Trained, examples: Examples) -> Kept:
    if examples.declared:
        raise ProjectError(f"{source.file.name}: inputs are examples here, the model is proved on them")
    given = Given(
        model=trained.model,
        inputs=examples.inputs,
        columns=examples.columns,
        names=_names(trained.output),
        folder=source.into,
    )
    try:
        return format_of(format).keep(given)
    except ProjectError as error:
        raise ProjectError(f"{source.file.name}: {error}") from None


# --- a model with scikit-learn's API --------------------------------------------------------


def _estimator(source: _Source, trained: Trained, examples: Examples, trust_pickle: bool) -> Kept:
    model, columns, file = trained.model, examples.columns, source.file
    if not hasattr(model, "predict"):
        raise ProjectError(f"{file.name}: {type(model).__name__} has no predict(), so it cannot be a model")
    if examples.declared:
        raise ProjectError(f"{file.name}: inputs are examples here, a converted model is compared on them")
    layout = layout_of(model, trained.inputs, examples.inputs, columns)
    fed = feed(layout, examples.inputs)(columns)
    found = answers(model, fed, _names(trained.output))
    outputs = outputs_of(model, found)
    fitted = Fitted(
        model=model,
        layout=layout,
        inputs=examples.inputs,
        outputs=outputs,
        probes=_probes(model, layout, examples),
        keep_code=partial(modules.copy, file, source.root),
    )
    name, written = _first_fit(fitted, source.into, trust_pickle)
    return Kept(
        format=name,
        outputs=outputs,
        answers=conform_all(outputs, found, rows_of(columns)),
        written=written,
    )


def _probes(model: object, layout: Layout, examples: Examples) -> Columns:
    """Rows to compare on: mixed ones too, unless the model refuses combinations that it never saw."""
    probes = mixed(examples.columns)
    try:
        model.predict(feed(layout, examples.inputs)(probes))  # type: ignore[attr-defined]  # asked before
    except Exception:  # the model's own idea of what may come together
        return examples.columns
    return probes


def _first_fit(fitted: Fitted, into: Path, trust_pickle: bool) -> tuple[str, Written]:
    reasons: list[str] = []
    for name in ("onnx", "skops", "pickle") if trust_pickle else ("onnx", "skops"):
        match format_of(name).write(fitted, into):
            case Written() as written:
                return name, _with_reasons(written, reasons)
            case Unfit(reason):
                reasons.append(f"{name}: {reason}")
    if trust_pickle:
        raise PackageError(f"no format holds this model: {'; '.join(reasons)}")
    raise Untrusted(
        f"only a pickle could hold this model ({'; '.join(reasons)}); if you trust it, train with "
        "--trust-pickle"
    )


def _with_reasons(written: Written, reasons: Sequence[str]) -> Written:
    return replace(written, why="; not ".join([written.why, *reasons]))


# --- a podium.Model -------------------------------------------------------------------------


def _class(source: _Source, model: Model, trained: Trained, examples: Examples) -> Kept:
    file, into, kind = source.file, source.into, type(model).__name__
    if getattr(source.module, kind, None) is not type(model):
        raise ProjectError(f"{file.name}: the model's class {kind} must be a name of this module")
    path, files = modules.copy(file, source.root, into)
    code = f"{path}:{kind}"
    _save(model, into, file)
    found = _asked(into, code, examples)
    outputs = _outputs(found, _names(trained.output), file)
    return Kept(
        format="python",
        outputs=outputs,
        answers=conform_all(outputs, found, rows_of(examples.columns)),
        written=Written(
            tolerance=EXACT,
            libraries=["numpy", *requirements.imported_by(files)],
            why="it is a class of its own",
            code=code,
        ),
    )


def _save(model: Model, into: Path, file: Path) -> None:
    try:
        model.save(into)
    except Exception as error:  # the user's own code
        raise ProjectError(
            f"{modules.where(error, file)}: save(): {type(error).__name__}: {error}"
        ) from error


def _asked(into: Path, code: str, examples: Examples) -> dict[str, np.ndarray]:
    """What the class answers once it is loaded from the package, not what it says now."""
    from podium.models.formats.python import fresh  # the format that was chosen

    try:
        found = fresh(into, code).predict(examples.columns)
        return {name: np.asarray(values) for name, values in found.items()}
    except PackageError:
        raise
    except Exception as error:  # the user's own code
        hint = "; give example inputs, its types alone made a row of zeros" if examples.declared else ""
        raise PackageError(f"{code}: predict() failed: {type(error).__name__}: {error}{hint}") from error


def _outputs(found: Columns, names: list[str], file: Path) -> Schema:
    if set(found) != set(names):
        raise ProjectError(f"{file.name}: predict() gave {sorted(found)}, but output says {sorted(names)}")
    try:
        seen = schema_of({name: found[name] for name in names})
    except ProjectError as error:
        raise ModelFailed(f"{file.name}: predict() gave what cannot be served: {error}") from None
    return Schema(tuple(Field(name=f.name, type=f.type, shape=f.shape) for f in seen.fields))
