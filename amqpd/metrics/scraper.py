"""A scrape from end to end: what there is is read on the event loop, and becomes a page in a worker thread.

One at a time: two surveys would take twice as long a turn of the event loop, and threads that make pages are each one
more to wait for when the loop wants the interpreter's lock.
"""

import time
from collections.abc import Callable, Generator

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
            broker = await take(self._survey())
            server = await take(self._observe())
            now_s = self._clock()
            snapshot = Snapshot(broker, server, now_s, self._readings.earlier(now_s))
            return await anyio.to_thread.run_sync(self._made_of, snapshot, page, wanted, gzip)

    def _made_of(self, snapshot: Snapshot, page: Page, wanted: Format, gzip: bool) -> list[bytes]:
        if self._readings.is_due(snapshot.taken_s):
            self._readings.keep(Reading.of(snapshot.taken_s, snapshot.broker.queues))
        pieces = exposition(StatisticsCollector(snapshot, page, self._prefix), wanted)
        return list(compressed(pieces) if gzip else pieces)
