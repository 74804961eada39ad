"""What is to be written to one LMDB file: collected, cut into batches, one at a time.

No threads and no event loop here: whoever has them calls ``cut``, has the batch committed somewhere, and comes back
with ``is_written`` or ``has_failed``. While a batch is on its way, what comes in collects for the next: so batches are
small when little is going on, and grow by themselves when much is.

A batch that fails is put back whole; nothing is lost, and what is settled meanwhile leaves it. For when the disk is
full, ``cut_relief`` makes a batch of all but messages: deletions make room. But what was moved from one queue to
another does not go from the one before it is on the disk in the other.
"""

from collections.abc import Callable, Mapping, Sequence

from amqpd.broker.agenda import Agenda
from amqpd.broker.store import Store
from amqpd.store.codec import PIECE_SIZE
from amqpd.store.environment import Batch, Environment, Sweep
from amqpd.store.gone import Interval, left_of
from amqpd.store.log import Log
from amqpd.store.reading import Reading

SWEEP_EVERY = 16
"""Of the batches that someone waits for, one in so many deletes chunks: it takes a quarter longer then."""

SWEEP_MAX = 256
"""Pieces of chunks that a batch deletes, or twice as many as have been written since the last that did. The rest waits
for the next, so that no confirm waits long for a large queue that was purged."""

OCTETS_MAX = 24 << 20
"""Octets of messages on their way to the disk, above which publishers have to wait: what a slow disk may take of the
memory."""

NOTHING: Mapping[int, Sequence[Interval]] = {}


def nobody() -> None:
    """Who is called as long as nobody else is there."""


