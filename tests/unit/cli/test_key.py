"""`podium key`: which key a word means, and what is shown of keys."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from podium.callers import Key, Rate
from podium.cli import podium
from podium.cli.key import _as_json, _named, _row
from podium.errors import NotFound, PodiumError, PolicyError
from podium.run import key_digest

TOKEN = "podium_mQ8mAIRNez_LSVk1jANzav6U0zt2fmqibtdHrMzbzPo"
OTHER = "podium_0Zr3xVbT1uYd5sKq7nWf9gLh2jCe4mPa6iOoBvUyXtE"
DAY = 86_400_000_000
POWERBI = Key(digest=key_digest(TOKEN), name="powerbi", created=DAY)
OLD = Key(digest="a" * 64, name="excel", created=DAY, revoked=2 * DAY, revoker="ada@host")
EXCEL = Key(digest="b" * 64, name="excel", created=2 * DAY, rate=Rate(requests=5, seconds=60), owner="Ada")
SECOND = Key(digest="c" * 64, name="excel", created=3 * DAY)


def test_a_name_means_the_key_that_is_not_revoked() -> None:
    assert _named([POWERBI, OLD, EXCEL], "excel") is EXCEL


@pytest.mark.parametrize("word", ["powerbi", POWERBI.id, TOKEN])
def test_a_key_is_found_by_name_id_or_itself(word: str) -> None:
    assert _named([EXCEL, POWERBI], word) is POWERBI


@pytest.mark.parametrize(
    ("word", "kind", "said"),
    [
        ("excel", PolicyError, "'excel' has 2 keys; say which by its id: bbbbbbbb of 1970-01-03, cccccccc"),
        ("aaaaaaaa", PolicyError, "'aaaaaaaa' is revoked already, by ada@host, 1970-01-03"),
        ("powerbl", NotFound, "no key 'powerbl' (did you mean 'powerbi'?); there are excel, powerbi"),
        (OTHER, NotFound, "no key podium_…; there are excel, powerbi"),
    ],
)
def test_a_word_that_means_no_key_or_several_says_which_there_are(
    word: str, kind: type[PodiumError], said: str
) -> None:
    with pytest.raises(kind, match=re.escape(said)):
        _named([POWERBI, OLD, EXCEL, SECOND], word)


def test_without_any_key_that_is_said() -> None:
    with pytest.raises(NotFound, match="no key 'excel'; there are none"):
        _named([], "excel")


def test_the_list_shows_all_keys_and_who_revoked_which() -> None:
    assert [_row(OLD), _row(EXCEL)] == [
        ("excel", "aaaaaaaa", "–", "–", "–", "1970-01-02", "revoked 1970-01-03 by ada@host"),
        ("excel", "bbbbbbbb", "Ada", "–", "5/m", "1970-01-03", "live"),
    ]


def test_json_says_all_that_is_kept() -> None:
    assert _as_json(OLD)["revoked"] == "1970-01-03T00:00:00+00:00"
    assert (_as_json(EXCEL)["rate"], _as_json(EXCEL)["revoked"]) == ("5/m", None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["create", "a b"], "'a b' cannot be a caller's name"),
        (["create", "anonymous"], "'anonymous' cannot be a caller's name"),
        (["create", "podium_x"], "'podium_x' cannot be a caller's name"),
        (["create", "a", "--rate", "fast"], "'fast' is no rate; write as in 100/s, 600/m or 5000/h"),
        (["create", "a", "--purpose", "two\nlines"], "one line of up to 200 characters"),
        (["revoke", "a", "b", "c"], "with the endpoint before it or without"),
    ],
)
def test_wrong_words_are_told_before_anything_is_asked(words: list[str], said: str) -> None:
    done = CliRunner().invoke(podium, ["key", *words])
    assert done.exit_code == 2
    assert said in done.output
