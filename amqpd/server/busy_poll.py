"""Waiting awake: after a small read the event loop goes on polling for a moment before it sleeps.

Who sends a request and waits for the answer keeps the broker waiting too, for some ten microseconds a turn. If that
sleeps meanwhile, waking it up takes the kernel as long again, and several times that on a virtual machine: half of a
round trip. Erlang's schedulers, and so RabbitMQ's, wait awake as well.

Strategy: only as long as it pays. When nothing has come for the whole of a wait, the next read is not waited after, and
if that happens again, the next three, seven and so on are not. So a broker that hears something now and then sleeps in
between, and one that is busy has no time for this anyway.
"""

import asyncio
import time

SKIPPED_MAX = 255
"""Reads in a row that are not waited after: waiting in vain takes no more than a few thousandths of the time, and is
found worth it again soon."""


class BusyPoll:
    """Keeps the present event loop awake for ``window_us`` microseconds at a time; 0 is never."""

    def __init__(self, window_us: int) -> None:
        self._window_s = window_us / 1_000_000
        self._loop = asyncio.get_running_loop()
        self._waiting = False
        self._rewarded = False
        self._until = 0.0
        self._skipped = 0  # reads in a row, when it was last in vain
        self._to_skip = 0

    def heard(self) -> None:
        """A peer has sent something small, so the next may follow soon."""
        if self._waiting:
            self._rewarded = True
            self._until = time.perf_counter() + self._window_s
        elif self._to_skip:
            self._to_skip -= 1
        elif self._window_s:
            self._waiting = True
            self._rewarded = False
            self._until = time.perf_counter() + self._window_s
            self._loop.call_soon(self._poll)

    def _poll(self) -> None:
        if time.perf_counter() < self._until:
            self._loop.call_soon(self._poll)
            return
        self._waiting = False
        self._skipped = 0 if self._rewarded else min(2 * self._skipped + 1, SKIPPED_MAX)
        self._to_skip = self._skipped
