"""The seam below the broker: where durable things are kept.

Writing is synchronous and buffered; durability is a *watermark* that follows. ``written`` counts what was handed to the
store, ``durable`` says up to which count it would survive a crash. Whatever must wait for the disk remembers
``written`` and waits until ``durable`` has reached it; publisher confirms do. The same shape serves an fsync, a
replicated log and a remote acknowledgement.

What a durable store will need beside this is to hand a queue its messages back, and to let tx.commit-ok and the answers
to durable declarations wait too; both come with it.

:class:`NullStore` keeps nothing: durable things live as long as the process.
"""

from collections.abc import Iterable, Sequence

from amqpd.broker.agenda import Agenda, Work
from amqpd.broker.message import Message
from amqpd.broker.records import Record


class QueueLog:
    """The persistent messages of one durable queue, by position.

    Positions grow within a queue and are never used twice.
    """

    def append(self, position: int, message: Message) -> None:
        raise NotImplementedError

    def remove(self, positions: Sequence[int]) -> None:
        """These messages are settled. Positions that were never appended (transient messages) are passed over."""
        raise NotImplementedError


class Store:
    """Topology and messages that shall survive."""

    def __init__(self) -> None:
        self.written = 0
        self.durable = 0
        self._waiting: dict[Work, None] = {}

    def wait(self, work: Work) -> None:
        """Have ``work`` scheduled when the watermark moves next; once, however often it waits."""
        self._waiting[work] = None

    def advance(self, durable: int, agenda: Agenda) -> None:
        """The watermark has moved: what was handed over up to count ``durable`` would survive a crash."""
        self.durable = durable
        for work in self._waiting:
            agenda.schedule(work)
        self._waiting.clear()

    def save(self, record: Record) -> None:
        """Keep a declared thing."""
        raise NotImplementedError

    def erase(self, record: Record) -> None:
        """Forget a declared thing, and with a queue its messages."""
        raise NotImplementedError

    def records(self) -> Iterable[Record]:
        """What was kept, in an order in which it can be applied: queues and exchanges before their bindings."""
        raise NotImplementedError

    def open_log(self, vhost: str, queue: str) -> QueueLog | None:
        """The log of a durable queue; None where nothing outlives the process anyway."""
        raise NotImplementedError


class NullStore(Store):
    """Everything in memory: nothing is written, so nothing has to be waited for."""

    def save(self, record: Record) -> None:
        pass

    def erase(self, record: Record) -> None:
        pass

    def records(self) -> Iterable[Record]:
        return ()

    def open_log(self, vhost: str, queue: str) -> QueueLog | None:
        return None
