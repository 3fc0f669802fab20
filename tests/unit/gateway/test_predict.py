"""The request path over a real stream: who answers, when, and what is kept."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace
from tests.unit.gateway.world import LONG, World, ask, asking, said
from tests.unit.workers.stage import FOREST, LINEAR, PATIENCE, Listener, Model, times, until

from podium.counters import Board, distribution, read
from podium.errors import NobodyInTime, NotFound, Stopping, StreamAway, TooLarge, TooManyRequests
from podium.gateway.predict import Predictor
from podium.protocol.frames import AnswersFrame, InputFrame, ScoresFrame, Tensor, encode, unpack
from podium.records import Contender, Policy, Role
from podium.schema import Field, Kind, Schema
from podium.streams.memory import MemoryBroker, MemoryStream
from podium.validation import Rows


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    broker = MemoryBroker()
    with Board(tmp_path / "test.board") as board:
        async with MemoryStream(broker) as stream:
            yield World(broker, stream, board)


# --- who answers, and when --------------------------------------------------------------------


async def test_the_champion_answers(world: World) -> None:
    async with world.worker(LINEAR, times(2)), world.worker(FOREST, times(3)), world.gateway() as gateway:
        answer = await ask(gateway, 5.0, id="mine")
    assert (answer.id, said(answer), answer.rule) == ("mine", [10.0], "champion")
    assert (answer.model, answer.version) == ("linear", "9f2c1ab04d5e")
    assert answer.ms > 0


async def test_where_the_champion_is_silent_the_challenger_answers_when_its_time_has_come(
    world: World,
) -> None:
    async with world.worker(FOREST, times(3)), world.gateway() as gateway:
        answer = await ask(gateway, 5.0)
    assert (said(answer), answer.model, answer.rule) == ([15.0], "forest", "challenger")
    assert answer.ms >= 60.0


async def test_where_the_champion_fails_the_challenger_answers_but_not_before_its_time(world: World) -> None:
    hand = await world.hand()
    async with world.gateway() as gateway:
        asked = asking(gateway, 5.0)
        await hand.say(LINEAR, [], error="it broke", columns={})
        await hand.say(FOREST, [15.0])
        answer = await asked
    assert (said(answer), answer.rule) == ([15.0], "challenger")
    assert answer.ms >= 60.0


async def test_a_champion_that_comes_before_the_challengers_time_is_preferred(world: World) -> None:
    hand = await world.hand()
    async with world.gateway(second_ms=LONG / 2) as gateway:
        asked = asking(gateway, 5.0)
        await hand.say(FOREST, [15.0])
        await hand.say(LINEAR, [10.0])
        answer = await asked
    assert (said(answer), answer.rule) == ([10.0], "champion")


async def test_where_nobody_is_in_time_the_default_is_the_answer_at_the_deadline(world: World) -> None:
    async with world.gateway(deadline_ms=50.0) as gateway:
        answer = await ask(gateway, 5.0)
    assert (said(answer), answer.rule, answer.model, answer.version) == ([152.13], "default", "", "")
    assert answer.ms >= 50.0


async def test_every_row_gets_the_default(world: World) -> None:
    async with world.gateway(deadline_ms=20.0) as gateway:
        answer = await ask(gateway, 5.0, 6.0, 7.0)
    assert said(answer) == [152.13] * 3
    (kept,) = world.kept(AnswersFrame)
    assert unpack(kept.columns)["y"].tolist() == [152.13] * 3


async def test_without_a_default_nobody_in_time_is_an_error(world: World) -> None:
    async with world.gateway(deadline_ms=20.0, default=None) as gateway:
        with pytest.raises(NobodyInTime, match="within 20 ms, and 'diabetes' has no default"):
            await ask(gateway, 5.0)


async def test_where_everybody_fails_the_default_comes_at_once(world: World) -> None:
    async with world.worker(LINEAR, times(2)), world.worker(FOREST, times(3)), world.gateway() as gateway:
        answer = await ask(gateway, 13.0)
    assert (said(answer), answer.rule) == ([152.13], "default")


async def test_a_request_that_makes_the_champion_fail_does_not_take_the_others_with_it(world: World) -> None:
    never = Model(lambda columns: {"y": columns["x"] * 3})
    async with world.worker(LINEAR, times(2)), world.worker(FOREST, never), world.gateway() as gateway:
        asked = [asking(gateway, value) for value in (1.0, 13.0, 2.0)]
        one, bad, two = [await task for task in asked]
    assert (said(one), one.rule, said(two), two.rule) == ([2.0], "champion", [4.0], "champion")
    assert (said(bad), bad.rule) == ([39.0], "challenger")
    assert len(world.kept(InputFrame)) == 1


async def test_a_request_of_many_rows_has_one_answer_of_as_many(world: World) -> None:
    async with world.worker(LINEAR, times(2)), world.gateway() as gateway:
        asked = [asking(gateway, 1.0, 2.0, 3.0), asking(gateway, 4.0)]
        assert [said(await task) for task in asked] == [[2.0, 4.0, 6.0], [8.0]]


# --- what a request may ask for ---------------------------------------------------------------


@pytest.mark.parametrize("word", ["forest", "forest@1", "forest@0a1b", FOREST.name])
async def test_a_forced_contender_answers_whatever_the_schedule_says(world: World, word: str) -> None:
    gateway = world.gateway(second_ms=LONG / 2)
    async with world.worker(LINEAR, times(2)), world.worker(FOREST, times(3)), gateway:
        answer = await ask(gateway, 5.0, force=word)
    assert (said(answer), answer.model, answer.rule) == ([15.0], "forest", "forced")


async def test_a_forced_contender_that_fails_is_nobody_elses_answer(world: World) -> None:
    async with world.worker(LINEAR, times(2)), world.worker(FOREST, times(3)), world.gateway() as gateway:
        answer = await ask(gateway, 13.0, force="forest")
    assert answer.rule == "default"


async def test_forcing_nobody_is_refused_with_the_names_that_exist(world: World) -> None:
    async with world.gateway() as gateway:
        with pytest.raises(
            NotFound,
            match=r"no contender 'forrest'.*did you mean 'forest'.*linear@9f2c1ab04d5e, forest@0a1b2c3d4e5f",
        ):
            await ask(gateway, 5.0, force="forrest")
    assert world.counted("received") == 0


async def test_a_requests_own_deadline_shortens_the_endpoints(world: World) -> None:
    async with world.gateway() as gateway:
        answer = await ask(gateway, 5.0, deadline=20.0)
    assert answer.rule == "default"
    assert answer.ms >= 20.0
    (frame,) = world.kept(InputFrame)
    assert frame.deadline[0] - frame.arrived[0] == 20_000


@pytest.mark.parametrize("own", [20.0, LONG, math.inf])
async def test_a_requests_own_deadline_never_lengthens_the_endpoints(world: World, own: float) -> None:
    async with world.gateway(deadline_ms=20.0) as gateway:
        await ask(gateway, 5.0, deadline=own)
    (frame,) = world.kept(InputFrame)
    assert frame.deadline[0] - frame.arrived[0] == 20_000


async def test_who_is_in_a_hurry_does_not_hurry_the_others(world: World) -> None:
    hand = await world.hand()
    async with world.gateway() as gateway:
        patient, hurried = asking(gateway, 1.0), asking(gateway, 2.0, deadline=20.0)
        assert (await hurried).rule == "default"
        await hand.say(LINEAR, [2.0, 4.0])
        assert said(await patient) == [2.0]


# --- frames -----------------------------------------------------------------------------------


async def test_requests_of_one_turn_share_a_frame(world: World) -> None:
    async with world.worker(LINEAR, times(2)), world.gateway() as gateway:
        asked = [asking(gateway, float(n), id=str(n)) for n in range(12)]
        assert [said(await task) for task in asked] == [[2.0 * n] for n in range(12)]
    (sent,), (kept,) = world.kept(InputFrame), world.kept(AnswersFrame)
    assert sent.ids == kept.ids == [str(n) for n in range(12)]
    assert (sent.rows, kept.rows) == (None, None)


async def test_what_callers_tell_of_themselves_travels_and_only_then(world: World) -> None:
    async with world.worker(LINEAR, times(2)), world.gateway() as gateway:
        await asyncio.gather(ask(gateway, 1.0, key="k", caller="c", trace="t"), ask(gateway, 2.0))
        await ask(gateway, 3.0)
    told, untold = world.kept(InputFrame)
    assert (told.keys, told.callers, told.traces) == (["k", None], ["c", None], ["t", None])
    assert (untold.keys, untold.callers, untold.traces) == (None, None, None)


async def test_requests_of_different_shapes_go_in_different_frames(world: World) -> None:
    wide = Schema((Field(name="x", type=Kind.FLOAT, shape=(-1,)),))
    model = Model(lambda columns: {"y": columns["x"].sum(axis=1)}, inputs=wide)
    async with world.worker(LINEAR, model), world.gateway(inputs=wide) as gateway:
        asked = [
            asyncio.create_task(gateway.answer(Rows([np.ones((1, size))], 1, True), time.monotonic()))
            for size in (2, 3, 2)
        ]
        async with asyncio.timeout(PATIENCE):
            assert [said(await task) for task in asked] == [[2.0], [3.0], [2.0]]
    assert [frame.columns["x"].shape for frame in world.kept(InputFrame)] == [(2, 2), (1, 3)]


async def test_what_a_gateway_publishes_is_numbered_in_order(world: World) -> None:
    async with world.worker(LINEAR, times(2)), world.gateway() as gateway:
        for _ in range(5):
            await ask(gateway, 1.0)
    frames = sorted(world.kept(InputFrame) + world.kept(AnswersFrame), key=lambda frame: frame.seq)
    assert [frame.seq for frame in frames] == list(range(1, 11))
    assert len({frame.source for frame in frames}) == 1


async def test_an_answer_is_kept_before_its_caller_has_it(world: World) -> None:
    async with world.worker(LINEAR, times(2)), world.gateway() as gateway:
        for n in range(5):
            answer = await ask(gateway, float(n))
            kept = world.kept(AnswersFrame)[-1]
            assert (kept.ids, kept.rules, kept.total_ms) == ([answer.id], ["champion"], [answer.ms])
            assert unpack(kept.columns)["y"].tolist() == said(answer)


async def test_ids_that_callers_do_not_give_are_all_different_and_in_order(world: World) -> None:
    async with world.worker(LINEAR, times(2)), world.gateway() as gateway:
        found = [(await ask(gateway, 1.0)).id for _ in range(20)]
    assert len(set(found)) == 20
    assert [id[:8] for id in found] == sorted(id[:8] for id in found)


async def test_two_gateways_on_one_stream_get_only_their_own_scores(world: World) -> None:
    async with world.worker(LINEAR, times(2)), world.gateway() as one, world.gateway() as other:
        asked = [asking(gateway, float(n)) for n in range(12) for gateway in (one, other)]
        assert [said(await task) for task in asked] == [[2.0 * n] for n in range(12) for _ in (one, other)]
    assert len({frame.reply for frame in world.kept(InputFrame)}) == 2


# --- scores that are late, double or junk -----------------------------------------------------


async def test_scores_that_come_after_the_answer_change_nothing(world: World) -> None:
    hand = await world.hand()
    async with world.gateway(deadline_ms=20.0) as gateway:
        assert (await ask(gateway, 5.0)).rule == "default"
        await hand.say(LINEAR, [10.0], late=[0])
        await hand.say(FOREST, [15.0], late=[0])
        async with world.worker(LINEAR, times(2)):
            answers = world.kept(AnswersFrame)
            assert [answer.rules for answer in answers] == [["default"]]
    assert len(world.kept(ScoresFrame)) == 2


async def test_only_a_contenders_first_scores_count(world: World) -> None:
    hand = await world.hand()
    async with world.gateway() as gateway:
        asked = asking(gateway, 5.0)
        await hand.say(FOREST, [15.0])
        await hand.say(FOREST, [99.0])
        answer = await asked
    assert (said(answer), answer.rule) == ([15.0], "challenger")


@pytest.mark.parametrize(
    "fields",
    [
        {"origin": "gateway-2"},
        {"frame": 99},
        {"version": "000000000000"},
        {"model": "rule"},
        {"v": 2},
        {"columns": {}},
        {"columns": {"z": Tensor("f8", (1,), bytes(8))}},
        {"columns": {"y": Tensor("f8", (1,), b"short")}},
        {"columns": {"y": Tensor("f8", (2,), bytes(16))}},
        {"columns": {"y": Tensor("f8", (), bytes(8))}},
        {"columns": {"y": Tensor("f8", (0,), b"")}},
        {"columns": {"y": Tensor("str", (1,), ["ten"])}},
        {"errors": {7: "a request that is not there"}, "columns": {}},
    ],
)
async def test_junk_in_the_champions_name_leaves_the_answer_to_the_challenger(
    world: World, fields: dict[str, Any]
) -> None:
    hand = await world.hand()
    async with world.gateway() as gateway:
        asked = asking(gateway, 5.0)
        await hand.say(LINEAR, [10.0], **fields)
        await hand.say(FOREST, [15.0])
        answer = await asked
    assert (said(answer), answer.rule) == ([15.0], "challenger")


async def test_scores_that_cannot_be_read_are_an_error_of_their_contender(world: World) -> None:
    hand = await world.hand()
    async with world.gateway() as gateway:
        asked = asking(gateway, 5.0)
        await hand.say(LINEAR, [10.0], columns={})
        await hand.say(LINEAR, [10.0], columns={})
        await hand.say(FOREST, [15.0])
        await asked
    errors = [frame for frame in world.kept(ScoresFrame) if frame.error]
    assert [(frame.model, frame.error) for frame in errors] == [("linear", "the scores have no 'y'")]
    assert world.counted("errors", model="linear") == 1


async def test_what_is_no_frame_is_dropped(world: World) -> None:
    hand = await world.hand()
    async with world.gateway() as gateway:
        asked = asking(gateway, 5.0)
        (frame,) = await hand.frames.first(1)
        for junk in (b"", b"junk", encode(frame)):
            world.stream.publish(frame.reply, junk)
        await hand.say(LINEAR, [10.0])
        assert said(await asked) == [10.0]


# --- contenders that stay silent --------------------------------------------------------------


async def test_a_silent_contender_is_an_error_when_its_patience_is_over(world: World) -> None:
    missing = Listener()
    await world.stream.subscribe("scores.missing", missing)
    async with world.worker(LINEAR, times(2)), world.gateway(deadline_ms=50.0, patience=0.05) as gateway:
        answer = await ask(gateway, 5.0, 6.0)
        (frame,) = await missing.first(1)
        await until(lambda: world.counted("errors", model="forest") == 1)
    assert answer.rule == "champion"
    (sent,) = world.kept(InputFrame)
    assert (frame.model, frame.version, frame.role) == ("forest", FOREST.version, "challenger")
    assert (frame.origin, frame.frame, frame.rows) == (sent.source, sent.seq, [2])
    assert msgspec.msgpack.decode(frame.ids) == [answer.id]
    assert "crashed or hangs" in frame.error
    assert [each.model for each in missing.frames] == ["forest"]


# --- the limits -------------------------------------------------------------------------------


async def test_more_requests_than_the_limit_are_refused_at_once_and_room_comes_back(world: World) -> None:
    hand = await world.hand()
    async with world.gateway(in_flight=2) as gateway:
        asked = [asking(gateway, 1.0), asking(gateway, 2.0)]
        await hand.frames.first(1)
        with pytest.raises(TooManyRequests, match="2 requests are in flight, which is the limit"):
            await ask(gateway, 3.0)
        await hand.say(LINEAR, [2.0, 4.0])
        await asyncio.gather(*asked)
        async with world.worker(LINEAR, times(2)):
            assert said(await ask(gateway, 3.0)) == [6.0]


async def test_who_goes_away_makes_room_and_does_not_hurt_the_others(world: World) -> None:
    hand = await world.hand()
    async with world.gateway(in_flight=2) as gateway:
        gone, stays = asking(gateway, 1.0), asking(gateway, 2.0)
        await hand.frames.first(1)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        also = asking(gateway, 3.0)
        await hand.say(LINEAR, [2.0, 4.0])
        assert said(await stays) == [4.0]
        also.cancel()


async def test_a_request_that_is_too_large_for_the_stream_is_refused_and_the_next_is_not(
    tmp_path: Path,
) -> None:
    with Board(tmp_path / "test.board") as board:
        async with MemoryStream(MemoryBroker(max_payload=2000)) as stream:
            world = World(MemoryBroker(), stream, board)
            async with world.worker(LINEAR, times(2)), world.gateway() as gateway:
                with pytest.raises(TooLarge):
                    await ask(gateway, *[1.0] * 1000)
                assert said(await ask(gateway, 1.0)) == [2.0]


async def test_an_answer_that_is_too_large_to_be_kept_is_an_error_and_the_next_is_not(
    tmp_path: Path,
) -> None:
    with Board(tmp_path / "test.board") as board:
        async with MemoryStream(MemoryBroker(max_payload=2000)) as stream:
            world = World(MemoryBroker(), stream, board)
            async with world.gateway(deadline_ms=20.0, default={"y": [0.5] * 1000}) as gateway:
                for _ in range(2):
                    with pytest.raises(TooLarge):
                        await ask(gateway, 1.0)


async def test_while_the_stream_is_away_requests_are_refused_at_once(world: World) -> None:
    async with world.worker(LINEAR, times(2)), world.gateway() as gateway:
        world.broker.crash()
        assert gateway.why_not_ready() == "the message stream is away"
        with pytest.raises(StreamAway):
            await ask(gateway, 1.0)
        world.broker.start()
        assert gateway.why_not_ready() is None
        assert said(await ask(gateway, 1.0)) == [2.0]


async def test_a_request_that_is_out_when_the_stream_goes_away_gets_the_default(world: World) -> None:
    hand = await world.hand()
    async with world.gateway(deadline_ms=50.0) as gateway:
        asked = asking(gateway, 1.0)
        await hand.frames.first(1)
        world.broker.crash()
        assert (await asked).rule == "default"
        world.broker.start()
    assert [frame.rules for frame in world.kept(AnswersFrame)] == [["default"]]


async def test_a_gateway_that_stops_answers_what_is_in_flight_and_takes_nothing_new(world: World) -> None:
    hand = await world.hand()
    async with world.gateway() as gateway:
        asked = asking(gateway, 5.0)
        await hand.frames.first(1)
        draining = asyncio.create_task(gateway.drain(PATIENCE))
        await until(lambda: gateway.stopping)
        with pytest.raises(Stopping):
            await ask(gateway, 6.0)
        assert not draining.done()
        await hand.say(LINEAR, [10.0])
        assert said(await asked) == [10.0]
        await draining
    assert gateway.why_not_ready() == "this gateway is stopping"


async def test_an_idle_gateway_stops_at_once(world: World) -> None:
    async with world.gateway() as gateway:
        async with asyncio.timeout(PATIENCE):
            await gateway.drain(PATIENCE * 10)


# --- counts -----------------------------------------------------------------------------------


async def test_requests_answers_and_agreement_are_counted(world: World) -> None:
    nearly = Model(lambda columns: {"y": np.where(columns["x"] == 2, 0.0, columns["x"] * 2.02)})
    async with world.worker(LINEAR, times(2)), world.worker(FOREST, nearly), world.gateway() as gateway:
        await asyncio.gather(*[ask(gateway, float(n)) for n in range(1, 5)])
        await until(lambda: world.counted("compared") == 4)
    assert world.counted("received") == world.counted("answered") == 4
    assert world.counted("answered_by", model="linear") == 4
    assert world.counted("agreed", model="forest") == 3
    assert world.counted("defaulted") == 0
    assert distribution(read(world.board.path), "answer_ms").count == 4


async def test_defaults_are_counted(world: World) -> None:
    async with world.gateway(deadline_ms=20.0) as gateway:
        await ask(gateway, 1.0)
    assert (world.counted("answered"), world.counted("defaulted")) == (1, 1)


# --- a policy that changes --------------------------------------------------------------------


def swapped(gateway: Predictor) -> Policy:
    """Linear and forest change places, in the next revision."""
    roles = {LINEAR: replace(LINEAR, role=Role.CHALLENGER), FOREST: replace(FOREST, role=Role.CHAMPION)}
    contenders = tuple(roles[c] for c in gateway.policy.contenders)
    return replace(gateway.policy, revision=gateway.policy.revision + 1, contenders=contenders)


async def test_a_new_revision_serves_the_next_request(world: World) -> None:
    async with world.worker(LINEAR, times(2)), world.worker(FOREST, times(3)), world.gateway() as gateway:
        before = await ask(gateway, 5.0)
        gateway.follow(swapped(gateway))
        after = await ask(gateway, 5.0)
    assert (before.model, before.rule) == ("linear", "champion")
    assert (after.model, after.rule, said(after)) == ("forest", "champion", [15.0])
    assert [frame.revision for frame in world.kept(AnswersFrame)] == [3, 4]
    roles = {(frame.revision, frame.model): frame.role for frame in world.kept(ScoresFrame)}
    assert roles == {
        (3, "linear"): "champion",
        (3, "forest"): "challenger",
        (4, "linear"): "challenger",
        (4, "forest"): "champion",
    }


async def test_a_request_that_is_out_is_decided_by_the_revision_that_it_left_with(world: World) -> None:
    hand = await world.hand()
    async with world.gateway(second_ms=LONG / 2) as gateway:
        asked = asking(gateway, 5.0)
        await hand.frames.first(1)
        gateway.follow(swapped(gateway))
        await hand.say(FOREST, [15.0])
        await hand.say(LINEAR, [10.0])
        answer = await asked
    assert (answer.model, answer.rule) == ("linear", "champion")


async def test_an_older_revision_changes_nothing(world: World) -> None:
    async with world.gateway() as gateway:
        now = gateway.policy
        gateway.follow(replace(swapped(gateway), revision=3))
        assert gateway.policy is now


async def test_who_is_not_named_by_the_policy_does_not_score(world: World) -> None:
    newcomer = Contender(model="newer", version="5e5e5e5e5e5e", number=2, role=Role.CHALLENGER)
    waiting = times(7)
    async with (
        world.worker(LINEAR, times(2)),
        world.worker(newcomer, waiting),
        world.gateway() as gateway,
    ):
        await ask(gateway, 5.0)
        assert waiting.asked == []
        joined = replace(gateway.policy, revision=4, contenders=(*gateway.policy.contenders, newcomer))
        gateway.follow(joined)
        await ask(gateway, 5.0)
        await until(lambda: waiting.asked == [1])


async def test_a_share_of_the_requests_is_answered_by_its_challenger(world: World) -> None:
    async with (
        world.worker(LINEAR, times(2)),
        world.worker(FOREST, times(3)),
        world.gateway(second_ms=LONG / 2) as gateway,
    ):
        half = replace(FOREST, share=0.5)
        gateway.follow(replace(gateway.policy, revision=4, contenders=(LINEAR, half)))
        answers = [await ask(gateway, 5.0, key=f"customer {n}") for n in range(40)]
        again = [await ask(gateway, 5.0, key=f"customer {n}") for n in range(40)]
    found = [(answer.model, answer.rule) for answer in answers]
    assert set(found) == {("linear", "champion"), ("forest", "share")}
    assert [answer.model for answer in again] == [answer.model for answer in answers]
