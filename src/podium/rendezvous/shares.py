"""Which requests are in a challenger's share of the traffic.

Each contender that has a share, and the rest of the traffic, draws a time from a request's key (its
`podium-key`, else its id) and its own name, the shorter the larger its part is; the first one has the
key. So the same key is always on the same side, the parts are as large as they should be, and a share
that grows takes keys and gives none away: its times become shorter, those of the rest longer, and all
others stay as they are. (Weighted rendezvous hashing: Schindelhauer and Schomaker, *Weighted distributed
hash tables*, 2005.)
"""

from __future__ import annotations

import math
from hashlib import blake2b

from podium.errors import PolicyError
from podium.records import Contender, Policy, Role

_SPAN = 2.0**64
_REST = b"the rest"
_NO_PART = 1e-9
"""What is left when shares add up to all of the traffic is nothing but rounding."""


class Shares:
    """A policy's shares, ready to choose."""

    __slots__ = ("_parts", "_rest")

    def __init__(self, policy: Policy) -> None:
        self._parts = [(c, c.name.encode()[:64], c.share or 0.0) for c in sharing(policy)]
        rest = 1.0 - sum(share for _, _, share in self._parts)
        self._rest = rest if rest > _NO_PART else 0.0

    def __bool__(self) -> bool:
        return bool(self._parts)

    def of(self, key: str) -> Contender | None:
        """The contender whose answer is preferred for this key; None: the champion's."""
        word = key.encode()
        chosen, first = None, _time(word, _REST, self._rest)
        for contender, name, share in self._parts:
            if (time := _time(word, name, share)) < first:
                chosen, first = contender, time
        return chosen


def _time(word: bytes, name: bytes, part: float) -> float:
    """Exponentially distributed over the keys, with the part as its rate; never for no part."""
    if not part:
        return math.inf
    drawn = int.from_bytes(blake2b(word, digest_size=8, key=name).digest())
    return -math.log((drawn + 1) / (_SPAN + 1)) / part


def sharing(policy: Policy) -> list[Contender]:
    """The contenders that have a share."""
    return [contender for contender in policy.contenders if contender.share]


def check_shares(policy: Policy) -> None:
    """Raise PolicyError for a share that is none, or nobody's, or shares of more than all the traffic."""
    for contender in policy.contenders:
        if contender.share is not None and contender.role is not Role.CHALLENGER:
            raise PolicyError(f"a share is for a challenger, and {contender.name} is {contender.role.value}")
        if contender.share is not None and not 0 <= contender.share <= 1:
            raise PolicyError(
                f"the share of {contender.name} is {contender.share * 100:g}%, expected 0% to 100%"
            )
    total = sum(contender.share or 0.0 for contender in policy.contenders)
    if total > 1 + 1e-9:
        parts = " + ".join(f"{(c.share or 0) * 100:g}% ({c.name})" for c in sharing(policy))
        raise PolicyError(f"the shares are {total:.0%} of the traffic together, more than all: {parts}")
