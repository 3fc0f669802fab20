"""What a client sends and gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

import msgspec

Row = Mapping[str, Any]
"""Inputs, or outputs, by name."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One row's answer: every output by name, whose it is, and why it was let in.

    `model` and `version` are None for the endpoint's default. `ms` is the gateway's own time.
    """

    id: str
    answer: dict[str, Any]
    model: str | None
    version: str | None
    rule: str
    ms: float


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """The same for the rows of one request: `answer` is in their order."""

    id: str
    answer: list[dict[str, Any]]
    model: str | None
    version: str | None
    rule: str
    ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What really happened after a request: any of the outputs.

    `row` is the number of one of the request's rows, from 0; `observed` has a zone, and is the time of
    arrival where it is None.
    """

    id: str
    outcome: Row
    row: int = 0
    observed: datetime | None = None


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows' outcomes were taken; of `unchecked` nobody could say whether there is such a request."""

    outcomes: int
    unchecked: int


class Wishes(TypedDict, total=False):
    """What a call that scores may ask for besides.

    `deadline`, as in `"50ms"`, shortens the endpoint's; `key` is what a share of the traffic keeps to;
    `force` names a contender whose score alone will do; `trace` is a W3C `traceparent`. `timeout` is the
    call's own, in seconds, with all its tries.
    """

    deadline: str
    key: str
    force: str
    trace: str
    timeout: float
