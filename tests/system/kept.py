"""What the archive holds, read as anybody would: Delta's file list, and DuckDB over the files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import duckdb
from deltalake import DeltaTable
from tests.system.grpc_load import GrpcLoad
from tests.system.load import Load
from tests.system.running import Node, until

from podium.project import load

TABLES = ("requests", "scores", "answers", "decoy", "outcomes")
SETTLE_SECONDS = 40.0


class Kept(Protocol):
    """Whatever runs a project."""

    @property
    def folder(self) -> Path: ...


class Archive:
    """One look at the tables of a project that runs, by their names in SQL."""

    def __init__(self, running: Kept) -> None:
        project = load(running.folder)
        self._db = duckdb.connect()
        self._filled = set()
        for name in TABLES:
            files = DeltaTable(f"{project.archive.location}/{project.name}/{name}").file_uris()
            if files:
                self._db.read_parquet(files, hive_partitioning=True, union_by_name=True).create_view(name)
                self._filled.add(name)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """A table without a row yet does not exist."""
        return self._db.sql(sql).fetchall()

    def count(self, sql: str) -> int:
        return int(self.rows(f"select count(*) from ({sql})")[0][0])

    def filled(self, table: str) -> bool:
        return table in self._filled

    def ids(self, table: str) -> set[str]:
        if table not in self._filled:
            return set()
        return {id for (id,) in self.rows(f"select distinct id from {table}")}

    def doubled(self, table: str, *key: str) -> list[tuple[Any, ...]]:
        """What is there more than once."""
        if table not in self._filled:
            return []
        columns = ", ".join(("id", "row", *key))
        return self.rows(f"select {columns}, count(*) from {table} group by all having count(*) > 1")

    @property
    def unscored(self) -> int:
        """Requests that lack a score, good or bad, of one of the contenders that ever scored."""
        if not {"requests", "scores"} <= self._filled:
            return 0
        return self.count(
            "select id, row, model from requests cross join (select distinct model from scores) "
            "except select id, row, model from scores"
        )


def archive_of(node: Node) -> Archive:
    """The archive once it has caught up: every answer is in it, and every contender's score or error."""

    def has_caught_up() -> bool:
        found = node.status()
        return found.archived >= found.answered

    until(has_caught_up, seconds=SETTLE_SECONDS, what=node.status)
    until(lambda: not Archive(node).unscored, seconds=SETTLE_SECONDS, what=lambda: Archive(node).unscored)
    return Archive(node)


def assert_each_answer_kept_once(node: Node, *loads: Load | GrpcLoad) -> Archive:
    """Every request that a client saw answered is there once; nothing at all is there twice."""
    archive = archive_of(node)
    answered = set().union(*(load.answered for load in loads))
    assert answered <= archive.ids("answers")
    assert archive.ids("answers") <= archive.ids("requests")
    assert not archive.doubled("answers")
    assert not archive.doubled("requests")
    assert not archive.doubled("decoy")
    assert not archive.doubled("scores", "model")
    return archive


def assert_scores_agree(archive: Archive, models: Iterable[str]) -> None:
    """All these contenders have scored, and of one request all the same, to 1e-9; not all requests alike."""
    ratio = "max(out_progression) / min(out_progression) as ratio"
    each = f"select {ratio} from scores where status = 'ok' group by id, row"
    assert archive.rows(f"select max(abs(ratio - 1)) from ({each})")[0][0] < 1e-9
    assert {model for (model,) in archive.rows("select model from scores where status = 'ok'")} == set(models)
    for model in models:
        found = (
            f"select distinct round(out_progression, 6) from scores where model = '{model}' and status = 'ok'"
        )
        assert archive.count(found) > 10, model
