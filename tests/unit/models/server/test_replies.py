"""What a server said, in one line."""

from __future__ import annotations

import pytest

from podium.errors import ModelFailed
from podium.models.server.http import Reply
from podium.models.server.replies import json_of

HTML = (
    b"<!doctype html>\n<html><head><style>p { color: red }</style></head>"
    b"<h1>Not &amp; Found</h1><p>try\nelsewhere</p>"
)


def reply(status: int, body: bytes, kind: str = "application/json", location: str = "") -> Reply:
    return Reply(status=status, kind=kind, location=location, body=body)


def test_json_is_read_whatever_it_calls_itself() -> None:
    assert json_of(reply(200, b"[152.5]", kind="text/html")) == [152.5]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (reply(500, HTML, "text/html"), "it answered 500: Not & Found try elsewhere"),
        (reply(500, b'{"error": "no model"}'), "it answered 500: no model"),
        (reply(422, b'{"detail": [{"loc": ["x"]}]}'), 'it answered 422: [{"loc":["x"]}]'),
        (reply(503, b""), "it answered 503 and nothing else"),
        (reply(204, b""), "it answered 204 and nothing else"),
        (reply(200, HTML, "text/html"), "it answered HTML: Not & Found try elsewhere ("),
        (reply(200, b"{", "application/json"), "it answered what is no JSON: { ("),
        (reply(200, b"\xff\xfe"), "it answered what is no JSON"),
        (reply(200, b'{"y": NaN}'), "it answered NaN or Infinity, which is no JSON"),
        (reply(200, b'{"y": [-Infinity]}'), "it answered NaN or Infinity, which is no JSON"),
        (
            reply(302, b"", location="http://elsewhere/"),
            "it answered 302, a redirect to http://elsewhere/, which is not followed",
        ),
        (reply(308, b""), "a redirect to nowhere"),
        (reply(200, b"[" * 100_000), "it answered what is no JSON"),
        (reply(500, b"x" * 10_000), "x…"),
    ],
)
def test_what_is_no_answer_is_one_line_that_says_what_it_is(given: Reply, said: str) -> None:
    with pytest.raises(ModelFailed) as caught:
        json_of(given)
    message = str(caught.value)
    assert said in message
    assert "\n" not in message
    assert len(message) < 400
