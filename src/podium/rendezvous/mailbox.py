"""Where a request's scores meet."""

from __future__ import annotations

from podium.records import Contender
from podium.rendezvous.schedule import Accept, Decision, Default, Schedule, Wait


class Mailbox:
    """The scores of one request (or of several that travel together), and the one decision on them.

    Times are ms since arrival. Once decided, nothing that comes later changes anything: a late or
    double score is ignored.
    """

    __slots__ = ("_schedule", "_scores", "deadline", "decided", "forced", "preferred")

    def __init__(
        self,
        schedule: Schedule,
        *,
        deadline: float | None = None,
        forced: Contender | None = None,
        preferred: Contender | None = None,
    ) -> None:
        self._schedule = schedule
        self._scores: dict[Contender, bool] = {}
        self.deadline = schedule.deadline if deadline is None else min(deadline, schedule.deadline)
        self.forced = forced
        self.preferred = preferred
        self.decided = False

    def post(self, contender: Contender, ok: bool, waited: float) -> Decision | None:
        """A contender has spoken. None: it is too late, or it has spoken before."""
        if self.decided or contender in self._scores:
            return None
        self._scores[contender] = ok
        return self.look(waited)

    def look(self, waited: float) -> Decision | None:
        """Decide with what is here; None when that was done before."""
        if self.decided:
            return None
        decision = self._schedule.decide(
            self._scores, waited, deadline=self.deadline, forced=self.forced, preferred=self.preferred
        )
        match decision:
            case Accept() | Default():
                self.decided = True
            case Wait():
                pass
        return decision

    def copy(self) -> Mailbox:
        """The same scores so far, for requests that go separate ways from here."""
        twin = Mailbox(self._schedule, deadline=self.deadline, forced=self.forced, preferred=self.preferred)
        twin._scores = dict(self._scores)
        twin.decided = self.decided
        return twin
