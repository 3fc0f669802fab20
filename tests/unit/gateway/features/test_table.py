"""Features from a Parquet file or a Delta table."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from arro3.core import Array, DataType
from arro3.core import Table as ArrowTable
from deltalake import write_deltalake
from tests.unit.gateway.features.asked import ASKED, FIELDS, INCOME, PLACE, SEGMENT, features, request, shown
from tests.unit.workers.stage import PATIENCE, until

from podium.errors import ProjectError
from podium.gateway.features import table as tables
from podium.gateway.features.table import Keyed, TableSource, read
from podium.run import Features
from podium.schema import Field, Kind, Schema

Write = Callable[..., Path]
KEY = ASKED["customer"]
ROWS = "('a', 1.5, 'x'), ('b', NULL, 'y'), (NULL, 3.0, 'z'), ('c', 'nan'::DOUBLE, NULL)"
SEEN = [(1.5, "x", "nothing"), (-1.0, "y", "missing"), (-1.0, "unknown", "missing")]


def parquet(folder: Path, rows: str = ROWS, columns: str = "customer, income, segment") -> Path:
    file = folder / "customers.parquet"
    written = file.with_suffix(".new")
    duckdb.connect().execute(
        f"COPY (SELECT * FROM (VALUES {rows}) t({columns})) TO '{written}' (FORMAT parquet)"
    )
    written.replace(file)
    return file


def delta(folder: Path, rows: str = ROWS, columns: str = "customer, income, segment") -> Path:
    query = duckdb.connect().sql(f"SELECT * FROM (VALUES {rows}) t({columns})")
    write_deltalake(
        folder / "customers", ArrowTable.from_arrow(query), mode="overwrite", schema_mode="overwrite"
    )
    return folder / "customers"


@pytest.fixture(params=[parquet, delta], ids=["parquet", "delta"])
def write(request: pytest.FixtureRequest) -> Write:
    found: Write = request.param
    return found


def whole(at: Path, fields: Schema = FIELDS, key: Field = KEY) -> Keyed:
    found = read(features("table", at, fields), key)
    assert found is not None
    return found


def test_what_is_not_there_is_a_default(tmp_path: Path, write: Write) -> None:
    found = whole(write(tmp_path)).look_up(["a", "b", "c", "a", "nobody", ""])
    absent = (-1.0, "unknown", "missing")
    assert shown(found) == [*SEEN, SEEN[0], absent, absent]


def test_keys_may_be_numbers_and_whole_numbers_are_floats_too(tmp_path: Path, write: Write) -> None:
    at = write(tmp_path, "(7::SMALLINT, 5::INTEGER), (8, NULL)", "customer, income")
    found = whole(at, Schema((INCOME,)), Field(name="customer", type=Kind.INT)).look_up([8, 7, 9])
    assert shown(found) == [(-1.0, "missing"), (5.0, "nothing"), (-1.0, "missing")]


def test_lists_are_tensors_of_exactly_their_shape(tmp_path: Path, write: Write) -> None:
    at = write(tmp_path, "('a', [1.5::DOUBLE, 2]), ('b', [1.0]), ('c', NULL)", "customer, place")
    assert shown(whole(at, Schema((PLACE,))).look_up(["a", "b", "c"])) == [
        ([1.5, 2.0], "nothing"),
        ([0.0, 0.0], "wrong"),
        ([0.0, 0.0], "missing"),
    ]


def test_truths_and_times_as_text(tmp_path: Path, write: Write) -> None:
    fields = Schema((Field(name="good", type=Kind.BOOL, optional=True, default=True), SEGMENT))
    at = write(tmp_path, "('a', false, 'é'), ('b', NULL, '')", "customer, good, segment")
    assert shown(whole(at, fields).look_up(["a", "b"])) == [(False, "é", "nothing"), (True, "", "missing")]


def test_a_table_without_a_row_has_nobody(tmp_path: Path) -> None:
    nothing = {"customer": DataType.utf8(), "income": DataType.float64(), "segment": DataType.utf8()}
    empty = ArrowTable.from_pydict({name: Array([], kind) for name, kind in nothing.items()})
    write_deltalake(tmp_path / "customers", empty)
    assert shown(whole(tmp_path / "customers").look_up(["a"])) == [(-1.0, "unknown", "missing")]


def test_a_table_of_more_keys_than_are_indexed_at_once_has_them_all(tmp_path: Path, write: Write) -> None:
    query = "SELECT 'k' || n, n::DOUBLE FROM range(10_000) r(n)"
    rows = ", ".join(str(row) for row in duckdb.sql(query).fetchall())
    found = whole(write(tmp_path, rows, "customer, income"), Schema((INCOME,))).look_up(
        ["k0", "k4096", "k9999"]
    )
    assert found.columns[0].tolist() == [0.0, 4096.0, 9999.0]


@pytest.mark.parametrize(
    ("rows", "columns", "says"),
    [
        (
            "('a', 1.0::DOUBLE)",
            "custmer, income",
            "it has no column 'customer' (did you mean 'custmer'?); it has custmer",
        ),
        ("('a', 1.0::DOUBLE)", "customer, incom", "it has no column 'income' (did you mean 'incom'?)"),
        ("('a', '1.0')", "customer, income", "its column 'income' is Utf8, expected income: float"),
        ("('a', true)", "customer, income", "its column 'income' is Boolean, expected income: float"),
        ("('a', [1.0::DOUBLE])", "customer, income", "its column 'income' is List"),
        ("(1, 1.0::DOUBLE)", "customer, income", "its column 'customer' is Int32, expected customer: string"),
        (
            "('a', 1.0::DOUBLE), ('b', 2.0), ('a', 3.0)",
            "customer, income",
            "its column 'customer' has the key 'a' more than",
        ),
    ],
)
def test_a_table_that_does_not_fit_names_its_line(
    tmp_path: Path, write: Write, rows: str, columns: str, says: str
) -> None:
    at = write(tmp_path, rows, columns)
    with pytest.raises(ProjectError) as raised:
        read(features("table", at, Schema((INCOME,))), KEY)
    assert str(raised.value).startswith(f"podium.toml:7: features.it: {says}")


def test_what_is_no_table_names_its_line(tmp_path: Path) -> None:
    junk = tmp_path / "junk.parquet"
    junk.write_bytes(b"hello, this is no parquet")
    log = tmp_path / "broken" / "_delta_log"
    log.mkdir(parents=True)
    (log / f"{0:020}.json").write_text("{nothing")
    (tmp_path / "empty").mkdir()
    for at in (junk, tmp_path / "gone.parquet", tmp_path / "broken", tmp_path / "empty"):
        with pytest.raises(ProjectError, match=r"^podium.toml:7: features.it: it cannot be read: .+"):
            read(features("table", at), KEY)


def test_a_table_that_is_the_same_is_not_read_again(tmp_path: Path, write: Write) -> None:
    at = write(tmp_path)
    first = whole(at)
    assert read(features("table", at), KEY, first.stamp) is None
    write(tmp_path, "('a', 9.0::DOUBLE, 'n')")
    again = read(features("table", at), KEY, first.stamp)
    assert again is not None
    assert shown(again.look_up(["a", "b"])) == [(9.0, "n", "nothing"), (-1.0, "unknown", "missing")]


def test_a_delta_table_that_was_made_anew_is_another_one(tmp_path: Path) -> None:
    first = whole(delta(tmp_path))
    shutil.rmtree(tmp_path / "customers")
    again = read(features("table", delta(tmp_path, "('a', 9.0::DOUBLE, 'n')")), KEY, first.stamp)
    assert again is not None
    assert shown(again.look_up(["a"])) == [(9.0, "n", "nothing")]


# --- as time passes ---------------------------------------------------------------------------


class Watched(TableSource):
    """A source whose last word on being stale is known."""

    def __init__(self, settings: Features) -> None:
        self.said: list[int] = []
        super().__init__(settings, ASKED, self.said.append)

    async def of(self, *customers: str) -> list[tuple[Any, ...]]:
        return shown(await self.find([request(*customers)]))


async def test_a_newer_version_is_picked_up(tmp_path: Path, write: Write) -> None:
    async with Watched(features("table", write(tmp_path), refresh_s=0.01)) as source:
        assert await source.of("a") == [SEEN[0]]
        assert source.said[-1] == 0
        write(tmp_path, "('a', 9.0::DOUBLE, 'n')")
        async with asyncio.timeout(10):
            while await source.of("a") != [(9.0, "n", "nothing")]:
                await asyncio.sleep(0.01)


async def test_what_cannot_be_read_leaves_what_was_known(
    tmp_path: Path, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    at = write(tmp_path)
    async with Watched(features("table", at, refresh_s=0.01)) as source:
        at.rename(tmp_path / "away")
        await until(lambda: source.said[-1] == 1)
        assert await source.of("a") == [SEEN[0]]
        assert "the table is not taken, and what was known is used: podium.toml:7" in caplog.text
        (tmp_path / "away").rename(at)
        await until(lambda: source.said[-1] == 0)


async def test_a_table_that_is_not_there_at_the_start_is_read_when_it_is(tmp_path: Path) -> None:
    async with Watched(features("table", tmp_path / "customers.parquet", refresh_s=0.01)) as source:
        assert await source.of("a") == [(-1.0, "unknown", "failed")]
        assert source.said[-1] == 1
        parquet(tmp_path)
        await until(lambda: source.said[-1] == 0)
        assert await source.of("a") == [SEEN[0]]


async def test_a_gateway_does_not_wait_for_ever_for_its_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    monkeypatch.setattr(tables, "FIRST_SECONDS", 0.05)
    monkeypatch.setattr(tables, "read", lambda *_: gate.wait(PATIENCE))  # a storage that hangs
    async with Watched(features("table", tmp_path / "slow.parquet")) as source:
        assert await source.of("a") == [(-1.0, "unknown", "failed")]
        assert source.said == [1]
    gate.set()
