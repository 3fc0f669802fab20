"""Closed-loop load: how much a server can do, by wrk."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.peers.base import Request

# `done` prints one line of JSON, so that nobody parses prose. wrk counts latencies in µs.
SCRIPT = """\
wrk.method = "POST"
local file = assert(io.open({body}, "rb"))
wrk.body = file:read("*a")
file:close()
{headers}
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\n{{"requests":%d,"micros":%d,"p50":%d,"p99":%d,"status":%d,"socket":%d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.status, e.connect + e.read + e.write + e.timeout))
end
"""


class Hung(Exception):
    """The load did not end in its time."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a load saw. `errors` counts answers other than 2xx and failures of connections."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int


def wrk(port: int, request: Request, scratch: Path, *, connections: int, seconds: float) -> Load:
    script = _script(request, scratch)
    whole = max(1, round(seconds))  # wrk counts in whole seconds
    argv = [
        *("wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{whole}s"),
        *("--timeout", "5s", "--latency", "--script", str(script), f"http://127.0.0.1:{port}{request.path}"),
    ]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=whole + 20, check=True)
    except subprocess.TimeoutExpired:
        raise Hung(f"wrk with {connections} connections") from None
    except subprocess.CalledProcessError as error:
        raise Hung(f"wrk failed: {error.stderr.strip() or error.stdout.strip()}") from None
    load = _read(done.stdout)
    if load.requests == 0:
        raise Hung(f"no answer to {connections} connections in {whole} s")
    return load


def _script(request: Request, scratch: Path) -> Path:
    body, script = scratch / "body", scratch / "load.lua"
    body.write_bytes(request.body)
    headers = "\n".join(
        f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in request.headers.items()
    )
    script.write_text(SCRIPT.format(body=json.dumps(str(body)), headers=headers))
    return script


def _read(output: str) -> Load:
    line = next(line for line in reversed(output.splitlines()) if line.startswith("{"))
    seen = json.loads(line)
    errors = seen["status"] + seen["socket"]
    return Load(
        requests=seen["requests"],
        # Only what was answered well counts.
        per_second=(seen["requests"] - seen["status"]) / (seen["micros"] / 1e6),
        p50_ms=seen["p50"] / 1e3,
        p99_ms=seen["p99"] / 1e3,
        errors=errors,
    )
