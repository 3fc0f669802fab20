"""Changes of a policy: each takes the live one and gives the next, or says why that cannot be."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import asdict, replace

from podium.errors import PolicyError
from podium.records import Contender, Gates, Guards, Policy, Role
from podium.rendezvous.schedule import check_schedule
from podium.rendezvous.shares import check_shares


def joined(policy: Policy, contender: Contender) -> Policy:
    """With this contender; one that is there already gets the role and the share.

    Raises PolicyError for a champion: who joins is watched first.
    """
    there = next((c for c in policy.scoring if _same(c, contender)), None)
    if contender.role is Role.CHAMPION or (there is not None and there.role is Role.CHAMPION):
        raise PolicyError(
            f"{contender.name} cannot join as {contender.role.value}"
            + (": it is the champion" if there else ", only be promoted")
            + f"; `podium promote {policy.endpoint} MODEL` changes who is the champion"
        )
    others = [c for c in policy.contenders if not _same(c, contender)]
    place = policy.contenders.index(there) if there else len([c for c in others if c.role is not Role.DECOY])
    return _checked(policy, [*others[:place], contender, *others[place:]])


def left(policy: Policy, word: str) -> Policy:
    """Without the contender that `word` names. Raises NotFound, PolicyError for the champion."""
    gone = _chosen(policy, word)
    if gone.role is Role.CHAMPION:
        raise PolicyError(
            f"{gone.name} is the champion and cannot leave; promote another contender first: "
            f"`podium promote {policy.endpoint} MODEL`"
        )
    return _checked(policy, [c for c in policy.contenders if c != gone])


def promoted(policy: Policy, word: str) -> Policy:
    """With the named contender as champion; the champion until now becomes a challenger.

    It goes on scoring, so that a rollback needs no process to start. Raises NotFound, PolicyError.
    """
    chosen = _chosen(policy, word)
    match chosen.role:
        case Role.CHAMPION:
            raise PolicyError(f"{chosen.name} is the champion already (revision {policy.revision})")
        case Role.CANARY:
            raise PolicyError(
                f"{chosen.name} is the canary, which stays as it is; let it join as a challenger first: "
                f"`podium join {policy.endpoint} {chosen.name}`"
            )
    was = policy.champion
    roles = {chosen: Role.CHAMPION, was: Role.CHALLENGER}
    changed = [replace(c, role=roles[c], share=None) if c in roles else c for c in policy.contenders]
    return _checked(policy, changed)


def restored(policy: Policy, old: Policy) -> Policy:
    """As an older revision was."""
    return replace(old, revision=policy.revision + 1, restores=old.revision, from_file=False)


def last_good(history: Sequence[Policy]) -> Policy | None:
    """The revision that a rollback brings back: the newest before this one that nobody had to take back.

    None where there is nothing to go back to.
    """
    return next(iter(good(history)), None)


def good(history: Sequence[Policy]) -> list[Policy]:
    """The earlier revisions that nobody had to take back, the newest first.

    `history` is all revisions, the oldest first. A rollback takes back what came after the revision
    that it restores; another one goes further back.
    """
    found: list[Policy] = []
    for policy in history:
        if policy.restores is None:
            found.append(policy)
        else:
            found = [earlier for earlier in found if earlier.revision <= policy.restores]
    return found[-2::-1]


def _chosen(policy: Policy, word: str) -> Contender:
    """Who is meant; of a model's several versions the one that is not the champion.

    Raises NotFound, and PolicyError where it could be more than one.
    """
    first = policy.named(word)
    others = [c for c in policy.scoring if c.is_named(word) and c.role is not Role.CHAMPION]
    if len(others) > 1:
        raise PolicyError(f"{word!r} could be {', '.join(c.name for c in others)}: name the version too")
    return others[0] if others else first


def _same(a: Contender, b: Contender) -> bool:
    return (a.model, a.version) == (b.model, b.version)


def _checked(policy: Policy, contenders: Sequence[Contender]) -> Policy:
    changed = replace(
        policy, contenders=tuple(contenders), revision=policy.revision + 1, restores=None, from_file=False
    )
    check(changed)
    return changed


def check(policy: Policy) -> None:
    """Raise PolicyError or ProjectError for a policy that no gateway could follow."""
    champions = [c.name for c in policy.scoring if c.role is Role.CHAMPION]
    if len(champions) != 1:
        raise PolicyError(f"a policy has one champion, this has {', '.join(champions) or 'none'}")
    check_shares(policy)
    check_schedule(policy, where="schedule")


# --- what is different ----------------------------------------------------------------------


def differences(old: Policy, new: Policy) -> list[str]:
    """What it would change to go from one policy to the other, a line each; empty for the same."""
    before, after = _by_name(old), _by_name(new)
    lines = [f"- {name} leaves ({before[name].role.value})" for name in before if name not in after]
    lines += [f"+ {name} joins as {_part(after[name])}" for name in after if name not in before]
    lines += [
        f"~ {name}: {_part(before[name])} → {_part(after[name])}"
        for name in after
        if name in before and _part(before[name]) != _part(after[name])
    ]
    for what in ("deadline_ms", "schedule", "default", "gates", "guards"):
        was, now = getattr(old, what), getattr(new, what)
        if was != now:
            lines.append(f"~ {what.removesuffix('_ms')}: {_said(what, was)} → {_said(what, now)}")
    return lines


def _by_name(policy: Policy) -> dict[str, Contender]:
    return {contender.name: contender for contender in policy.contenders}


def _part(contender: Contender) -> str:
    share = f" with a share of {contender.share * 100:g}%" if contender.share else ""
    return f"{contender.role.value}{share}"


def _said(what: str, value: object) -> str:
    match what, value:
        case "deadline_ms", float():
            return f"{value:g}ms"
        case "schedule", tuple():
            return ", ".join(f"{after:g}ms {'/'.join(words)}" for after, words in value)
        case _, Gates() | Guards():
            bounds = {name: part for name, part in asdict(value).items() if part is not None}
            return ", ".join(f"{name}={part:g}" for name, part in bounds.items())
        case _:
            return "none" if value is None else str(value)
