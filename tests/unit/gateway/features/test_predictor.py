"""A gateway whose requests have looked-up features, over a real stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from tests.unit.gateway.features.asked import ASKED, request
from tests.unit.gateway.features.scripted import SETTINGS, Scripted, trouble
from tests.unit.gateway.world import World, run, said
from tests.unit.workers.stage import FOREST, LINEAR, PATIENCE, Listener, Model, until

from podium.errors import Stopping, TooManyRequests
from podium.gateway.features.predictor import FeaturedPredictor
from podium.gateway.features.step import Step
from podium.gateway.predict import Predictor
from podium.gateway.server import _predictor
from podium.protocol.frames import InputFrame, unpack
from podium.records import Answer
from podium.schema import Columns


def featured(world: World, source: Scripted, **settings: Any) -> Predictor:
    """A gateway whose real source, which is not there, is replaced by a scripted one."""
    described = replace(run(inputs=SETTINGS.beside(ASKED), **settings), features=SETTINGS)
    gateway = _predictor(described, world.stream, world.board, world.large(described))
    assert isinstance(gateway, FeaturedPredictor)
    gateway._lookup = source
    gateway._step = Step(SETTINGS, source, world.board)
    return gateway


def model() -> Model:
    def predict(columns: Columns) -> dict[str, np.ndarray]:
        return {"y": columns["x"] + columns["income"]}

    return Model(predict, inputs=SETTINGS.beside(ASKED))


async def ask(gateway: Predictor, *customers: str, **wishes: Any) -> Answer:
    async with asyncio.timeout(PATIENCE):
        return await gateway.answer(request(*customers), time.monotonic(), **wishes)


def test_an_endpoint_without_features_has_the_predictor_that_it_always_had(world: World) -> None:
    told = run()
    assert type(_predictor(told, world.stream, world.board, world.large(told))) is Predictor


async def test_contenders_are_given_the_features_and_the_frame_that_is_kept_has_them(world: World) -> None:
    async with world.worker(LINEAR, model()), featured(world, Scripted()) as gateway:
        answer = await ask(gateway, "a", "nobody")
    assert said(answer) == [10.0, 0.0]
    (frame,) = world.kept(InputFrame)
    columns = unpack(frame.columns)
    assert list(columns) == ["customer", "x", "income", "segment"]
    assert columns["income"].tolist() == [10.0, -1.0]
    assert columns["segment"].tolist() == ["x", "unknown"]


async def test_requests_that_come_together_are_looked_up_together_and_each_gets_its_own(world: World) -> None:
    source = Scripted()
    async with world.worker(LINEAR, model()), featured(world, source) as gateway:
        answers = await asyncio.gather(*(ask(gateway, name) for name in ("a", "nobody", "b", "a")))
    assert [said(answer) for answer in answers] == [[10.0], [-1.0], [-1.0], [10.0]]
    assert source.asked == [["a", "nobody", "b", "a"]]


async def test_one_that_is_late_or_fails_is_answered_with_defaults(world: World) -> None:
    async with world.worker(LINEAR, model()), featured(world, Scripted(trouble)) as gateway:
        assert said(await ask(gateway, "late")) == [-1.0]
        assert said(await ask(gateway, "failed")) == [-1.0]
        assert said(await ask(gateway, "a")) == [10.0]


async def test_a_request_with_less_time_than_the_budget_makes_no_other_late(world: World) -> None:
    async def slow(keys: Sequence[str]) -> None:
        await asyncio.sleep(0.02)

    source = Scripted(slow)
    async with featured(world, source) as gateway:
        patient = asyncio.create_task(ask(gateway, "a"))
        hasty = await ask(gateway, "b", deadline=1.0)
        assert hasty.rule == "default"
        await until(lambda: len(world.kept(InputFrame)) == 2)
        kept = {frame.ids[0]: unpack(frame.columns)["income"].tolist() for frame in world.kept(InputFrame)}
        patient.cancel()
    assert source.asked == [["a"], ["b"]]
    assert sorted(kept.values()) == [[-1.0], [10.0]]
    assert kept[hasty.id] == [-1.0]
    assert world.counted("features_defaulted", reason="late") == 1


async def test_who_waits_for_features_is_in_flight_and_answered_when_the_gateway_stops(world: World) -> None:
    gate = asyncio.Event()

    async def closed(keys: Sequence[str]) -> None:
        await gate.wait()

    async with world.worker(LINEAR, model()), featured(world, Scripted(closed), in_flight=1) as gateway:
        waiting = asyncio.create_task(ask(gateway, "a"))
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequests):
            await ask(gateway, "b")
        draining = asyncio.create_task(gateway.drain(PATIENCE))
        await asyncio.sleep(0)
        with pytest.raises(Stopping):
            await ask(gateway, "b")
        gate.set()
        await draining
        assert said(await waiting) in ([10.0], [-1.0])  # the gate may open after the budget


async def test_both_contenders_and_a_listener_see_the_same(world: World) -> None:
    seen: dict[str, list[float]] = {}

    def watching(name: str) -> Model:
        def predict(columns: Columns) -> dict[str, np.ndarray]:
            seen.setdefault(name, []).extend(columns["income"].tolist())
            return {"y": columns["x"]}

        return Model(predict, inputs=SETTINGS.beside(ASKED))

    listener = Listener()
    await world.stream.subscribe("input", listener)
    async with (
        world.worker(LINEAR, watching("linear")),
        world.worker(FOREST, watching("forest")),
        featured(world, Scripted()) as gateway,
    ):
        await ask(gateway, "a", "b", "nobody")
        await until(lambda: len(seen) == 2)
    assert seen == {"linear": [10.0, -1.0, -1.0], "forest": [10.0, -1.0, -1.0]}
    assert unpack(listener.frames[0].columns)["income"].tolist() == [10.0, -1.0, -1.0]
