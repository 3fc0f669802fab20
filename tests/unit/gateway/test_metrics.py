"""What processes count, as Prometheus reads it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from podium.archive.drift_report import ContenderDrift, DriftReport, LiveDrift, write
from podium.counters import Board
from podium.gateway.metrics import CONTENT_TYPE, INTERNAL, SHOWN, metrics_text
from podium.records import Contender, Policy, Role

LINEAR = Contender(model="linear", version="9f2c1ab04d5e", number=1, role=Role.CHAMPION)
POLICY = Policy(
    endpoint="diabetes", revision=1, contenders=(LINEAR,), deadline_ms=100.0, schedule=((0.0, ("champion",)),)
)
LABELS = {"model": LINEAR.model, "version": LINEAR.version}
GAUGES = {"archived", "ready", "archive_failing", "in_flight"}


def families(folder: Path) -> dict[str, Metric]:
    text = metrics_text(folder, POLICY).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(family: Metric, name: str, **labels: str) -> float:
    wanted = {"endpoint": "diabetes", **labels}
    return next(s.value for s in family.samples if s.name == name and s.labels == wanted)


@pytest.mark.parametrize("name", SHOWN)
def test_every_known_series_is_shown_and_parsed_back(name: str, tmp_path: Path) -> None:
    with Board(tmp_path / "a.board") as board:
        if name.endswith("_ms"):
            board.histogram(name).add(3.0, 2)
        elif name in GAUGES:
            board.gauge(name).set(1)
        else:
            board.counter(name).add(1)
    shown = SHOWN[name]
    family = families(tmp_path)[shown.name]
    assert family.documentation == shown.help
    suffix = "_count" if name.endswith("_ms") else "" if name in GAUGES else "_total"
    assert value(family, shown.name + suffix) == (2 if name.endswith("_ms") else 1)


def test_boards_of_several_processes_are_added_up(tmp_path: Path) -> None:
    for process in ("a", "b"):
        with Board(tmp_path / f"{process}.board") as board:
            board.counter("received").add(5)
    found = families(tmp_path)["podium_requests_received"]
    assert value(found, "podium_requests_received_total") == 10


def test_a_contenders_series_carry_its_role(tmp_path: Path) -> None:
    with Board(tmp_path / "a.board") as board:
        board.counter("scored", **LABELS).add(7)
    family = families(tmp_path)["podium_contender_scores"]
    assert value(family, "podium_contender_scores_total", **LABELS, role="champion") == 7


def test_how_far_columns_are_from_training_is_shown_of_the_policys_contenders(tmp_path: Path) -> None:
    usual = {"count": 500, "missing_before": 0.0, "others_before": 0.0, "others_now": 0.0}
    columns = (
        LiveDrift(part="input", column="bmi", psi=0.4, ks=0.2, missing_now=0.1, level="drifted", **usual),
        LiveDrift(part="score", column="kind", psi=0.0, missing_now=0.0, level="stable", **usual),
        LiveDrift(part="input", column="bp", missing_now=0.0, **usual),
    )
    of_whom = [(LINEAR.model, LINEAR.version), ("gone", "000000000000")]
    contenders = tuple(ContenderDrift(model=m, version=v, columns=columns) for m, v in of_whom)
    write(tmp_path, DriftReport(contenders=contenders))
    found = families(tmp_path)
    labels = {**LABELS, "role": "champion", "part": "input", "column": "bmi"}
    figures = {name: value(found[name], name, **labels) for name in found}
    assert figures == {
        "podium_drift_psi": 0.4,
        "podium_drift_ks": 0.2,
        "podium_drift_missing": 0.1,
        "podium_drift_others": 0.0,
        "podium_drift_level": 2,
    }
    known = {name: [sample.labels["column"] for sample in found[name].samples] for name in found}
    assert known["podium_drift_psi"] == known["podium_drift_level"] == ["bmi", "kind"]
    assert known["podium_drift_ks"] == ["bmi"]
    assert known["podium_drift_missing"] == ["bmi", "kind", "bp"]


def test_histograms_are_in_seconds_with_few_cumulative_buckets(tmp_path: Path) -> None:
    latencies = [0.005, 0.011, 1.0, 20.0, 20.0, 1e9]
    with Board(tmp_path / "a.board") as board:
        board.histogram("answer_ms").add_all(latencies)
    family = families(tmp_path)["podium_answer_seconds"]
    buckets = [
        (float(s.labels["le"]), s.value) for s in family.samples if s.name == "podium_answer_seconds_bucket"
    ]
    assert 20 < len(buckets) < 30
    assert buckets[-1] == (math.inf, 6)
    assert [count for _, count in buckets] == sorted(count for _, count in buckets)
    for limit, count in buckets[:-1]:
        # A board's bucket is an eighth of an octave wide: values that near a limit may fall on either side.
        surely = sum(ms / 1000 < limit / 2 ** (1 / 8) for ms in latencies)
        perhaps = sum(ms / 1000 <= limit * 2 ** (1 / 8) for ms in latencies)
        assert surely <= count <= perhaps
    assert value(family, "podium_answer_seconds_sum") == pytest.approx(sum(latencies) / 1000)


def test_a_series_that_nobody_has_named_is_not_lost(tmp_path: Path) -> None:
    with Board(tmp_path / "a.board") as board:
        board.counter("looked up", **{"the key": "x"}).add(2)
        board.gauge("depth").set(3)
        board.histogram("lookup_ms").add(1.0)
    found = families(tmp_path)
    assert value(found["podium_looked_up"], "podium_looked_up_total", the_key="x") == 2
    assert value(found["podium_depth"], "podium_depth") == 3
    assert value(found["podium_lookup_seconds"], "podium_lookup_seconds_count") == 1


def test_signs_of_life_are_not_shown(tmp_path: Path) -> None:
    with Board(tmp_path / "a.board") as board:
        for name in INTERNAL:
            board.gauge(name).set(1)
    assert not families(tmp_path)


def test_labels_that_only_some_series_have_are_left_out_of_the_others(tmp_path: Path) -> None:
    with Board(tmp_path / "a.board") as board:
        board.gauge("ready").set(1)
        board.gauge("ready", **LABELS).set(1)
    samples = families(tmp_path)["podium_ready"].samples
    assert {sample.labels.get("model", "") for sample in samples} == {"", "linear"}


def test_the_content_type_names_the_formats_version() -> None:
    assert CONTENT_TYPE.startswith("text/plain; version=")
