"""Who takes part in the tests of the broker: applications that keep what they are told, and a disk that is slow.

A :class:`Peer` is one application with one session. What it was delivered is read as text: ``"a"`` is a message with
that body, ``"a*"`` the same as a redelivery.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from amqpd.broker.agenda import Agenda
from amqpd.broker.client import Client
from amqpd.broker.host import Host
from amqpd.broker.message import Message, TimedMessage, make_message
from amqpd.broker.queues.queue import Queue
from amqpd.broker.queues.ready import Windows
from amqpd.broker.queues.rules import PLAIN, QueueRules
from amqpd.broker.queues.subscriber import Subscriber
from amqpd.broker.receiver import Mailbox
from amqpd.broker.records import ExchangeRecord, QueueRecord, Record
from amqpd.broker.store import Kept, Page, QueueLog, Store, TakePage
from amqpd.broker.timers import Timers
from amqpd.errors import AMQPError
from amqpd.store.codec import record_key
from amqpd.wire.properties import Properties
from amqpd.wire.tables import FieldValue

PERSISTENT = Properties(delivery_mode=2)


@contextmanager
def refused(error: type[AMQPError], text: str) -> Iterator[None]:
    """What is in the block fails with this error and this text, to the letter: clients match on it."""
    with pytest.raises(error) as caught:
        yield
    assert caught.value.text == text


def message(body: str = "", *, persistent: bool = False) -> Message:
    return make_message("", "q", body.encode(), PERSISTENT if persistent else None)


def told(message: Message, redelivered: bool) -> str:
    return message.body.decode() + "*" * redelivered


class Peer(Mailbox):
    """An application with a session of its own; as its receiver, a mailbox that is emptied by reading."""

    def __init__(self, client: Client, room_octets: int = 1 << 62) -> None:
        super().__init__(room_octets)
        self.client = client
        self.session = client.open_session(self)

    def leave(self) -> None:
        """End the session."""
        self.client.close_session(self.session)

    def declare(self, queue: str, durable: bool = False, **arguments: FieldValue) -> None:
        """Declare a queue: ``x_message_ttl=100`` is its argument x-message-ttl."""
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        self.session.declare_queue(queue, durable=durable, arguments=named)

    def send(self, queue: str, *bodies: str, **properties: Any) -> None:
        """Publish to a queue by its name."""
        for body in bodies:
            self.session.publish("", queue, body.encode(), Properties(**properties) if properties else None)

    def ready(self, queue: str) -> int:
        """How many messages of a queue can be handed out."""
        return self.session.vhost.queues[queue].ready

    def took(self) -> list[str]:
        """What was delivered since the last look."""
        return [text for _, text in self.took_by()]

    def took_by(self) -> list[tuple[str, str]]:
        """The same, each with the tag of the consumer that got it."""
        deliveries, self.deliveries = self.deliveries, []
        return [(consumer_tag, told(message, redelivered)) for consumer_tag, _, redelivered, message in deliveries]

    def get(self, queue: str, no_ack: bool = False) -> str | None:
        got = self.session.get(queue, no_ack)
        return None if got is None else told(got[2], got[1])

    def empty(self, queue: str) -> list[str]:
        """All that is ready in a queue, taken out for good."""
        taken = []
        while (text := self.get(queue, no_ack=True)) is not None:
            taken.append(text)
        return taken

    def exists(self, queue: str) -> bool:
        return queue in self.session.vhost.queues


class Crew(Subscriber):
    """A subscriber of a bare queue, with credit and room as the test sets them."""

    def __init__(
        self,
        credit: int = 1 << 40,
        room: int = 1 << 40,
        no_ack: bool = False,
        exclusive: bool = False,
        priority: int = 0,
    ) -> None:
        super().__init__("crew", no_ack, exclusive, priority)
        self.credits = credit
        self.octets = room
        self.runs: list[list[str]] = []
        self.positions: list[int] = []

    def credit(self) -> int:
        return self.credits

    def room(self) -> int:
        return self.octets

    def deliver(self, positions: Sequence[int], messages: Sequence[Message], redelivered: bool) -> None:
        assert len(positions) == len(messages)
        self.credits -= len(messages)
        self.delivered += len(messages)
        self.positions += positions
        self.runs.append([told(message, redelivered) for message in messages])

    def took(self) -> list[str]:
        runs, self.runs = self.runs, []
        return [text for run in runs for text in run]


class Disk(Store):
    """A store that keeps things in lists, and whose watermark moves when the test says so."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        super().__init__()
        self.kept: list[Record] = list(records)
        self.logs: dict[str, DiskLog] = {}
        self.readings: list[Callable[[], None]] = []

    @classmethod
    def after(cls, before: "Disk") -> "Disk":
        """The same disk, when the broker has crashed with everything on it."""
        disk = cls(before.kept)
        disk.logs = {name: log.after(disk) for name, log in before.logs.items()}
        return disk

    def save(self, record: Record) -> None:
        self.kept = [kept for kept in self.kept if record_key(kept) != record_key(record)]
        self.kept.append(record)
        self.written += 1

    def erase(self, record: Record) -> None:
        self.kept.remove(record)
        self.written += 1

    def records(self) -> Iterable[Record]:
        return sorted(self.kept, key=lambda record: record_key(record)[:2])  # by kinds

    def open_log(self, record: QueueRecord | ExchangeRecord, lane: int = 0) -> QueueLog:
        name = record.name if isinstance(record, QueueRecord) else f"exchange {record.name}"
        name += f"#{lane}" * (lane > 0)
        return self.logs.setdefault(name, DiskLog(self, name))

    def read(self) -> None:
        """What queues have asked for is read now."""
        readings, self.readings = self.readings, []
        for reading in readings:
            reading()


