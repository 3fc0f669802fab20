"""What the tables are called, and where they are."""

from __future__ import annotations

REQUESTS = "requests"
SCORES = "scores"
ANSWERS = "answers"
DECOY = "decoy"
OUTCOMES = "outcomes"
TABLES = (REQUESTS, SCORES, ANSWERS, DECOY, OUTCOMES)
FORGOTTEN = "forgotten"
"""What was removed from the others; it holds nobody's data."""


def table_uri(archive: str, endpoint: str, name: str) -> str:
    """Where a table is; `archive` is a folder or a URL as in `s3://bucket/path`."""
    return f"{archive.rstrip('/')}/{endpoint}/{name}"
