"""Reading many objects on the event loop without keeping messages waiting: a little at a time.

What is read is a generator, which yields after each few dozen objects. It must be read on the event loop, where nothing
changes while it runs; but 10,000 queues take some dozens of milliseconds, so the loop goes on in between.
"""

import time
from collections.abc import Callable, Generator
from contextlib import closing
from typing import TypeVar

from anyio.lowlevel import checkpoint

Taken = TypeVar("Taken")

TURN_S = 0.001
"""A message that comes meanwhile waits as long, which is less than what one large read costs others."""


async def take(reading: Generator[None, None, Taken], clock: Callable[[], float] = time.perf_counter) -> Taken:
    """What ``reading`` returns. ``clock`` is in seconds."""
    with closing(reading):
        while True:
            end = clock() + TURN_S
            try:
                while clock() < end:
                    next(reading)
            except StopIteration as finished:
                taken: Taken = finished.value
                return taken
            await checkpoint()
