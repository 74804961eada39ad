"""The durable store: topology and messages that survive, and what a long queue does not keep in memory.

Two files of LMDB. ``main`` has topology, the messages of durable queues, and what of them is gone; what is written
there is synced. ``spill`` has the messages of long queues that are not durable; it is never synced, and begins empty.
Transient messages of a long durable queue lie in ``main`` with the others, so that a queue is in one place; they are
passed over when the broker starts again.
"""

from collections.abc import Iterable

from amqpd.broker.agenda import Work
from amqpd.broker.records import QueueRecord, Record
from amqpd.broker.store import QueueLog, Store
from amqpd.store.codec import encode_record, record_key
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
        self._kept = found.queues
        self._ids = {name: queue.id for name, queue in found.queues.items()}
        self._last_id = found.last_id
        for chunk in found.dead:
            self.main.sweep(*chunk)
        main.commit(Batch({CLEAN: None}))  # from now on the states do not say what was handed out

    def wait(self, work: Work) -> None:
        super().wait(work)
        self.main.hurry()

    def save(self, record: Record) -> None:
        queue = 0
        if isinstance(record, QueueRecord):
            queue = self._ids[record.vhost, record.name] = self._new_id()
        self.main.put(record_key(record), encode_record(record, queue))

    def erase(self, record: Record) -> None:
        self.main.put(record_key(record), None)
        if isinstance(record, QueueRecord):
            del self._ids[record.vhost, record.name]

    def records(self) -> Iterable[Record]:
        return self._records

    def open_log(self, record: QueueRecord) -> QueueLog:
        if not record.survives:
            return Log(self.spill, self._new_id(), durable=False)
        name = record.vhost, record.name
        queue = self._kept.pop(name, None)
        if queue is None:
            return Log(self.main, self._ids[name], durable=True)
        return Log(self.main, queue.id, True, queue.kept, queue.gone)

    def close(self) -> None:
        """The broker stops in an orderly way, and each queue has closed its log: with the next batch, all is said."""
        self.main.put(CLEAN, b"")

    def _new_id(self) -> int:
        self._last_id += 1
        return self._last_id
