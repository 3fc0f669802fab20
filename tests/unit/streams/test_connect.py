"""Which adapter a URL means."""

from __future__ import annotations

import pytest

from podium.errors import ProjectError
from podium.project import STREAMS
from podium.streams.connect import ADAPTERS, OBJECT_STORES, POLICY_STORES, connect


def test_every_stream_that_a_project_may_name_has_all_its_adapters() -> None:
    assert set(ADAPTERS) == set(OBJECT_STORES) == set(POLICY_STORES) == set(STREAMS)


def test_an_unknown_scheme_says_which_are_known() -> None:
    with pytest.raises(ProjectError, match=r"kafka://…: known are nats://, tls://, servicebus://"):
        connect("kafka://broker.example", "diabetes")
