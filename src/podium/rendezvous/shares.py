"""Which requests are in a challenger's share of the traffic.

A request's key (its `podium-key`, else its id) is hashed once for each contender that has a share, so
the same key is always on the same side, and a share that grows moves nobody back.
"""

from __future__ import annotations

from hashlib import blake2b

from podium.errors import PolicyError
from podium.records import Contender, Policy, Role

_SPAN = 2.0**64


class Shares:
    """A policy's shares, ready to choose."""

    __slots__ = ("_parts",)

    def __init__(self, policy: Policy) -> None:
        self._parts: list[tuple[Contender, bytes, float]] = []
        left = 1.0  # of the traffic, for those whose turn is still to come
        for contender in sorted(sharing(policy), key=lambda contender: contender.name):
            share = contender.share or 0.0
            limit = min(1.0, share / left) * _SPAN if left > 0 else 0.0
            self._parts.append((contender, contender.name.encode()[:64], limit))
            left -= share

    def __bool__(self) -> bool:
        return bool(self._parts)

    def of(self, key: str) -> Contender | None:
        """The contender whose answer is preferred for this key; None: the champion's.

        A contender takes its part of what those before it have left, each by a hash of its own. So when
        one grows, the others keep all keys but those that it takes.
        """
        word = key.encode()
        for contender, name, limit in self._parts:
            if int.from_bytes(blake2b(word, digest_size=8, key=name).digest()) < limit:
                return contender
        return None


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
