"""`bench callers`: what a key costs a request: the check by itself, and a node that answers with it."""

import time
from collections.abc import Callable, Mapping
from contextlib import chdir, suppress
from dataclasses import replace
from pathlib import Path
from statistics import median

from click.testing import CliRunner

from bench.project import ENDPOINT
from bench.results import Figure, Results
from bench.running import podium, recording, say
from bench.serving import Running, scratch
from bench.wrk import wrk
from podium.callers import Key, Rate, new_token
from podium.cli import podium as commands
from podium.counters import Board
from podium.errors import UnknownCaller
from podium.gateway.callers import Callers
from podium.run import key_digest

KEYS = 1000
CHECKS = 20_000
CONNECTIONS = 32
RATE = Rate(requests=999_999_999, seconds=1)
USUAL = {"host": "127.0.0.1", "content-type": "application/json", "content-length": "13"}


def measure(folder: Path, *, seconds: float, rounds: int) -> None:
    with recording("callers", folder, keys=KEYS, seconds=seconds, rounds=rounds) as results:
        _checks(results, rounds)
        with podium("linear") as running:
            _node(running, results, seconds, rounds)


# --- the check by itself ----------------------------------------------------------------------


def _checks(results: Results, rounds: int) -> None:
    with scratch() as place, Board(place / "callers.board") as board:
        callers = Callers(board, required=False)
        tokens = [new_token() for _ in range(KEYS)]
        for number, token in enumerate(tokens):
            callers.follow(Key(digest=key_digest(token), name=f"caller-{number}", rate=RATE, created=number))
        bearers = [USUAL | {"authorization": f"Bearer {token}"} for token in tokens]
        strangers = [USUAL | {"x-api-key": new_token()} for _ in range(KEYS)]
        for name, headers, note in (
            ("check of a key", bearers, f"one of {KEYS:,}, each with a rate limit"),
            ("check of a request without a key", [USUAL], ""),
            ("refusal of a key that is not there", strangers, "without the answer"),
        ):
            each = median(_micros(callers.let_in, headers) for _ in range(rounds))
            say(results, Figure(name=name, value=each, unit="µs", note=note))


def _micros(check: Callable[[Mapping[str, str]], object], headers: list[dict[str, str]]) -> float:
    turns = [headers[number % len(headers)] for number in range(CHECKS)]
    began = time.perf_counter()
    for each in turns:
        with suppress(UnknownCaller):
            check(each)
    return (time.perf_counter() - began) / CHECKS * 1e6


# --- a node -----------------------------------------------------------------------------------


def _node(running: Running, results: Results, seconds: float, rounds: int) -> None:
    """Loads with and without a key take turns, so that a machine which drifts takes both along."""
    token = _key(running)
    without = running.request()
    keyed = replace(without, headers={**without.headers, "authorization": f"Bearer {token}"})
    rates: dict[bool, list[float]] = {False: [], True: []}
    running.closed(CONNECTIONS, 1)
    for number in range(2 * rounds):
        has_key = number % 4 in {1, 2}  # without, with, with, without: neither is always the later one
        request = keyed if has_key else without
        load = wrk(running.site.port, request, running.site.scratch, connections=CONNECTIONS, seconds=seconds)
        assert not load.errors, f"{load.errors} refused or failed"
        rates[has_key].append(load.per_second)
        running.drain()
    less = 100 * (1 - median(rates[True]) / median(rates[False]))
    note = f"{median(rates[True]):,.0f} instead of {median(rates[False]):,.0f}"
    name = f"requests/s, {CONNECTIONS} connections, with a key, less than without"
    say(results, Figure(name=name, value=less, unit="%", note=note))


def _key(running: Running) -> str:
    with chdir(running.site.scratch / "project"):
        done = CliRunner().invoke(commands, ["key", "create", ENDPOINT, "load", "--rate", str(RATE)])
    if done.exit_code:
        raise SystemExit(f"podium key create: {done.output}")
    return done.stdout.strip()
