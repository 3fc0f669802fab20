"""Replies of HTTP/1.1, however they are cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.client.wire import MOST_HEAD, Reply, ReplyReader, request_bytes
from podium.errors import GatewayFailed

BODY = b'{"answer": 1}'
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nPodium-Id: a\r\n\r\n" + BODY
CHUNKED = (
    b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;note=x\r\n{"ans\r\n8\r\nwer": 1}\r\n0\r\n\r\n'
)
TRAILED = (
    b'HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\nd\r\n{"answer": 1}\r\n0\r\nchecksum: 1\r\n\r\n'
)
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n" + SIZED
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"


def read(pieces: list[bytes]) -> Reply | None:
    reader = ReplyReader()
    found = [reader.feed(piece) for piece in pieces]
    assert found[:-1] == [None] * (len(found) - 1)
    return found[-1]


@given(
    st.sampled_from([(SIZED, BODY), (INTERIM, BODY), (CHUNKED, BODY), (TRAILED, BODY), (EMPTY, b"")]),
    st.data(),
)
def test_a_reply_is_the_same_wherever_it_is_cut(whole: tuple[bytes, bytes], data: st.DataObject) -> None:
    text, body = whole
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1))))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    found = read(pieces)
    assert found is not None
    assert (found.body, found.reusable) == (body, True)


def test_names_of_headers_are_in_lower_case() -> None:
    found = read([SIZED])
    assert found is not None
    assert found.headers == {"content-length": "13", "podium-id": "a"}


def test_a_body_without_a_length_ends_with_its_connection() -> None:
    found = read([b"HTTP/1.1 200 OK\r\n\r\n", BODY, b""])
    assert found == Reply(200, {}, BODY, False)


@pytest.mark.parametrize(
    "text",
    [
        SIZED.replace(b"Podium-Id: a", b"Connection: Close"),
        SIZED.replace(b"/1.1", b"/1.0"),
        SIZED + b"HTTP/1.1 408 Late\r\ncontent-length: 0\r\n\r\n",
    ],
    ids=["it says so", "HTTP/1.0", "it goes on unasked"],
)
def test_some_connections_are_not_used_again(text: bytes) -> None:
    found = read([text])
    assert found is not None
    assert (found.body, found.reusable) == (BODY, False)


@pytest.mark.parametrize("cut", [0, 5, 40, len(SIZED) - 1])
def test_a_connection_that_ends_too_early_is_no_reply(cut: int) -> None:
    reader = ReplyReader()
    if cut:
        assert reader.feed(SIZED[:cut]) is None
    with pytest.raises(EOFError):
        reader.feed(b"")


@pytest.mark.parametrize(
    "text",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        b"HTTP/1.1 two\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: \xff\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcde\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * MOST_HEAD,
    ],
)
def test_what_is_no_http_is_said_to_be_none(text: bytes) -> None:
    with pytest.raises(GatewayFailed, match="no answer of HTTP"):
        ReplyReader().feed(text)


def test_a_request_is_written_in_one_piece() -> None:
    written = request_bytes("POST", "/score/x", {"host": "h"}, b"{}")
    assert written == b"POST /score/x HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n{}"
