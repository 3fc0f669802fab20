"""`predict` alone: the calls a second that a process makes which does nothing else."""

import json
import subprocess

from bench.environments import models, programs
from bench.payloads import rows
from bench.peers.base import FOLDER, Model
from bench.processes import SERVER_CORE
from bench.results import Measure

NAME = "alone"


def alone(number: int, model: Model, seconds: float) -> Measure:
    argv = [
        *("taskset", "-c", str(SERVER_CORE), str(programs("granian") / "python")),
        *(str(FOLDER / "granian" / "alone.py"), str(models("granian") / f"{model}.pkl"), str(seconds)),
    ]
    done = subprocess.run(
        argv, input=json.dumps(rows(model)), capture_output=True, text=True, check=True, timeout=seconds + 30
    )
    figures = json.loads(done.stdout)
    return Measure(
        round=number,
        peer=NAME,
        setting="in process",
        model=model,
        wire="none",
        load="alone",
        **figures,
        errors=0,
        constant=None,
    )
