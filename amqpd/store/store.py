"""The durable store: topology and messages that survive, and what a long queue does not keep in memory.

Two files of LMDB. ``main`` has the records, the messages of durable queues, and what of them is gone; what is written
there is synced. ``spill`` has the messages of long queues that are not durable; it is never synced, and begins empty.
Transient messages of a long durable queue lie in ``main`` with the others, so that a queue is in one place; they are
passed over when the broker starts again.
"""

from collections.abc import Iterable

from amqpd.broker.agenda import Work
from amqpd.broker.records import ExchangeRecord, QueueRecord, Record
from amqpd.broker.store import QueueLog, Store
from amqpd.store.codec import encode_record, log_id, record_key, split_log_id
from amqpd.store.environment import CLEAN, Batch, Environment
from amqpd.store.journal import Journal
from amqpd.store.log import Log
from amqpd.store.recovery import recover


class DurableStore(Store):
    """A store on LMDB. Somebody has to write what its two journals collect.

    ``was_closed``: the broker before has stopped in an orderly way, so it is known what it handed out.

    Damaged: something in ``main`` is not what was written there.
    """

    def __init__(self, main: Environment, spill: Environment) -> None:
        super().__init__()
        self.main = Journal(main, self)
        self.spill = Journal(spill, Store())
        found = recover(main)
        self.was_closed = found.was_closed
        self._records: list[Record] = found.records
        self._ids = found.ids
        self._last_id = found.last_id
        self._kept = found.logs  # those that were not opened yet
        for chunk in found.dead:
            self.main.sweep(*chunk)
        main.commit(Batch(found.changes | {CLEAN: None}))  # from now on the states do not say what was handed out

    def wait(self, work: Work) -> None:
        super().wait(work)
        self.main.hurry()

    def save(self, record: Record) -> None:
        key = record_key(record)
        if isinstance(record, (QueueRecord, ExchangeRecord)) and key not in self._ids:
            self._ids[key] = self._new_id()
        self.main.put(key, encode_record(record, self._ids.get(key, 0)))

    def erase(self, record: Record) -> None:
        key = record_key(record)
        self.main.put(key, None)
        owner = self._ids.pop(key, None)
        for log in [log for log in self._kept if split_log_id(log)[0] == owner]:
            self._open(log).drop()  # which nobody else does

    def records(self) -> Iterable[Record]:
        return self._records

    def open_log(self, record: QueueRecord | ExchangeRecord, lane: int = 0) -> QueueLog:
        if not record.survives:
            return Log(self.spill, self._new_id(), durable=False)
        return self._open(log_id(self._ids[record_key(record)], lane))

    def _open(self, log: int) -> Log:
        if log not in self._kept:
            return Log(self.main, log, durable=True)
        return Log(self.main, log, True, *self._kept.pop(log))

    def close(self) -> None:
        """The broker stops in an orderly way, and each queue has closed its log: with the next batch, all is said."""
        self.main.put(CLEAN, b"")

    def abandon(self) -> None:
        """Nobody uses it after all, and nothing was written: what was known of the end before holds again."""
        if self.was_closed:
            self.main.environment.commit(Batch({CLEAN: b""}))

    def _new_id(self) -> int:
        self._last_id += 1
        return self._last_id
