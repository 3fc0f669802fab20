"""The policy store's connection to a server that is not what it should be."""

from __future__ import annotations

import pytest
from tests.unit.streams.test_wire import Server, listening

from podium.errors import StreamAway
from podium.streams import nats_policies
from podium.streams.nats_policies import NatsPolicyStore


@pytest.mark.parametrize(("scheme", "is_sent"), [("nats", True), ("tls", False)])
async def test_a_password_meant_for_tls_is_not_sent_to_a_server_that_speaks_none(
    scheme: str, is_sent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_policies, "FIRST_SECONDS", 0.5)
    monkeypatch.setattr(nats_policies, "LEADER_SECONDS", 0.0)
    server = Server()
    async with listening(server) as url:
        with pytest.raises(StreamAway):  # it keeps no policies
            async with NatsPolicyStore(url.replace("nats", scheme), "diabetes"):
                pass
    assert (b"pass word" in server.heard) is is_sent
