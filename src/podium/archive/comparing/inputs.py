"""What came in with those rows that errors and drift are asked of, in one scan of the requests."""

from __future__ import annotations

from podium.archive.comparing.lake import Lake, column
from podium.archive.comparing.pairs import KEY, Asked
from podium.archive.names import REQUESTS

NUMBERS = ("DOUBLE", "BIGINT")
_SCALARS = (*NUMBERS, "VARCHAR", "BOOLEAN")


def scalars(lake: Lake) -> list[str]:
    """The columns of those inputs that have one value in a row."""
    return [
        name for name, kind in lake.columns(REQUESTS).items() if name.startswith("in_") and kind in _SCALARS
    ]


def add_inputs(lake: Lake, asked: Asked) -> None:
    """Give `judged` its rows' inputs, and make `sampled`: the sample's times of arrival (`came`) and inputs.

    Both become views of one table, where a row can be of either, or of both.
    """
    inputs = "".join(f", {column(name)}" for name in scalars(lake))
    lake.do(f"""
        CREATE TEMP TABLE came_in AS
        SELECT judged.*, came{inputs}, {asked.is_sampled("key")} AS is_sampled FROM (
            SELECT {KEY} AS key, epoch_us(received) AS came{inputs} FROM requests WHERE {asked.where}
        ) LEFT JOIN judged ON k = key AND judged.received = came
        WHERE k IS NOT NULL OR is_sampled
    """)
    lake.do("DROP TABLE judged")
    lake.do("CREATE TEMP VIEW judged AS SELECT * FROM came_in WHERE k IS NOT NULL")
    lake.do("CREATE TEMP VIEW sampled AS SELECT * FROM came_in WHERE is_sampled")
