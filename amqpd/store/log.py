"""What one lane of a queue has in the store: what is on the disk, on its way, or still to be written; and what is gone.

A message that is handed over waits until the next batch is cut. What was settled by then is left out of it, and never
touches the disk. What is in a batch stays in memory until the batch is on the disk, so that it can be read back at any
time, and put back if writing fails.

What is gone is noted as positions, whether it is on the disk or not: see gone.py. Chunks that hold nothing any more are
deleted along with a later batch.

What was moved to another queue goes from here in the batch with which it gets there, or later. A batch of all comes by
that without doing anything; but one of relief, which has no messages, must leave it as it is on the disk.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from amqpd.broker.message import Message
from amqpd.broker.queues.ready import MESSAGE_OVERHEAD
from amqpd.broker.store import Kept, Page, QueueLog, TakePage
from amqpd.store.codec import (
    RETURNS_TOGETHER,
    Run,
    encode_chunks,
    encode_returns,
    encode_state,
    returns_key,
    state_key,
)
from amqpd.store.environment import END, Batch
from amqpd.store.gone import Gone, Interval, intervals_of, left_of
from amqpd.store.reading import Reading, TakeReading

if TYPE_CHECKING:
    from amqpd.store.journal import Journal

SWEPT_FROM = 1024
"""Positions of an interval above the floor from which on its chunks are looked for: while one message stays unacked for
long, those that pass it by shall not pile up on the disk."""


class Log(QueueLog):
    """The log of this ``id``, in a journal. ``durable``: persistent messages shall survive.

    ``gone`` is what is settled of what was ``kept``.
    """

    def __init__(
        self, journal: "Journal", id: int, durable: bool, kept: Kept | None = None, gone: Gone | None = None
    ) -> None:
        self.kept = kept or Kept()
        self.id = id
        self.durable = durable
        self._journal = journal
        self._gone = gone or Gone(self.kept.next)
        self._old = self._gone.intervals  # what is gone of what was kept, as it was then
        self._changed = False  # something is gone that may lie on the disk
        self._delivered = END
        self._waiting: list[Run] = []
        self._leaving: list[Run] = []  # in the batch that is being written
        self._moved: list[int] = []  # positions that have gone to another queue
        self._moving: list[int] = []  # ... and both is in the batch that is being written
        self._returns = dict(self.kept.returns)
        self._noted: set[int] = set()  # positions whose returns, and those that lie with them, are to be written
        self._noting: set[int] = set()  # ... are in the batch that is being written
        # Each is behind the last position that ...
        self._next = self.kept.next  # ... was handed over
        self._cut_at = self.kept.next  # ... a batch was cut at
        self._on_disk = self.kept.next  # ... a batch was cut at that has been written
        self._stored = self.kept.next  # ... is in a batch

    # From the queue

    def append(self, position: int, messages: Sequence[Message], octets: int, paged: bool) -> None:
        """See :meth:`QueueLog.append`. Messages that come together have the same deadline, or none of them has one."""
        runs = [(position, messages)] if paged else list(_persistent_runs(position, messages))
        if not runs:
            return
        if self._gone.floor >= self._next:  # nothing here is needed any more, so this is where it begins
            self._gone.raise_to(position)
        self._waiting += runs
        self._next = position + len(messages)
        self._journal.changed(self, octets + MESSAGE_OVERHEAD * len(messages))

    def remove(self, positions: Sequence[int], moved: bool = False) -> None:
        if positions and self._gone.floor < self._next:
            self._gone.add_all(positions)
            if moved:
                self._moved += positions
            if self._returns:
                self._forget(positions)
            self._settled(positions[0] if isinstance(positions, range) else min(positions))

    def clear(self, start: int, stop: int) -> None:
        if start < stop and self._gone.floor < self._next:
            self._gone.cover(start, stop)
            self._forget_between(start, stop)
            self._settled(start)

    def note_returns(self, position: int, returns: int) -> None:
        if self.durable and self._gone.floor <= position < self._next:
            self._returns[position] = returns
            self._noted.add(position)
            self._journal.noted(self)

    def _forget(self, positions: Iterable[int]) -> None:
        """The returns of these, if any, are of no interest any more."""
        found = self._returns.keys() & positions
        for position in found:
            del self._returns[position]
        self._noted |= found

    def _forget_between(self, start: int, stop: int) -> None:
        self._forget([position for position in self._returns if start <= position < stop])

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
        return Reading(environment, self.id, start, self._on_disk, self.kept.next, self._old, take)

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
                self._forget_between(*hole)

    def _in_memory(self, start: int) -> Page:
        found = [
            (max(position, start), list(messages[max(0, start - position) :]))
            for position, messages in self._leaving + self._waiting
            if position + len(messages) > start
        ]
        return Page(found, self._next)

    def close(self, delivered: int) -> None:
        if self._next == 1:  # nothing was ever here, as in most lanes
            return
        self._delivered = delivered
        self._changed = True
        self._journal.changed(self, 0)

    def drop(self) -> None:
        """All goes; whatever the queue says afterwards is about nothing."""
        self._waiting.clear()
        self._gone.raise_to(END)
        self._forget_between(0, END)
        self._changed = True
        self._journal.changed(self, 0)

    # From the journal

    def cut(self, batch: Batch) -> None:
        """Add to a batch all that is to be written by now."""
        if self._changed:
            self._changed = False
            self._cut_gone(batch, self._gone)
        self._cut_messages(batch)
        self._moving, self._moved = self._moved, []
        if self._noted:
            self._cut_returns(batch)

    def cut_relief(self, batch: Batch, with_records: bool) -> None:
        """Add to a batch of relief what is gone by now. ``with_records``: the batch says which queues there are."""
        if not self._changed or self._on_disk == 1:  # there is nothing that could be gone
            return
        gone = self._gone
        if gone.floor == END and not with_records:
            if not self.is_held:
                return
            gone = Gone(self._next)
        self._cut_gone(batch, gone.without(self.held))
        self._changed = bool(self._moved)

    @property
    def held(self) -> list[Interval]:
        """What must not go from the disk with a batch of relief."""
        return intervals_of(self._moved)

    @property
    def is_held(self) -> bool:
        """It was dropped, and something of it must not go with a batch of relief: so it stays."""
        return self._gone.floor == END and bool(self._moved)

    def _cut_gone(self, batch: Batch, gone: Gone) -> None:
        if self.durable:
            is_dropped = gone.floor == END
            batch.changes[state_key(self.id)] = None if is_dropped else encode_state(gone, self._delivered)
        self._journal.sweep(self.id, 0, gone.floor)
        for start, stop in gone.intervals:
            if stop - start >= SWEPT_FROM:
                self._journal.sweep(self.id, start, stop)

    def _cut_messages(self, batch: Batch) -> None:
        """What waits and is not settled yet."""
        self._leaving = list(self._alive())
        self._waiting = []
        self._cut_at = self._next
        batch.chunks += [(self.id, first, chunk) for first, chunk in encode_chunks(self._leaving)]
        batch.messages += sum(len(messages) for _, messages in self._leaving)
        if self._leaving:
            position, messages = self._leaving[-1]
            self._stored = position + len(messages)

    def _cut_returns(self, batch: Batch) -> None:
        for first in {position - position % RETURNS_TOGETHER for position in self._noted}:
            together = range(first, first + RETURNS_TOGETHER)
            returns = {position: self._returns[position] for position in together if position in self._returns}
            batch.changes[returns_key(self.id, first)] = encode_returns(returns) if returns else None
        self._noting, self._noted = self._noted, set()

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
        self._moving = []
        self._noting = set()

    def put_back(self) -> None:
        """The batch could not be written."""
        self._waiting = self._leaving + self._waiting
        self._leaving = []
        self._moved = self._moving + self._moved
        self._moving = []
        self._noted |= self._noting
        self._noting = set()
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
