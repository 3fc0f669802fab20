"""Calls to one endpoint. No I/O: both clients share it."""

from __future__ import annotations

import json
import re
import secrets
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

from podium.client import tensors
from podium.client.records import Outcome, Row, Wishes
from podium.client.wire import request_bytes
from podium.errors import InvalidInput

if TYPE_CHECKING:
    from podium.client.tables import Arrays

JSON = "application/json"
BINARY = "application/octet-stream"
KEY_HEADER = "x-api-key"

_HEADERS = {
    "deadline": "podium-deadline",
    "key": "podium-key",
    "force": "podium-force",
    "trace": "traceparent",
}
_PRINTABLE = re.compile(r"[ -~]*")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a gateway is; `netloc` is host and port as the URL has them, `prefix` comes before all paths."""

    url: str
    netloc: str
    host: str
    port: int
    prefix: str
    tls: bool

    @classmethod
    def of(cls, url: str) -> Address:
        """Raises ValueError for what is no URL of a gateway."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no URL of a gateway; expected one such as http://127.0.0.1:8080")
        tls = parts.scheme == "https"
        port = parts.port or (443 if tls else 80)
        return cls(
            url=url,
            netloc=parts.netloc.rpartition("@")[2],
            host=parts.hostname,
            port=port,
            prefix=parts.path.rstrip("/"),
            tls=tls,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as bytes, the same for all its tries.

    `timeout` is in seconds, None is the client's; `binary` says that it is about tensors, `part`
    about which rows of many.
    """

    request: bytes
    timeout: float | None = None
    binary: bool = False
    part: str = ""


class Endpoint:
    """Makes the calls of one endpoint; `headers` and the caller's key go with each of them.

    Raises InvalidInput for what cannot be sent.
    """

    def __init__(
        self, address: Address, name: str, headers: Mapping[str, str], api_key: str | None = None
    ) -> None:
        self._headers = {
            "host": address.netloc,
            "user-agent": "podium",
            **{name.lower(): value for name, value in _checked(headers).items()},
            **key_headers(api_key),
        }
        self._prefix = address.prefix
        self._score = f"/score/{quote(name, safe='')}"
        self._infer = f"/v2/models/{quote(name, safe='')}/infer"
        self._outcome = f"/outcome/{quote(name, safe='')}"

    def score(self, rows: Row | Sequence[Row], id: str | None, wishes: Wishes) -> Call:
        """Raises InvalidInput for what cannot be sent."""
        return self._scoring(self._score, {}, _json(rows), id, wishes)

    def score_one(self, row: Row, id: str | None, wishes: Wishes) -> Call:
        """The same; raises TypeError for what is several rows."""
        if not isinstance(row, Mapping):
            raise TypeError(f"expected one row, inputs by name, not {type(row).__name__}; see score_rows")
        return self.score(row, id, wishes)

    def score_many(self, parts: Iterable[list[Row] | Arrays], wishes: Wishes) -> Iterator[Call]:
        """A call for each part of many rows."""
        first = 0
        for part in parts:
            call = self._tensors(part, wishes) if isinstance(part, dict) else self.score(part, None, wishes)
            count = len(next(iter(part.values()))) if isinstance(part, dict) else len(part)
            yield replace(call, part=f"in rows {first} to {first + count - 1}, counted from 0")
            first += count

    def _tensors(self, columns: Arrays, wishes: Wishes) -> Call:
        head, body = tensors.packed(columns)
        headers = {"content-type": BINARY, tensors.HEADER: str(head)}
        return replace(self._scoring(self._infer, headers, body, None, wishes), binary=True)

    def outcome(
        self, id: str, outcome: Row | Sequence[Row], observed: datetime | None, timeout: float | None
    ) -> Call:
        headers = {"podium-observed": observed.isoformat()} if observed else {}
        return self._call(f"{self._outcome}/{quote(id, safe='')}", headers, _json(outcome), timeout)

    def outcomes(self, outcomes: Sequence[Outcome], timeout: float | None) -> Call:
        items = [
            {"id": each.id, "row": each.row, "outcome": each.outcome}
            | ({"observed": each.observed.isoformat()} if each.observed else {})
            for each in outcomes
        ]
        return self._call(self._outcome, {}, _json(items), timeout)

    def _scoring(
        self, path: str, headers: Mapping[str, str], body: bytes, id: str | None, wishes: Wishes
    ) -> Call:
        """With an id in any case: without one, a second try would be another request."""
        if unknown := wishes.keys() - Wishes.__annotations__:
            raise TypeError(
                f"no such argument: {', '.join(unknown)}; there are {', '.join(Wishes.__annotations__)}"
            )
        asked = {
            _HEADERS[name]: str(wish)
            for name, wish in wishes.items()
            if name in _HEADERS and wish is not None
        }
        headers = {**headers, **asked, "podium-id": new_id() if id is None else id}
        return self._call(path, headers, body, wishes.get("timeout"))

    def _call(self, path: str, headers: Mapping[str, str], body: bytes, timeout: float | None) -> Call:
        every = {**self._headers, "content-type": JSON, **_checked(headers)}
        return Call(request=request_bytes("POST", self._prefix + path, every, body), timeout=timeout)


def key_headers(key: str | None) -> dict[str, str]:
    """A caller's key, as it is sent: beside `authorization`, which may be for a proxy.

    Raises InvalidInput, which does not show the key, for one that cannot be sent.
    """
    if key is None:
        return {}
    key = key.strip()  # a file that it comes from ends with a line break
    if not key or not _PRINTABLE.fullmatch(key):
        raise InvalidInput("the key cannot be sent", path="api_key", expected="printable ASCII characters")
    return {KEY_HEADER: key}


def check_bounds(batch: int, at_once: int = 1) -> None:
    if batch < 1 or at_once < 1:
        raise ValueError(f"batch and at_once are at least 1, not {batch} and {at_once}")


def new_id() -> str:
    """A UUIDv7 (RFC 9562): time-ordered, as the gateway's own are."""
    number = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    number = number & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=number & ~(0b11 << 62) | 0b10 << 62))


def parts(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """As many as `size` at a time, the last ones perhaps fewer."""
    left = iter(items)
    while part := list(islice(left, size)):
        yield part


def _checked(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if not _PRINTABLE.fullmatch(name + value):
            expected = "printable ASCII characters"
            raise InvalidInput(f"{name} is {value!r}", path=f"header {name}", expected=expected)
    return headers


def _json(found: object) -> bytes:
    """NaN stays NaN, which the gateway tells from a missing value; msgspec would make it null."""
    try:
        return json.dumps(found, default=_plain).encode()
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"this cannot be sent as JSON: {error}", expected="numbers, text, lists") from None


def _plain(value: Any) -> Any:
    """Mappings that are no dicts; arrays and scalars of numpy."""
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{value!r} is {type(value).__name__}")
