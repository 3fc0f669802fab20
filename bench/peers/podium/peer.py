"""Podium on one machine: champion, challenger and decoy live, everything archived."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.payloads import BMI, FEATURES, PATIENT, json_request, open_inference
from bench.peers.base import Launch, Model, Peer, Request, Site, Wire
from bench.processes import NoAnswer
from bench.project import ENDPOINT, trained

PROGRAM = Path(sys.executable).with_name("podium")
COUNTS = ("received", "answered", "defaulted", "refused", "archived", "unkept")
READY_SECONDS = 60.0
# The tables may lag behind; `bench archive` waits for as long as it takes, a run has others to measure.
PATIENCE_SECONDS = 5.0


def launch(
    site: Site, model: Model, setting: str, challengers: int = 1, options: Sequence[str] = ()
) -> Launch:
    # Each start has an archive of its own: what an earlier one left would be compacted in this one's time.
    shutil.copytree(trained(model, challengers), site.scratch / "project")
    argv = (str(PROGRAM), "up", "--port", str(site.port), *options)
    return Launch(argv=argv, cwd=site.scratch / "project")


def request(model: Model, setting: str, wire: Wire) -> Request | None:
    infer = open_inference(f"/v2/models/{ENDPOINT}/infer", model, wire)
    if model == "rows":
        return infer
    if wire == "binary":
        return None
    fields = {"bmi": BMI} if model == "linear" else dict(zip(FEATURES, PATIENT, strict=True))
    return json_request(f"/score/{ENDPOINT}", fields)


def status(site: Site) -> Mapping[str, Any]:
    """What Podium itself says it received, answered and archived."""
    done = subprocess.run(
        [PROGRAM, "status", ENDPOINT, "--json"],
        cwd=site.scratch / "project",
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    return dict(json.loads(done.stdout))


def ready(site: Site) -> None:
    """Waits for the challengers and the decoy: the champion may answer before they live."""
    end = time.perf_counter() + READY_SECONDS
    while time.perf_counter() < end:
        now = status(site)
        if now["ready"] and all(process["pid"] for process in now["processes"]):
            return
        time.sleep(0.2)
    raise NoAnswer(f"not ready within {READY_SECONDS:.0f} s")


def settled(site: Site, *, patience: float, every: float = 0.5) -> Mapping[str, Any]:
    """The status once everything received is archived, or as it stands when patience ends."""
    end = time.perf_counter() + patience
    while True:
        now = status(site)
        if now["archived"] >= now["received"] or time.perf_counter() > end:
            return now
        time.sleep(every)


def counts(site: Site) -> Mapping[str, object]:
    start = time.perf_counter()
    found = settled(site, patience=PATIENCE_SECONDS)
    return {**{name: found.get(name) for name in COUNTS}, "waited_s": round(time.perf_counter() - start, 1)}


PEER = Peer(
    name="podium",
    title="**Podium**, two models and a decoy live, all archived",
    kind="podium",
    environment=None,
    launch=launch,
    request=request,
    ready=ready,
    counters=counts,
    graceful=True,
)
