"""What the replies to calls mean. No I/O: both clients share it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec

from podium.client import tensors
from podium.client.calls import Call
from podium.client.problems import refusal
from podium.client.records import Answer, Answers, Taken
from podium.client.wire import Reply
from podium.errors import GatewayFailed, Unreachable

TAKEN = (200, 202)
UNCHECKED = 202
"""The status of what was taken while nobody could say whether there is such a request."""

_T = TypeVar("_T")


def accepted(met: Reply | Unreachable, call: Call) -> Reply:
    """The reply, if it is one to what was asked. Raises the refusal, or that nobody answers."""
    if isinstance(met, Reply) and met.status in TAKEN:
        return met
    error = refusal(met) if isinstance(met, Reply) else met
    if call.part:
        error.add_note(call.part)
    raise error


def answer(reply: Reply) -> Answer:
    return _read(reply, Answer)


def answers(call: Call, reply: Reply) -> Answers:
    if not call.binary:
        return _read(reply, Answers)
    with _understood():
        return tensors.answers(reply.body)


def taken(reply: Reply) -> Taken:
    return _read(reply, Taken)


def total(taken: Iterable[Taken]) -> Taken:
    every = list(taken)
    return Taken(
        outcomes=sum(each.outcomes for each in every), unchecked=sum(each.unchecked for each in every)
    )


def taken_one(reply: Reply) -> Taken:
    """Of one request's outcome, which tells what was taken and not how much."""
    rows = _read(reply, _OneOutcome).outcome
    count = len(rows) if isinstance(rows, list) else 1
    return Taken(outcomes=count, unchecked=count if reply.status == UNCHECKED else 0)


class _OneOutcome(msgspec.Struct):
    outcome: dict[str, Any] | list[dict[str, Any]]


def _read(reply: Reply, kind: type[_T]) -> _T:
    with _understood():
        return msgspec.json.decode(reply.body, type=kind)


@contextmanager
def _understood() -> Iterator[None]:
    try:
        yield
    except (msgspec.MsgspecError, ValueError) as error:  # ValueError: columns of different lengths
        raise GatewayFailed(f"this is no answer of a gateway: {error}") from None
