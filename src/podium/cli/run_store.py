"""`podium run store`: the policy store, for commands that reach a cluster only through one of its pods."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import click
import msgspec

from podium import environment
from podium.errors import PolicyError, RevisionTaken
from podium.records import Policy
from podium.streams.connect import policies
from podium.streams.policies import PolicyStore


@click.group()
def store() -> None:
    """Read and write the policy store that this pod's environment names."""


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

    async def keep(store: PolicyStore) -> None:
        try:
            await store.write(policy)
        except RevisionTaken as error:
            raise PolicyError(f"{error}; look, and say it again") from None

    _with_store(keep)


def _with_store(job: Callable[[PolicyStore], Awaitable[None]]) -> None:
    told = environment.run_of(os.environ)

    async def connected() -> None:
        async with policies(told.stream, told.endpoint) as store:
            await job(store)

    asyncio.run(connected())
