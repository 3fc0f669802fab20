"""`bench hosts`: one host of each kind is cut off, killed, becomes slow; what do clients see, and how long?

Hosts are network namespaces (`tests/system/hosts.py`): three NATS servers in a cluster, two gateways, two
workers of the champion and two of a challenger, the archiver, and a client that takes turns between the
gateways as a load balancer does: one that is not ready is left out, half a second at the latest after it is
asked, and a request that is refused goes to the other.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.system.balanced import Met, summary
from tests.system.spread import Client, Spread

from bench.results import Figure, Results
from bench.running import recording, say
from bench.serving import scratch

RATE = 100.0
SLOW_SECONDS = 3.0
DELAY, LOSS = 0.01, 0.01

# What was cut off is nobody's first choice afterwards, so another one is killed.
CUT = {"broker": "nats1", "gateway": "gateway1", "champion's worker": "linear1", "archiver": "archiver"}
KILLED = {"broker": "nats2", "gateway": "gateway2", "champion's worker": "linear2", "archiver": "archiver"}
AT_ONCE = ("nats3", "gateway1", "linear1", "forest1", "archiver")


def measure(folder: Path) -> None:
    with (
        recording("hosts", folder, rate=RATE, delay_ms=DELAY * 1000, loss=LOSS) as results,
        scratch() as place,
        Spread(_project(place), place / "hosts") as spread,
        spread.client("client", RATE) as client,
    ):
        for kind, name in CUT.items():
            _slow(spread, client, results, kind, name)
        for kind, name in CUT.items():
            _cut(spread, client, results, kind, (name,))
        for kind, name in KILLED.items():
            _kill(spread, client, results, kind, name)
        _cut(spread, client, results, "one host of each kind", AT_ONCE)


def _cut(spread: Spread, client: Client, results: Results, kind: str, names: Sequence[str]) -> None:
    began = time.monotonic()
    for name in names:
        spread.cut(name)
    _say_when_back(client, results, f"{kind} cut off", began)
    if kind == "champion's worker":
        again = client.until_steady(since=began, rule="champion")
        say(results, Figure(name=f"{kind} cut off, until the champion answers all", value=again, unit="s"))
    for name in names:
        spread.restore(name)
    _whole_again(spread, client, *names)


def _kill(spread: Spread, client: Client, results: Results, kind: str, name: str) -> None:
    began = time.monotonic()
    spread.kill(name)
    _say_when_back(client, results, f"{kind} killed", began)
    spread.start(name)
    _whole_again(spread, client, name)


def _slow(spread: Spread, client: Client, results: Results, kind: str, name: str) -> None:
    began = time.monotonic()
    spread.slow(name, delay=DELAY, loss=LOSS)
    time.sleep(SLOW_SECONDS)
    met = client.since(began)
    took = sorted(each.ended - each.began for each in met)
    p99 = took[int(0.99 * len(took))] * 1000
    say(results, Figure(name=f"{kind} slow, p99", value=p99, unit="ms", note=_note(met)))
    spread.restore(name)
    _whole_again(spread, client, name)


def _say_when_back(client: Client, results: Results, what: str, began: float) -> None:
    """Seconds until contenders answered all again; beside it what the requests of that time met."""
    took = client.until_steady(since=began)
    met = [each for each in client.since(began) if each.began < began + took]
    say(results, Figure(name=what, value=took, unit="s", note=_note(met)))


def _note(met: Sequence[Met]) -> str:
    counts = ", ".join(f"{count} {what}" for what, count in sorted(summary(met).items()))
    return f"of {len(met)} requests: {counts}" if met else "no request failed or got the default"


def _whole_again(spread: Spread, client: Client, *names: str) -> None:
    back = time.monotonic()
    for name in names:
        spread.until_ready(name)
    client.until_steady(since=back)


def _project(place: Path) -> Path:
    podium = (sys.executable, "-m", "podium")
    project = place / "diabetes"
    for words, folder in ((("new", "diabetes"), place), (("train",), project)):
        subprocess.run(
            (*podium, *words), cwd=folder, env=os.environ, check=True, timeout=120, capture_output=True
        )
    file = project / "podium.toml"
    # Each process has a host here, and the decoy's would be one more of a worker.
    file.write_text(file.read_text().replace("enabled = true", "enabled = false"))
    return project
