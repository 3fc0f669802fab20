"""Lines are always those of what is archived, and only hours that have changed are made again."""

from __future__ import annotations

import fcntl
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arro3.core import Table as ArrowTable
from deltalake import DeltaTable

from podium.archive.forget import Forgetting, Selector, What
from podium.archive.names import USAGE, table_uri
from podium.archive.usage import update as module
from podium.archive.usage.ledger import Ledger
from podium.archive.usage.table import Writer
from podium.archive.usage.update import Updated, update
from podium.errors import ArchiveError, NotFound
from podium.schema import Field, Kind, Schema

from ..comparing.world import FOREST
from ..filled import DAY
from ..traffic import ENDPOINT, OUTPUTS
from .world import TOLERANCE, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two hours with two requests each, whose lines are made; a name with a space, as people have them."""
    world = World(tmp_path / "an archive")
    world.answered(["a1", "a2"], hour=0)
    world.answered(["b1", "b2"], hour=1)
    assert world.update() == 2
    return world


def usage_table(world: World) -> DeltaTable:
    return DeltaTable(table_uri(world.archive, ENDPOINT, USAGE))


# --- which hours ----------------------------------------------------------------------------


def test_nothing_is_made_again_where_nothing_has_changed(world: World) -> None:
    table = usage_table(world)
    before = table.version()
    assert world.update() == 0
    table.update_incremental()
    assert table.version() == before


def test_an_hour_that_changes_by_late_outcomes_is_made_again_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recorded(monkeypatch)
    world.outcomes(["b2"], {"progression": np.array([3.0])})
    assert world.update() == 1
    assert [len(hours) for hours in made] == [1]
    first, second = world.lines()
    assert (first["judged_progression"], second["judged_progression"]) == (0, 1)
    assert second["absolute_progression"] == pytest.approx(2.0)  # the second of two rows was scored 1


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The hours of each replacement from here on."""
    made: list[tuple[int, ...]] = []
    replace = Writer.replace

    def recording(self: Writer, day: Any, hours: Any, lines: Any) -> None:
        made.append(tuple(hours))
        replace(self, day, hours, lines)

    monkeypatch.setattr(Writer, "replace", recording)
    return made


def test_requests_scores_and_answers_that_come_later_change_their_requests_hour(world: World) -> None:
    world.requests(["a3"], hour=0)
    assert world.update() == 1
    assert world.usage().total.unanswered == 1
    world.scores("forest", ["a3"])
    world.answers(["a3"], model="forest", version=FOREST, rules=["challenger"])
    assert world.update() == 1
    assert world.usage().total.unanswered == 0
    assert world.requests_by_hour() == {0: 3, 1: 2}


def test_a_new_hour_leaves_the_others_alone(world: World) -> None:
    world.answered(["c1"], hour=30)
    assert world.update() == 1
    assert world.requests_by_hour() == {0: 2, 1: 2, 30: 1}


def test_a_tolerance_that_has_changed_makes_all_hours_again(world: World) -> None:
    world.scores("forest", ["a1", "a2"], {"progression": np.array([0.0, 1.03])})
    assert world.update() == 1
    assert sum(line["disagreements"] for line in world.lines()) == 0
    assert world.update(tolerance=0.01) == 2
    assert sum(line["disagreements"] for line in world.lines()) == 1


def test_merged_files_change_no_figure(world: World) -> None:
    before = world.lines()
    for name in ("requests", "scores", "answers"):
        DeltaTable(table_uri(world.archive, ENDPOINT, name)).optimize.compact()
    world.update()
    assert world.lines() == before


def test_a_new_output_gets_columns_of_its_own(world: World, tmp_path: Path) -> None:
    outputs = (*OUTPUTS.fields, Field(name="label", type=Kind.STRING))
    grown = World(tmp_path / "an archive", Schema(outputs))
    grown._position = world._position
    grown.gateway.seq = world.gateway.seq
    grown._workers = world._workers
    said = {"progression": np.array([1.0]), "label": np.array(["yes"], object)}
    grown.requests(["c1"], hour=2)
    grown.scores("linear", ["c1"], said)
    grown.outcomes(["c1"], {"label": np.array(["no"], object)})
    assert grown.update() == 1
    lines = grown.lines()
    (new,) = [line for line in lines if line["hour"] == 2 and line["model"]]
    assert (new["judged_label"], new["wrong_label"], new["judged_progression"]) == (1, 1, 0)
    assert {line["wrong_label"] for line in lines if line["hour"] < 2} == {None}
    (errors,) = grown.usage().contenders[0].against_outcomes
    assert (errors.output, errors.wrong) == ("label", 1.0)


# --- what is removed ------------------------------------------------------------------------


def test_what_is_forgotten_is_not_counted_any_more(world: World) -> None:
    world.answered(["c1", "c2"], hour=1, callers=["alice", "bob"])
    world.answered(["d1"], hour=2, callers=["alice"])
    assert world.update() == 2
    forgetting = Forgetting(world.archive, ENDPOINT)
    selector = Selector(what=What.CALLER, value="alice")
    forgetting.remove(forgetting.find(selector).ids, caller="alice")
    assert "alice" not in {line["caller"] for line in world.lines()}
    world.update()
    assert world.requests_by_hour() == {0: 2, 1: 3}
    assert world.update() == 0


