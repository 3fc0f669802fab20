"""Policies in a JetStream key-value bucket: an entry for each revision, which is only ever created.

Creating an entry that exists fails, so of two writers the second one learns that it is late. The newest
revision is the newest message of the bucket's stream. A caller's key is an entry that is written again
when it is revoked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import KeyValueConfig, StorageType
from nats.js.errors import (
    BucketNotFoundError,
    KeyNotFoundError,
    KeyWrongLastSequenceError,
    NotFoundError,
    ServiceUnavailableError,
)
from nats.js.kv import KeyValue

from podium.callers import Key
from podium.errors import RevisionTaken, StreamAway
from podium.records import Policy
from podium.streams.nats_address import Address
from podium.streams.policies import in_order, key_of, policy_of

log = logging.getLogger(__name__)

Found = TypeVar("Found")

BUCKET = "podium-policies"
FIRST_SECONDS = 5.0
ANSWER_SECONDS = 2.0
LEADER_SECONDS = 20.0
"""How long a cluster's servers may take to choose who decides among them; meanwhile nobody answers."""

RETRY_SECONDS = 0.1
PING_SECONDS = 1
"""A server that leaves three of them in a row unanswered is left for another one."""


class NatsPolicyStore:
    """See `podium.streams.policies.PolicyStore`."""

    def __init__(self, url: str, endpoint: str) -> None:
        self._address = Address.parse(url)
        self._endpoint = endpoint
        self._receive: Callable[[Policy], None] | None = None
        self._receive_key: Callable[[Key], None] | None = None
        self._catching_up: asyncio.Task[None] | None = None

    async def __aenter__(self) -> NatsPolicyStore:
        self._client = Client()
        with _translated():
            async with AsyncExitStack() as undo:
                undo.push_async_callback(self._close)
                await self._connect()
                self._bucket = await self._patiently(self._open)
                undo.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _connect(self) -> None:
        async with asyncio.timeout(FIRST_SECONDS):  # endless reconnects make the first try endless too
            await self._client.connect(
                self._address.urls,
                **self._credentials(),
                connect_timeout=2,
                max_reconnect_attempts=-1,
                reconnect_time_wait=RETRY_SECONDS,  # type: ignore[arg-type]  # it is slept, so parts count
                ping_interval=PING_SECONDS,
                error_cb=_on_error,
                reconnected_cb=self._on_reconnect,
            )

    async def _close(self) -> None:
        if self._catching_up is not None:
            self._catching_up.cancel()
        with suppress(NatsError, TimeoutError):
            await self._client.close()

    async def read(self, revision: int | None = None) -> Policy | None:
        with _translated():
            try:
                if revision is None:
                    return policy_of(await self._patiently(self._newest))
                asked = partial(self._bucket.get, self._revision(revision))
                return policy_of((await self._patiently(asked)).value)
            except (KeyNotFoundError, NotFoundError):
                return None

    async def write(self, policy: Policy) -> None:
        with _translated():
            try:
                await self._bucket.create(self._revision(policy.revision), msgspec.json.encode(policy))
            except KeyWrongLastSequenceError:
                raise RevisionTaken(
                    f"somebody else has just made revision {policy.revision} of {policy.endpoint!r}"
                ) from None

    async def follow(self, receive: Callable[[Policy], None]) -> None:
        self._receive = receive
        await self._listen(self._revision("*"), self._on_message)
        await self._catch_up()

    async def keys(self) -> list[Key]:
        with _translated():
            watcher: Any = await self._bucket.watch(self._caller("*"))
            try:
                found = []
                while (entry := await watcher.updates(ANSWER_SECONDS)) is not None:
                    found.append(key_of(entry.value))
            finally:
                await watcher.stop()
        return in_order(filter(None, found))

    async def keep_key(self, key: Key) -> None:
        with _translated():
            await self._bucket.put(self._caller(key.digest), msgspec.json.encode(key))

    async def follow_keys(self, receive: Callable[[Key], None]) -> None:
        self._receive_key = receive
        await self._listen(self._caller("*"), self._on_key)
        await self._catch_up()

    def _credentials(self) -> dict[str, Any]:
        address = self._address
        known = {"user": address.user, "password": self._password} if address.user else {}
        trusted = {"tls": address.trust()} if address.encrypted or address.ca else {}
        # Of one server, those that it tells us of later have its name too, whatever their addresses.
        name = address.name or (address.servers[0].host if len(address.servers) == 1 else "")
        return {**known, **trusted, **({"tls_hostname": name} if name else {})}

    def _password(self) -> str:
        """Asked for as it is about to be sent: the client would send it to a server without TLS, too."""
        if self._address.encrypted and not self._client._server_info.get("tls_required"):
            raise NatsError("the server does not encrypt, so it is sent no password")
        return self._address.password

    # --- the bucket -------------------------------------------------------------------------

    async def _patiently(self, ask: Callable[[], Awaitable[Found]]) -> Found:
        """What may be asked again as long as nobody answers, though a server is there."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + LEADER_SECONDS
        while True:
            try:
                return await ask()
            except (TimeoutError, ServiceUnavailableError):
                if not self._client.is_connected or loop.time() > give_up:
                    raise
                await asyncio.sleep(RETRY_SECONDS)

    async def _open(self) -> KeyValue:
        jetstream = self._client.jetstream(timeout=ANSWER_SECONDS)
        try:
            return await jetstream.key_value(BUCKET)
        except BucketNotFoundError:
            return await jetstream.create_key_value(
                KeyValueConfig(
                    bucket=BUCKET, history=1, storage=StorageType.FILE, replicas=self._address.replicas
                )
            )

    async def _newest(self) -> bytes | None:
        """A revision's key is written once, so the stream's last message is the newest revision."""
        jetstream = self._client.jetstream(timeout=ANSWER_SECONDS)
        message = await jetstream.get_last_msg(f"KV_{BUCKET}", f"$KV.{BUCKET}.{self._revision('*')}")
        return message.data

    def _revision(self, revision: int | str) -> str:
        return f"{self._endpoint}.revision.{revision}"

    def _caller(self, digest: str) -> str:
        return f"{self._endpoint}.key.{digest}"

    # --- following --------------------------------------------------------------------------

    async def _listen(self, entries: str, receive: Callable[[Msg], Awaitable[None]]) -> None:
        with _translated():
            await self._client.subscribe(f"$KV.{BUCKET}.{entries}", cb=receive)
            await self._client.flush()

    async def _on_message(self, message: Msg) -> None:
        self._tell(policy_of(message.data))

    async def _on_key(self, message: Msg) -> None:
        self._tell_key(key_of(message.data))

    async def _on_reconnect(self) -> None:
        """A task of its own catches up: the client waits for what is called here."""
        if self._catching_up is not None:
            self._catching_up.cancel()
        self._catching_up = asyncio.create_task(self._catch_up(), name="catch up policies")

    async def _catch_up(self) -> None:
        """What was written while nobody listened, until it is known: a key may have been revoked."""
        while True:
            try:
                if self._receive is not None:
                    self._tell(await self.read())
                if self._receive_key is not None:
                    for key in await self.keys():
                        self._tell_key(key)
            except StreamAway as error:
                log.warning("policies: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    def _tell(self, policy: Policy | None) -> None:
        if policy is not None and self._receive is not None:
            self._receive(policy)

    def _tell_key(self, key: Key | None) -> None:
        if key is not None and self._receive_key is not None:
            self._receive_key(key)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (NatsError, OSError, TimeoutError) as error:
        raise StreamAway(f"the policy store cannot be reached: {error!r}") from None


async def _on_error(error: Exception) -> None:
    log.warning("policies: %r", error)
