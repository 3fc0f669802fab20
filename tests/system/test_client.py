"""The Python client against a real node: every call is answered once, whatever is killed meanwhile."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tests.system.conftest import Up
from tests.system.kept import Archive, archive_of
from tests.system.keys import made, requiring
from tests.system.running import edit

import podium
from podium.client import Answer, Outcome, Wishes
from podium.errors import InvalidInput, NotFound, UnknownRequest

CALM = 0.7
"""Seconds of load before and after a fault."""

TYPESCRIPT = Path(__file__).parents[2] / "examples" / "typescript"
BMI = [0.05, 0.01, -0.02, 0.07]


FORCED: Wishes = {"force": "linear"}
"""On a busy machine another contender's answer may be the one."""


def test_an_endpoint_is_scored_and_told(project: Path, up: Up) -> None:
    node = up(project)
    with podium.Client(node.url, "diabetes") as client:
        one = client.score({"bmi": np.float64(0.05)}, id="mine", key="a", deadline="90ms", **FORCED)
        assert (one.id, one.model, one.rule) == ("mine", "linear", "forced")
        expected = [client.score({"bmi": bmi}, **FORCED).answer for bmi in BMI]
        assert one.answer == expected[0]

        rows = client.score_rows([{"bmi": bmi} for bmi in BMI], **FORCED)
        assert rows.answer == expected
        many = client.score_many(({"bmi": bmi} for bmi in BMI * 50), batch=16, **FORCED)
        assert [row for part in many for row in part.answer] == expected * 50

        table = client.score_table(pd.DataFrame({"bmi": BMI}, index=list("abcd")), **FORCED)
        assert table[["progression"]].to_dict("records") == expected
        others = pl.DataFrame({"bmi": BMI, "bp": [0.01] * 4})
        scored = client.score_table(others, batch=3, at_once=2, **FORCED)
        assert scored.select("progression").to_dicts() == expected

        noon = datetime(2026, 11, 24, 12, tzinfo=UTC)
        assert client.outcome("mine", {"progression": 151}, observed=noon).outcomes == 1
        told = [Outcome(id=rows.id, row=n, outcome={"progression": n}) for n in range(4)]
        assert client.outcomes(told, batch=3).outcomes == 4

        with pytest.raises(InvalidInput, match="did you mean 'bmi'") as refused:
            client.score({"bmj": 0.05})
        assert refused.value.path == "$.bmj"
        assert "bmi: float" in refused.value.expected
        with pytest.raises(InvalidInput, match="did you mean 'bmi'"):
            client.score_table(pd.DataFrame({"bmj": BMI}))
        with pytest.raises(NotFound, match="linear@"):
            client.score({"bmi": 0.05}, force="nobody")
        with pytest.raises(UnknownRequest):
            client.outcome("nobody's", {"progression": 151})


def test_a_killed_gateway_fails_no_call(project: Path, up: Up) -> None:
    node = up(project)
    over = threading.Event()
    found: list[Answer] = []

    async def load() -> None:
        async with (
            podium.AsyncClient(node.url, "diabetes", timeout=20.0) as client,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(16):
                group.create_task(ask(client))

    async def ask(client: podium.AsyncClient) -> None:
        while not over.is_set():
            found.append(await client.score({"bmi": 0.05}))
            await asyncio.sleep(0.02)

    thread = threading.Thread(target=lambda: asyncio.run(load()))
    thread.start()
    time.sleep(CALM)
    killed = node.send("gateway 1", signal.SIGKILL)
    node.until_back("gateway 1", killed)
    before = len(found)
    time.sleep(CALM)
    over.set()
    thread.join(30.0)
    assert not thread.is_alive()
    assert len(found) > before

    calls = Counter(answer.id for answer in found)
    assert set(calls.values()) == {1}
    archive = archive_of(node)
    assert archive.ids("answers") == set(calls), "each call under one id, and nothing else"
    assert_doubled_only_by_the_kill(archive)


def assert_doubled_only_by_the_kill(archive: Archive) -> None:
    """Sixteen requests were on their way: an answer may have been kept and not returned."""
    doubled = archive.doubled("answers")
    assert len(doubled) <= 16
    assert all(count == 2 for *_, count in doubled)


def test_a_call_that_was_refused_is_archived_once_it_is_let_in(project: Path, up: Up) -> None:
    """With room for a single request, most of sixteen are told to come back: 429, then 200."""
    edit(project, limits="in_flight = 1")
    node = up(project)
    with podium.Client(node.url, "diabetes", timeout=60.0) as client:
        found = list(client.score_many([{"bmi": bmi} for bmi in BMI * 4], batch=1, at_once=16, **FORCED))
    assert [part.answer for part in found] == [part.answer for part in found[:4]] * 4
    assert node.status().refused > 0
    archive = archive_of(node)
    assert archive.ids("answers") == {part.id for part in found}
    assert not archive.doubled("answers")


@pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed: apt-get install npm")
def test_a_client_generated_for_typescript_scores_with_a_key(project: Path, up: Up, tmp_path: Path) -> None:
    node = up(requiring(project))
    environment = {**os.environ, "PODIUM_KEY": made(project, "typescript")}
    folder = shutil.copytree(TYPESCRIPT, tmp_path / "typescript")
    for command in (
        ["npm", "install", "--silent", "--no-audit", "--no-fund"],
        ["npm", "run", "--silent", "generate", "--", f"{node.url}/openapi.json"],
        ["npm", "run", "--silent", "build"],  # it fails where a type does not fit
        ["node", "score.js", node.url],
    ):
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    assert done.stdout.splitlines() == [
        "linear forced 199.83",
        "422 'bmj' is not an input (did you mean 'bmi'?)",
        "{ progression: 151 }",
    ]
