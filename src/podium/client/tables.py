"""DataFrames of pandas and polars: batches of rows out of one, answers into another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from podium.client.records import Answers, Row
from podium.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

ABOUT = "podium_"
"""What the names of the columns begin with that tell whose answer a row has."""

WHOSE = ("model", "version", "rule")
_NUMBERS = "fiub"


class Source(Protocol):
    """A DataFrame to score."""

    def batches(self, size: int) -> Iterator[list[Row] | Arrays]:
        """Its rows, `size` at a time: as arrays where all columns are numbers, none of them missing."""
        ...

    def answered(self, answers: Iterable[Answers]) -> Any:
        """A DataFrame of the same kind: a row for each of its own."""
        ...


def opened(table: Any) -> Source:
    """Raises TypeError for what is no DataFrame of pandas or polars."""
    kind = type(table)
    match kind.__module__.partition(".")[0], kind.__name__:
        case "pandas", "DataFrame":
            return _Pandas(table)
        case "polars", "DataFrame":
            return _Polars(table)
    raise TypeError(f"expected a DataFrame of pandas or polars, not {kind.__module__}.{kind.__name__}")


class _Pandas:
    def __init__(self, table: Any) -> None:
        if not table.columns.is_unique:
            doubled = table.columns[table.columns.duplicated()][0]
            raise InvalidInput(f"two columns are {doubled!r}", expected="each input once")
        self._table = table

    def batches(self, size: int) -> Iterator[list[Row] | Arrays]:
        types = list(self._table.dtypes)
        # pandas' own types of numbers (Int64, …) have no arrays: they may hold what is missing.
        numbers = bool(types) and all(getattr(t, "isbuiltin", 0) and t.kind in _NUMBERS for t in types)
        for start in range(0, len(self._table), size):
            part = self._table.iloc[start : start + size]
            if numbers:
                yield {str(name): part[name].to_numpy() for name in part.columns}
            else:
                yield part.astype(object).where(part.notna(), None).to_dict("records")

    def answered(self, answers: Iterable[Answers]) -> Any:
        import pandas as pd  # whoever has a DataFrame has it

        return pd.DataFrame(_columns(answers), index=self._table.index)


class _Polars:
    def __init__(self, table: Any) -> None:
        self._table = table

    def batches(self, size: int) -> Iterator[list[Row] | Arrays]:
        columns = self._table.get_columns()
        numbers = bool(columns) and all(_is_number(c.dtype) and not c.null_count() for c in columns)
        for part in self._table.iter_slices(size):
            if numbers:
                yield {column.name: column.to_numpy() for column in part.get_columns()}
            else:
                yield part.to_dicts()

    def answered(self, answers: Iterable[Answers]) -> Any:
        import polars as pl  # whoever has a DataFrame has it

        return pl.DataFrame(_columns(answers))


def _is_number(dtype: Any) -> bool:
    """Not a decimal, which is no array of numpy's."""
    return bool(dtype.is_float() or dtype.is_integer() or str(dtype) == "Boolean")


def _columns(answers: Iterable[Answers]) -> dict[str, list[Any]]:
    """The outputs, and whose they are, as columns."""
    columns: dict[str, list[Any]] = {}
    about: dict[str, list[Any]] = {f"{ABOUT}{name}": [] for name in ("id", "row", *WHOSE)}
    for part in answers:
        count = len(part.answer)
        for name in part.answer[0]:
            columns.setdefault(name, []).extend(row[name] for row in part.answer)
        about[f"{ABOUT}row"].extend(range(count))
        for name in ("id", *WHOSE):
            about[f"{ABOUT}{name}"].extend([getattr(part, name)] * count)
    return columns | about
