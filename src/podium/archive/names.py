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

USAGE = "usage"
"""What became of the requests, in lines of an hour each, made from the others."""
USAGE_FILES = "usage_files"
"""The files of the others that those lines were made from."""


def table_uri(archive: str, endpoint: str, name: str) -> str:
    """Where a table is; `archive` is a folder or a URL as in `s3://bucket/path`."""
    return f"{archive.rstrip('/')}/{endpoint}/{name}"
