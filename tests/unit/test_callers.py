"""What is kept of a caller's key, and how its words are read."""

from __future__ import annotations

import pytest

from podium.callers import NAME, PREFIX, Key, Rate, new_token
from podium.run import key_digest
from podium.streams.policies import key_of


@pytest.mark.parametrize(
    ("text", "requests", "seconds"),
    [("100/s", 100, 1), (" 600/m ", 600, 60), ("5000/h", 5000, 3600), ("1/h", 1, 3600)],
)
def test_a_rate_is_read_and_said_in_the_same_words(text: str, requests: int, seconds: int) -> None:
    rate = Rate.parse(text)
    assert rate == Rate(requests=requests, seconds=seconds)
    assert str(rate) == text.strip()


@pytest.mark.parametrize("text", ["", "100", "0/s", "-1/s", "1.5/s", "100/d", "100 / s", "1e3/s", "100/s/s"])
def test_what_is_no_rate_is_none(text: str) -> None:
    assert Rate.parse(text) is None


def test_tokens_are_long_begin_readably_and_are_never_the_same() -> None:
    tokens = {new_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert {len(token) for token in tokens} == {len(PREFIX) + 43}  # 256 bits, six to a character
    assert all(token.startswith(PREFIX) and token.isascii() for token in tokens)


def test_a_key_is_named_by_its_caller_its_id_or_its_token() -> None:
    token = new_token()
    key = Key(digest=key_digest(token), name="powerbi", created=1)
    for word in ("powerbi", key.id, key.digest, token):
        assert key.is_named(word)
    for word in ("powerb", key.digest[:7], new_token(), PREFIX, ""):
        assert not key.is_named(word)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "{}",
        '{"name": "a", "created": 1}',
        '{"digest": "zz", "name": "a", "created": 1}',
        f'{{"digest": "{"a" * 64}", "name": "a,b", "created": 1}}',
        f'{{"digest": "{"a" * 64}", "name": "a", "created": 1, "rate": {{"requests": 1, "seconds": 0}}}}',
    ],
)
def test_what_a_store_holds_and_is_no_key_lets_nobody_in(document: str) -> None:
    assert key_of(document) is None


@pytest.mark.parametrize("name", ["powerbi", "ann@example.org", "team-a_1.x", "7", "a" * 64])
def test_what_can_be_a_callers_name(name: str) -> None:
    assert NAME.fullmatch(name)


@pytest.mark.parametrize("name", ["", "a b", "a,b", "a=b", "a|b", "-a", "ä", "a\n", "a" * 65, "<b>"])
def test_what_cannot_be_a_callers_name(name: str) -> None:
    assert not NAME.fullmatch(name)
