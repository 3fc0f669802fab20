"""A Python function of the project gives the features, and cannot do much harm."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.unit.gateway.features.asked import ASKED, features, request, shown
from tests.unit.workers.stage import PATIENCE

from podium.errors import FeaturesFailed, MissingExtra, ProjectError
from podium.gateway.features.function import THREADS, FunctionSource, load
from podium.gateway.features.values import Found
from podium.validation import Rows

NEIGHBOUR = "FACTOR = 2.0\n"
CODE = """\
import time

import neighbour
import numpy as np


def features(columns):
    names = columns["customer"]
    if "raise" in names:
        raise KeyError("raise")
    if "exit" in names:
        raise SystemExit(3)
    if "hang" in names:
        time.sleep(1.5)
    if "short" in names:
        return {"income": [1.0], "segment": ["a"]}
    if "nothing" in names:
        return None
    if "write" in names:
        columns["x"][0] = 1e9
    income = np.where(names == "nan", np.nan, neighbour.FACTOR * columns["x"])
    return {"income": income, "segment": [f"{name}!" for name in names]}
"""

BUSY = """\
import time


def features(columns):
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        sum(range(100))
    return {"income": columns["x"], "segment": columns["customer"]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "neighbour.py").write_text(NEIGHBOUR)
    (tmp_path / "features.py").write_text(CODE)
    return tmp_path / "features.py"


async def found(file: Path, *parts: Rows) -> Found:
    async with FunctionSource(features("module", file), ASKED) as source, asyncio.timeout(PATIENCE):
        return await source.find(parts)


async def test_it_sees_all_rows_of_all_requests_as_columns(file: Path) -> None:
    seen = shown(await found(file, request("a", "b"), request("nan")))
    assert seen == [(0.0, "a!", "nothing"), (2.0, "b!", "nothing"), (-1.0, "nan!", "missing")]


@pytest.mark.parametrize(
    ("customer", "says"),
    [
        ("raise", r"^features.py:10: KeyError: 'raise'$"),
        ("exit", r"^features.py:12: SystemExit: 3$"),
        ("short", r"'income' has the shape \[1\] for 2 rows"),
        ("nothing", "`features` returned NoneType, expected a column for each feature by name"),
        ("write", "features.py:20: ValueError: assignment destination is read-only"),
    ],
)
async def test_what_it_does_wrong_is_said(file: Path, customer: str, says: str) -> None:
    with pytest.raises(FeaturesFailed, match=says):
        await found(file, request(customer, "b"))


@pytest.mark.parametrize("customer", ["raise", "exit", "short", "nothing", "write"])
async def test_a_request_on_which_it_fails_spoils_no_other(file: Path, customer: str) -> None:
    seen = shown(await found(file, request("a"), request(customer, "c"), request("d")))
    assert seen == [(0.0, "a!", "nothing"), *[(-1.0, "unknown", "failed")] * 2, (0.0, "d!", "nothing")]


async def test_while_a_call_computes_in_python_the_loop_has_its_turns(file: Path) -> None:
    file.write_text(BUSY)
    async with FunctionSource(features("module", file), ASKED) as source, asyncio.timeout(PATIENCE):
        computing = [asyncio.create_task(source.find([request("a")])) for _ in range(THREADS)]
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert not any(call.done() for call in computing)
        await asyncio.gather(*computing)


async def test_while_one_call_hangs_the_loop_and_other_calls_go_on(file: Path) -> None:
    async with FunctionSource(features("module", file), ASKED) as source, asyncio.timeout(PATIENCE):
        hanging = asyncio.create_task(source.find([request("hang")]))
        for _ in range(20):
            assert shown(await source.find([request("a")])) == [(0.0, "a!", "nothing")]
        assert not hanging.done()
        hanging.cancel()


SLOW = """\
import time

CALLS = []


def features(columns):
    CALLS.append(columns["customer"][0])
    time.sleep(0.5 if "hang" in columns["customer"] else 0.0)
    return {"income": [float(len(CALLS))], "segment": ["a"]}
"""


async def test_a_call_that_nobody_waits_for_when_its_turn_comes_is_not_made(file: Path) -> None:
    file.write_text(SLOW)
    async with FunctionSource(features("module", file), ASKED) as source, asyncio.timeout(PATIENCE):
        hanging = [asyncio.create_task(source.find([request("hang")])) for _ in range(THREADS)]
        await asyncio.sleep(0)  # they are asked first
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await source.find([request("a")])
        await asyncio.gather(*hanging)
        assert shown(await source.find([request("b")])) == [(float(THREADS + 1), "a", "nothing")]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("features = 3", "features.py has no function `features`, as in `def features"),
        ("def feature(columns): ...", "features.py has no function `features`"),
        ("\n1 / 0", "features.py:2: ZeroDivisionError: division by zero"),
        ("def f(:", "features.py:1: SyntaxError"),
        ("import nothing_like_it", "features.py:1: No module named 'nothing_like_it'; install it"),
    ],
)
def test_a_module_that_is_none_names_its_line_and_that_of_the_project(
    tmp_path: Path, code: str, says: str
) -> None:
    (tmp_path / "features.py").write_text(code)
    with pytest.raises(ProjectError) as raised:
        load(features("module", tmp_path / "features.py"))
    assert str(raised.value).startswith(f"podium.toml:7: features.it: {says}")


def test_a_library_of_an_extra_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "xgboost", None)
    (tmp_path / "features.py").write_text("import xgboost")
    with pytest.raises(MissingExtra, match=r"podium\[xgboost\]"):
        load(features("module", tmp_path / "features.py"))
