"""How a process is started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from podium.counters import SUFFIX
from podium.node.boards import BoardSign
from podium.node.process import ProcessSpec, Stage, start


@pytest.mark.skipif(sys.platform != "linux", reason="batch scheduling and timer slack are Linux' own")
def test_who_is_woken_does_not_interrupt_who_runs_and_sleeps_may_be_longer(tmp_path: Path) -> None:
    spec = ProcessSpec(
        name="worker linear 1",
        argv=(sys.executable, "-c", "import time; time.sleep(30)"),
        stage=Stage.WORKER,
        sign=BoardSign(tmp_path / f"none{SUFFIX}"),
        timeout=5.0,
        grace=1.0,
        nice=3,
        timer_slack=0.002,
    )
    process = start(spec, tmp_path / "log")
    try:
        assert os.sched_getscheduler(process.pid) == os.SCHED_BATCH
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == 3
        assert Path(f"/proc/{process.pid}/timerslack_ns").read_text() == "2000000\n"
    finally:
        process.kill()
        process.wait()
