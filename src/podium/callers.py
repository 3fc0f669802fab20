"""Callers' keys: what is kept of one, and how its token is made. A token itself is kept nowhere."""

from __future__ import annotations

import re
import secrets
from typing import Annotated

import msgspec
from msgspec import Meta

from podium.run import key_digest

PREFIX = "podium_"
"""How every token begins: a gateway, and whoever looks for secrets in files, tell it from others by that."""

TOKEN_BYTES = 32
ID_LENGTH = 8
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
NAME_RULE = "a letter or digit, then up to 63 letters, digits, `.`, `_`, `@` and `-`"
ANONYMOUS = "anonymous"
OTHERS = "others"
RESERVED = (ANONYMOUS, OTHERS)
"""What metrics call those who have no key, and those who are too many to be told apart."""

_RATE = re.compile(r"([1-9]\d{0,8})/(s|m|h)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """So many requests in so many seconds, and as many at once."""

    requests: Annotated[int, Meta(ge=1)]
    seconds: Annotated[int, Meta(ge=1)]

    @classmethod
    def parse(cls, text: str) -> Rate | None:
        """`100/s`, `600/m`, `5000/h`; None for anything else."""
        found = _RATE.fullmatch(text.strip())
        return cls(requests=int(found[1]), seconds=_SECONDS[found[2]]) if found else None

    def __str__(self) -> str:
        unit = next(
            (unit for unit, seconds in _SECONDS.items() if seconds == self.seconds), f"{self.seconds} s"
        )
        return f"{self.requests}/{unit}"


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A caller's key to an endpoint: all of it but its token, of which `digest` is the SHA-256.

    `name` is the caller's, as the archive has it; a caller may have several keys. `created` and `revoked`
    (µs since the epoch) are when, the words beside them by whom. A revoked key never comes back.
    """

    digest: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    name: Annotated[str, Meta(pattern=rf"\A{NAME.pattern}\Z")]
    owner: str = ""
    purpose: str = ""
    rate: Rate | None = None
    created: int
    author: str = ""
    revoked: int | None = None
    revoker: str = ""

    @property
    def id(self) -> str:
        """Tells apart the keys of one caller."""
        return self.digest[:ID_LENGTH]

    def is_named(self, word: str) -> bool:
        """Whether a caller's name, the beginning of a digest or a token means this key."""
        if word.startswith(PREFIX):
            return key_digest(word) == self.digest
        return word == self.name or (len(word) >= ID_LENGTH and self.digest.startswith(word))


def new_token() -> str:
    """Random, so that nobody can guess it and a fast hash is enough (docs/decisions/0033-callers.md)."""
    return PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
