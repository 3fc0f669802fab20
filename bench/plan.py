"""Which loads a server gets for each model; pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from bench.peers.base import Model, Peer, Request, Wire

# A rate that every peer holds: what one cannot do in time it would still be doing in the next load.
OPEN_RATE = 100


@dataclass(frozen=True, kw_only=True)
class Step:
    """One load: a closed loop, or an open one where there is a rate."""

    connections: int
    wire: Wire = "json"
    rate: int | None = None
    share: float = 1.0  # of the run's seconds

    @property
    def name(self) -> str:
        return f"open {self.rate}" if self.rate else f"wrk {self.connections}"


# Latencies first: what a server still does in the background after a full load would be counted into them.
STEPS: dict[Model, tuple[Step, ...]] = {
    "linear": (
        Step(connections=1, share=0.5),
        Step(connections=64, rate=OPEN_RATE),
        Step(connections=32),
        Step(connections=128, share=0.5),
    ),
    "forest": (Step(connections=1, share=0.5), Step(connections=32)),
    "rows": (Step(connections=32), Step(connections=32, wire="binary")),
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One server to start: a peer, a setting, a model."""

    peer: Peer
    setting: str
    model: Model

    @property
    def title(self) -> str:
        return f"{self.peer.name}, {self.setting}, {self.model}"

    def request(self, wire: Wire) -> Request | None:
        return self.peer.request(self.model, self.setting, wire)

    def steps(self) -> tuple[Step, ...]:
        return tuple(step for step in STEPS[self.model] if self.request(step.wire) is not None)

    def constants(self) -> tuple[int, ...]:
        """The numbers of connections at which the constant is measured beside it."""
        # Only Podium has a target at 128.
        return (32, 128) if self.model == "linear" and self.peer.kind == "podium" else (32,)


def cases(peers: Iterable[Peer], models: Iterable[Model]) -> list[Case]:
    """Model by model, so that what is compared stands close together in time."""
    chosen = tuple(peers)
    every = (
        Case(peer=peer, setting=setting, model=model)
        for model in models
        for peer in chosen
        for setting in peer.settings
    )
    return [case for case in every if case.steps()]
