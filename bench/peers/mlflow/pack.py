"""Turns the pickles into MLflow's model folders. Usage: python pack.py FOLDER."""
# mypy: disable-error-code="import-not-found,import-untyped"
# (the framework lives in the peer's own environment, where mypy does not look)

import pickle
import shutil
import sys
from pathlib import Path

import mlflow.sklearn


def pack(folder: Path) -> None:
    for pickled in folder.glob("*.pkl"):
        packed = folder / pickled.stem
        shutil.rmtree(packed, ignore_errors=True)
        mlflow.sklearn.save_model(
            pickle.loads(pickled.read_bytes()),
            packed,
            serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_CLOUDPICKLE,
            # Given, so that it does not ask an index which versions there are.
            pip_requirements=["mlflow", "scikit-learn"],
        )


if __name__ == "__main__":
    pack(Path(sys.argv[1]))
