"""The topic of an endpoint and its subscriptions: made where they are missing, counted, deleted.

One topic for each endpoint. A message's label is its subject on the stream; a subscription's
correlation filter says which it lets in, so nobody gets what is for somebody else.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from datetime import timedelta

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.servicebus.aio.management import ServiceBusAdministrationClient
from azure.servicebus.management import CorrelationRuleFilter

from podium.streams.servicebus_address import translated

KEPT_PROPERTY = "podium-kept"
KEPT = "yes"
ARCHIVE = "archive"
RULE = "podium"
EVERYTHING = "$Default"
NAME_LENGTH = 50
"""The longest name of a subscription."""

LOCK = timedelta(seconds=5)
"""The shortest there is: so long a frame waits after its worker has died."""

ARCHIVE_LOCK = timedelta(minutes=1)
DELIVERIES = 5
"""A frame that ends so many workers is put aside."""

ARCHIVE_DELIVERIES = 2000
FRESH = timedelta(minutes=1)
"""For so long a message waits for somebody who listens; nobody waits for its answer any more."""

GROUP_IDLE = timedelta(hours=1)
OWN_IDLE = timedelta(minutes=5)
"""The shortest there is: a return address whose process was killed goes after so long."""


class Entities:
    """One endpoint's topic. Its methods raise ProjectError without the rights, StreamAway."""

    def __init__(self, administration: ServiceBusAdministrationClient, endpoint: str) -> None:
        self._administration = administration
        self.topic = f"podium-{endpoint}"

    async def ensure(self) -> None:
        """The topic, and the subscription that keeps messages until they are archived."""
        with translated(f"making the topic {self.topic}"), suppress(ResourceExistsError):
            await self._administration.create_topic(self.topic, support_ordering=True)
        with translated(f"making the subscription {ARCHIVE} of {self.topic}"):
            with suppress(ResourceExistsError):
                await self._administration.create_subscription(
                    self.topic,
                    ARCHIVE,
                    lock_duration=ARCHIVE_LOCK,
                    max_delivery_count=ARCHIVE_DELIVERIES,
                )
            await self._only(ARCHIVE, CorrelationRuleFilter(properties={KEPT_PROPERTY: KEPT}))

    async def listen(self, name: str, subject: str, *, shared: bool) -> None:
        """A subscription for one subject: shared by a group, or of one process and gone soon after it."""
        with translated(f"making the subscription {name} of {self.topic}"):
            with suppress(ResourceExistsError):
                await self._administration.create_subscription(
                    self.topic,
                    name,
                    lock_duration=LOCK,
                    max_delivery_count=DELIVERIES,
                    default_message_time_to_live=FRESH,
                    auto_delete_on_idle=GROUP_IDLE if shared else OWN_IDLE,
                )
            await self._only(name, CorrelationRuleFilter(label=subject))

    async def _only(self, name: str, wanted: CorrelationRuleFilter) -> None:
        """A new subscription lets everything in, until the rule that says so is gone."""
        with suppress(ResourceExistsError):
            await self._administration.create_rule(self.topic, name, RULE, filter=wanted)
        with suppress(ResourceNotFoundError):
            await self._administration.delete_rule(self.topic, name, EVERYTHING)

    async def delete(self, name: str) -> None:
        with translated(f"deleting the subscription {name}"), suppress(ResourceNotFoundError):
            await self._administration.delete_subscription(self.topic, name)

    async def dead_letters(self) -> int:
        """How many messages of all subscriptions have been put aside."""
        with translated(f"counting the dead letters of {self.topic}"):
            found = self._administration.list_subscriptions_runtime_properties(self.topic)
            return sum([each.dead_letter_message_count or 0 async for each in found])


def subscription_name(subject: str, owner: str) -> str:
    """Readable, and different for each subject and owner: `input.linear-9f2c1ab04d5e-5e884898da28`."""
    whole = f"{subject}.{owner}"
    tail = hashlib.sha256(whole.encode()).hexdigest()[:12]
    words = re.sub(r"[^A-Za-z0-9._-]", "-", whole)[: NAME_LENGTH - len(tail) - 1]
    return f"{words}-{tail}"
