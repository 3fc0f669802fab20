"""Podium: machine-learning models from a file to answers in production.

The public names; importing them loads no library.
"""

from podium.models.trained import Model, Trained

__all__ = ["Model", "Trained", "__version__"]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version  # slow, and seldom asked

        return version("podium")
    raise AttributeError(f"module 'podium' has no attribute {name!r}")
