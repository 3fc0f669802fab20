"""For the tests of streams."""

from __future__ import annotations

from tests.servicebus import WANTED

collect_ignore = [] if WANTED else ["test_servicebus.py"]
