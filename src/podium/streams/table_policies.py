"""Policies in a table of Azure Storage: a row for each revision, which is only ever inserted.

Inserting a row that exists fails, so of two writers the second one learns that it is late. A table tells
nobody of what is new: who follows asks every half second. Callers' keys are rows of a partition of their own,
which are written again when they are revoked.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, TypeVar

import msgspec
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from podium.callers import Key
from podium.errors import ProjectError, RevisionTaken, StreamAway
from podium.records import Policy
from podium.streams.policies import in_order, key_of, policy_of
from podium.streams.servicebus_address import Address, Identity

log = logging.getLogger(__name__)

CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"
TABLE = "podiumpolicies"
FOLLOW_SECONDS = 0.5
ANSWER_SECONDS = 5
DIGITS = 10
"""A revision's row key has so many, so that the table's order of text is that of numbers."""

RIGHTS = 'the key or identity is wrong, or it needs the role "Storage Table Data Contributor"'

Known = TypeVar("Known")


class TablePolicyStore:
    """See `podium.streams.policies.PolicyStore`. `policies` in the stream's URL says where the table is."""

    def __init__(self, url: str, endpoint: str) -> None:
        self._where = Address.of(url).policies
        self._endpoint = endpoint
        self._following: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> TablePolicyStore:
        """Raises ProjectError for a wrong address or key, StreamAway."""
        self._identity = Identity()
        self._table = _table(self._where, self._identity)
        try:
            with _translated(), suppress(ResourceExistsError):
                await self._table.create_table()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)
        await self._close()

    async def _close(self) -> None:
        await self._table.close()
        await self._identity.close()

    async def read(self, revision: int | None = None) -> Policy | None:
        with _translated():
            if revision is None:
                return await self._newest()
            try:
                row = await self._table.get_entity(self._endpoint, _key(revision))
            except ResourceNotFoundError:
                return None
            return policy_of(row["policy"])

    async def write(self, policy: Policy) -> None:
        row = {
            "PartitionKey": self._endpoint,
            "RowKey": _key(policy.revision),
            "policy": msgspec.json.encode(policy).decode(),
        }
        with _translated():
            try:
                await self._table.create_entity(row)
            except ResourceExistsError:
                raise RevisionTaken(
                    f"somebody else has just made revision {policy.revision} of {policy.endpoint!r}"
                ) from None

    async def follow(self, receive: Callable[[Policy], None]) -> None:
        known = await self._tell(receive, 0)
        self._poll("follow policies", lambda known: self._tell(receive, known), known)

    async def keys(self) -> list[Key]:
        with _translated():
            rows = self._table.query_entities("PartitionKey eq @keys", parameters={"keys": self._keys})
            return in_order([key async for row in rows if (key := key_of(row["key"]))])

    async def keep_key(self, key: Key) -> None:
        row = {
            "PartitionKey": self._keys,
            "RowKey": key.digest,
            "key": msgspec.json.encode(key).decode(),
        }
        with _translated():
            await self._table.upsert_entity(row, mode=UpdateMode.REPLACE)

    async def follow_keys(self, receive: Callable[[Key], None]) -> None:
        known = await self._tell_keys(receive, frozenset())
        self._poll("follow keys", lambda known: self._tell_keys(receive, known), known)

    @property
    def _keys(self) -> str:
        """The partition of the keys: no endpoint is called so."""
        return f"{self._endpoint}.keys"

    # --- following --------------------------------------------------------------------------

    def _poll(self, name: str, tell: Callable[[Known], Awaitable[Known]], known: Known) -> None:
        async def poll(known: Known) -> None:
            while True:
                await asyncio.sleep(FOLLOW_SECONDS)
                try:
                    known = await tell(known)
                except (StreamAway, ProjectError) as error:
                    log.warning("policies: %s", error)

        self._following.append(asyncio.create_task(poll(known), name=name))

    async def _tell_keys(self, receive: Callable[[Key], None], known: frozenset[Key]) -> frozenset[Key]:
        """Tell of those that are not known as they are."""
        keys = await self.keys()
        for key in keys:
            if key not in known:
                receive(key)
        return frozenset(keys)

    async def _tell(self, receive: Callable[[Policy], None], known: int) -> int:
        with _translated():
            newest = await self._newest(after=known)
        if newest is None:
            return known
        receive(newest)
        return newest.revision

    async def _newest(self, after: int = 0) -> Policy | None:
        """Rows come in the order of their keys, and the table gives no other."""
        found = self._table.query_entities(
            "PartitionKey eq @endpoint and RowKey gt @after",
            parameters={"endpoint": self._endpoint, "after": _key(after)},
        )
        newest: Policy | None = None
        async for row in found:
            newest = policy_of(row["policy"]) or newest
        return newest


def _table(where: str, identity: Identity) -> TableClient:
    """Raises ProjectError."""
    options: dict[str, Any] = {
        "table_name": TABLE,
        "retry_total": 0,
        "connection_timeout": ANSWER_SECONDS,
        "read_timeout": ANSWER_SECONDS,
    }
    if said := os.environ.get(CONNECTION):
        try:
            return TableClient.from_connection_string(said, **options)
        except ValueError as error:
            raise ProjectError(
                f"{CONNECTION} is no connection string ({error}); expected AccountName=…;AccountKey=…"
            ) from None
    if not where.startswith("https://"):
        raise ProjectError(
            "a Service Bus stream needs a table for policies: add "
            f"?policies=https://ACCOUNT.table.core.windows.net to `stream`, or set {CONNECTION}"
        )
    return TableClient(where, credential=identity.credential(), **options)


def _key(revision: int) -> str:
    return f"{revision:0{DIGITS}}"


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ClientAuthenticationError:
        raise ProjectError(f"the table of policies refuses us: {RIGHTS}") from None
    except HttpResponseError as error:
        if error.status_code in (401, 403):
            raise ProjectError(f"the table of policies refuses us ({error.status_code}): {RIGHTS}") from None
        raise StreamAway(f"the policy store cannot be used: {str(error).partition(chr(10))[0]}") from None
    except (AzureError, OSError, TimeoutError) as error:
        raise StreamAway(f"the policy store cannot be reached: {str(error).partition(chr(10))[0]}") from None
