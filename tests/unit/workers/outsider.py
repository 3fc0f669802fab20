"""A worker on the stream, as small as can be, to be started: it doubles `x`, and makes a mistake if told so.

It uses Podium's connection and frames, and nothing of Podium's own worker.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

import msgspec

from podium.errors import BadInput
from podium.protocol.frames import InputFrame, ProbeFrame, Reader, ScoresFrame, array, encode, pack
from podium.streams.connect import connect

MISTAKES = sys.argv[1:]
NAME = os.environ["PODIUM_CONTENDER"]
FACTOR = float(os.environ.get("FACTOR", "2"))


async def main() -> None:
    stop = asyncio.Event()
    if "stays" in MISTAKES:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with connect(os.environ["PODIUM_STREAM"], os.environ["PODIUM_ENDPOINT"]) as stream:
        reader, seq, joining = Reader(InputFrame | ProbeFrame), 1, []

        async def join(frame: ProbeFrame | None = None) -> None:
            joining.append(await stream.subscribe("input", take, group=NAME))
            joining.append(await stream.subscribe(f"probe.{NAME}", take, group=NAME))
            if frame:
                stream.publish(frame.reply, encode(answer(frame, 0, [], {})))

        def take(payload: bytes) -> None:
            try:
                frame = reader.read(payload)
            except BadInput:
                if "fragile" in MISTAKES:
                    os._exit(3)
                return
            if isinstance(frame, ProbeFrame):
                probed(frame)
            elif "careless" in MISTAKES or (
                frame.expires > time.time() * 1e6 and NAME in (frame.contenders or {NAME: ""})
            ):
                score(frame)

        def probed(frame: ProbeFrame) -> None:
            if "slow" in MISTAKES:
                time.sleep(0.6)
            if not tasks and "early" not in MISTAKES:
                tasks.append(asyncio.ensure_future(join(frame)))  # it answers when the broker knows
            else:
                stream.publish(frame.reply, encode(answer(frame, 0, [], {})))

        def score(frame: InputFrame) -> None:
            nonlocal seq
            seq += "careless" not in MISTAKES
            try:
                if frame.large:
                    scores = answer(frame, seq, frame.ids, {}, "data by reference is not fetched here")
                else:
                    columns = {"y": FACTOR * array(frame.columns["x"])}
                    scores = answer(frame, seq, frame.ids, pack(columns))
            except (BadInput, KeyError) as error:
                if isinstance(error, BadInput):
                    return
                scores = answer(frame, seq, frame.ids, {}, f"no column {error}")
            stream.publish(frame.reply, encode(scores))

        tasks: list[asyncio.Future[None]] = []
        own = await stream.subscribe(os.environ["PODIUM_OWN"], take)
        if "early" in MISTAKES:
            await join()
        await stop.wait()
        for subscription in (own, *joining):
            await subscription.close()


def answer(frame, seq, ids, columns, error=None) -> ScoresFrame:  # type: ignore[no-untyped-def]
    done = time.time_ns() // 1000
    late = [i for i, deadline in enumerate(getattr(frame, "deadline", ())) if done > deadline]
    model, _, version = NAME.partition("@")
    return ScoresFrame(
        endpoint=frame.endpoint,
        revision=frame.revision,
        source=f"outsider-{os.getpid()}",
        seq=seq,
        origin=frame.source,
        frame=frame.seq,
        model=model,
        version=version,
        role=(getattr(frame, "contenders", None) or {}).get(NAME, "challenger"),
        ids=msgspec.Raw(msgspec.msgpack.encode(ids)),
        rows=getattr(frame, "rows", None),
        error=error,
        late=(late or None) if "careless" not in MISTAKES else None,
        done=done,
        queue_ms=0.0,
        compute_ms=0.0,
        columns=columns,
    )


asyncio.run(main())
