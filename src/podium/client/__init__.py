"""Asking an endpoint from Python: what `podium.Client` and `podium.AsyncClient` send and get.

A layer of its own, beside the server: it knows of the rest only the errors, and starts nothing.
"""

from podium.client.records import Answer, Answers, Outcome, Taken, Wishes

__all__ = ["Answer", "Answers", "Outcome", "Taken", "Wishes"]
