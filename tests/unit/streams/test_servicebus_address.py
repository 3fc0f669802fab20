"""What a URL of Service Bus says, and what the SDK's errors become."""

from __future__ import annotations

import inspect

import pytest
from azure.identity import aio
from azure.servicebus import exceptions

from podium.errors import ProjectError, StreamAway
from podium.streams.servicebus_address import CONNECTION, EMULATOR_ADMIN, Address, Identity, translated


def test_an_address_has_the_namespace_and_where_policies_are() -> None:
    found = Address.of("servicebus://shop.servicebus.windows.net?policies=https://a.table.core.windows.net")
    assert found == Address("shop.servicebus.windows.net", "https://a.table.core.windows.net", EMULATOR_ADMIN)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("servicebus://", "expected servicebus://NAMESPACE"),
        ("servicebus://shop.servicebus.windows.net/topic", "expected servicebus://NAMESPACE"),
        ("servicebus://key:secret@shop.servicebus.windows.net", f"secrets in {CONNECTION}"),
        ("servicebus://shop.servicebus.windows.net?policy=x", "`policy` is not known"),
    ],
)
def test_what_is_no_address_says_what_was_expected(url: str, words: str) -> None:
    with pytest.raises(ProjectError, match=words):
        Address.of(url)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Endpoint=sb://other.servicebus.windows.net;SharedAccessKeyName=a;SharedAccessKey=b", "is not for"),
        ("shop.servicebus.windows.net", "is no connection string"),
    ],
)
def test_a_wrong_connection_string_says_what_is_wrong(
    said: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONNECTION, said)
    with pytest.raises(ProjectError, match=words):
        Address.of("servicebus://shop.servicebus.windows.net").client(Identity())


async def test_without_a_key_every_connection_has_the_same_identity_and_it_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stream that connects anew, again and again, would otherwise leave one open each time."""
    made: list[aio.DefaultAzureCredential] = []
    closed: list[aio.DefaultAzureCredential] = []

    class Watched(aio.DefaultAzureCredential):
        def __init__(self) -> None:
            made.append(self)
            super().__init__()

        async def close(self) -> None:
            closed.append(self)
            await super().close()

    monkeypatch.delenv(CONNECTION, raising=False)
    monkeypatch.setattr(aio, "DefaultAzureCredential", Watched)
    identity, address = Identity(), Address.of("servicebus://shop.servicebus.windows.net")
    for _ in range(3):
        await address.client(identity).close()
    await address.administration(identity).close()
    await identity.close()
    assert len(made) == 1
    assert closed == made


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for _, kind in inspect.getmembers(exceptions, inspect.isclass)
        if issubclass(kind, Exception) and kind.__module__ == exceptions.__name__
    ],
)
def test_every_error_of_the_sdk_becomes_one_of_ours_in_one_line(kind: type[Exception]) -> None:
    needs_words = kind in (exceptions.ServiceBusError, exceptions.AutoLockRenewFailed)
    error = kind("two\nlines") if needs_words or kind is exceptions.AutoLockRenewTimeout else kind()
    with pytest.raises((ProjectError, StreamAway)) as raised, translated("trying"):
        raise error
    assert "\n" not in str(raised.value)
