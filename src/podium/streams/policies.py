"""The seam between Podium and where policies, and callers' keys, are kept.

Every adapter passes `tests/contracts/test_policies.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

import msgspec

from podium.callers import Key
from podium.records import Policy

log = logging.getLogger(__name__)

Kept = TypeVar("Kept")


class PolicyStore(Protocol):
    """One endpoint's policies: revisions 1, 2, 3, …, none of which ever changes. `async with` connects.

    Beside them are its callers' keys, each by its digest.
    """

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

    async def keys(self) -> list[Key]:
        """All of them, the revoked ones too, the oldest first. Raises StreamAway."""

    async def keep_key(self, key: Key) -> None:
        """Keep a key in place of what was kept under its digest.

        Raises StreamAway where it is not known to be kept.
        """

    async def follow_keys(self, receive: Callable[[Key], None]) -> None:
        """Call `receive` with each key, and from then on with each that is new or has changed.

        After the store was away it is called with all of them again. It may be called with what a key
        was before after what it is now.
        """


def policy_of(document: bytes | str | None) -> Policy | None:
    """What a store has kept; None, loudly, for what nobody can read."""
    return _read(document, Policy, "a revision")


def key_of(document: bytes | str | None) -> Key | None:
    """The same for a key. What nobody can read lets nobody in."""
    return _read(document, Key, "a key")


def _read(document: bytes | str | None, kind: type[Kept], what: str) -> Kept | None:
    if not document:
        return None
    try:
        return msgspec.json.decode(document, type=kind)
    except msgspec.MsgspecError as error:
        log.error("policies: %s that cannot be read: %s", what, error)
        return None


def in_order(keys: Iterable[Key]) -> list[Key]:
    """The oldest first."""
    return sorted(keys, key=lambda key: (key.created, key.digest))
