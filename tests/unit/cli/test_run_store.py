"""`podium run store`: what commands ask of a pod of a cluster, on a broker of its own."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
from click.testing import CliRunner
from tests.contracts.brokers import NatsServer
from tests.unit.cluster.plans import SMALL

from podium.callers import Key, Rate
from podium.cli import podium
from podium.streams.nats_policies import NatsPolicyStore

KEY = Key(digest="a" * 64, name="powerbi", rate=Rate(requests=5, seconds=60), created=1)


async def test_keys_go_through_a_pod_to_the_store_that_its_environment_names(tmp_path: Path) -> None:
    server = NatsServer(tmp_path / "broker")
    settings = tmp_path / "settings.json"
    settings.write_text(SMALL.settings_text())

    async def said(*words: str) -> str:
        env = {"PODIUM_STREAM": server.url, "PODIUM_SETTINGS": str(settings)}
        done = await asyncio.to_thread(CliRunner().invoke, podium, ["run", "store", *words], env=env)
        assert done.exit_code == 0, done.output
        return done.stdout

    await server.start()
    try:
        assert json.loads(await said("keys")) == []
        await said("keep-key", msgspec.json.encode(KEY).decode())
        assert msgspec.json.decode(await said("keys"), type=list[Key]) == [KEY]
        async with NatsPolicyStore(server.url, SMALL.run.endpoint) as store:
            assert await store.keys() == [KEY]
    finally:
        await server.crash()
