"""The report of `podium check`: named checks, each with what was found and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """How a check came out."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a report; `todo` says what to do, and is empty where nothing failed."""

    name: str
    verdict: Verdict
    said: str
    todo: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was checked, and how it came out: it is `ok` when nothing failed."""

    subject: str
    ok: bool
    checks: tuple[Check, ...]

    @classmethod
    def of(cls, subject: str, checks: Iterable[Check]) -> Report:
        all_of_them = tuple(checks)
        ok = not any(check.verdict is Verdict.FAILED for check in all_of_them)
        return cls(subject=subject, ok=ok, checks=all_of_them)
