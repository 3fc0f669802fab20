"""What is counted, and what periods, groups and merged histograms come to."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podium.archive.layouts import ReplayedScores
from podium.archive.names import SCORES, table_uri
from podium.archive.usage.figures import Figures
from podium.archive.usage.sums import usage
from podium.counters import bucket_of
from podium.errors import ArchiveError
from podium.period import Period, moment_of
from podium.protocol.frames import encode
from podium.schema import Field, Kind, Schema

from ..traffic import ENDPOINT, NOW, OUTPUTS
from .world import HOUR_US, World

WITHIN = 0.045


def world_at(folder: Path, outputs: Schema = OUTPUTS) -> World:
    return World(folder / "archive", outputs)


# --- what counts ----------------------------------------------------------------------------


def test_requests_are_counted_by_request_and_rows_by_row(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    world.requests(["a", "b"], rows=[3, 2])
    world.scores("linear", ["a", "b"], rows=[3, 2])
    world.scores("forest", ["a", "b"], rows=[3, 2], late=[0], errors={1: "no"})
    world.answers(["a", "b"], rows=[3, 2])
    total = world.usage().total
    assert (total.requests, total.rows, total.answers) == (2, 5, 2)
    forest, linear = world.usage().contenders
    assert (forest.scored, forest.late, forest.errors, forest.answers) == (1, 1, 1, 0)
    assert (forest.compared, forest.disagreements) == (3, 0)
    assert (linear.scored, linear.late, linear.errors, linear.answers) == (2, 0, 0, 2)
    assert linear.compared == 0


def test_a_default_answer_is_nobodys(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    world.requests(["a", "b"])
    world.scores("linear", ["a", "b"], late=[0, 1])
    world.answers(["a"], model="", version="", rules=["default"])
    found = world.usage()
    assert (found.total.defaults, found.total.answers, found.total.unanswered) == (1, 0, 1)
    assert [(one.rule, one.model, one.requests) for one in found.rules] == [
        ("default", None, 1),
        (None, None, 1),
    ]
    assert [one.model for one in found.contenders] == ["linear"]


def test_an_id_that_was_used_again_counts_once_in_an_hour(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    for hour in (0, 0, 1):
        world.answered(["again"], hour=hour, callers=["shop"])
    found = world.usage()
    assert [(one.requests, one.answers, one.scored) for one in found.hours] == [(1, 1, 1), (1, 1, 1)]


def test_a_score_counts_and_not_the_error_beside_it(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    world.answered(["a"])
    world.scores("forest", ["a"], error="it crashed", columns={})
    world.scores("forest", ["a"])
    (forest, _) = world.usage().contenders
    assert (forest.scored, forest.errors, forest.compared) == (1, 0, 1)


def test_replayed_scores_are_not_usage(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    world.answered(["a"])
    frame = world._workers["forest"].scores(["a"], model="forest", role="challenger")
    entry = world._door.admit(99, encode(frame))
    scores = DeltaTable(table_uri(world.archive, ENDPOINT, SCORES))
    write_deltalake(scores, ReplayedScores(OUTPUTS).batch([entry], date(2023, 11, 14)), mode="append")
    assert [one.model for one in world.usage().contenders] == ["linear"]


def test_labels_are_wrong_or_not_and_tensors_are_compared_alone(tmp_path: Path) -> None:
    outputs = Schema(
        (
            Field(name="label", type=Kind.STRING),
            Field(name="parts", type=Kind.FLOAT, shape=(2,)),
        )
    )
    world = world_at(tmp_path, outputs)
    world.requests(["a", "b", "c"])
    parts = np.ones((3, 2))
    world.scores("linear", ["a", "b", "c"], {"label": np.array(["x", "x", "y"], object), "parts": parts})
    other = {"label": np.array(["x", "y", "y"], object), "parts": parts * [[1.0], [1.0], [2.0]]}
    world.scores("forest", ["a", "b", "c"], other)
    world.outcomes(["a", "b"], {"label": np.array(["x", "y"], object)})
    forest, linear = world.usage().contenders
    assert (forest.compared, forest.disagreements) == (3, 2)
    assert [(one.output, one.judged, one.wrong) for one in linear.against_outcomes] == [("label", 2, 0.5)]
    assert [one.wrong for one in forest.against_outcomes] == [0.0]


def test_how_wrong_is_said_of_answers_and_of_each_contender(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    world.requests(["a", "b"])
    world.scores("linear", ["a", "b"], {"progression": np.array([1.0, 1.0])})
    world.scores("forest", ["a", "b"], {"progression": np.array([9.0, 9.0])})
    world.answers(["a"])
    world.outcomes(["a", "b"], {"progression": np.array([2.0, 4.0])})
    found = world.usage()
    errors = [one.against_outcomes[0] for one in (*found.contenders, found.total, found.hours[0])]
    assert [(one.judged, one.mae) for one in errors] == [(2, 6.0), (2, 2.0), (1, 1.0), (1, 1.0)]


# --- histograms -----------------------------------------------------------------------------


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(st.floats(min_value=0.02, max_value=1e5), min_size=1, max_size=20), min_size=1, max_size=3
    )
)
def test_merged_histograms_are_the_histogram_of_all(
    tmp_path_factory: pytest.TempPathFactory, hours: list[list[float]]
) -> None:
    world = world_at(tmp_path_factory.mktemp("merged"))
    for hour, took in enumerate(hours):
        ids = [f"{hour}.{number}" for number in range(len(took))]
        world.requests(ids, hour)
        world.scores("linear", ids)
        world.answers(ids, ms=took)
    together = np.array([ms for took in hours for ms in took])
    found = world.usage()
    assert_within(found.total, together)
    assert_within(found.callers[0], together)
    for one, took in zip(found.hours, hours, strict=True):
        assert_within(one, np.array(took))
    merged: dict[int, int] = {}
    for line in world.lines():
        for bucket, count in zip(line["latency_buckets"], line["latency_counts"], strict=True):
            merged[bucket] = merged.get(bucket, 0) + count
    numbers, counts = np.unique([bucket_of(ms) for ms in together], return_counts=True)
    assert merged == dict(zip(numbers.tolist(), counts.tolist(), strict=True))


def assert_within(found: Figures, took: np.ndarray) -> None:
    for q, said in ((0.5, found.p50_ms), (0.9, found.p90_ms), (0.99, found.p99_ms)):
        assert said == pytest.approx(np.quantile(took, q, method="inverted_cdf"), rel=WITHIN)
    assert found.mean_ms == pytest.approx(took.mean())


# --- periods --------------------------------------------------------------------------------


def test_a_period_is_whole_hours(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    for hour in range(4):
        world.answered([f"r{hour}"], hour)
    found = world.usage(1, 2)  # NOW is within an hour: two of them are touched
    assert [one.requests for one in found.hours] == [1, 1]
    assert (found.since, found.until) == ("2023-11-14T23:00:00Z", "2023-11-15T01:00:00Z")
    assert [one.since for one in found.days] == ["2023-11-14T00:00:00Z", "2023-11-15T00:00:00Z"]


def test_a_period_with_nothing_in_it_says_when_there_is_something(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    world.answered(["a"])
    expected = (
        r"no request came in from 2023-11-16T22:00:00Z to 2023-11-17T00:00:00Z; "
        r"the archive has some from 2023-11-14T22:00:00Z to 2023-11-14T23:00:00Z"
    )
    with pytest.raises(ArchiveError, match=expected):
        world.usage(48, 49)


@pytest.mark.parametrize(("is_current", "said"), [(True, "send requests first"), (False, "ask again")])
def test_without_lines_it_says_why(tmp_path: Path, is_current: bool, said: str) -> None:
    period = Period(since=moment_of(NOW), until=moment_of(NOW + HOUR_US))
    with pytest.raises(ArchiveError, match=said):
        usage(str(tmp_path), ENDPOINT, period, is_current=is_current)


def test_an_archive_without_requests_is_said_to_be_empty(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    with pytest.raises(ArchiveError, match="nothing is archived yet"):
        world.usage()