def test_a_forgotten_caller_is_on_no_disk_any_more(world: World) -> None:
    world.answered(["c1"], hour=1, callers=["alice"])
    world.update()
    forgetting = Forgetting(world.archive, ENDPOINT)
    forgetting.remove(["c1"], caller="alice")
    parquet = [*Path(table_uri(world.archive, ENDPOINT, USAGE)).rglob("*.parquet")]
    assert parquet
    assert all(b"alice" not in file.read_bytes() for file in parquet)


def test_an_hour_of_which_everything_is_forgotten_has_no_line(world: World) -> None:
    forgetting = Forgetting(world.archive, ENDPOINT)
    for id in ("b1", "b2"):
        forgetting.remove(forgetting.find(Selector(what=What.ID, value=id)).ids)
    world.update()
    assert world.requests_by_hour() == {0: 2}


# --- crashes, readers, others ---------------------------------------------------------------


def test_whoever_dies_between_lines_and_ledger_makes_the_same_lines_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.answered(["a3"], hour=0)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "write", die)
        with pytest.raises(KeyboardInterrupt):
            world.update()
    assert world.update() == 1
    assert world.requests_by_hour() == {0: 3, 1: 2}
    assert world.update() == 0


def test_whoever_dies_before_lines_are_written_leaves_the_old_ones(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = world.lines()
    world.answered(["a3"], hour=0)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("podium.archive.usage.table.write_deltalake", die)
        with pytest.raises(KeyboardInterrupt):
            world.update()
    assert world.lines() == before
    assert world.update() == 1
    assert world.requests_by_hour() == {0: 3, 1: 2}


def between(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do it once, after the tables were opened and before they are read."""
    lines, done = module.lines, threading.Event()

    def acting(*given: Any, **more: Any) -> Any:
        if not done.is_set():
            done.set()
            act()
        return lines(*given, **more)

    monkeypatch.setattr(module, "lines", acting)


def test_tables_that_are_merged_while_they_are_read_give_the_same_lines(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.answered(["a3"], hour=0)

    def compact() -> None:
        for name in ("requests", "scores", "answers"):
            DeltaTable(table_uri(world.archive, ENDPOINT, name)).optimize.compact()

    between(monkeypatch, compact)
    assert world.update() == 1
    assert world.requests_by_hour() == {0: 3, 1: 2}


def test_files_that_are_removed_while_they_are_read_are_looked_for_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.answered(["a3"], hour=0)
    forgetting = Forgetting(world.archive, ENDPOINT)
    between(monkeypatch, lambda: forgetting.remove(["a1"]))
    world.update()
    assert world.requests_by_hour() == {0: 2, 1: 2}
    assert world.update() == 0


def test_a_second_update_at_once_leaves_it_to_the_first_and_says_so(world: World) -> None:
    world.answered(["a3"], hour=0)
    with (Path(world.archive) / ENDPOINT / module.LOCK).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert update(world.archive, ENDPOINT, tolerance=TOLERANCE) == Updated(is_current=False)
        assert world.requests_by_hour() == {0: 2, 1: 2}  # readers are not held up
    assert world.update() == 1


def test_of_two_writers_without_a_lock_the_later_one_fails(world: World) -> None:
    none = ArrowTable.from_batches([], schema=usage_table(world).schema().to_arrow())
    slow, quick = (Writer(world.archive, ENDPOINT) for _ in range(2))
    slow.replace(DAY, (0,), none)
    quick.replace(DAY, (1,), none)
    with pytest.raises(ArchiveError, match="written by another process meanwhile"):
        slow.replace(DAY, (2,), none)


def test_a_disk_that_is_full_is_said_and_the_next_update_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.answered(["a3"], hour=0)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    for place in ("ledger", "table"):
        with monkeypatch.context() as patched:
            patched.setattr(f"podium.archive.usage.{place}.write_deltalake", full)
            with pytest.raises(ArchiveError, match=r"cannot be written: .*No space left on device"):
                world.update()
    assert world.update() == 1
    assert world.requests_by_hour() == {0: 3, 1: 2}


def test_an_archive_at_a_url_has_the_same_lines(world: World) -> None:
    world.outcomes(["b2"])
    world.update()
    expected = world.lines()
    for name in ("usage", "usage_files"):
        shutil.rmtree(table_uri(world.archive, ENDPOINT, name))
    address = Path(world.archive).as_uri()
    assert update(address, ENDPOINT, tolerance=TOLERANCE).hours == 2
    assert world.lines() == expected
    world.answered(["a3"], hour=0)
    assert update(address, ENDPOINT, tolerance=TOLERANCE).hours == 2  # whole days are read
    assert world.requests_by_hour() == {0: 3, 1: 2}


def test_an_archive_that_is_not_there_is_said_to_be_empty(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing is archived at"):
        update(str(tmp_path), ENDPOINT, tolerance=TOLERANCE)