class Journal:
    """The changes to one environment, and the readings from it.

    ``marks`` is the store whose ``written`` counts the changes that someone may wait for, and whose watermark follows.
    ``wake`` is called when there is something to write, once until it is cut, and once more when someone waits for it
    (``hurried``); ``wake_reader`` when there is something to read. ``pressed`` says that too much is on its way;
    ``press`` is called when that changes.
    """

    def __init__(self, environment: Environment, marks: Store) -> None:
        self.environment = environment
        self.hurried = False
        self.pressed = False
        self.readings: list[Reading] = []
        self.wake: Callable[[], None] = nobody
        self.wake_reader: Callable[[], None] = nobody
        self.press: Callable[[], None] = nobody
        self._marks = marks
        self._awake = False
        self._octets = 0  # of messages that wait, and of those in the batch
        self._logs: dict[Log, None] = {}
        self._changes: dict[bytes, bytes | None] = {}
        self._sweeps: dict[tuple[int, int], int] = {}  # log and position from which on chunks are dead, up to which
        self._unswept = 0  # batches since the last that swept
        self._stored = 0  # pieces of chunks that those have written
        # What the batch on its way was made of.
        self._is_out = False
        self._cut_logs: dict[Log, None] = {}
        self._leaving: dict[bytes, bytes | None] = {}
        self._cut_octets = 0
        self._cut_mark = 0

    @property
    def octets_waiting(self) -> int:
        """Octets of memory that messages take which are not on the disk yet."""
        return self._octets

    # From logs and store

    def changed(self, log: Log, octets: int) -> None:
        """A log has something to write, with messages of so many octets."""
        self._logs[log] = None
        self._octets += octets
        if log.durable:
            self._marks.written += 1
        if self._octets > OCTETS_MAX and not self.pressed:
            self.pressed = True
            self.press()
        self._stir()

    def noted(self, log: Log) -> None:
        """A log has something to write that nobody will wait for."""
        self._logs[log] = None
        self._stir()

    def put(self, key: bytes, value: bytes | None) -> None:
        """Keep a value, or with None forget what there is."""
        self._changes[key] = value
        self._marks.written += 1
        self._stir()

    def sweep(self, log: int, start: int, stop: int) -> None:
        """Chunks of a log between these positions hold nothing any more, now or when the next batch is written."""
        self._sweeps[log, start] = stop
        self._stir()

    def hurry(self) -> None:
        """Someone waits for what was written up to now."""
        if not self.hurried:
            self.hurried = True
            self.wake()

    def request(self, reading: Reading) -> None:
        """Someone waits for a page."""
        self.readings.append(reading)
        self.wake_reader()

    def _stir(self) -> None:
        if not self._awake:
            self._awake = True
            self.wake()

    # From whoever writes

    @property
    def has_changes(self) -> bool:
        """Whether there is anything to be cut."""
        return bool(self._logs or self._changes or self._sweeps)

    def cut(self) -> Batch:
        """All that is to be written now; maybe nothing."""
        hurried, self.hurried = self.hurried, False
        batch = self._begin_batch()
        self._cut_logs, self._logs = self._logs, {}
        self._cut_octets = self._octets
        for log in self._cut_logs:
            log.cut(batch)
        self._stored += sum(1 + len(chunk) // PIECE_SIZE for _, _, chunk in batch.chunks)
        self._unswept += 1
        if not hurried or self._unswept >= SWEEP_EVERY:
            self._cut_sweeps(batch)
        self._awake = False  # only now: logs stir when they add what is to be swept
        return batch

    def is_written(self, batch: Batch, agenda: Agenda) -> None:
        """A batch from :meth:`cut` is on the disk."""
        self._end_batch(batch)
        for log in self._cut_logs:
            log.is_written()
        self._octets -= self._cut_octets
        self._cut_logs = {}
        if self.pressed and self._octets < OCTETS_MAX // 2:
            self.pressed = False
            self.press()
        self._marks.advance(self._cut_mark, agenda)

    def has_failed(self, batch: Batch) -> None:
        """It is not, and nothing of it is: it is to be written again, along with what has come since."""
        self._logs = self._cut_logs | self._logs
        self._cut_logs = {}
        self._put_back(batch)

    def cut_relief(self) -> Batch:
        """Of what is to be written now, all but messages, while there is no room for those.

        The records are part of it: a queue whose deletion is not written yet must not lose what says which of its
        messages are gone. Unless some of them were moved before: a queue must not be gone when these are not where they
        have gone to. Then it is only purged of all others, and no record is part of the batch, since records hang
        together.
        """
        with_records = not any(log.is_held for log in self._logs)
        batch = self._begin_batch(with_records)
        for log in self._logs:
            log.cut_relief(batch, with_records)
        self._cut_sweeps(batch, {log.id: log.held for log in self._logs})
        return batch

    def is_relieved(self, batch: Batch, agenda: Agenda) -> None:
        """A batch from :meth:`cut_relief` is on the disk."""
        self._end_batch(batch)
        self._marks.record(self._cut_mark, agenda)

    def has_no_relief(self, batch: Batch) -> None:
        """It is not."""
        self._put_back(batch)

    def _begin_batch(self, with_records: bool = True) -> Batch:
        """A batch with the values that were put. Those of logs are added to it by the logs, which keep them themselves.

        Without records, nothing is recorded when it is on the disk that was not before.
        """
        assert not self._is_out, "one batch at a time"
        self._is_out = True
        if not with_records:
            self._cut_mark = self._marks.recorded
            return Batch()
        self._cut_mark = self._marks.written
        self._leaving, self._changes = self._changes, {}
        return Batch(dict(self._leaving))

    def _end_batch(self, batch: Batch) -> None:
        self._is_out = False
        self._leaving = {}
        for sweep in batch.sweeps:  # what is left of them, behind those that have come since
            key = sweep.log, sweep.start
            self._sweeps[key] = max(sweep.stop, self._sweeps.get(key, 0))
        if self._sweeps:
            self._stir()

    def _put_back(self, batch: Batch) -> None:
        for log in self._logs:
            log.put_back()
        self._changes = self._leaving | self._changes
        self._end_batch(batch)
        self._stir()

    def _cut_sweeps(self, batch: Batch, held: Mapping[int, Sequence[Interval]] = NOTHING) -> None:
        """Sweeps, but for what is held of logs: they will ask for that again."""
        batch.sweeps = [
            Sweep(log, *left)
            for (log, start), stop in self._sweeps.items()
            for left in left_of(start, stop, held.get(log, ()))
        ]
        batch.sweep_max = max(SWEEP_MAX, 2 * self._stored)
        self._sweeps = {}
        self._unswept = self._stored = 0
