"""XGBoost's binary files, read by Podium: the same as its JSON, and nothing beyond their end."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_iris

from podium.errors import PackageError
from podium.models.formats.ubjson import decode


@pytest.fixture(scope="module")
def booster() -> xgboost.Booster:
    table, species = load_iris(return_X_y=True)
    model = xgboost.XGBClassifier(n_estimators=20, booster="dart", rate_drop=0.2, n_jobs=1)
    return model.fit(table, species).get_booster()


def test_it_is_the_same_document_as_xgboosts_own_json(booster: xgboost.Booster) -> None:
    assert decode(bytes(booster.save_raw("ubj"))) == json.loads(bytes(booster.save_raw("json")))


def test_every_kind_of_value_is_read() -> None:
    numbers = b"".join([b"i\x01a" + b"i\xff", b"i\x01b" + b"d" + struct.pack(">f", 0.1), b"i\x01c" + b"Z"])
    arrays = (
        b"i\x01d"
        + b"[$I#i\x02"
        + struct.pack(">hh", 1, -2)
        + b"i\x01e"
        + b"[#i\x01T"
        + b"i\x01f"
        + b"[FS"
        + b"U\x02hi]"
    )
    assert decode(b"{" + b"".join([numbers, arrays]).replace(b"i\x01", b"U\x01") + b"}") == {
        "a": -1, "b": 0.1, "c": None, "d": [1, -2], "e": [True], "f": [False, "hi"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no UBJSON"),
        (b"{", "no UBJSON"),
        (b"{}x", "more after its end"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[$D#L" + struct.pack(">q", 2**62), "a length is none"),
        (b"[$D#U\x04", "longer than its file"),
        (b"SU\x04abc", "longer than its file"),
        (b"[$i#i\xff", "a length is none"),
        (b"[$H#U\x01", "a value of the kind 'H'"),
        (b"{U\x01aZU\x01aT}", "'a' is there twice"),
        (b"cos\nsystem\n(S'id'\ntR.", "a value of the kind 'c'"),
    ],
)
def test_what_is_none_is_refused_without_believing_a_length(content: bytes, says: str) -> None:
    with pytest.raises(PackageError, match=says):
        decode(content)


def test_wherever_a_file_ends_it_is_refused(booster: xgboost.Booster) -> None:
    content = bytes(booster.save_raw("ubj"))
    for end in np.linspace(0, len(content) - 1, 50, dtype=int):
        with pytest.raises(PackageError):
            decode(content[:end])
