"""What sources are asked in these tests: loans by customer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from podium.gateway.features.values import Found, Why
from podium.run import Features
from podium.schema import Field, Kind, Schema
from podium.validation import Rows

ASKED = Schema((Field(name="customer", type=Kind.STRING), Field(name="x", type=Kind.FLOAT)))
INCOME = Field(name="income", type=Kind.FLOAT, optional=True, default=-1.0)
SEGMENT = Field(name="segment", type=Kind.STRING, optional=True, default="unknown")
PLACE = Field(name="place", type=Kind.FLOAT, shape=(2,), optional=True, default=[0.0, 0.0])
FIELDS = Schema((INCOME, SEGMENT))


def features(source: str, at: str | Path, fields: Schema = FIELDS, **settings: Any) -> Features:
    folder = str(at.parent) if isinstance(at, Path) else ""
    return Features(
        source=source,
        at=str(at),
        fields=fields,
        key="customer",
        where="podium.toml:7: features.it: ",
        folder=folder,
        **settings,
    )


def request(*customers: str) -> Rows:
    """One request, with a row for each; x counts them."""
    return Rows([customers, [float(n) for n in range(len(customers))]], len(customers), len(customers) == 1)


def shown(found: Found) -> list[tuple[Any, ...]]:
    """A tuple for each row: its features, and why there are defaults, if there are."""
    names = [Why(why).name.lower() for why in found.why]
    return list(zip(*(column.tolist() for column in found.columns), names, strict=True))
