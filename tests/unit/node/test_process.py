"""How a process is started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from podium.counters import SUFFIX
from podium.node.boards import BoardSign
from podium.node.process import ProcessSpec, Stage, start


@pytest.mark.skipif(sys.platform != "linux", reason="batch scheduling is Linux' own")
def test_who_is_woken_does_not_interrupt_who_runs(tmp_path: Path) -> None:
    spec = ProcessSpec(
        name="worker linear 1",
        argv=(sys.executable, "-c", "import time; time.sleep(30)"),
        stage=Stage.WORKER,
        sign=BoardSign(tmp_path / f"none{SUFFIX}"),
        timeout=5.0,
        grace=1.0,
        nice=3,
    )
    process = start(spec, tmp_path / "log")
    try:
        assert os.sched_getscheduler(process.pid) == os.SCHED_BATCH
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == 3
    finally:
        process.kill()
        process.wait()
