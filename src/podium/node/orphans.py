"""No process outlives its supervisor, also where the system does not see to it.

On Linux the supervisor ties its children to itself (`podium.node.process`). Elsewhere each Python child
watches for the moment in which its parent is another one.
"""

from __future__ import annotations

import os
import sys
import threading
import time

WATCH_SECONDS = 1.0


def die_with_parent() -> None:
    """Call once at the start of a child. Ends the process hard when the parent ends."""
    if sys.platform == "linux":
        return
    threading.Thread(target=_watch, args=(os.getppid(),), name="orphan watch", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os._exit(1)
