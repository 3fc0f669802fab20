"""`podium forget`: removes what the archive holds of a caller, a key or a request."""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from contextlib import suppress

import click
import msgspec

from podium.archive.forget import Forgetting, Forgotten, Found, Selector, What
from podium.cli.control import Control, author, project_here
from podium.errors import BadInput, NodeError, StreamAway
from podium.protocol.frames import FoundFrame, LookupFrame, Reader, encode
from podium.run import Run
from podium.streams.base import Stream
from podium.streams.connect import connect

BEHIND_SECONDS = 60.0
"""How long the archiver may take to come as far as the stream is."""

ANSWER_SECONDS = 3.0
MARGIN_SECONDS = 1.0


@click.command()
@click.argument("endpoint", required=False)
@click.option("--caller", help="Whose requests: a caller.")
@click.option("--key", help="Whose requests: a podium-key.")
@click.option("--id", "id_", help="One request.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="What was removed, as one JSON document.")
def forget(
    endpoint: str | None, *, caller: str | None, key: str | None, id_: str | None, yes: bool, as_json: bool
) -> None:
    """Remove all that the archive holds of a caller, a key or a request, for good.

    The endpoint must run, since what it does may still be on its way into the archive.
    """
    given = {What.CALLER: caller, What.KEY: key, What.ID: id_}
    named = [Selector(what=what, value=value) for what, value in given.items() if value is not None]
    if len(named) != 1:
        raise click.UsageError("say whose: one of --caller, --key and --id")
    run = Control(project_here(), endpoint).run
    try:
        done = asyncio.run(_forget(run, named[0], yes=yes))
    except TimeoutError:
        raise NodeError(
            "the broker does not answer, so nothing was removed; `podium status` says why"
        ) from None
    click.echo(msgspec.json.encode(done).decode() if as_json else _words(done, named[0], run))


def _words(done: Forgotten, selector: Selector, run: Run) -> str:
    rows = ", ".join(f"{name} {count:,}" for name, count in done.rows.items() if count)
    what = f"{_requests(done.requests)} of {selector.what} {selector.value!r} on {run.endpoint}"
    return f"Removed {what}, which were these rows: {rows}"


def _requests(count: int) -> str:
    return f"{count:,} request" + ("s" if count != 1 else "")


async def _forget(run: Run, selector: Selector, *, yes: bool) -> Forgotten:
    forgetting = Forgetting(run.archive, run.endpoint)
    async with connect(run.stream, run.endpoint) as stream:
        archived = await _all_archived(run, stream)
        found = await asyncio.to_thread(forgetting.find, selector)
        _confirm(selector, found, run, yes=yes)
        if await _still_being_scored(run, found):
            archived = await _all_archived(run, stream)
        caller = selector.value if selector.what is What.CALLER else None
        done = await asyncio.to_thread(forgetting.remove, found.ids, caller=caller)
        await asyncio.to_thread(forgetting.record, selector, done, by=author())
        with suppress(StreamAway):  # then the archiver does it, a little later
            await stream.trim(archived)  # until then the stream's own file holds it too
    return done


def _confirm(selector: Selector, found: Found, run: Run, *, yes: bool) -> None:
    if yes:
        return
    what = f"{_requests(len(found.ids))} of {selector.what} {selector.value!r} on {run.endpoint}"
    if not sys.stdin.isatty():
        raise click.UsageError(f"{what} would be removed for good: say --yes where nobody can be asked")
    click.confirm(f"Remove {what} from the archive for good?", abort=True)


async def _still_being_scored(run: Run, found: Found) -> bool:
    """Wait until no contender can say anything more about the requests; whether that took time."""
    patience = run.policy.deadline_ms / 1000 + run.patience + MARGIN_SECONDS
    left = found.newest / 1e6 + patience - time.time()
    if left > 0:
        await asyncio.sleep(min(left, patience))
    return left > 0


async def _all_archived(run: Run, stream: Stream) -> int:
    """Wait until the tables have all that the stream holds now; the position up to which that is.

    The archiver is asked for a request that nobody sent: it says that there is none once it knows.
    Raises NodeError where it does not come that far.
    """
    position = await stream.last()
    name = f"forget-{secrets.token_hex(8)}"
    answers: asyncio.Queue[bytes] = asyncio.Queue()
    subscription = await stream.subscribe(f"found.{name}", answers.put_nowait)
    give_up = time.monotonic() + BEHIND_SECONDS
    try:
        while time.monotonic() < give_up:
            stream.publish("lookup", encode(_question(run, name)))
            if await _is_certain(answers):
                return position
    finally:
        await subscription.close()
    raise NodeError(
        f"the archive is not as far as the stream after {BEHIND_SECONDS:g} s, so nothing was removed; "
        "`podium status` says why"
    )


def _question(run: Run, name: str) -> LookupFrame:
    return LookupFrame(
        endpoint=run.endpoint,
        revision=run.policy.revision,
        source=name,
        seq=1,
        reply=f"found.{name}",
        ids=[secrets.token_hex(16)],
    )


async def _is_certain(answers: asyncio.Queue[bytes]) -> bool:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            found: FoundFrame = Reader(FoundFrame).read(await answers.get())
    except (TimeoutError, BadInput):
        return False
    return found.rows == [0]
