"""Of several scores of one contender for one frame, the first."""

from __future__ import annotations

from collections import OrderedDict
from sys import intern

from podium.protocol.frames import ScoresFrame

FRAMES_REMEMBERED = 20_000
"""Of each contender and gateway: more than are sent in the time that a score is awaited."""

PAIRS_REMEMBERED = 256
"""Contenders, for each gateway that lived lately."""


class FirstScores:
    """Knows the frames that each contender has scored lately.

    When the broker crashes, a gateway may miss scores that the stream keeps, and then records an
    error in the contender's name: two messages of two sources, of which the second changes nothing.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str, str], dict[int, tuple[str, int]]] = OrderedDict()

    def add(self, scores: ScoresFrame) -> bool:
        """Whether these are the contender's first scores for their frame.

        The same message is asked about again when it could not be stored the first time, and is
        still the first then.
        """
        pair = (scores.origin, scores.model, scores.version)
        frames = self._seen.setdefault(pair, {})
        self._seen.move_to_end(pair)
        told = (intern(scores.source), scores.seq)
        if frames.setdefault(scores.frame, told) != told:
            return False
        if len(frames) > FRAMES_REMEMBERED:
            del frames[next(iter(frames))]
        if len(self._seen) > PAIRS_REMEMBERED:
            self._seen.popitem(last=False)
        return True
