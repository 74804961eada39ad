"""A scrape from end to end: what there is is read on the event loop, and becomes a page in a worker thread.

One at a time: two surveys would take twice as long a turn of the event loop, and threads that make pages are each one
more to wait for when the loop wants the interpreter's lock.
"""

import gc
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

import anyio
import anyio.to_thread

from amqpd.broker.statistics import BrokerStatistics
from amqpd.metrics.collector import StatisticsCollector
from amqpd.metrics.exposition import Format, compressed, exposition
from amqpd.metrics.pages import Page
from amqpd.metrics.rates import Reading, Readings
from amqpd.metrics.snapshot import Snapshot
from amqpd.metrics.statistics import ServerStatistics
from amqpd.metrics.taking import take

Survey = Callable[[], Generator[None, None, BrokerStatistics]]
Observe = Callable[[], Generator[None, None, ServerStatistics]]

LET_GO_AT_ONCE = 500
"""Objects freed in one call, which holds the interpreter's lock: for 0.2 ms."""


class Scraper:
    """Makes pages of what ``survey`` and ``observe`` read. ``clock`` is in seconds, and never goes back."""

    def __init__(
        self, survey: Survey, observe: Observe, prefix: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._survey = survey
        self._observe = observe
        self._prefix = prefix
        self._clock = clock
        self._readings = Readings()
        self._turn = anyio.Lock()

    async def scrape(self, page: Page, wanted: Format, gzip: bool) -> list[bytes]:
        """``page``, in pieces."""
        async with self._turn:
            with _no_search_for_garbage():
                broker = await take(self._survey())
                server = await take(self._observe())
                now_s = self._clock()
                read = [Snapshot(broker, server, now_s, self._readings.earlier(now_s))]
                del broker, server  # the thread has it now, and lets go of it
                return await anyio.to_thread.run_sync(self._make, read, page, wanted, gzip)

    def _make(self, read: list[Snapshot], page: Page, wanted: Format, gzip: bool) -> list[bytes]:
        """The page of what was ``read``, which is taken out and freed, a little at a time."""
        snapshot = read.pop()
        if self._readings.is_due(snapshot.taken_s):
            self._readings.keep(Reading.of(snapshot.taken_s, snapshot.broker.queues))
        made = exposition(StatisticsCollector(snapshot, page, self._prefix), wanted)
        pieces = list(compressed(made) if gzip else made)
        objects = [*snapshot.broker.queues, *snapshot.broker.sessions, *snapshot.server.connections]
        del snapshot
        while objects:
            del objects[-LET_GO_AT_ONCE:]
        return pieces


@contextmanager
def _no_search_for_garbage() -> Iterator[None]:
    """None of what a scrape makes is garbage before its end, and then it is freed without being searched for. To search
    among six objects for each queue would stop everything for 2 ms again and again, and for 30 ms when they have become
    an older generation."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
