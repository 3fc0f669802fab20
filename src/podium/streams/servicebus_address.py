"""What a `servicebus://` URL says, how the official SDK is reached by it, and what its errors mean.

    servicebus://NAMESPACE.servicebus.windows.net?policies=https://ACCOUNT.table.core.windows.net

Secrets are not in it: a connection string in an environment variable, or else the identity that the
machine or the pod has (azure-identity).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.core.pipeline.transport import AioHttpTransport
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.aio.management import ServiceBusAdministrationClient
from azure.servicebus.exceptions import (
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusError,
)

from podium.errors import MissingExtra, ProjectError, StreamAway

CONNECTION = "AZURE_SERVICEBUS_CONNECTION_STRING"
TRY_SECONDS = 10.0
"""A link that is not open by then is tried anew; the SDK alone waits for its answer far longer."""

EMULATOR = "UseDevelopmentEmulator=true"
EMULATOR_ADMIN = 5300
"""Where the emulator makes topics, unless the URL says `admin=PORT`."""

RIGHTS = 'it needs Manage, Send and Listen there (the role "Azure Service Bus Data Owner")'
FORM = "servicebus://NAMESPACE.servicebus.windows.net"
KNOWN = {"policies", "admin"}


class Address(NamedTuple):
    """A namespace: `policies` is where its endpoints' policies are, `admin` the emulator's other port."""

    host: str
    policies: str
    admin: int

    @classmethod
    def of(cls, url: str) -> Address:
        """Raises ProjectError for what is no such URL."""
        parts = urlsplit(url)
        said = parse_qs(parts.query)
        if not parts.hostname or parts.path.strip("/") or parts.username:
            raise ProjectError(f"stream {url}: expected {FORM}, and secrets in {CONNECTION}")
        if unknown := sorted(said.keys() - KNOWN):
            raise ProjectError(f"stream {url}: `{unknown[0]}` is not known after the ?, `policies` is")
        policies, admin = (said.get(name, [""])[0] for name in ("policies", "admin"))
        return cls(parts.netloc, policies, int(admin) if admin.isdigit() else EMULATOR_ADMIN)

    def client(self, identity: Identity) -> ServiceBusClient:
        """One connection's worth of links; it tries once, since whoever uses it tries again itself."""
        if said := self._connection_string():
            with _understood():
                return ServiceBusClient.from_connection_string(said, retry_total=0, try_timeout=TRY_SECONDS)
        return ServiceBusClient(self.host, identity.credential(), retry_total=0, try_timeout=TRY_SECONDS)

    def administration(self, identity: Identity) -> ServiceBusAdministrationClient:
        """What makes topics and subscriptions."""
        said = self._connection_string()
        if not said:
            return ServiceBusAdministrationClient(self.host, identity.credential(), retry_total=0)
        more: dict[str, Any] = {}
        if EMULATOR in said:
            host = urlsplit(f"//{self.host}").hostname
            said = said.replace(self.host, f"{host}:{self.admin}")
            more["transport"] = _PlainHttp()
        with _understood():
            return ServiceBusAdministrationClient.from_connection_string(said, retry_total=0, **more)

    def _connection_string(self) -> str:
        """Raises ProjectError where it is for another namespace than the URL names."""
        said = os.environ.get(CONNECTION, "")
        if said and self.host.lower() not in said.lower():
            raise ProjectError(f"{CONNECTION} is not for {self.host}, which podium.toml names as the stream")
        return said


class _PlainHttp(AioHttpTransport):  # type: ignore[misc]
    """The emulator has no TLS, and the SDK's administration knows nothing else."""

    async def send(self, request: Any, **config: Any) -> Any:
        request.url = request.url.replace("https://", "http://", 1)
        return await super().send(request, **config)


class Identity:
    """Who this process is in Azure: its workload identity, or whoever has done `az login`.

    One for all connections of a stream, however often it connects anew: the SDK's clients do not close it,
    and each would ask for a token of its own.
    """

    def __init__(self) -> None:
        self._credential: Any = None

    def credential(self) -> Any:
        """The SDK's, made when it is first wanted."""
        if self._credential is None:
            try:
                from azure.identity.aio import DefaultAzureCredential  # heavy, and not needed with a key
            except ImportError:
                raise MissingExtra("azure-identity", "azure") from None
            self._credential = DefaultAzureCredential()
        return self._credential

    async def close(self) -> None:
        credential, self._credential = self._credential, None
        if credential is not None:
            await credential.close()


@contextmanager
def _understood() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ProjectError(
            f"{CONNECTION} is no connection string ({error}); expected "
            "Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…"
        ) from None


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raises ProjectError for what somebody must mend, StreamAway for what may pass."""
    try:
        yield
    except (ServiceBusAuthenticationError, ServiceBusAuthorizationError, ClientAuthenticationError):
        raise ProjectError(f"Service Bus refuses {what}: the key or identity is wrong, or {RIGHTS}") from None
    except MessagingEntityNotFoundError:
        raise StreamAway(f"Service Bus has not (any more) what is needed for {what}") from None
    except HttpResponseError as error:
        if error.status_code in (401, 403):
            raise ProjectError(
                f"Service Bus refuses {what} ({error.status_code}): the key or identity is wrong, or {RIGHTS}"
            ) from None
        raise StreamAway(f"Service Bus: {what}: {_line(error)}") from None
    except (AzureError, ServiceBusError, OSError, TimeoutError, ValueError) as error:
        # ValueError: the SDK says so of a link that somebody else has just shut down
        raise StreamAway(f"Service Bus: {what}: {_line(error)}") from None


def _line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else repr(error)
