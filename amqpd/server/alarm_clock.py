"""Time for the broker's timers: what o'clock it is, and a call when something is due.

Nothing runs while nothing is due. However many timers there are, the event loop has one.
"""

import asyncio
import time
from collections.abc import Callable

from amqpd.broker.timers import NEVER, Clock, Timers

FURTHEST_S = 86_400
"""How far ahead the event loop is asked for a call, since there are limits to that; then it is asked again."""


def steady_clock() -> Clock:
    """Milliseconds since 1970, as the system has them now; from here on they only pass, whatever becomes of the
    system's clock. Deadlines of messages outlive the process, and must not come up all at once when it is set."""
    start = time.time_ns() - time.monotonic_ns()
    return lambda: (start + time.monotonic_ns()) // 1_000_000


class AlarmClock:
    """Runs the timers when they are due. ``look`` is called before that, and ``go_on`` then, to send what follows."""

    def __init__(self, timers: Timers, look: Callable[[], None], go_on: Callable[[], None]) -> None:
        self._timers = timers
        self._look = look
        self._go_on = go_on
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None
        timers.wake = self._set
        self._set()

    def stop(self) -> None:
        """Nothing comes up any more."""
        self._timers.wake = lambda: None
        self._cancel()

    def _set(self) -> None:
        self._cancel()
        due = self._timers.due
        if due < NEVER:
            delay = max(due - self._timers.now(), 0) / 1000
            self._handle = self._loop.call_later(min(delay, FURTHEST_S), self._ring)

    def _cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring(self) -> None:
        try:
            self._look()
            self._timers.run()
            self._go_on()
        finally:
            self._set()
