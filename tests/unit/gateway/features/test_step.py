"""The step's budget, defaults and counts."""

from __future__ import annotations

import numpy as np
import pytest
from tests.unit.gateway.features.asked import request
from tests.unit.gateway.features.scripted import SETTINGS, Scripted, trouble
from tests.unit.gateway.world import World

from podium.counters import distribution, read
from podium.gateway.features.step import Step


async def test_whatever_goes_wrong_is_a_default_and_counted(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    step = Step(SETTINGS, Scripted(trouble), world.board)
    seen = []
    for customers in (["a", "b", "nobody"], ["late", "a"], ["failed"], ["bug"]):
        (rows,) = await step.complete([request(*customers)], step.budget)
        seen += np.asarray(rows.columns[2]).tolist()
    assert seen == [10.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0]
    assert world.counted("feature_rows") == 7
    counts = {
        why: world.counted("features_defaulted", reason=why) for why in ("late", "failed", "missing", "wrong")
    }
    assert counts == {"late": 2, "failed": 2, "missing": 1, "wrong": 1}
    assert distribution(read(world.board.path), "features_ms").count == 4
    for words in ("not there within 50 ms", "nothing listens there", "ZeroDivisionError: of a library"):
        assert words in caplog.text
