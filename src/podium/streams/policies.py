"""The seam between Podium and where policies are kept.

Every adapter passes `tests/contracts/test_policies.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

import msgspec

from podium.records import Policy

log = logging.getLogger(__name__)


class PolicyStore(Protocol):
    """One endpoint's policies: revisions 1, 2, 3, …, none of which ever changes. `async with` connects."""

    async def read(self, revision: int | None = None) -> Policy | None:
        """A revision, or the newest; None where there is none. Raises StreamAway."""

    async def write(self, policy: Policy) -> None:
        """Keep a revision. Of two that write the same one, the second gets RevisionTaken.

        Raises StreamAway where it is not known to be kept.
        """

    async def follow(self, receive: Callable[[Policy], None]) -> None:
        """Call `receive` with the newest revision, and from then on with each newer one.

        After the store was away it is called with what is newest then. It may be called twice with
        the same.
        """


def policy_of(document: bytes | str | None) -> Policy | None:
    """What a store has kept; None, loudly, for what nobody can read."""
    if not document:
        return None
    try:
        return msgspec.json.decode(document, type=Policy)
    except msgspec.MsgspecError as error:
        log.error("policies: a revision that cannot be read: %s", error)
        return None
