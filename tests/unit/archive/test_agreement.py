"""Two scores of one row are equal, near, or different, and the first different ones are shown."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from podium.archive.agreement import Agreement, Placed, agreement
from podium.archive.arrays import stacked
from podium.models.manifest import Tolerance
from podium.schema import Field, Kind

Y = Field(name="y", type=Kind.FLOAT)
WORD = Field(name="word", type=Kind.STRING)
WITHIN = Tolerance(relative=0.0, absolute=0.01)


def placed(rows: Mapping[tuple[str, int], tuple[float, str]]) -> Placed:
    y, word = zip(*rows.values(), strict=True)
    return Placed(
        places=list(rows),
        values={"y": stacked(Y, [np.array(y)]), "word": stacked(WORD, [np.array(word, object)])},
    )


def test_rows_are_matched_by_id_and_number_whatever_their_order() -> None:
    live = placed({("a", 0): (1.0, "x"), ("a", 1): (2.0, "y"), ("b", 0): (3.0, "z")})
    replayed = placed(
        {("b", 0): (3.0, "z"), ("c", 0): (9.0, "z"), ("a", 1): (2.0, "y"), ("a", 0): (1.0, "x")}
    )
    assert agreement(live, replayed, WITHIN) == Agreement(rows=3, equal=3)


def test_every_output_must_be_the_same() -> None:
    live = placed({("a", 0): (1.0, "x"), ("b", 0): (1.0, "x"), ("c", 0): (1.0, "x"), ("d", 0): (1.0, "x")})
    replayed = placed(
        {("a", 0): (1.0, "x"), ("b", 0): (1.005, "x"), ("c", 0): (1.0, "y"), ("d", 0): (2.0, "x")}
    )
    found = agreement(live, replayed, WITHIN)
    assert (found.rows, found.equal, found.near, found.different) == (4, 1, 1, 2)
    assert [each.id for each in found.first] == ["c", "d"]
    assert (found.first[1].live, found.first[1].replayed) == (
        {"y": 1.0, "word": "x"},
        {"y": 2.0, "word": "x"},
    )


def test_rows_that_only_one_side_has_are_not_compared() -> None:
    assert agreement(placed({("a", 0): (1.0, "")}), placed({("b", 0): (1.0, "")}), WITHIN) == Agreement()


def test_agreements_of_parts_add_up_and_show_only_the_first() -> None:
    live = placed({(f"r{n}", 0): (1.0, "") for n in range(4)})
    replayed = placed({(f"r{n}", 0): (2.0, "") for n in range(4)})
    part = agreement(live, replayed, WITHIN)
    both = part + part
    assert (both.rows, both.different, len(both.first)) == (8, 8, 5)
