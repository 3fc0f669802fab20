"""What a client may send, and for how long it may take."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.errors import InvalidInput, SlowBody, TooLarge, TooManyRequests
from podium.gateway.large import COUNTED_BYTES, Room
from podium.gateway.limits import Bodies, caller_id, deadline_ms
from podium.gateway.rsgi import HeaderList
from podium.run import Limits


class Sender:
    """A client's side of RSGI: a body that comes at once, in chunks, or never."""

    def __init__(self, *chunks: bytes, never_ends: bool = False) -> None:
        self.read = 0
        self._chunks = chunks
        self._never_ends = never_ends

    def __call__(self) -> Future[bytes]:
        self.read += 1
        future: Future[bytes] = asyncio.get_running_loop().create_future()
        if not self._never_ends:
            future.set_result(b"".join(self._chunks))
        return future

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            self.read += 1
            yield chunk
        if self._never_ends:
            await asyncio.Event().wait()

    def response_bytes(self, status: int, headers: HeaderList, body: bytes) -> None:
        raise AssertionError("nobody answers here")


def scope(length: str | None) -> Any:
    headers = {} if length is None else {"content-length": length}
    return SimpleNamespace(headers=headers)


async def read(sender: Sender, length: str | None, **limits: Any) -> bytes:
    async with Bodies(Limits(**limits), Room(1)) as bodies, asyncio.timeout(10):
        return await bodies.read(scope(length), sender)


@pytest.mark.parametrize(("chunks", "read"), [(3, 3), (100, 9)])
async def test_a_refused_body_is_read_on_for_a_while_so_that_its_sender_sees_the_refusal(
    chunks: int, read: int
) -> None:
    sender = Sender(*[b"x" * 10] * chunks)
    async with Bodies(Limits(body_bytes=10), Room(1)) as bodies, asyncio.timeout(10):
        await bodies.discard(sender)
    assert sender.read == read


async def test_a_refused_body_that_does_not_end_is_left_alone_in_time() -> None:
    async with Bodies(Limits(body_seconds=0.05), Room(1)) as bodies, asyncio.timeout(10):
        await bodies.discard(Sender(b"x", never_ends=True))


@pytest.mark.parametrize("length", ["10", None])
async def test_a_body_is_read_whole(length: str | None) -> None:
    assert await read(Sender(b"01234", b"56789"), length, body_bytes=10) == b"0123456789"


@pytest.mark.parametrize("length", ["11", "1" * 30, "-1", "ten", ""])
async def test_what_is_announced_as_too_large_is_not_read_at_all(length: str) -> None:
    sender = Sender(b"x" * 11)
    with pytest.raises(TooLarge, match="over the limit of 10 bytes"):
        await read(sender, length, body_bytes=10)
    assert sender.read == 0


async def test_what_is_not_announced_is_read_no_further_than_the_limit() -> None:
    sender = Sender(*[b"x" * 6] * 1000)
    with pytest.raises(TooLarge):
        await read(sender, None, body_bytes=10)
    assert sender.read == 2


@pytest.mark.parametrize("length", ["10", None])
async def test_a_body_that_does_not_end_is_cut_off(length: str | None) -> None:
    with pytest.raises(SlowBody, match=r"within 0.02 s"):
        await read(Sender(b"01234", never_ends=True), length, body_seconds=0.02)


async def test_a_slow_body_does_not_take_the_others_with_it() -> None:
    async with Bodies(Limits(body_seconds=0.02), Room(1)) as bodies, asyncio.timeout(10):
        slow = asyncio.create_task(bodies.read(scope("10"), Sender(never_ends=True)))
        while not slow.done():
            assert await bodies.read(scope("1"), Sender(b"x")) == b"x"
            await asyncio.sleep(0.001)
        with pytest.raises(SlowBody):
            await slow


@pytest.mark.parametrize("length", [str(COUNTED_BYTES + 1), None])
async def test_a_large_body_is_refused_while_others_fill_the_room_and_not_after(length: str | None) -> None:
    halves = (b"x" * COUNTED_BYTES, b"x")
    limits = Limits(body_bytes=COUNTED_BYTES + 1)
    async with Bodies(limits, Room(COUNTED_BYTES + 1)) as bodies, asyncio.timeout(10):
        first = asyncio.create_task(bodies.read(scope(str(COUNTED_BYTES + 1)), Sender(never_ends=True)))
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequests, match="of large bodies are in flight"):
            await bodies.read(scope(length), Sender(*halves))
        assert await bodies.read(scope("1"), Sender(b"x")) == b"x"
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert len(await bodies.read(scope(length), Sender(*halves))) == COUNTED_BYTES + 1


# --- headers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "ms"),
    [
        (None, None),
        ("50ms", 50.0),
        ("0.05s", 50.0),
        (" 1.5 ms ", 1.5),
        ("2s", 2000.0),
        ("0ms", 0.0),
    ],
)
def test_a_deadline_is_a_duration(header: str | None, ms: float | None) -> None:
    assert deadline_ms(header) == ms


@pytest.mark.parametrize("header", ["", "50", "ms", "-5ms", "50 minutes", "1e3ms", "nan", "infs", "1..2s"])
def test_what_is_no_duration_is_refused_with_an_example(header: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        deadline_ms(header)
    assert (caught.value.path, caught.value.expected) == ("header podium-deadline", "a duration such as 50ms")


def test_a_callers_own_id_is_kept() -> None:
    assert caller_id(None) is None
    assert caller_id("order 66/b") == "order 66/b"
    assert caller_id("x" * 200) == "x" * 200


@pytest.mark.parametrize("header", ["", "x" * 201, "a\r\nb: c", "größe", "a\tb", "\x7f"])
def test_an_id_that_could_not_be_a_header_again_is_refused(header: str) -> None:
    with pytest.raises(InvalidInput, match="podium-id cannot be kept"):
        caller_id(header)


@given(st.text(max_size=20))
def test_whatever_a_header_says_it_is_understood_or_refused(header: str) -> None:
    for understand in (deadline_ms, caller_id):
        try:
            understand(header)
        except InvalidInput as error:
            refused = error
            assert refused.path.startswith("header ")
