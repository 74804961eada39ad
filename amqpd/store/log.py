"""What one queue has in the store: what is on the disk, on its way there, or still to be written; and what is gone.

A message that is handed over waits until the next batch is cut. What was settled by then is left out of it, and never
touches the disk. What is in a batch stays in memory until the batch is on the disk, so that it can be read back at any
time, and put back if writing fails.

What is gone is noted as positions, whether it is on the disk or not: see gone.py. Chunks that hold nothing any more are
deleted along with a later batch.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from amqpd.broker.message import Message
from amqpd.broker.ready import MESSAGE_OVERHEAD
from amqpd.broker.store import Kept, Page, QueueLog, TakePage
from amqpd.store.codec import Run, encode_chunks, encode_state, state_key
from amqpd.store.environment import END, Batch
from amqpd.store.gone import Gone, left_of
from amqpd.store.reading import Reading, TakeReading

if TYPE_CHECKING:
    from amqpd.store.journal import Journal

SWEPT_FROM = 1024
"""Positions of an interval above the floor from which on its chunks are looked for: while one message stays unacked for
long, those that pass it by shall not pile up on the disk."""


class Log(QueueLog):
    """The log of one queue, in a journal. ``durable``: persistent messages shall survive.

    ``gone`` is what is settled of what was ``kept``.
    """

    def __init__(
        self, journal: "Journal", queue: int, durable: bool, kept: Kept | None = None, gone: Gone | None = None
    ) -> None:
        self.kept = kept or Kept()
        self._journal = journal
        self._queue = queue
        self.durable = durable
        self._gone = gone or Gone(self.kept.next)
        self._old = self._gone.intervals  # what is gone of what was kept, as it was then
        self._changed = False  # something is gone that may lie on the disk
        self._delivered = END
        self._waiting: list[Run] = []
        self._leaving: list[Run] = []  # in the batch that is being written
        # Each is behind the last position that ...
        self._next = self.kept.next  # ... was handed over
        self._cut_at = self.kept.next  # ... a batch was cut at
        self._on_disk = self.kept.next  # ... a batch was cut at that has been written
        self._stored = self.kept.next  # ... is in a batch

    # From the queue

    def append(self, position: int, messages: Sequence[Message], octets: int, paged: bool) -> None:
        runs = [(position, messages)] if paged else list(_persistent_runs(position, messages))
        if not runs:
            return
        if self._gone.floor >= self._next:  # nothing here is needed any more, so this is where it begins
            self._gone.raise_to(position)
        self._waiting += runs
        self._next = position + len(messages)
        self._journal.changed(self, octets + MESSAGE_OVERHEAD * len(messages))

    def remove(self, positions: Sequence[int]) -> None:
        if positions and self._gone.floor < self._next:
            self._gone.add_all(positions)
            self._settled(positions[0] if isinstance(positions, range) else min(positions))

    def clear(self, start: int, stop: int) -> None:
        if start < stop and self._gone.floor < self._next:
            self._gone.cover(start, stop)
            self._settled(start)

    def _settled(self, first: int) -> None:
        self._changed = self._changed or first < self._stored
        self._journal.changed(self, 0)

    def read(self, start: int, take: TakePage) -> Page | None:
        if start >= self._on_disk:
            return self._in_memory(start)
        self._journal.request(self._reading(start, partial(self._is_read, take)))
        return None

    def read_now(self, start: int) -> Page:
        if start >= self._on_disk:
            return self._in_memory(start)
        pages: list[Page] = []
        reading = self._reading(start, partial(self._is_read, pages.append))
        reading.run()
        reading.finish()
        return pages[0]

    def _reading(self, start: int, take: TakeReading) -> Reading:
        start = max(start, self._gone.floor)
        environment = self._journal.environment
        return Reading(environment, self._queue, start, self._on_disk, self.kept.next, self._old, take)

    def _is_read(self, take: TakePage, reading: Reading) -> None:
        if reading.start < self.kept.next and not reading.damages:
            self._pass_over(reading.start, reading.page)
        take(reading.page)

    def _pass_over(self, start: int, page: Page) -> None:
        """What is missing in a page was transient, and went with the broker before: nobody will settle it.

        What could not be read stays, for whoever wants to mend it.
        """
        there = [(position, position + len(messages)) for position, messages in page.runs]
        gone = self._gone.intervals
        for missing in left_of(max(start, self._gone.floor), min(page.stop, self.kept.next), there):
            for hole in left_of(*missing, gone):
                self._gone.add(*hole)

    def _in_memory(self, start: int) -> Page:
        found = [
            (max(position, start), list(messages[max(0, start - position) :]))
            for position, messages in self._leaving + self._waiting
            if position + len(messages) > start
        ]
        return Page(found, self._next)

    def close(self, delivered: int) -> None:
        self._delivered = delivered
        self._changed = True
        self._journal.changed(self, 0)

    def drop(self) -> None:
        """All goes; whatever the queue says afterwards is about nothing."""
        self._waiting.clear()
        self._gone.raise_to(END)
        self._changed = True
        self._journal.changed(self, 0)

    # From the journal

    def cut_gone(self, batch: Batch) -> None:
        """Add to a batch what is gone by now."""
        if not self._changed:
            return
        self._changed = False
        floor = self._gone.floor
        if self.durable:
            is_dropped = floor == END
            batch.changes[state_key(self._queue)] = None if is_dropped else encode_state(self._gone, self._delivered)
        self._journal.sweep(self._queue, 0, floor)
        for start, stop in self._gone.intervals:
            if stop - start >= SWEPT_FROM:
                self._journal.sweep(self._queue, start, stop)

    def cut_messages(self, batch: Batch) -> None:
        """Add what waits and is not settled yet."""
        self._leaving = list(self._alive())
        self._waiting = []
        self._cut_at = self._next
        batch.chunks += [(self._queue, first, chunk) for first, chunk in encode_chunks(self._leaving)]
        if self._leaving:
            position, messages = self._leaving[-1]
            self._stored = position + len(messages)

    def _alive(self) -> Iterator[Run]:
        floor, intervals = self._gone.floor, self._gone.intervals
        for position, messages in self._waiting:
            stop = position + len(messages)
            if stop <= floor:
                continue
            if position >= floor and not intervals:
                yield position, messages
                continue
            for a, b in left_of(max(position, floor), stop, intervals):
                yield a, messages[a - position : b - position]

    def is_written(self) -> None:
        """The batch is on the disk."""
        self._on_disk = self._cut_at
        self._leaving = []

    def put_back(self) -> None:
        """The batch could not be written."""
        self._waiting = self._leaving + self._waiting
        self._leaving = []
        self._changed = True


def _persistent_runs(position: int, messages: Sequence[Message]) -> Iterator[Run]:
    """Those that are persistent."""
    if len(messages) == 1:
        if messages[0].persistent:
            yield position, messages
        return
    header = None
    persistent = False
    start = 0
    for index, message in enumerate(messages):
        if message.header is header:
            continue
        header = message.header
        if message.persistent != persistent:
            if persistent:
                yield position + start, messages[start:index]
            persistent = not persistent
            start = index
    if persistent:
        yield position + start, messages[start:] if start else messages
