"""The seam below the broker: where durable things are kept, and where a long queue's messages wait.

Writing is synchronous and buffered; durability is a *watermark* that follows. ``written`` counts what was handed to the
store, ``durable`` says up to which count it would survive a crash. Whatever must wait for the disk remembers
``written`` and waits until ``durable`` has reached it: publisher confirms, tx.commit-ok, the answers to durable
declarations. The same shape serves an fsync, a replicated log and a remote acknowledgement.

There is a second mark, ``recorded``, for whatever is not about messages. The two are one, until a disk has no room for
messages: then deletions and declarations are safe that came after messages which are not.

A :class:`QueueLog` is the other half: what a queue hands to it, the queue gets back, after a restart or because it let
go of it to save memory. Reading may take time, so it answers later; a consumer never waits for it in the event loop.

:class:`NullStore` keeps nothing: durable things live as long as the process, and all messages lie in memory.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mypy_extensions import mypyc_attr

from amqpd.broker.agenda import Agenda, Work
from amqpd.broker.message import Message
from amqpd.broker.records import ExchangeRecord, QueueRecord, Record


@dataclass(frozen=True, slots=True)
class Kept:
    """What a log holds of a queue that lived before: how many messages, and the octets of their bodies.

    The next message gets position ``next``. Below ``delivered``, messages may have been handed out before: they will be
    redeliveries. ``timed``: some may have a deadline. ``returns``: how often messages were given back, by position, as
    far as it was noted.
    """

    count: int = 0
    octets: int = 0
    next: int = 1
    delivered: int = 1
    timed: bool = False
    returns: Mapping[int, int] = field(default_factory=dict)


class Page(NamedTuple):
    """Messages that were read back: runs of them, each with the position of its first, the others following on.

    All that the log holds below position ``stop`` is in the runs, from where the reading began.
    """

    runs: list[tuple[int, list[Message]]]
    stop: int


TakePage = Callable[[Page], None]


@mypyc_attr(allow_interpreted_subclasses=True)
class QueueLog:
    """The messages of one queue that are not only in memory, by position.

    Positions grow within a queue and are never used twice. ``kept`` is what was there when the log was opened.
    """

    kept: Kept = Kept()

    def append(self, position: int, messages: Sequence[Message], octets: int, paged: bool) -> None:
        """Keep these; the first has ``position``, each further one the next. Their bodies have ``octets`` in all.
        What is a :class:`TimedMessage` comes back as one; those that come together have one deadline, or none has.

        In a durable queue the persistent ones shall survive a crash. ``paged``: the queue lets go of them, so all must
        be kept, transient ones as long as the process lives. The others are passed over.
        """
        raise NotImplementedError

    def remove(self, positions: Sequence[int], moved: bool = False) -> None:
        """These messages are settled; each once. Positions that were not kept are passed over.

        ``moved``: they are about to be handed over for another queue, before anything is written; they must not be
        gone from here unless they are there.
        """
        raise NotImplementedError

    def note_returns(self, position: int, returns: int) -> None:
        """A message was given back, for the ``returns``-th time. To be known after a restart, as long as it is kept."""
        raise NotImplementedError

    def clear(self, start: int, stop: int) -> None:
        """All positions from ``start`` up to ``stop``, whatever is there, are settled."""
        raise NotImplementedError

    def read(self, start: int, take: TakePage) -> Page | None:
        """Read back from position ``start`` on, as much as is good to have at a time.

        What is still in memory is returned at once. Otherwise None, and ``take`` is called with the page later.
        """
        raise NotImplementedError

    def read_now(self, start: int) -> Page:
        """The same for someone who cannot wait, at the price that everybody else does."""
        raise NotImplementedError

    def close(self, delivered: int) -> None:
        """The broker stops in an orderly way: from position ``delivered`` on, nothing was ever handed out."""
        raise NotImplementedError

    def drop(self) -> None:
        """The queue is deleted, and its messages with it."""
        raise NotImplementedError


@mypyc_attr(allow_interpreted_subclasses=True)
class Store:
    """Topology and messages that shall survive."""

    def __init__(self) -> None:
        self.written = 0
        self.durable = 0
        self.recorded = 0
        self._waiting: dict[Work, None] = {}

    def wait(self, work: Work) -> None:
        """Have ``work`` scheduled when a watermark moves next; once, however often it waits."""
        self._waiting[work] = None

    def advance(self, durable: int, agenda: Agenda) -> None:
        """The watermark has moved: what was handed over up to count ``durable`` would survive a crash."""
        self.durable = durable
        self.record(max(durable, self.recorded), agenda)

    def record(self, recorded: int, agenda: Agenda) -> None:
        """The same for all but messages."""
        self.recorded = recorded
        for work in self._waiting:
            agenda.schedule(work)
        self._waiting.clear()

    def save(self, record: Record) -> None:
        """Keep a declared thing."""
        raise NotImplementedError

    def erase(self, record: Record) -> None:
        """Forget a declared thing."""
        raise NotImplementedError

    def records(self) -> Iterable[Record]:
        """What was kept, in an order in which it can be applied: queues and exchanges before their bindings."""
        raise NotImplementedError

    def open_log(self, record: QueueRecord | ExchangeRecord, lane: int = 0) -> QueueLog | None:
        """The log of a queue, or of an exchange that holds messages, whose record was saved or that does not survive.

        A queue may have several, its *lanes*, numbered from 0 to 255; each counts positions by itself. None: messages
        stay in memory.
        """
        raise NotImplementedError


@mypyc_attr(allow_interpreted_subclasses=True)
class NullStore(Store):
    """Everything in memory: nothing is written, so nothing has to be waited for."""

    def save(self, record: Record) -> None:
        pass

    def erase(self, record: Record) -> None:
        pass

    def records(self) -> Iterable[Record]:
        return ()

    def open_log(self, record: QueueRecord | ExchangeRecord, lane: int = 0) -> QueueLog | None:
        return None
