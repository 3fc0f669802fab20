"""The seam between Podium and where versions are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """A model's package in a registry.

    `number` counts a model's versions from 1. `path` is the package as a local folder, ready to be
    loaded. `created` (UTC) is when this registry first got it.
    """

    model: str
    number: int
    digest: str
    format: str
    created: datetime
    path: Path
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def short(self) -> str:
        """The twelve digits that answers and the archive carry."""
        return self.digest[:12]


class Registry(Protocol):
    """Versions of models. What is in it never changes."""

    def put(self, package: Path) -> Version:
        """Keep a package; the one that is here already keeps its number.

        Raises RegistryError where it cannot be kept; nothing of it is then visible.
        """

    def find(self, model: str, version: str | int | None = None) -> Version:
        """The version with this number or digest prefix (four digits or more); without one the newest.

        Raises UnknownVersion, with the versions that exist, for none or several.
        """

    def versions(self, model: str | None = None) -> list[Version]:
        """All versions, or a model's, by model and number."""
