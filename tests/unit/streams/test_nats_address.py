"""What a NATS URL says."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.contracts.brokers import NatsServer

from podium.errors import ProjectError, StreamAway
from podium.streams.nats_address import Address, Server
from podium.streams.wire import Wire


def test_a_url_says_who_where_and_whether_anything_may_go_in_clear() -> None:
    address = Address.parse("tls://podium:p%40ss@nats.example?ca=/etc/ca.crt&replicas=3")
    assert address == Address(
        servers=(Server("nats.example"),), user="podium", password="p@ss", encrypted=True, ca="/etc/ca.crt",
        replicas=3,
    )  # fmt: skip
    assert address.urls == ["tls://nats.example:4222"]
    assert not Address.parse("nats://localhost:4223").encrypted


def test_a_url_names_several_servers_with_one_password() -> None:
    address = Address.parse("nats://podium:a%2Cb@one,two:4223,[fd00::3]:4224?replicas=3&name=nats.example")
    assert address.servers == (Server("one", 4222), Server("two", 4223), Server("fd00::3", 4224))
    assert address.urls == ["nats://one:4222", "nats://two:4223", "nats://[fd00::3]:4224"]
    assert (address.password, address.name) == ("a,b", "nats.example")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("tls://u:secret@h?cert=x", "'cert'; known are ca, name, replicas"),
        ("tls://u:secret@h?replicas=2", "replicas=2 .* 1, 3 or 5"),
        ("tls://u:secret@h,i:99999", "cannot be read: Port out of range"),
        ("tls://u:secret@h:99999", "cannot be read: Port out of range"),
    ],
)
def test_what_a_url_cannot_say_is_an_error_without_its_password(url: str, says: str) -> None:
    with pytest.raises(ProjectError, match=says) as error:
        Address.parse(url)
    assert "secret" not in str(error.value)


def test_authorities_that_cannot_be_read_are_named() -> None:
    with pytest.raises(ProjectError, match=r"/nowhere/ca.crt cannot be read"):
        Address.parse("tls://h?ca=/nowhere/ca.crt").trust()


async def test_a_server_that_nobody_vouches_for_and_one_of_another_name_are_refused(
    tmp_path: Path,
) -> None:
    server = NatsServer(tmp_path, tls=True)
    await server.start()
    try:
        with pytest.raises(StreamAway, match=r"unable to get local issuer certificate|self-signed"):
            await Wire.open(server.url.partition("?")[0], ended=lambda: None)
        with pytest.raises(StreamAway, match=r"not valid for 'other.example'"):
            await Wire.open(f"{server.url}&name=other.example", ended=lambda: None)
        (await Wire.open(f"{server.url}&name=nats.example", ended=lambda: None)).close()
    finally:
        await server.crash()
