"""Objects as YAML: read back, they are what they were."""

from __future__ import annotations

from typing import Any

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from podium.yaml_text import yaml

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Co", "Cc"]) | st.just("\n"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(TEXTS, VALUES, min_size=1), min_size=1, max_size=3))
def test_what_is_written_is_read_back_as_it_was(objects: list[dict[str, Any]]) -> None:
    assert list(pyyaml.safe_load_all(yaml(objects))) == objects


@pytest.mark.parametrize("word", ["n", "yes", "null", "1e3", "0x1f", "1.20", "~", "- a", "#"])
def test_a_text_stays_a_text(word: str) -> None:
    assert pyyaml.safe_load(yaml([{word: word}])) == {word: word}


def test_a_file_in_an_object_can_be_read() -> None:
    assert (
        yaml([{"data": {"nats.conf": "a: 1\n  b: 2\n"}}]) == "data:\n  nats.conf: |\n    a: 1\n      b: 2\n"
    )
