"""Podium: machine-learning models from a file to answers in production.

The public names; importing them loads no library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from podium.models.trained import Model, Trained

if TYPE_CHECKING:
    from podium.client import AsyncClient, Client

    __version__: str

__all__ = ["AsyncClient", "Client", "Model", "Trained", "__version__"]


def __getattr__(name: str) -> Any:
    if name in ("Client", "AsyncClient"):
        from podium import client  # a model's module asks nobody

        return getattr(client, name)
    if name == "__version__":
        from importlib.metadata import version  # slow, and seldom asked

        return version("podium")
    raise AttributeError(f"module 'podium' has no attribute {name!r}")
