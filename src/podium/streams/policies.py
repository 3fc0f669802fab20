"""The seam between Podium and where policies are kept.

Every adapter passes `tests/contracts/test_policies.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from podium.records import Policy


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
