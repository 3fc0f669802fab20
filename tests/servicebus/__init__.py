"""Azure Service Bus and Table Storage as tests have them.

What needs them is collected only where `PODIUM_SERVICEBUS=1`: it takes minutes, and the stand-in is built
from source (`.ci/servicebus.txt`).
"""

from __future__ import annotations

import os

WANTED = os.environ.get("PODIUM_SERVICEBUS") == "1"
