"""Policies in this process's memory: for tests, and for use without a broker."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from podium.callers import Key
from podium.errors import RevisionTaken, StreamAway
from podium.records import Policy
from podium.streams.policies import in_order


class MemoryShelf:
    """What several stores share: revisions and keys, and those who follow."""

    def __init__(self) -> None:
        self.up = True
        self.revisions: dict[int, Policy] = {}
        self.following: list[Callable[[Policy], None]] = []
        self.keys: dict[str, Key] = {}
        self.following_keys: list[Callable[[Key], None]] = []

    @property
    def newest(self) -> Policy | None:
        return self.revisions[max(self.revisions)] if self.revisions else None

    def crash(self) -> None:
        self.up = False

    def start(self) -> None:
        """Come back; followers hear of what is newest, and of all keys."""
        self.up = True
        if self.newest is not None:
            self.tell(self.newest)
        for key in in_order(self.keys.values()):
            self.tell_key(key)

    def tell(self, policy: Policy) -> None:
        for receive in self.following:
            receive(policy)

    def tell_key(self, key: Key) -> None:
        for receive in self.following_keys:
            receive(key)


class MemoryPolicyStore:
    """One connection to a shelf; see `podium.streams.policies.PolicyStore`."""

    def __init__(self, shelf: MemoryShelf) -> None:
        self._shelf = shelf

    async def __aenter__(self) -> MemoryPolicyStore:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""

    async def read(self, revision: int | None = None) -> Policy | None:
        self._reach()
        return self._shelf.newest if revision is None else self._shelf.revisions.get(revision)

    async def write(self, policy: Policy) -> None:
        self._reach()
        if policy.revision in self._shelf.revisions:
            raise RevisionTaken(f"somebody else has just made revision {policy.revision}")
        self._shelf.revisions[policy.revision] = policy
        self._shelf.tell(policy)

    async def follow(self, receive: Callable[[Policy], None]) -> None:
        self._reach()
        self._shelf.following.append(receive)
        if self._shelf.newest is not None:
            receive(self._shelf.newest)

    async def keys(self) -> list[Key]:
        self._reach()
        return in_order(self._shelf.keys.values())

    async def keep_key(self, key: Key) -> None:
        self._reach()
        self._shelf.keys[key.digest] = key
        self._shelf.tell_key(key)

    async def follow_keys(self, receive: Callable[[Key], None]) -> None:
        for key in await self.keys():
            receive(key)
        self._shelf.following_keys.append(receive)

    def _reach(self) -> None:
        if not self._shelf.up:
            raise StreamAway("the policy store cannot be reached")
