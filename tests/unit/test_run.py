"""What a node hands to its processes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from podium.records import Contender, Policy, Role
from podium.run import Limits, Run, WorkerSettings, load, save
from podium.schema import Field, Kind, Schema

RUN = Run(
    policy=Policy(
        endpoint="diabetes",
        revision=3,
        contenders=(Contender(model="linear", version="9f2c1ab04d5e", number=1, role=Role.CHAMPION),),
        deadline_ms=100.0,
        schedule=((0.0, ("champion",)),),
        default={"progression": 152.13},
    ),
    inputs=Schema((Field(name="bmi", type=Kind.FLOAT, minimum=-0.1, maximum=0.2),)),
    outputs=Schema((Field(name="progression", type=Kind.FLOAT),)),
    stream="nats://podium:secret@127.0.0.1:4222",
    archive="/project/.podium/archive",
    registry="/project/.podium/registry",
    run_dir="/project/.podium/run",
    limits=Limits(in_flight=7),
    workers={"linear": WorkerSettings(replicas=2, timeout=3.0)},
)


def test_a_run_is_read_as_it_was_saved(tmp_path: Path) -> None:
    save(RUN, tmp_path / "run" / "run.json")
    assert load(tmp_path / "run" / "run.json") == RUN


def test_only_its_owner_may_read_it_even_where_a_readable_file_was_before(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.touch(mode=0o644)
    save(RUN, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_scores_are_awaited_as_long_as_the_most_patient_contenders() -> None:
    assert RUN.patience == 3.0


def test_without_settings_they_are_awaited_as_long_as_by_default() -> None:
    run = Run(
        policy=RUN.policy,
        inputs=RUN.inputs,
        outputs=RUN.outputs,
        stream="",
        archive="",
        registry="",
        run_dir="",
    )
    assert run.patience == WorkerSettings().timeout


def test_each_process_counts_on_a_board_of_its_own() -> None:
    board = RUN.board("worker linear 1")
    assert board == Path(f"/project/.podium/run/counters/worker-linear-1-{os.getpid()}.board")
