"""Which processes make up an endpoint on this machine, and how each is started."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from podium.environment import GIVES_BACK
from podium.node.boards import BoardSign
from podium.node.contenders import Contract
from podium.node.process import ProcessSpec, Stage
from podium.project import Project
from podium.records import Contender, Policy, Role
from podium.run import Run, WorkerSettings, key_digest

ADMIN_KEY = "PODIUM_ADMIN_KEY"
"""The environment variable that switches on what only an owner may do over HTTP."""

GATEWAY_TIMEOUT = 10.0
ARCHIVER_TIMEOUT = 60.0
GRACE = {Stage.GATEWAY: 6.0, Stage.WORKER: 1.5, Stage.ARCHIVER: 5.5}
"""Seconds to stop, as long as the supervisor has that much time left; the archiver's own drain takes
up to 5 s, and what it has not archived by then stays in the stream for the next `up`."""

OFF_PATH_NICE = 10
"""The archiver and the decoy give way to the request path."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run_of(project: Project, policy: Policy, contract: Contract, stream: str) -> Run:
    """What all processes are told; `stream` is the message stream's URL."""
    return Run(
        policy=policy,
        inputs=contract.inputs,
        outputs=contract.outputs,
        stream=stream,
        archive=project.archive.location,
        registry=str(project.registry_dir),
        run_dir=str(project.run_dir),
        limits=project.endpoint.limits,
        large=project.large,
        workers={name: model.worker for name, model in project.models.items()},
        agreement=project.endpoint.agreement,
        drift_window_s=project.drift_window_s,
        admin_key=key_digest(os.environ.get(ADMIN_KEY, "")),
        keys_required=project.endpoint.keys_required,
        features=project.features,
    )


def specs_of(
    run: Run, settings: Path, *, gateways: int, fd: int, grpc: str | None = None
) -> list[ProcessSpec]:
    """The gateways on the socket `fd`, and the archiver.

    `grpc` is the address that the gateways share for gRPC, if they are to speak it.
    """
    return [*_gateways(run, settings, gateways, fd, grpc), _archiver(run, settings)]


def _gateways(run: Run, settings: Path, count: int, fd: int, grpc: str | None) -> list[ProcessSpec]:
    doors = ("--fd", str(fd), *(("--grpc", grpc) if grpc else ()))
    return [
        ProcessSpec(
            name=f"gateway {number}",
            argv=_podium("gateway", "--number", str(number), *doors, "--settings", str(settings)),
            stage=Stage.GATEWAY,
            sign=BoardSign(run.counters),
            timeout=GATEWAY_TIMEOUT,
            grace=GRACE[Stage.GATEWAY],
            env=_threads(1),
            fds=(fd,),
        )
        for number in range(1, count + 1)
    ]


def workers_of(
    contender: Contender, run: Run, settings: Path, *, numbers: Iterable[int], awaited: bool
) -> list[ProcessSpec]:
    """A contender's worker processes, one for each number; those of one model never share a number."""
    own = worker_settings(contender, run)
    return [
        ProcessSpec(
            name=f"worker {contender.model} {number}",
            argv=_podium("worker", contender.name, "--number", str(number), "--settings", str(settings)),
            stage=Stage.WORKER,
            sign=BoardSign(run.counters),
            timeout=own.timeout,
            grace=GRACE[Stage.WORKER],
            env=_threads(own.threads),
            nice=OFF_PATH_NICE if contender.role is Role.DECOY else 0,
            awaited=awaited,
            contender=contender.name,
        )
        for number in numbers
    ]


def worker_settings(contender: Contender, run: Run) -> WorkerSettings:
    """How its processes run; a model that the project file does not have (any more) runs as usual."""
    return run.workers.get(contender.model, WorkerSettings())


def _archiver(run: Run, settings: Path) -> ProcessSpec:
    return ProcessSpec(
        name="archiver",
        argv=_podium("archiver", "--settings", str(settings)),
        stage=Stage.ARCHIVER,
        sign=BoardSign(run.counters, wait_for_ready=False),
        timeout=ARCHIVER_TIMEOUT,
        grace=GRACE[Stage.ARCHIVER],
        env={**_threads(1), **GIVES_BACK},
        nice=OFF_PATH_NICE,
        awaited=False,
    )


def _podium(*words: str) -> tuple[str, ...]:
    """`-P`: a file of the project that is called like a library must not be taken for it."""
    return (sys.executable, "-P", "-m", "podium", "run", *words)


def _threads(count: int) -> dict[str, str]:
    """Numerical libraries read these when they are imported; left alone, each process takes all cores."""
    return {**dict.fromkeys(THREADS, str(count)), "PYTHONUNBUFFERED": "1"}
