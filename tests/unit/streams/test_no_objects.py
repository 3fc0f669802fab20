"""A stream without an object store."""

from __future__ import annotations

import pytest

from podium.errors import BodyLost, TooLarge
from podium.protocol.frames import digest
from podium.streams import connect
from podium.streams.no_objects import NoObjectStore
from podium.streams.objects import ObjectStore

URL = "servicebus://shop.servicebus.windows.net"


def store() -> ObjectStore:
    return NoObjectStore(URL, "diabetes", ttl=60.0, max_bytes=1024)


async def test_what_is_too_large_for_a_message_is_refused_in_one_line() -> None:
    with pytest.raises(TooLarge, match=r"^an input of 3 bytes is over the limit: this stream .*$"):
        await store().put("image", b"abc", sha256=digest(b"abc"))


async def test_nothing_is_found_and_forgetting_it_is_no_error() -> None:
    await store().delete("image")
    with pytest.raises(BodyLost, match="image: this stream has no object store"):
        await store().get("image")


async def test_service_bus_has_no_store_of_its_own() -> None:
    async with connect.objects(URL, "diabetes", ttl=60.0, max_bytes=1024) as found:
        assert isinstance(found, NoObjectStore)
