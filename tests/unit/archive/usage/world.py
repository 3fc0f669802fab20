"""A small archive that grows, and the lines that are made from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from podium.archive.reading import files
from podium.archive.usage.figures import Usage
from podium.archive.usage.sums import usage
from podium.archive.usage.table import existing
from podium.archive.usage.update import update
from podium.period import Period, moment_of
from podium.schema import Columns, Schema

from ..comparing.world import World as Compared
from ..traffic import ENDPOINT, INPUTS, NOW, OUTPUTS

HOUR_US = 3_600_000_000
TOLERANCE = 0.05


class World(Compared):
    """Requests come in hours from the one of `NOW` on; everything is archived as soon as it is said."""

    def __init__(self, folder: Path, outputs: Schema = OUTPUTS) -> None:
        super().__init__(folder, outputs, INPUTS)

    def requests(self, ids: Sequence[str], hour: int = 0, **more: Any) -> None:
        came = [NOW + hour * HOUR_US + number for number in range(len(ids))]
        self.add(self.gateway.input(ids, arrived=came, **more))

    def scores(self, model: str, ids: Sequence[str], columns: Columns | None = None, **more: Any) -> None:
        super().scores(model, ids, columns, **more)

    def answers(self, ids: Sequence[str], **more: Any) -> None:
        """`ms`: how long each took."""
        took = more.pop("ms", None)
        frame = self.gateway.answers(ids, **more)
        self.add(frame if took is None else msgspec.structs.replace(frame, total_ms=took))

    def outcomes(self, ids: Sequence[str], columns: Columns | None = None, **more: Any) -> None:
        super().outcomes(ids, columns, **more)

    def answered(self, ids: Sequence[str], hour: int = 0, **more: Any) -> None:
        """Requests that the champion answers."""
        self.requests(ids, hour, **more)
        self.scores("linear", ids)
        self.answers(ids)

    def update(self, tolerance: float = TOLERANCE) -> int:
        """How many hours were made again."""
        return update(self.archive, ENDPOINT, tolerance=tolerance).hours

    def usage(self, first: int = 0, after: int = 24) -> Usage:
        """Of these hours, after an update."""
        self.update()
        since, until = (moment_of(NOW + hour * HOUR_US) for hour in (first, after))
        return usage(self.archive, ENDPOINT, Period(since=since, until=until))

    def lines(self) -> list[dict[str, Any]]:
        """As a stranger sees them; hours count from that of `NOW`."""
        table = existing(self.archive, ENDPOINT)
        if table is None or not files(table):
            return []
        with duckdb.connect() as connection:
            found = connection.read_parquet(files(table), hive_partitioning=True, union_by_name=True)
            names = [name for name in found.columns if name not in {"day", "endpoint"}]
            hour = f"epoch_us(hour) // {HOUR_US} - {NOW // HOUR_US} AS hour"
            shown = ", ".join(hour if name == "hour" else name for name in names)
            rows = found.project(shown).order("hour, caller, model, version, rule").fetchall()
        return [dict(zip(names, row, strict=True)) for row in rows]

    def requests_by_hour(self) -> dict[int, int]:
        found: dict[int, int] = {}
        for line in self.lines():
            found[line["hour"]] = found.get(line["hour"], 0) + line["requests"]
        return found
