"""What is measured while the server runs: how late its event loop is, how long garbage collections take, and what the
disk does.

Nobody is asked here and nothing is told; :mod:`amqpd.server.observation` reads it. Nothing is measured for a message:
the loop is looked at ten times a second, the disk once for each group of changes, a collection when there is one.
"""

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

from amqpd.histogram import Histogram
from amqpd.metrics.statistics import JournalStatistics
from amqpd.store.environment import Batch
from amqpd.store.journal import OCTETS_MAX, Journal
from amqpd.store.reading import Reading

LAG_INTERVAL_S = 0.1
"""Ten wake-ups a second cost an idle broker some 0.1 % of a core, and a loop that stands still for 100 ms is seen."""

LAG_S = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""From what uvloop's clock can tell up to where clients with short timeouts give up."""

PAUSES_S = (0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""A young generation takes a tenth of a millisecond or some; all of a million waiting messages, 110 ms."""

COMMITS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""From a good disk to one that makes confirms time out."""

GROUPS = (1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 5_000.0, 10_000.0, 50_000.0)
"""Changes in one commit: one where each publisher waits for its confirm, thousands under load."""


class LoopLag:
    """How late the event loop comes to what it was asked for: the time for which one thing kept all others waiting."""

    def __init__(self) -> None:
        self.histogram = Histogram(LAG_S)
        self._loop = asyncio.get_running_loop()
        self._look_again()

    def stop(self) -> None:
        self._handle.cancel()

    def _look_again(self) -> None:
        self._due = time.perf_counter() + LAG_INTERVAL_S
        self._handle = self._loop.call_later(LAG_INTERVAL_S, self._look)

    def _look(self) -> None:
        # Loops count in whole milliseconds from when they last looked at the clock, so they may come a little early.
        self.histogram.observe(max(time.perf_counter() - self._due, 0.0))
        self._look_again()


@contextmanager
def garbage_pauses() -> Iterator[Histogram]:
    """While this lasts, the times of garbage collections, in which nothing else is done.

    They may begin in any thread, but there is one at a time, and it goes on in the thread in which it began.
    """
    histogram = Histogram(PAUSES_S)
    began = 0.0

    def note(phase: str, _info: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = time.perf_counter()
        elif began:  # the collection that was going on when this began has no start
            histogram.observe(time.perf_counter() - began)

    gc.callbacks.append(note)
    try:
        yield histogram
    finally:
        gc.callbacks.remove(note)


class FileCounts:
    """What was written to one file of the store, and read. To be told in the event loop."""

    def __init__(self) -> None:
        self._commits = Histogram(COMMITS_S)
        self._groups = Histogram(GROUPS)
        self._octets_written = 0
        self._messages_written = 0
        self._reads = 0
        self._read_s = 0.0
        self._octets_read = 0
        self._messages_read = 0

    def written(self, batch: Batch, seconds: float) -> None:
        """A batch is on the disk, so long after it was cut."""
        self._commits.observe(seconds)
        self._groups.observe(len(batch.changes) + batch.messages)
        self._octets_written += batch.octets
        self._messages_written += batch.messages

    def read(self, reading: Reading, seconds: float) -> None:
        """A page was found, in so long."""
        self._reads += 1
        self._read_s += seconds
        self._octets_read += reading.octets
        self._messages_read += sum(len(messages) for _, messages in reading.page.runs)

    def statistics(self, name: str, journal: Journal) -> JournalStatistics:
        return JournalStatistics(
            file=name,
            commits=self._commits.distribution(),
            groups=self._groups.distribution(),
            octets_written=self._octets_written,
            messages_written=self._messages_written,
            reads=self._reads,
            read_s=self._read_s,
            octets_read=self._octets_read,
            messages_read=self._messages_read,
            octets_in_file=journal.environment.octets_in_file,
            waiting=journal.octets_waiting,
            waiting_limit=OCTETS_MAX,
        )
