"""Podium: machine-learning models from a file to answers in production.

The public names; importing them loads no library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from podium.models.trained import Model, Trained

if TYPE_CHECKING:
    from podium.client.async_client import AsyncClient
    from podium.client.client import Client

    __version__: str

__all__ = ["AsyncClient", "Client", "Model", "Trained", "__version__"]


def __getattr__(name: str) -> Any:
    # Each is imported when it is asked for: a model's module, which imports podium, asks for none of them.
    match name:
        case "Client":
            from podium.client.client import Client

            return Client
        case "AsyncClient":
            from podium.client.async_client import AsyncClient

            return AsyncClient
        case "__version__":
            from importlib.metadata import version

            return version("podium")
    raise AttributeError(f"module 'podium' has no attribute {name!r}")
