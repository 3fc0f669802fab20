"""Figures of a comparison are those that numpy and scikit-learn give of the same rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import msgspec
import numpy as np
import pytest
from arro3.core import RecordBatchReader
from deltalake import DeltaTable, write_deltalake
from sklearn import metrics

from podium.archive.comparing.compare import compare, find
from podium.archive.comparing.lake import opened
from podium.errors import ArchiveError, NotFound
from podium.period import Period, moment_of
from podium.schema import Field, Kind, Schema
from podium.trials.comparison import Comparison, OutputComparison
from podium.trials.errors import ClassErrors, Loss, NumberErrors

from ..traffic import ENDPOINT, NOW, Process
from .world import CLASSES, FOREST, LINEAR, World, inputs_of, numbered

ROWS = 2000


class Numbers:
    """A world in which two models score every request, and what they said."""

    def __init__(self, folder: Path) -> None:
        generator = np.random.default_rng(7)
        self.world = World(folder)
        self.ids = numbered(ROWS)
        self.inputs = inputs_of(generator, ROWS)
        self.truth = 150 + 40 * self.inputs["bmi"] + generator.normal(size=ROWS) * 10
        self.a = 150 + 30 * self.inputs["bmi"]
        self.b = 150 + 39 * self.inputs["bmi"] + generator.normal(size=ROWS)
        self.world.requests(self.ids, self.inputs)
        self.world.scores("linear", self.ids, {"progression": self.a})
        self.world.scores("forest", self.ids, {"progression": self.b})
        self.world.scores("reference", self.ids, {"progression": self.a / 2})
        self.world.outcomes(self.ids[: ROWS // 2], {"progression": self.truth[: ROWS // 2]})
        self.found = self.world.compare()

    @property
    def output(self) -> OutputComparison:
        (output,) = self.found.outputs
        return output


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Numbers:
    return Numbers(tmp_path_factory.mktemp("numbers"))


# --- numbers --------------------------------------------------------------------------------


def test_counts_are_of_requests_and_the_period_is_that_of_all(numbers: Numbers) -> None:
    found = numbers.found
    assert (found.common, found.rows, found.only_a, found.only_b) == (ROWS, ROWS, 0, 0)
    assert (found.a.scored, found.a.late, found.a.errors) == (ROWS, 0, 0)
    assert (found.since, found.until) == (NOW, NOW + 1_000_000 * (ROWS - 1) + 1)
    assert (found.a.name, found.b.role) == (f"linear@{LINEAR}", "challenger")


def test_agreement_is_within_a_part_of_as_score(numbers: Numbers) -> None:
    expected = np.mean(np.abs(numbers.a - numbers.b) <= 0.05 * np.abs(numbers.a))
    assert numbers.found.agreement.part == numbers.output.agreement.part == pytest.approx(expected)


def test_quantiles_are_numpys(numbers: Numbers) -> None:
    for point in numbers.output.points:
        assert point.a == np.quantile(numbers.a, point.q, method="inverted_cdf")
        assert point.b == np.quantile(numbers.b, point.q, method="inverted_cdf")
    assert numbers.output.a
    assert numbers.output.a.p90 == np.quantile(numbers.a, 0.9, method="inverted_cdf")


def test_every_difference_is_in_one_bar(numbers: Numbers) -> None:
    apart = numbers.b - numbers.a
    bars = numbers.output.differences
    assert sum(bar.count for bar in bars) == ROWS
    assert bars[0].count == np.count_nonzero(apart < bars[0].high)
    assert bars[-1].count == np.count_nonzero(apart > bars[-1].low)
    edges = [bar.low for bar in bars[1:]]
    assert [bar.count for bar in bars[1:-1]] == np.histogram(apart, np.array(edges))[0].tolist()


def test_errors_are_scikit_learns(numbers: Numbers) -> None:
    half = ROWS // 2
    errors = numbers.output.errors
    assert errors
    assert errors.outcomes == half
    for said, found in ((numbers.a[:half], errors.a), (numbers.b[:half], errors.b)):
        assert isinstance(found, NumberErrors)
        truth = numbers.truth[:half]
        assert found.mae == pytest.approx(metrics.mean_absolute_error(truth, said))
        assert found.rmse == pytest.approx(metrics.root_mean_squared_error(truth, said))
        assert found.bias == pytest.approx(np.mean(said - truth))
    losses = [np.abs(said[:half] - numbers.truth[:half]) for said in (numbers.a, numbers.b)]
    assert errors.judged.loss is Loss.ABSOLUTE
    assert errors.judged.pair.covariance == pytest.approx(np.cov(*losses, bias=True)[0, 1])
    assert errors.judged.verdict == "better"


def test_segments_part_a_number_evenly_and_name_each_value_of_a_text(numbers: Numbers) -> None:
    half = ROWS // 2
    bmi, region = numbers.inputs["bmi"][:half], numbers.inputs["region"][:half]
    wrong = np.abs(numbers.b - numbers.truth)[:half]
    parts = {(part.input, part.values): part for part in numbers.found.segments}
    assert {values for name, values in parts if name == "region"} == {"north", "south", "east"}
    assert parts["region", "north"].judged.pair.mean_b == pytest.approx(wrong[region == "north"].mean())
    of_bmi = [part for part in numbers.found.segments if part.input == "bmi"]
    assert [part.outcomes for part in of_bmi] == [half // 5] * 5
    lowest = bmi <= np.quantile(bmi, 0.2, method="inverted_cdf")
    assert of_bmi[0].judged.pair.mean_b == pytest.approx(wrong[lowest].mean())
    assert of_bmi[0].values.startswith("up to -")


def test_the_largest_differences_come_with_what_came_in(numbers: Numbers) -> None:
    apart = np.abs(numbers.b - numbers.a)
    order = np.argsort(-apart)[: len(numbers.found.worst)]
    assert [one.id for one in numbers.found.worst] == [numbers.ids[i] for i in order]
    worst = numbers.found.worst[0]
    assert worst.distance == pytest.approx(apart.max())
    assert worst.inputs == {
        "bmi": numbers.inputs["bmi"][order[0]],
        "region": numbers.inputs["region"][order[0]],
    }


def test_latencies_are_within_the_buckets_of_the_histogram(numbers: Numbers) -> None:
    latency = numbers.found.a.latency
    assert latency.queue.p50 == pytest.approx(0.25, rel=0.011)
    assert latency.total.p99 == pytest.approx(0.75, rel=0.011)
    assert latency.compute.count == ROWS


def test_json_has_all_of_it(numbers: Numbers) -> None:
    encoded = msgspec.json.encode(numbers.found)
    assert msgspec.json.decode(encoded, type=Comparison) == numbers.found


def test_models_that_always_say_the_same_have_one_bar_of_no_difference(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.requests(numbered(9), inputs_of(np.random.default_rng(3), 9))
    for model in ("linear", "forest"):
        world.scores(model, numbered(9), {"progression": np.arange(9.0)})
    found = world.compare()
    assert [(bar.low, bar.high, bar.count) for bar in found.outputs[0].differences] == [
        (None, 0.0, 0),
        (0.0, 0.0, 9),
        (0.0, None, 0),
    ]
    assert (found.worst, found.agreement.part) == ((), 1.0)


# --- did the inputs move? -------------------------------------------------------------------


def test_the_canary_tells_moved_inputs_from_models_that_differ(numbers: Numbers, tmp_path: Path) -> None:
    still = numbers.found.canary
    assert still
    assert [column.level for column in still.scores] == ["stable"]
    world, generator = World(tmp_path), np.random.default_rng(1)
    ids, columns = numbered(ROWS), inputs_of(generator, ROWS)
    columns["bmi"][ROWS // 2 :] += 2
    said = {"progression": columns["bmi"] * 10}
    world.requests(ids, columns)
    for model in ("linear", "forest", "reference"):
        world.scores(model, ids, said)
    found = world.compare()
    assert found.agreement.part == 1
    assert found.canary
    assert [(c.column, c.level) for c in found.canary.scores] == [("progression", "drifted")]
    assert {c.column: c.level for c in found.canary.inputs} == {"bmi": "drifted", "region": "stable"}


def test_without_a_canary_nothing_is_said_of_the_inputs(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.requests(["r1"], {"bmi": np.array([1.0]), "region": np.array(["north"], object)})
    for model in ("linear", "forest"):
        world.scores(model, ["r1"], {"progression": np.array([1.0])})
    found = world.compare()
    assert (found.canary, found.segments, found.worst) == (None, (), ())
    assert found.outputs[0].errors is None


def test_contenders_that_share_no_output_are_compared_in_counts_and_times(tmp_path: Path) -> None:
    optional = Schema(tuple(Field(name=name, type=Kind.FLOAT, optional=True) for name in ("x", "y")))
    world = World(tmp_path, optional)
    world.requests(numbered(9), inputs_of(np.random.default_rng(3), 9))
    world.scores("linear", numbered(9), {"x": np.arange(9.0)})
    world.scores("forest", numbered(9), {"y": np.arange(9.0)})
    world.outcomes(numbered(9), {"x": np.arange(9.0)})
    found = world.compare()
    assert (found.common, found.outputs, found.worst, found.segments) == (9, (), (), ())
    assert found.agreement.agreed == 0


# --- late, failed, twice --------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> World:
    """Ten requests that linear has scored, the first late and the second not at all."""
    world = World(tmp_path)
    world.requests(numbered(10), inputs_of(np.random.default_rng(3), 10))
    world.scores("linear", numbered(10), {"progression": np.arange(10.0)}, late=[0], errors={1: "it broke"})
    return world


def test_late_scores_count_as_said_and_errors_do_not(small: World) -> None:
    small.scores("forest", numbered(10)[:8], {"progression": np.arange(8.0)})
    found = small.compare()
    assert (found.a.scored, found.a.late, found.a.errors) == (8, 1, 1)
    assert (found.common, found.only_a, found.only_b) == (7, 2, 1)


def test_a_score_beside_an_error_of_the_same_contender_counts_once(small: World) -> None:
    ids = numbered(10)
    small.add(Process("gateway-2").scores(ids, None, model="forest", version=FOREST, error="never came"))
    small.scores("forest", ids, {"progression": np.arange(10.0) + 1})
    found = small.compare()
    assert (found.common, found.b.scored, found.b.errors) == (9, 10, 0)


def test_an_id_that_was_used_many_times_is_one_request(small: World) -> None:
    same = ["same"] * 300
    small.requests(same, inputs_of(np.random.default_rng(3), 300), arrived=NOW - 1)
    for model in ("linear", "forest"):
        small.scores(model, same, {"progression": np.arange(300.0)})
    found = small.compare()
    assert (found.common, found.rows) == (1, 1)


def test_the_newest_outcome_counts_of_each_row(small: World) -> None:
    small.scores("forest", numbered(10), {"progression": np.arange(10.0)})
    small.outcomes(["r000002"], {"progression": np.array([99.0])}, done=NOW + 5)
    small.outcomes(["r000002"], {"progression": np.array([3.0])}, done=NOW + 6)
    errors = small.compare().outputs[0].errors
    assert errors
    assert (errors.outcomes, errors.judged.pair.mean_a) == (1, 1.0)


def test_every_row_of_a_request_counts_and_requests_are_counted_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.requests(["r1", "r2"], inputs_of(np.random.default_rng(3), 5), rows=[3, 2])
    for model, shift in (("linear", 0), ("forest", 1)):
        world.scores(model, ["r1", "r2"], {"progression": np.arange(5.0) + shift}, rows=[3, 2])
    world.outcomes(["r1", "r1"], {"progression": np.array([1.0, 2.0])}, numbers=[1, 2])
    found = world.compare()
    assert (found.common, found.rows, found.a.scored) == (2, 5, 2)
    assert found.outputs[0].errors
    assert found.outputs[0].errors.judged.pair.mean_b == 1.0


# --- replays --------------------------------------------------------------------------------


def replayed(world: World, model: str, *, version: str) -> None:
    """The model's live scores again as a replay's of this version, archived a month later."""
    scores = DeltaTable(f"{world.archive}/{ENDPOINT}/scores")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        there = connection.read_parquet(scores.file_uris(), hive_partitioning=True)
        again = there.filter(f"model = '{model}'").project(
            f"* REPLACE (DATE '2023-12-14' AS day, '{version}' AS version, true AS replayed, "
            "scored + INTERVAL 30 DAY AS scored)"
        )
        write_deltalake(scores, RecordBatchReader.from_arrow(again), mode="append")


def test_a_replay_is_compared_like_a_live_one_in_the_period_of_its_requests(small: World) -> None:
    replayed(small, "linear", version="aaaabbbbcccc")
    found = small.compare("linear", "linear@aaaa", period=period(2, 8))
    assert (found.common, found.agreement.part) == (6, 1.0)
    assert (found.a.version, found.a.replayed, found.b.replayed) == (LINEAR, False, True)


def test_a_request_that_is_live_and_replayed_counts_once(small: World) -> None:
    small.scores("forest", numbered(10), {"progression": np.arange(10.0)})
    replayed(small, "forest", version=FOREST)
    found = small.compare()
    assert (found.common, found.rows, found.b.scored) == (9, 9, 10)


def compare_while_files_go_away(world: World) -> None:
    with opened(world.archive, ENDPOINT) as lake:
        found = find(lake, "linear", "forest", numbers={}, period=None)
        for file in DeltaTable(f"{world.archive}/{ENDPOINT}/scores").file_uris():
            Path(file).unlink()
        compare(lake, ENDPOINT, found, tolerance=0.05, classes={})


def test_files_that_go_away_while_they_are_read_are_an_error_that_says_so(small: World) -> None:
    small.scores("forest", numbered(10), {"progression": np.arange(10.0)})
    with pytest.raises(ArchiveError, match="cannot be read to its end"):
        compare_while_files_go_away(small)


# --- classes --------------------------------------------------------------------------------

NAMES = ("no", "yes", "perhaps")


class Labels:
    """A world of classifiers: a label and the probabilities of three classes."""

    def __init__(self, folder: Path, classes: tuple[str, ...]) -> None:
        generator = np.random.default_rng(11)
        self.classes = classes
        self.a, self.b = (generator.dirichlet(np.ones(len(classes)) * 2, ROWS) for _ in "ab")
        self.truth = np.array([generator.choice(len(classes), p=row) for row in self.b])
        world, ids = World(folder, CLASSES), numbered(ROWS)
        world.requests(ids, inputs_of(generator, ROWS))
        for model, said in (("linear", self.a), ("forest", self.b)):
            labels = np.array(classes, object)[said.argmax(axis=1)]
            world.scores(model, ids, {"label": labels, "label_probability": said})
        world.outcomes(ids, {"label": np.array(classes, object)[self.truth]})
        found = world.compare(classes={"label_probability": classes})
        self.label, self.probability = found.outputs


@pytest.fixture(scope="module", params=[NAMES, NAMES[:2]], ids=["three", "two"])
def labels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Labels:
    return Labels(tmp_path_factory.mktemp("labels"), request.param)


def test_classes_agree_when_they_are_the_same_and_probabilities_when_their_class_is(labels: Labels) -> None:
    expected = np.mean(labels.a.argmax(axis=1) == labels.b.argmax(axis=1))
    assert labels.label.agreement.part == labels.probability.agreement.part == pytest.approx(expected)
    apart = {(one.a, one.b): one.count for one in labels.label.crossings}
    assert apart["no", "yes"] == np.count_nonzero(
        (labels.a.argmax(axis=1) == 0) & (labels.b.argmax(axis=1) == 1)
    )
    assert {(one.a, one.b): one.count for one in labels.probability.crossings} == apart


def test_errors_of_classes_are_scikit_learns(labels: Labels) -> None:
    assert labels.label.errors
    assert labels.probability.errors
    for said, label, found in (
        (labels.a, labels.label.errors.a, labels.probability.errors.a),
        (labels.b, labels.label.errors.b, labels.probability.errors.b),
    ):
        assert isinstance(label, ClassErrors)
        assert isinstance(found, ClassErrors)
        accuracy = metrics.accuracy_score(labels.truth, said.argmax(axis=1))
        assert label.accuracy == found.accuracy == pytest.approx(accuracy)
        assert found.log_loss == pytest.approx(metrics.log_loss(labels.truth, said))
        two = len(labels.classes) == 2
        scores = said[:, 1] if two else said
        area = metrics.roc_auc_score(labels.truth, scores, multi_class="ovr")
        assert found.auc == pytest.approx(area)
        assert found.calibration
        sure = said[:, 1] if two else said.max(axis=1)
        assert sum(one.count for one in found.calibration.bins) == ROWS
        first = found.calibration.bins[-1]
        inside = sure >= first.low
        assert first.predicted == pytest.approx(sure[inside].mean())


def test_a_tensor_without_classes_agrees_when_all_of_it_does(tmp_path: Path) -> None:
    world = World(tmp_path, CLASSES)
    world.requests(numbered(3), inputs_of(np.random.default_rng(3), 3))
    labels = np.array(["no"] * 3, object)
    said = np.array([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]])
    world.scores("linear", numbered(3), {"label": labels, "label_probability": said})
    moved = said + np.array([[0.01, 0], [0, 0.3], [0, 0]])
    world.scores("forest", numbered(3), {"label": labels, "label_probability": moved})
    found = world.compare()
    assert found.outputs[1].agreement.agreed == 2
    assert [one.id for one in found.worst if one.output == "label_probability"] == ["r000001", "r000000"]


# --- periods --------------------------------------------------------------------------------


def period(start: int, end: int) -> Period:
    return Period(since=moment_of(NOW + 1_000_000 * start), until=moment_of(NOW + 1_000_000 * end))


def test_a_period_is_of_the_requests_times(numbers: Numbers) -> None:
    found = numbers.world.compare(period=period(100, 300))
    assert (found.common, found.a.scored) == (200, 200)
    assert found.outputs[0].points[50].a == np.quantile(numbers.a[100:300], 0.5, method="inverted_cdf")
    assert found.until - found.since == 200_000_000


def test_a_period_without_requests_says_when_there_are_some(numbers: Numbers) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    empty = Period(since=now, until=now + timedelta(days=1))
    for none in (empty, period(-200, -100)):
        with pytest.raises(ArchiveError, match=r"archive has requests from 2023-11-14T22:13:20Z to 2023-"):
            numbers.world.compare(period=none)


def test_an_archive_on_object_storage_gives_the_same_figures(numbers: Numbers) -> None:
    there = World.__new__(World)
    there.archive = f"file://{numbers.world.archive}"
    assert there.compare() == numbers.found
    assert there.compare(period=period(9, 99)) == numbers.world.compare(period=period(9, 99))


# --- who ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ("linear", "forrest", "did you mean 'forest'"),
        ("linear@3", "forest", f"'linear@3' has no scores .*; there are forest@{FOREST}"),
        ("linear", f"linear@{LINEAR[:4]}", "are both linear@"),
    ],
)
def test_a_word_for_nobody_or_twice_the_same_is_answered_with_who_is_there(
    numbers: Numbers, a: str, b: str, said: str
) -> None:
    with pytest.raises(ArchiveError, match=said):
        numbers.world.compare(a, b)


def test_a_version_is_known_by_its_number_and_its_first_digits(small: World) -> None:
    small.scores("linear", numbered(10), {"progression": np.arange(10.0) + 1}, version="aaaabbbbcccc")
    numbers = {("linear", LINEAR): 1, ("linear", "aaaabbbbcccc"): 2}
    found = small.compare("linear@1", "linear@aaaa", numbers=numbers)
    assert (found.a.version, found.b.version, found.b.number) == (LINEAR, "aaaabbbbcccc", 2)
    assert found.common == 9


def test_two_that_never_met_are_told_so(small: World) -> None:
    small.requests(["late"], inputs_of(np.random.default_rng(3), 1))
    small.scores("forest", ["late"], {"progression": np.array([1.0])})
    with pytest.raises(ArchiveError, match=r"has scored 9 rows .* 1, none of them the same"):
        small.compare()


def test_an_archive_that_is_not_there_yet_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing is archived"):
        World(tmp_path).compare()
