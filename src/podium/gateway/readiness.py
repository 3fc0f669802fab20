"""Whether a gateway can answer, for whoever asks: one rule for HTTP and gRPC."""

from __future__ import annotations

from podium.errors import NotReady
from podium.gateway.predict import Predictor
from podium.gateway.probes import Probes


def check_ready(predictor: Predictor, probes: Probes) -> None:
    """Raises NotReady until every contender has answered a probe, and while nothing can be answered."""
    if reason := predictor.why_not_ready():
        raise NotReady(reason)
    here = {contender.name for contender in predictor.policy.scoring}
    if silent := [contender.name for contender in probes.silent if contender.name in here]:
        raise NotReady(f"no answer yet from {', '.join(silent)}")