class DiskLog(QueueLog):
    """``pages_of``: how many messages are read at a time."""

    def __init__(self, disk: Disk, name: str, pages_of: int = 3) -> None:
        self.disk = disk
        self.name = name
        self.pages_of = pages_of
        self.messages: dict[int, Message] = {}
        self.returns: dict[int, int] = {}
        self.closed_at: int | None = None

    def after(self, disk: Disk) -> "DiskLog":
        log = DiskLog(disk, self.name, self.pages_of)
        log.messages = {position: message for position, message in self.messages.items() if message.persistent}
        log.returns = {position: self.returns[position] for position in log.messages if position in self.returns}
        log.kept = Kept(
            count=len(log.messages),
            octets=sum(len(message.body) for message in log.messages.values()),
            next=max(log.messages, default=0) + 1,
            delivered=max(log.messages, default=0) + 1,
            timed=any(isinstance(message, TimedMessage) for message in log.messages.values()),
            returns=log.returns,
        )
        return log

    def append(self, position: int, messages: Sequence[Message], octets: int, paged: bool) -> None:
        assert len({getattr(message, "deadline", None) for message in messages}) == 1
        for number, message in enumerate(messages, position):
            if message.persistent or paged:
                assert number not in self.messages
                self.messages[number] = message
                self.disk.written += message.persistent

    def remove(self, positions: Sequence[int], moved: bool = False) -> None:
        for position in positions:
            self.messages.pop(position, None)
            self.returns.pop(position, None)

    def note_returns(self, position: int, returns: int) -> None:
        if position in self.messages:
            self.returns[position] = returns

    def clear(self, start: int, stop: int) -> None:
        self.remove([position for position in self.messages if start <= position < stop])

    def read(self, start: int, take: TakePage) -> Page | None:
        self.disk.readings.append(lambda: take(self.read_now(start)))
        return None

    def read_now(self, start: int) -> Page:
        found = [(position, [self.messages[position]]) for position in sorted(self.messages) if position >= start]
        runs = found[: self.pages_of]
        return Page(runs, runs[-1][0] + 1 if len(found) > len(runs) else 1 << 60)

    def close(self, delivered: int) -> None:
        self.closed_at = delivered

    def drop(self) -> None:
        self.messages.clear()
        self.returns.clear()
        del self.disk.logs[self.name]

    @property
    def kept_bodies(self) -> dict[int, str]:
        return {position: message.body.decode() for position, message in self.messages.items()}


class HandClock:
    """A clock that stands still until the test moves it."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.ms


class BareHost(Host):
    """What a queue needs around it, and nothing else; its agenda works at once."""

    def __init__(self, log: QueueLog | None = None) -> None:
        self.agenda = Agenda()
        self.clock = HandClock()
        self.timers = Timers(self.clock, self.agenda)
        self.windows = Windows()
        self.message_times = True
        self.log = log
        self.dead: list[tuple[str, str]] = []
        self.dropped: list[tuple[str, int]] = []
        self.expired: list[Queue] = []

    def open_log(self, record: QueueRecord | ExchangeRecord, lane: int = 0) -> QueueLog | None:
        return self.log

    def dead_letter(self, queue: Queue, reason: str, messages: Sequence[Message]) -> None:
        self.dead += [(reason, message.body.decode()) for message in messages]

    def count_dropped(self, queue: Queue, reason: str, count: int) -> None:
        self.dropped.append((reason, count))

    def expire(self, queue: Queue) -> None:
        self.expired.append(queue)


class BareQueue:
    """A queue without a virtual host around it, on an agenda that works at once."""

    def __init__(self, log: QueueLog | None = None, rules: QueueRules = PLAIN, **arguments: FieldValue) -> None:
        self.host = BareHost(log)
        self.agenda = self.host.agenda
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        self.queue = Queue(QueueRecord("/", "q", durable=log is not None, arguments=named), self.host, rules=rules)

    def put(self, *bodies: str, persistent: bool = False) -> None:
        messages = [message(body, persistent=persistent) for body in bodies]
        self.queue.enqueue(messages, sum(len(body) for body in bodies))
        self.agenda.settle()

    def join(self, crew: Crew) -> Crew:
        self.queue.subscribe(crew)
        self.agenda.settle()
        return crew

    def wake(self, crew: Crew) -> None:
        self.queue.activate(crew)
        self.agenda.settle()
