"""Whether a gateway can answer, for whoever asks: one rule for HTTP and gRPC.

One broken challenger is no reason to keep gateways out of service: each request has an answer without it.
That all contenders answer is the node's to say (`podium up`, `podium status`).
"""

from __future__ import annotations

from collections.abc import Collection

from podium.errors import NotReady
from podium.gateway.predict import Predictor
from podium.gateway.probes import Probes
from podium.records import Contender, Policy
from podium.rendezvous.schedule import accepted

CHAMPION_SECONDS = 10.0
"""How long the champion is awaited. Then whoever else the schedule accepts will do."""


def check_ready(predictor: Predictor, probes: Probes) -> None:
    """Raises NotReady while nothing can be answered, or not by whom it should be."""
    if reason := predictor.why_not_ready():
        raise NotReady(reason)
    if awaited := awaited_of(predictor.policy, _silent(probes), probes.waited):
        raise NotReady(f"no answer yet from {', '.join(awaited)}")


def check_answers(contender: Contender, predictor: Predictor, probes: Probes) -> None:
    """The same for one contender's own scores."""
    if reason := predictor.why_not_ready():
        raise NotReady(reason)
    if contender.name in _silent(probes):
        raise NotReady(f"no answer yet from {contender.name}")


def _silent(probes: Probes) -> set[str]:
    return {contender.name for contender in probes.silent}


def awaited_of(policy: Policy, silent: Collection[str], waited: float) -> list[str]:
    """Those one of whom must answer a probe first; nobody, once that is so. `waited` is in seconds.

    Pure. Who has joined since the probes began was warm before.
    """
    able = accepted(policy)
    first = [policy.champion] if policy.champion in able and waited < CHAMPION_SECONDS else able
    names = [contender.name for contender in first]
    return names if all(name in silent for name in names) else []
