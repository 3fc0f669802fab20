"""A model's module becomes a `Trained`: its `train()` runs, or its class says what it is."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from podium.errors import PodiumError, ProjectError
from podium.models.modules import where
from podium.models.trained import Model, Trained


def trained_by(module: ModuleType, file: Path) -> Trained:
    """Raises ProjectError for a module that has neither, or whose `train()` fails."""
    if callable(getattr(module, "train", None)):
        return _run(module, file)
    kind = getattr(module, "Model", None)
    if isinstance(kind, type) and issubclass(kind, Model):
        return _declared(kind, file)
    raise ProjectError(f"{file.name} has neither train() nor a class Model(podium.Model)")


def _run(module: ModuleType, file: Path) -> Trained:
    try:
        trained = module.train()
    except PodiumError:
        raise
    except Exception as error:  # the user's own code
        raise ProjectError(f"{where(error, file)}: train(): {type(error).__name__}: {error}") from error
    if not isinstance(trained, Trained):
        raise ProjectError(
            f"{file.name}: train() returned {type(trained).__name__}, expected "
            "podium.Trained(model, inputs=…, output=…)"
        )
    return trained


def _declared(kind: type[Model], file: Path) -> Trained:
    if kind.inputs is None or not kind.output:
        raise ProjectError(
            f"{file.name}: the class Model says neither what it takes nor what it gives: set "
            'inputs = {"bmi": "float"} (or examples) and output = "progression" in it'
        )
    return Trained(kind(), inputs=kind.inputs, output=kind.output, metrics=kind.metrics)
