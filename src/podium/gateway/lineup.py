"""A policy as the request path uses it. A new revision is a new line-up; frames that are out keep theirs."""

from __future__ import annotations

from podium.records import Contender, Policy
from podium.rendezvous.schedule import Schedule
from podium.rendezvous.shares import Shares


class Lineup:
    """One revision: who scores, whose score is acceptable when, and for whom somebody else is preferred.

    `roles` maps the name of every contender to its role, as frames carry it.
    """

    __slots__ = ("_contenders", "champion", "policy", "roles", "schedule", "scoring", "shares")

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.schedule = Schedule(policy)
        self.shares = Shares(policy)
        self.scoring = policy.scoring
        self.champion = policy.champion
        self.roles = {contender.name: contender.role.value for contender in policy.contenders}
        self._contenders = {(c.model, c.version): c for c in self.scoring}

    def contender(self, model: str, version: str) -> Contender | None:
        """Who that is in this revision; None for somebody who has left, or is not here yet."""
        return self._contenders.get((model, version))

    def preferred(self, key: str) -> Contender | None:
        """In whose share a request with this key is; None where the schedule alone decides."""
        return self.shares.of(key) if self.shares else None
