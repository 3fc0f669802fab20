"""With which policy a node starts: the project file's, or the one that was live when it stopped."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from podium.records import Policy
from podium.rendezvous.changes import differences


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """The policy to start with; `new` says that it is a revision that has yet to be kept.

    `changes` are those that the project file brings, `drift` how the file differs from a live policy
    that stays as it is.
    """

    policy: Policy
    new: bool
    changes: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()


def starting(live: Policy | None, wanted: Policy, *, file_wins: bool = False) -> Start:
    """Choose between the newest revision and what the project file says.

    The file is followed until somebody has changed the policy by a command; from then on the live policy
    is the truth, through restarts too, until the file is applied.
    """
    if live is None:
        return Start(policy=replace(wanted, revision=1), new=True)
    found = tuple(differences(live, wanted))
    if not found:
        return Start(policy=live, new=False)
    if live.from_file or file_wins:
        return Start(policy=replace(wanted, revision=live.revision + 1), new=True, changes=found)
    return Start(policy=live, new=False, drift=found)


def newer(stored: Policy | None, told: Policy | None) -> Policy | None:
    """Of what the store has and what processes were last told, the newer.

    A power cut can cost the store its last revision, and then the file of the last run knows it.
    """
    if stored is None or told is None:
        return stored or told
    return told if told.revision > stored.revision else stored
