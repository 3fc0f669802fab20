"""Asking an endpoint from Python: `Client`, and `AsyncClient` for asyncio.

A layer of its own, beside the server: it knows of the rest only the errors, and starts nothing.
"""

from podium.client.async_client import AsyncClient
from podium.client.client import Client
from podium.client.records import Answer, Answers, Outcome, Taken, Wishes

__all__ = ["Answer", "Answers", "AsyncClient", "Client", "Outcome", "Taken", "Wishes"]
