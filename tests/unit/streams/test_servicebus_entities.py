"""What topics and subscriptions are called."""

from __future__ import annotations

from podium.streams.servicebus_entities import NAME_LENGTH, subscription_name


def test_names_of_subscriptions_are_short_enough_and_differ() -> None:
    names = [subscription_name("input", owner) for owner in ("a" * 200, "a" * 201, "linear@9f2c1ab04d5e")]
    assert len(set(names)) == 3
    assert all(len(name) <= NAME_LENGTH for name in names)
    assert names[2].startswith("input.linear-9f2c1ab04d5e-")
