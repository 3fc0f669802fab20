"""Who has scores in the archive, and whom a word means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from podium.archive.comparing.lake import Lake
from podium.errors import ArchiveError
from podium.records import Contender, Role
from podium.schema import did_you_mean

Numbers = Mapping[tuple[str, str], int]
"""The registry's number of a (model, version)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """A contender with scores in the archive.

    `role` is its last one; `replayed` says that some of its scores are a replay's. `last` is µs since the
    epoch, of its newest score.
    """

    model: str
    version: str
    number: int
    role: str
    replayed: bool
    live: bool
    last: int

    @property
    def name(self) -> str:
        return f"{self.model}@{self.version}"

    def is_named(self, word: str) -> bool:
        """As `podium.records.Contender.is_named` has it."""
        return Contender(
            model=self.model, version=self.version, number=self.number, role=Role.CHALLENGER
        ).is_named(word)


def archived(lake: Lake, numbers: Numbers) -> tuple[Archived, ...]:
    """Everybody who has scores, the newest score last."""
    rows = lake.rows("""
        SELECT model, version, role, replayed, epoch_us(max(scored))
        FROM scores GROUP BY ALL ORDER BY max(scored), model, version, role
    """)
    parts: dict[tuple[str, str], list[tuple[str, bool, int]]] = {}
    for model, version, *part in rows:
        role, replayed, last = part
        parts.setdefault((model, version), []).append((role, replayed, last))
    found = [_archived(model, version, numbers, of) for (model, version), of in parts.items()]
    return tuple(sorted(found, key=lambda one: (one.last, one.name)))


def _archived(model: str, version: str, numbers: Numbers, parts: Sequence[tuple[str, bool, int]]) -> Archived:
    """From its parts of one role each, the newest last."""
    return Archived(
        model=model,
        version=version,
        number=numbers.get((model, version), 0),
        role=parts[-1][0],
        replayed=any(replayed for _, replayed, _ in parts),
        live=not all(replayed for _, replayed, _ in parts),
        last=parts[-1][2],
    )


def chosen(known: Sequence[Archived], word: str) -> Archived:
    """The one that is meant; of a model alone the newest version, a live one before a replayed one.

    Raises ArchiveError, with those that are there, for nobody or several.
    """
    meant = [one for one in known if one.is_named(word)]
    if not meant:
        models = sorted({one.model for one in known})
        model = word.partition("@")[0]
        near = "" if model in models else did_you_mean(model, models)
        raise ArchiveError(f"{word!r} has no scores in the archive{near}; there are {listed(known)}")
    if "@" in word and len(meant) > 1:
        raise ArchiveError(f"{word!r} means {listed(meant)}: give more digits")
    return max(meant, key=lambda one: (one.live, one.last))


def two(known: Sequence[Archived], a: str, b: str) -> tuple[Archived, Archived]:
    """Both of a comparison. Raises ArchiveError as `chosen` does, and where they are the same."""
    first, second = chosen(known, a), chosen(known, b)
    if first == second:
        raise ArchiveError(
            f"{a!r} and {b!r} are both {first.name}: compare two different ones; there are {listed(known)}"
        )
    return first, second


def canary(known: Sequence[Archived]) -> Archived | None:
    """The canary with the newest live score."""
    return next((one for one in reversed(known) if one.role == Role.CANARY and one.live), None)


def listed(known: Iterable[Archived]) -> str:
    return ", ".join(
        _shown(one) for one in sorted(known, key=lambda one: (one.model, one.number, one.version))
    )


def _shown(one: Archived) -> str:
    about = [f"number {one.number}"] if one.number else []
    about += ["replayed"] if not one.live else []
    return f"{one.name} ({', '.join(about)})" if about else one.name
