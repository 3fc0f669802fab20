"""A slow cable: hands Ethernet frames from one TAP device to another, late, and loses some.

`python cable.py DEVICE DEVICE DELAY LOSS` makes both devices, says `up`, and works until it is killed, when
both are gone again. DELAY is in seconds and for each direction, LOSS a probability. It does what `tc netem`
does, which not every kernel has.
"""

from __future__ import annotations

import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque
from contextlib import suppress

TUN = "/dev/net/tun"
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
FRAME_BYTES = 65_536


class Direction:
    """From one device to the other."""

    def __init__(self, source: int, target: int, *, delay: float, loss: float) -> None:
        self._source = source
        self._target = target
        self._delay = delay
        self._loss = loss
        self._random = random.Random(source)  # each run loses the same frames of the same traffic
        self._under_way: deque[tuple[float, bytes]] = deque()

    def take(self) -> None:
        frame = os.read(self._source, FRAME_BYTES)
        if self._random.random() >= self._loss:
            self._under_way.append((time.monotonic() + self._delay, frame))

    def deliver(self) -> float:
        """What is due; returns when the next one is, on the monotonic clock."""
        now = time.monotonic()
        while self._under_way and self._under_way[0][0] <= now:
            with suppress(OSError):  # a device that is down takes none
                os.write(self._target, self._under_way.popleft()[1])
        return self._under_way[0][0] if self._under_way else now + 1.0


def device(name: str) -> int:
    tap = os.open(TUN, os.O_RDWR)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
    return tap


def main(one: str, other: str, delay: str, loss: str) -> None:
    here, there = device(one), device(other)
    ways = {
        source: Direction(source, target, delay=float(delay), loss=float(loss))
        for source, target in ((here, there), (there, here))
    }
    print("up", flush=True)
    while True:
        due = min(way.deliver() for way in ways.values())
        readable, _, _ = select.select(ways, (), (), max(0.0, due - time.monotonic()))
        for source in readable:
            with suppress(OSError):  # a device that is down gives none
                ways[source].take()


if __name__ == "__main__":
    main(*sys.argv[1:])
