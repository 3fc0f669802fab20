"""`podium run store`: the policy store, for whoever reaches it only through a pod or a container."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable

import click
import msgspec
from msgspec.structs import replace

from podium import environment
from podium.callers import Key
from podium.errors import PolicyError, RevisionTaken
from podium.records import Policy
from podium.rendezvous.changes import differences
from podium.streams.connect import policies
from podium.streams.policies import PolicyStore


@click.group()
def store() -> None:
    """Read and write the policy store that this process's environment names."""


@store.command()
def history() -> None:
    """All revisions, the oldest first, as one JSON document."""

    async def show(store: PolicyStore) -> None:
        newest = await store.read()
        count = newest.revision if newest else 0
        found = [await store.read(revision) for revision in range(1, count + 1)]
        click.echo(msgspec.json.encode([policy for policy in found if policy]).decode())

    _with_store(show)


@store.command()
@click.argument("document")
def write(document: str) -> None:
    """Keep a revision."""
    policy = msgspec.json.decode(document, type=Policy)
    _with_store(lambda store: _keep(store, policy))


@store.command()
def apply() -> None:
    """Make the settings file's policy the live one, unless it is."""
    wanted = environment.run_of(os.environ).policy

    async def change(store: PolicyStore) -> None:
        live = await store.read()
        found = differences(live, wanted) if live else ["the first revision"]
        if not found:
            click.echo("nothing to change")
            return
        revision = live.revision + 1 if live else 1
        await _keep(store, replace(wanted, revision=revision, changed=time.time_ns() // 1000))
        click.echo("\n".join([f"revision {revision}:", *found]))

    _with_store(change)


async def _keep(store: PolicyStore, policy: Policy) -> None:
    try:
        await store.write(policy)
    except RevisionTaken as error:
        raise PolicyError(f"{error}; look, and say it again") from None


@store.command()
def keys() -> None:
    """All keys of callers, the oldest first, as one JSON document."""

    async def show(store: PolicyStore) -> None:
        click.echo(msgspec.json.encode(await store.keys()).decode())

    _with_store(show)


@store.command()
@click.argument("document")
def keep_key(document: str) -> None:
    """Keep a key, or that it is revoked; its token is not among what is kept."""
    key = msgspec.json.decode(document, type=Key)
    _with_store(lambda store: store.keep_key(key))


def _with_store(job: Callable[[PolicyStore], Awaitable[None]]) -> None:
    told = environment.run_of(os.environ)

    async def connected() -> None:
        async with policies(told.stream, told.endpoint) as store:
            await job(store)

    asyncio.run(connected())
