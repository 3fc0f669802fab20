"""Counts that outlive who counts."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.counters import (
    BUCKETS,
    CELLS,
    Board,
    Distribution,
    Histogram,
    Series,
    bucket_limit,
    bucket_of,
    distribution,
    merged,
    read,
    total,
)

ERROR = 2 ** (1 / 16)
"""The middle of a bucket is at most so far from what is in it: 4.5 %."""


@pytest.fixture
def board(tmp_path: Path) -> Board:
    with Board(tmp_path / "one.board") as board:
        return board


# --- counting and reading ---------------------------------------------------------------------

COUNTING = """
import sys, time
from pathlib import Path
from podium.counters import Board
with Board(Path(sys.argv[1])) as board:
    counter, histogram = board.counter("scored", model="linear"), board.histogram("ms")
    for _ in range(1000):
        counter.add(2)
        histogram.add(5.0)
    print("counted", flush=True)
    time.sleep(60)
"""


def test_what_a_process_counted_before_kill_9_can_be_read_after_it(tmp_path: Path) -> None:
    path = tmp_path / "killed.board"
    process = subprocess.Popen([sys.executable, "-c", COUNTING, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"counted\n"
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    counts = read(path)
    assert total(counts, "scored", model="linear") == 2000
    assert distribution(counts, "ms").count == 1000
    assert distribution(counts, "ms").sum_ms == 5000.0


def test_a_reader_sees_each_count_at_once(board: Board) -> None:
    counter = board.counter("received")
    for n in range(1, 4):
        counter.add()
        assert total(read(board.path), "received") == counter.value == n


def test_the_same_name_and_labels_are_the_same_count(board: Board) -> None:
    board.counter("scored", model="linear", version="1").add()
    board.counter("scored", version="1", model="linear").add()
    assert total(read(board.path), "scored", model="linear", version="1") == 2


def test_a_total_adds_up_what_carries_the_labels(board: Board) -> None:
    for model, version, n in [("linear", "1", 1), ("linear", "2", 10), ("forest", "1", 100)]:
        board.counter("scored", model=model, version=version).add(n)
    counts = read(board.path)
    assert total(counts, "scored") == 111
    assert total(counts, "scored", model="linear") == 11
    assert total(counts, "scored", version="1") == 101
    assert total(counts, "scored", model="rule") == 0
    assert total(counts, "late") == 0


def test_a_file_that_is_not_there_counts_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "gone.board") == {}
    assert merged(tmp_path) == {}


def test_a_file_that_was_cut_off_counts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "cut.board"
    path.write_bytes(b"counter|received|\n")
    assert read(path) == {}


def test_a_board_that_is_full_says_so_and_keeps_what_it_has(board: Board) -> None:
    board.counter("received").add(7)
    for n in range(CELLS // (BUCKETS + 1)):
        board.histogram("ms", number=str(n))
    with pytest.raises(MemoryError, match="no room for another series"):
        board.histogram("ms", number="one too many")
    assert total(read(board.path), "received") == 7


def test_a_new_process_on_an_old_file_starts_at_zero(board: Board) -> None:
    board.counter("received").add(7)
    with Board(board.path) as again:
        again.counter("other").add(1)
    assert [str(series) for series in read(board.path)] == ["counter|other|"]


labels = st.dictionaries(
    st.from_regex(r"[a-z]+", fullmatch=True), st.from_regex(r"[\w@. -]*", fullmatch=True)
)


@given(st.sampled_from(["counter", "gauge", "histogram"]), st.from_regex(r"[a-z_]+", fullmatch=True), labels)
def test_a_series_is_read_as_it_was_written(kind: str, name: str, labels: dict[str, str]) -> None:
    series = Series(kind, name, tuple(labels.items()))
    assert Series.parse(str(series)) == series


# --- several files ----------------------------------------------------------------------------


def test_files_are_added_up_and_of_a_gauge_the_highest_counts(tmp_path: Path) -> None:
    for name, n in [("one", 3), ("two", 4)]:
        with Board(tmp_path / f"{name}.board") as board:
            board.counter("received").add(n)
            board.gauge("ready").set(n)
            board.histogram("ms").add(float(n), 2)
    counts = merged(tmp_path)
    assert total(counts, "received") == 7
    assert total(counts, "ready") == 4
    assert distribution(counts, "ms").count == 4
    assert distribution(counts, "ms").sum_ms == 14.0


def test_a_board_absorbs_the_counts_of_one_that_has_ended_but_not_its_gauges(tmp_path: Path) -> None:
    with Board(tmp_path / "ended.board") as ended, Board(tmp_path / "new.board") as board:
        ended.counter("received", model="a").add(5)
        ended.gauge("ready").set(1)
        ended.histogram("ms").add(2.0, 3)
        board.counter("received", model="a").add(1)
        board.absorb(read(ended.path))
    counts = read(tmp_path / "new.board")
    assert total(counts, "received", model="a") == 6
    assert distribution(counts, "ms").count == 3
    assert "ready" not in {series.name for series in counts}


def test_counters_alone_can_be_absorbed(board: Board) -> None:
    counts = {Series("counter", "received", ()): (2,), Series("histogram", "ms", ()): (1,) * (BUCKETS + 1)}
    board.absorb(counts, kinds=["counter"])
    assert [str(series) for series in read(board.path)] == ["counter|received|"]


# --- histograms -------------------------------------------------------------------------------

latencies = st.lists(st.floats(0.01, 153_000), min_size=1, max_size=50)


def counted(values: list[float]) -> Distribution:
    counts = [0] * BUCKETS
    for ms in values:
        counts[bucket_of(ms)] += 1
    return Distribution(tuple(counts), sum(values))


@given(latencies, st.sampled_from([0.01, 0.25, 0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_within_4_5_percent_of_the_true_one(values: list[float], q: float) -> None:
    found = counted(values).quantile(q)
    true = float(np.quantile(values, q, method="inverted_cdf"))
    assert found is not None
    assert true / (ERROR * 1.0001) <= found <= true * ERROR * 1.0001


@given(st.floats(0, 1e9))
def test_every_latency_lies_in_its_bucket(ms: float) -> None:
    index = bucket_of(ms)
    assert ms <= bucket_limit(index) * (1 + 1e-9)
    assert index == 0 or ms >= bucket_limit(index - 1) * (1 - 1e-9)


@given(latencies, latencies)
def test_histograms_of_two_processes_add_up_to_that_of_one(a: list[float], b: list[float]) -> None:
    both = Distribution(
        tuple(x + y for x, y in zip(counted(a).counts, counted(b).counts, strict=True)), sum(a) + sum(b)
    )
    assert both.counts == counted(a + b).counts


@given(latencies)
def test_adding_many_is_adding_one_by_one(values: list[float]) -> None:
    cells = memoryview(bytearray(16 * (BUCKETS + 1))).cast("q")
    one, many = Histogram(cells, 0), Histogram(cells, BUCKETS + 1)
    for ms in values:
        one.add(ms)
    many.add_all(values)
    assert cells[:BUCKETS].tolist() == cells[BUCKETS + 1 : -1].tolist()
    assert math.isclose(cells[BUCKETS], cells[-1], abs_tol=len(values))


def test_a_histogram_without_values_has_no_quantile() -> None:
    assert distribution({}, "ms").quantile(0.5) is None
    assert distribution({}, "ms").count == 0
