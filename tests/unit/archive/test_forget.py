"""What must go is gone: from every table and from the disk, and only that."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podium.archive import forget as module
from podium.archive.forget import Forgetting, Selector, What
from podium.errors import ArchiveError, NotFound

from . import looking
from .filled import fill
from .traffic import ENDPOINT, NOW, Process

TABLES = ("requests", "scores", "answers", "decoy", "outcomes")


def archived(folder: Path, people: list[tuple[str, str | None]], *, parts: int = 3) -> None:
    """A request, two scores, an answer, a decoy's copy and an outcome for each (caller, key)."""
    gateway, linear, forest, decoy = (
        Process(f"{name}-1") for name in ("gateway", "linear", "forest", "decoy")
    )
    frames = []
    for number, (caller, key) in enumerate(people):
        ids = [f"{caller}-{number}"]
        sent = gateway.input(ids, callers=[caller], keys=[key], arrived=[NOW + number])
        frames += [sent, decoy.decoy(sent), linear.scores(ids), forest.scores(ids, model="forest")]
        frames += [gateway.answers(ids), gateway.outcomes(ids)]
    fill(folder, frames, parts=parts)


def forget(folder: Path, what: What, value: str) -> dict[str, int]:
    forgetting = Forgetting(str(folder), ENDPOINT)
    selector = Selector(what=what, value=value)
    done = forgetting.remove(forgetting.find(selector).ids)
    forgetting.record(selector, done, by="ops@here")
    return done.rows


def left(folder: Path) -> dict[str, set[str]]:
    return {name: set(looking.ids(str(folder), name)) for name in TABLES}


def everywhere(ids: set[str]) -> dict[str, set[str]]:
    return dict.fromkeys(TABLES, ids)


PEOPLE: list[tuple[str, str | None]] = [("alice", "a"), ("bob", "b"), ("alice", None), ("bob", "a")]


@pytest.mark.parametrize(
    ("what", "value", "gone"),
    [
        (What.CALLER, "alice", {"alice-0", "alice-2"}),
        (What.KEY, "a", {"alice-0", "bob-3"}),
        (What.ID, "bob-1", {"bob-1"}),
    ],
)
def test_all_of_one_is_gone_from_every_table_and_nothing_else_is(
    what: What, value: str, gone: set[str], tmp_path: Path
) -> None:
    archived(tmp_path, PEOPLE)
    everybody = {f"{caller}-{number}" for number, (caller, _) in enumerate(PEOPLE)}
    rows = forget(tmp_path, what, value)
    count = len(gone)
    assert rows == {
        "requests": count,
        "scores": 2 * count,
        "answers": count,
        "decoy": count,
        "outcomes": count,
    }
    assert left(tmp_path) == everywhere(everybody - gone)


def test_the_disk_holds_nothing_of_it_any_more(tmp_path: Path) -> None:
    archived(tmp_path, PEOPLE)
    forget(tmp_path, What.CALLER, "alice")
    files = [path.read_bytes() for path in tmp_path.rglob("*.parquet") if "_delta_log" not in path.parts]
    assert files
    assert not any(b"alice" in content for content in files)
    assert any(b"bob" in content for content in files)


@given(
    people=st.lists(st.tuples(st.sampled_from(["al'ice", "bob", "c%"]), st.none()), min_size=1, max_size=12)
)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whoever_is_forgotten_the_others_keep_each_row(
    people: list[tuple[str, str | None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("forget")
    archived(folder, people, parts=2)
    gone = people[0][0]
    forget(folder, What.CALLER, gone)
    expected = sorted(f"{caller}-{n}" for n, (caller, _) in enumerate(people) if caller != gone)
    assert sorted(looking.ids(str(folder), "requests")) == expected
    assert sorted(looking.ids(str(folder), "scores")) == sorted(expected * 2)


def test_many_requests_go_in_several_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDS_AT_ONCE", 3)
    archived(tmp_path, [("alice", None)] * 10 + [("bob", None)])
    assert forget(tmp_path, What.CALLER, "alice")["scores"] == 20
    assert left(tmp_path) == everywhere({"bob-10"})


def test_an_interrupted_try_is_finished_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archived(tmp_path, PEOPLE)
    forgetting = Forgetting(str(tmp_path), ENDPOINT)
    ids = forgetting.find(Selector(what=What.CALLER, value="alice")).ids
    done = []

    def interrupted(table: DeltaTable, predicate: str) -> int:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(table.delete(predicate))
        return 0

    with monkeypatch.context() as patched:
        patched.setattr(module.beside, "delete", interrupted)
        with pytest.raises(KeyboardInterrupt):
            forgetting.remove(ids)
    forget(tmp_path, What.CALLER, "alice")
    assert left(tmp_path) == everywhere({"bob-1", "bob-3"})


def test_an_id_is_forgotten_also_where_its_request_is_gone_already(tmp_path: Path) -> None:
    archived(tmp_path, PEOPLE)
    DeltaTable(str(tmp_path / ENDPOINT / "requests")).delete("id = 'alice-0'")
    rows = forget(tmp_path, What.ID, "alice-0")
    assert (rows["requests"], rows["scores"], rows["outcomes"]) == (0, 2, 1)


def test_that_it_was_done_is_kept_without_whose_it_was(tmp_path: Path) -> None:
    archived(tmp_path, PEOPLE)
    forget(tmp_path, What.CALLER, "alice")
    forget(tmp_path, What.ID, "bob-1")
    table = DeltaTable(str(tmp_path / ENDPOINT / "forgotten"))
    found = duckdb.read_parquet(table.file_uris()).project("* REPLACE (epoch_us(forgotten) AS forgotten)")
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.order("forgotten").fetchall()]
    first, second = rows
    assert (first["by"], first["what"], first["ids"], first["scores"]) == ("ops@here", "caller", 2, 4)
    # The hash of the value: `printf alice | sha256sum` finds it.
    assert first["selector"] == "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90"
    assert (second["what"], second["ids"], second["requests"]) == ("id", 1, 1)
    assert not any("alice" in str(value) for row in rows for value in row.values())


@pytest.mark.parametrize("what", list(What))
def test_nothing_to_forget_is_said(what: What, tmp_path: Path) -> None:
    archived(tmp_path, PEOPLE)
    with pytest.raises(ArchiveError, match=f"nothing of {what.value} 'carol' is archived"):
        forget(tmp_path, what, "carol")
    assert not (tmp_path / ENDPOINT / "forgotten").exists()


def test_nothing_archived_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing is archived at"):
        forget(tmp_path, What.CALLER, "alice")


def test_an_archive_from_before_there_were_outcomes_is_forgotten_too(tmp_path: Path) -> None:
    archived(tmp_path, PEOPLE)
    (tmp_path / ENDPOINT / "outcomes").rename(tmp_path / "elsewhere")
    assert "outcomes" not in forget(tmp_path, What.CALLER, "alice")
