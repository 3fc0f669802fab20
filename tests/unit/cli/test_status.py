"""What the counts and the supervisor's state become."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from podium import run as runs
from podium.archive import drift_report
from podium.archive.drift_report import ContenderDrift, DriftReport, LiveDrift
from podium.cli.status import FeaturesStatus, Status, failed, of, plain, read, status
from podium.counters import Board, Counts, merged
from podium.errors import NotFound, NotRunning
from podium.failures import Failures
from podium.node.state import RUN, Lock, NodeState, ProcessReport, ProcessState, write_state
from podium.records import Contender, Policy, Role
from podium.run import Features, Run
from podium.schema import Schema

LINEAR = Contender(model="linear", version="9f2c1ab04d5e", number=1, role=Role.CHAMPION)
FOREST = Contender(model="forest", version="77aa1ab04d5e", number=2, role=Role.CHALLENGER)
DECOY = Contender(model="decoy", role=Role.DECOY)


def a_run(run_dir: Path) -> Run:
    policy = Policy(
        endpoint="diabetes",
        revision=3,
        contenders=(LINEAR, FOREST, DECOY),
        deadline_ms=100,
        schedule=((0.0, ("champion",)),),
    )
    return Run(
        policy=policy,
        inputs=Schema(()),
        outputs=Schema(()),
        stream="nats://x",
        archive="a",
        registry="r",
        run_dir=str(run_dir),
    )


def process(name: str, of: Contender, state: ProcessState = ProcessState.RUNNING) -> ProcessReport:
    return ProcessReport(
        name=name, pid=7, state=state, restarts=0, rss_mb=60, reason="killed by SIGKILL", contender=of.name
    )


def a_state(*processes: ProcessReport, ready: bool = True) -> NodeState:
    return NodeState(
        endpoint="diabetes",
        url="http://127.0.0.1:8080",
        pid=os.getpid(),
        started=1.0,
        written=2.0,
        ready=ready,
        processes=processes,
    )


ALL = (
    process("worker linear 1", LINEAR),
    process("worker forest 1", FOREST),
    process("worker decoy 1", DECOY),
)


def counted(run: Run) -> Counts:
    with Board(run.board("gateway 1")) as board:
        linear = {"model": "linear", "version": LINEAR.version}
        forest = {"model": "forest", "version": FOREST.version}
        for name in ("received", "answered"):
            board.counter(name).add(1000)
        board.counter("answered_by", **linear).add(998)
        board.counter("scored", **linear).add(1000)
        board.counter("compared", **forest).add(200)
        board.counter("agreed", **forest).add(150)
        board.histogram("score_ms", **linear).add(1.0, 1000)
        board.gauge("archived").set(990)
    return merged(run.counters)


def test_counts_are_those_of_each_contender(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    found = of(run, a_state(*ALL), counted(run))
    assert (found.received, found.answered, found.archived) == (1000, 1000, 990)
    linear, forest, decoy = found.contenders
    assert (linear.scored, linear.answered, linear.disagreement) == (1000, 998, None)
    assert linear.p50_ms == pytest.approx(1.0, rel=0.05)
    assert (forest.disagreement, forest.p50_ms) == (0.25, None)
    assert (decoy.version, decoy.number) == (None, None)
    assert found.ready


def test_the_json_has_the_documented_names(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    found = msgspec.to_builtins(of(run, a_state(*ALL), counted(run)))
    documented = "endpoint ready revision received answered defaulted archived contenders processes"
    assert set(documented.split()) <= set(found)
    documented = "model version number role share state scored late errors answered p50_ms p99_ms"
    assert set(documented.split()) <= set(found["contenders"][0])
    assert {"name", "pid", "state", "restarts", "rss_mb"} <= set(found["processes"][0])


def test_a_contender_is_ready_while_one_of_its_processes_is(tmp_path: Path) -> None:
    other = process("worker linear 2", LINEAR, ProcessState.BACKING_OFF)
    found = of(a_run(tmp_path), a_state(*ALL, other), {})
    assert found.contenders[0].state == "ready"


def test_a_contender_that_keeps_crashing_is_shown_with_what_to_do(tmp_path: Path) -> None:
    crashing = process("worker forest 1", FOREST, ProcessState.CRASH_LOOPING)
    found = of(a_run(tmp_path), a_state(ALL[0], crashing, ALL[2]), {})
    assert not found.ready
    assert found.contenders[1].state == "crash-looping"
    text = "\n".join(plain(found))
    assert "not ready" in text
    assert "worker-forest-1.log" in text
    assert "podium train forest" in text


def test_a_share_is_shown_beside_its_role(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    sharing = replace(run.policy, contenders=(LINEAR, replace(FOREST, share=0.1), DECOY))
    found = of(replace(run, policy=sharing), a_state(*ALL), {})
    assert found.contenders[1].share == 0.1
    assert "challenger 10%" in "\n".join(plain(found))


def test_a_project_file_that_says_otherwise_is_shown(tmp_path: Path) -> None:
    found = replace(of(a_run(tmp_path), a_state(*ALL), {}), unapplied=("~ deadline: 100ms → 80ms",))
    text = "\n".join(plain(found))
    assert "podium.toml differs" in text
    assert "deadline: 100ms → 80ms" in text


def column(name: str, **more: Any) -> LiveDrift:
    usual = {"count": 500, "missing_before": 0, "missing_now": 0, "others_before": 0, "others_now": 0}
    return LiveDrift(**{"part": "input", "column": name, "chance": 0.03, **usual, **more})


BMI = column("bmi", psi=0.412, ks=0.219, level="drifted", missing_now=0.125)
TOWN = column("town", psi=0.15, level="moved", others_before=0.01, others_now=0.2)
SCORE = column("progression", part="score", psi=0.12, ks=0.1, level="moved")
CALM = column("age", psi=0.01, ks=0.01, level="stable")
FEW = column("s5")


def with_drift(tmp_path: Path, *columns: LiveDrift) -> Status:
    contender = ContenderDrift(model="forest", version=FOREST.version, columns=columns)
    gone = ContenderDrift(model="forest", version="000000000000", columns=(BMI,))
    return of(a_run(tmp_path), a_state(*ALL), {}, DriftReport(window_s=600, contenders=(gone, contender)))


def test_columns_that_are_not_as_in_training_are_a_line_for_their_contender(tmp_path: Path) -> None:
    lines = list(plain(with_drift(tmp_path, BMI, TOWN, SCORE, CALM, FEW)))
    assert lines[-2:] == [
        "Not as in training, in the last 600 s:",
        "  forest@77aa1ab04d5e: bmi drifted (PSI 0.41, KS 0.22, missing 0.0% → 12.5%); "
        "town moved (PSI 0.15, others 1.0% → 20.0%); its score progression moved (PSI 0.12, KS 0.10)",
    ]


def test_of_many_columns_that_moved_the_worst_are_named(tmp_path: Path) -> None:
    *_, line = plain(with_drift(tmp_path, BMI, TOWN, SCORE, *[TOWN] * 4))
    assert line.endswith("; and 4 more (`podium status --json`)")


def test_nothing_is_said_of_columns_that_are_as_in_training(tmp_path: Path) -> None:
    found = with_drift(tmp_path, CALM, FEW)
    assert "training" not in "\n".join(plain(found))
    assert found.contenders[1].drift == (CALM, FEW)
    assert found.contenders[0].drift == ()


def test_the_report_of_drift_is_read_beside_the_counts(tmp_path: Path) -> None:
    run_dir = tmp_path / ".podium" / "run"
    run = a_run(run_dir)
    runs.save(run, run_dir / RUN)
    report = DriftReport(contenders=(ContenderDrift(model="linear", version=LINEAR.version, columns=(BMI,)),))
    run.counters.mkdir(parents=True)
    drift_report.write(run.counters, report)
    with Lock(run_dir):
        write_state(a_state(*ALL), run_dir)
        assert read(tmp_path).contenders[0].drift == (BMI,)


def test_what_a_contender_last_failed_with_is_shown_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "podium.toml").touch()
    run_dir = tmp_path / ".podium" / "run"
    run = a_run(run_dir)
    runs.save(run, run_dir / RUN)
    with Board(run.board("worker linear 1")) as board:
        Failures(LINEAR.name, board).note("the server failed:\nit answered 500")
    with Lock(run_dir):
        write_state(a_state(*ALL), run_dir)
        found = read(tmp_path)
    assert found.contenders[0].last_error == "the server failed:\nit answered 500"
    assert [contender.last_error for contender in found.contenders[1:]] == [None, None]
    heading, line = failed(found)
    assert heading.startswith("Last errors; ")
    assert line.startswith(f"  {LINEAR.name}, 20")
    assert line.endswith(": the server failed: it answered 500")
    assert line in list(plain(found))


def test_outcomes_are_shown_once_there_are_some(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    assert "outcomes" not in "\n".join(plain(of(run, a_state(*ALL), {})))
    with Board(run.board("gateway 1")) as board:
        board.counter("outcomes").add(1200)
    with Board(run.board("archiver")) as board:
        board.gauge("outcomes_archived").set(1100)
    found = of(run, a_state(*ALL), merged(run.counters))
    assert (found.outcomes, found.outcomes_archived) == (1200, 1100)
    assert "outcomes 1,200, archived 1,100" in "\n".join(plain(found))


def test_looked_up_features_are_shown_where_there_are_some(tmp_path: Path) -> None:
    assert of(a_run(tmp_path), a_state(*ALL), {}).features is None
    features = Features(source="url", at="http://127.0.0.1:9000", fields=Schema(()))
    run = replace(a_run(tmp_path), features=features)
    with Board(run.board("gateway 1")) as board:
        board.counter("feature_rows").add(1000)
        for n, reason in enumerate(("late", "failed", "missing", "wrong"), 1):
            board.counter("features_defaulted", reason=reason).add(n)
        board.gauge("features_stale").set(1)
        found = of(run, a_state(*ALL), merged(run.counters))
    assert found.features == FeaturesStatus(rows=1000, late=1, failed=2, missing=3, wrong=4, stale=True)
    lines = list(plain(found))
    assert "features of 1,000 rows, 10 with a default: 1 late, 2 failed, 3 missing, 4 wrong" in lines
    assert any(line.startswith("THE TABLE OF FEATURES CANNOT BE READ") for line in lines)


def test_a_revision_that_could_not_be_written_down_is_said_loudly(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    with Board(run.board("gateway 1")) as board:
        board.gauge("revision").set(5)
    text = "\n".join(plain(of(run, a_state(*ALL), merged(run.counters))))
    assert "REVISION 5 IS IN USE, and revision 3 is shown here" in text


def test_archiving_that_fails_is_said_loudly(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    with Board(run.board("archiver")) as board:
        board.gauge("archive_failing").set(1)
    assert "ARCHIVING FAILS" in "\n".join(plain(of(run, a_state(*ALL), merged(run.counters))))


def test_a_stream_that_keeps_nothing_is_said_loudly(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    with Board(run.board("gateway 1")) as board:
        board.gauge("overdue").set(7)
    assert "THE STREAM KEEPS NOTHING" in "\n".join(plain(of(run, a_state(*ALL), merged(run.counters))))


def test_nothing_that_runs_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="podium up"):
        read(tmp_path)


def test_an_unknown_endpoint_is_refused_with_the_one_there_is(tmp_path: Path) -> None:
    run_dir = tmp_path / ".podium" / "run"
    run = a_run(run_dir)
    runs.save(run, run_dir / RUN)
    write_state(a_state(*ALL), run_dir)
    with Lock(run_dir):
        assert read(tmp_path, "diabetes").revision == 3
        with pytest.raises(NotFound, match=r"did you mean 'diabetes'.*there is diabetes"):
            read(tmp_path, "diabtes")


def test_the_command_prints_one_json_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "podium.toml").touch()
    run_dir = tmp_path / ".podium" / "run"
    runs.save(a_run(run_dir), run_dir / RUN)
    write_state(a_state(*ALL), run_dir)
    monkeypatch.chdir(tmp_path)
    with Lock(run_dir):
        result = CliRunner().invoke(status, ["--json"])
    assert msgspec.json.decode(result.stdout)["endpoint"] == "diabetes"
