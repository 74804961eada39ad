"""Time, as the broker knows it: a clock that it is given, and what is to be done later.

A clock tells milliseconds since 1970, since deadlines of messages outlive the process, and must not jump while the
process lives. Whoever owns the broker calls :meth:`Timers.run` when ``due`` has come; nobody polls.

Strategy: a heap of moments. A timer that is set to a later moment than it waits for stays where it is, and is put off
when it comes up: so setting one again and again, as traffic does, costs nothing, and the heap has about one entry for
each timer.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count

from amqpd.broker.agenda import Agenda, Work

Clock = Callable[[], int]

NEVER = 1 << 62


def stopped_clock() -> int:
    """The clock of a broker that was given none: nothing ever expires."""
    return 0


class Timer:
    """Has one piece of work scheduled at the moment it is set to. Setting it again replaces that."""

    __slots__ = ("_queued_for", "_timers", "_work", "when")

    def __init__(self, timers: "Timers", work: Work) -> None:
        self.when = NEVER
        self._queued_for = NEVER
        self._timers = timers
        self._work: Work | None = work

    def set(self, when: int) -> None:
        """Schedule the work at ``when``, or if that is over, when timers are next looked at."""
        self.when = when
        if when < self._queued_for:
            self._queued_for = when
            self._timers.push(when, self)

    def cancel(self) -> None:
        self.when = NEVER

    def drop(self) -> None:
        """It is of no use any more, and nor is its work: that is let go at once, not when the moment comes."""
        self.when = NEVER
        self._work = None

    def waits_for(self, queued_for: int) -> bool:
        """Whether this moment, which it was queued for, still means anything. If it was cancelled, it is not queued any
        more from now on."""
        if queued_for != self._queued_for:
            return False
        if self.when == NEVER:
            self._queued_for = NEVER
        return self.when < NEVER

    def come_up(self, queued_for: int) -> Work | None:
        """The moment it was queued for has come: what is to be done, unless it was put off or cancelled."""
        if queued_for != self._queued_for:
            return None  # it was set to an earlier moment since, which has come up already
        self._queued_for = NEVER
        if self.when > queued_for:
            if self.when < NEVER:
                self.set(self.when)
            return None
        self.when = NEVER
        return self._work


COMPACT_FROM = 1024
"""Entries of the heap from which on those that mean nothing any more are looked for."""


class Timers:
    """All that is to be done later. ``wake`` is called when ``due`` has become earlier."""

    def __init__(self, clock: Clock, agenda: Agenda) -> None:
        self.now = clock
        self.wake: Callable[[], None] = lambda: None
        self._agenda = agenda
        self._heap: list[tuple[int, int, Timer]] = []
        self._order = count()  # between timers of one moment
        self._compact_at = COMPACT_FROM

    @property
    def due(self) -> int:
        """When :meth:`run` is to be called next; NEVER: not as long as nothing else happens."""
        return self._heap[0][0] if self._heap else NEVER

    def push(self, when: int, timer: Timer) -> None:
        """Have a timer come up. For timers only."""
        if len(self._heap) >= self._compact_at:
            self._compact()
        earlier = when < self.due
        heappush(self._heap, (when, next(self._order), timer))
        if earlier:
            self.wake()

    def _compact(self) -> None:
        """Drop the entries of timers that were cancelled, or set to an earlier moment. At most half of all are such
        before they are looked for again."""
        self._heap = [entry for entry in self._heap if entry[2].waits_for(entry[0])]
        heapify(self._heap)
        self._compact_at = max(COMPACT_FROM, 2 * len(self._heap))

    def run(self) -> None:
        """Schedule what is due."""
        now = self.now()
        while self.due <= now:
            when, _, timer = heappop(self._heap)
            work = timer.come_up(when)
            if work is not None:
                self._agenda.schedule(work)
        self._agenda.settle()
