"""A node whose stream is Azure Service Bus: the official SDK, against the stand-in and Azurite."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from tests.servicebus.azurite import Azurite
from tests.servicebus.running import Running
from tests.system.conftest import Up
from tests.system.kept import assert_each_answer_kept_once
from tests.system.load import Load
from tests.system.running import podium, until

from podium.streams.servicebus_address import CONNECTION
from podium.streams.table_policies import CONNECTION as TABLES

DEADLINE = 'deadline = "500ms"'
RATE = 40.0
CALM = 1.5
"""Seconds of load before and after a fault."""


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    with Running() as running, Azurite(tmp_path) as azurite:
        monkeypatch.setenv(CONNECTION, running.connection_string())
        monkeypatch.setenv(TABLES, azurite.connection_string())
        yield running


def use(project: Path, url: str) -> None:
    file = project / "podium.toml"
    text = file.read_text().replace('deadline = "100ms"', DEADLINE)
    file.write_text(f'stream = "{url}"\n{text}')


@pytest.mark.timeout(180)
def test_a_killed_worker_fails_no_request_and_dead_letters_are_shown(
    project: Path, up: Up, azure: Running
) -> None:
    use(project, azure.url())
    node = up(project)
    assert not [process for process in node.status().processes if process.name == "broker"]
    with Load(node.url, connections=4, rate=RATE) as load:
        time.sleep(CALM)
        killed = node.send("worker linear 1", signal.SIGKILL)
        node.until_back("worker linear 1", killed)
        back = time.monotonic()
        time.sleep(CALM)
    assert set(load.counts) == {200}, load
    assert "champion" in {seen.rule for seen in load.since(back)}, load
    asyncio.run(publish(b"no frame at all"))
    until(lambda: node.status().dead_letters == 3, what=node.status)
    assert "3 messages are dead letters" in podium(project, "status").stdout
    promoted = podium(project, "promote", "diabetes", "forest").stdout
    assert "revision 2 is in use by 1 gateway" in promoted
    assert node.score()["model"] == "forest"
    assert_each_answer_kept_once(node, load)


async def publish(payload: bytes) -> None:
    """What a stranger may put on the topic."""
    client = ServiceBusClient.from_connection_string(os.environ[CONNECTION])
    async with client, client.get_topic_sender("podium-diabetes") as sender:
        await sender.send_messages(ServiceBusMessage(payload, subject="input"))


def test_a_key_that_is_refused_is_said_in_one_line(
    project: Path, azure: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(project, azure.url())
    for key, words in (("wrong", "the key or identity is wrong"), ("listener", "Manage, Send and Listen")):
        monkeypatch.setenv(CONNECTION, azure.connection_string(key=key))
        said = podium(project, "up", "--port", "0", code=1).stderr
        assert words in said
        assert said.count("\n") == 1, said
    monkeypatch.setenv(CONNECTION, "Endpoint=nonsense")
    assert "is not for 127.0.0.1" in podium(project, "up", "--port", "0", code=1).stderr
