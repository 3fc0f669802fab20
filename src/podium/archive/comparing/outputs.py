"""The outputs of the table of scores, and what is the same, different or wrong of each kind, in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from podium.archive.comparing.lake import column, text

Classes = Mapping[str, Sequence[str]]
"""The classes behind each output that is a tensor of probabilities."""

PROBABILITY = "_probability"
SMALLEST = 2.220446049250313e-16
"""The least probability that a logarithm is taken of: the resolution of a double, as in scikit-learn.

A class that was called impossible and comes true costs 36."""


class What(StrEnum):
    """How an output is compared."""

    NUMBER = "number"
    LABEL = "label"
    PROBABILITIES = "probabilities"
    TENSOR = "tensor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One output. The pairs have its values as `aN` and `bN`, and its outcomes as `tN`.

    The outcome of probabilities is the number of a class from 1, as lists of SQL count.
    """

    number: int
    name: str
    kind: str
    what: What
    classes: tuple[str, ...] = ()

    @property
    def scores(self) -> str:
        return column(f"out_{self.name}")

    @property
    def a(self) -> str:
        return f"a{self.number}"

    @property
    def b(self) -> str:
        return f"b{self.number}"

    @property
    def t(self) -> str:
        return f"t{self.number}"

    @property
    def both(self) -> str:
        """Whether both have said something."""
        return f"({self.a} IS NOT NULL AND {self.b} IS NOT NULL)"

    def outcome(self, there: Mapping[str, str]) -> str | None:
        """The outcome's expression over the table of outcomes, None where that has none for it."""
        own = f"true_{self.name}"
        if self.what is What.PROBABILITIES:
            label = f"true_{self.name.removesuffix(PROBABILITY)}"
            if label in there and there[label] in ("VARCHAR", "BIGINT", "BOOLEAN"):
                return self._class_of(label, there[label])
            return label_of(column(own)) if own in there else None
        return column(own) if own in there and self.what is not What.TENSOR else None

    def _class_of(self, label: str, kind: str) -> str:
        # A Python bool's name begins with a capital, one of SQL's does not.
        names = [name.lower() if kind == "BOOLEAN" else name for name in self.classes]
        listed = ", ".join(text(name) for name in names)
        return f"nullif(list_position([{listed}], CAST({column(label)} AS VARCHAR)), 0)"

    def agrees(self, tolerance: float) -> str:
        """Whether both say the same, by `podium.trials.agreement` and, of probabilities, by class."""
        match self.what:
            case What.NUMBER:
                return within(self.a, self.b, tolerance)
            case What.LABEL:
                return f"{self.a} = {self.b}"
            case What.PROBABILITIES:
                return f"{label_of(self.a)} = {label_of(self.b)}"
        if not self.kind.startswith("DOUBLE"):
            return f"{self.a} = {self.b}"
        a, b = self._flat(self.a), self._flat(self.b)
        apart = f"lambda z: NOT {within('z[1]', 'z[2]', tolerance)}"
        return f"(len({a}) = len({b}) AND len(list_filter(list_zip({a}, {b}), {apart})) = 0)"

    def distance(self) -> str | None:
        """How far both are from each other, where that is a number: the largest part of a tensor."""
        match self.what:
            case What.NUMBER:
                return f"abs({self.a} - {self.b})"
            case What.LABEL:
                return None
        if not self.kind.startswith("DOUBLE"):
            return None
        zipped = f"list_zip({self._flat(self.a)}, {self._flat(self.b)})"
        return f"list_max(list_transform({zipped}, lambda z: abs(z[1] - z[2])))"

    def _flat(self, value: str) -> str:
        for _ in range(self.kind.count("[]") - 1):
            value = f"flatten({value})"
        return value


def outputs_of(columns: Mapping[str, str], classes: Classes) -> tuple[Output, ...]:
    """Those of the table of scores."""
    names = [name.removeprefix("out_") for name in columns if name.startswith("out_")]
    return tuple(
        Output(
            number=number,
            name=name,
            kind=columns[f"out_{name}"],
            what=_what(columns[f"out_{name}"], classes.get(name, ())),
            classes=tuple(classes.get(name, ())),
        )
        for number, name in enumerate(names)
    )


def _what(kind: str, classes: Sequence[str]) -> What:
    match kind:
        case "DOUBLE":
            return What.NUMBER
        case "DOUBLE[]" if classes:
            return What.PROBABILITIES
        case "VARCHAR" | "BIGINT" | "BOOLEAN":
            return What.LABEL
        case _:
            return What.TENSOR


def within(a: str, b: str, tolerance: float) -> str:
    return f"(abs({a} - {b}) <= {tolerance!r} * abs({a}))"


def label_of(probabilities: str) -> str:
    """The number, from 1, of the most probable class, the first of several."""
    return f"list_position({probabilities}, list_max({probabilities}))"
