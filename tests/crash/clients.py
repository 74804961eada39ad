"""Clients that keep a broker busy, each in a thread of its own, until the broker is gone; what they do is up to chance.

They tell the ledger before they say something, and after they have heard something.
"""

import random
import threading
from dataclasses import dataclass
from typing import Any

from pika import frame, spec

from interop.raw import Peer, method
from tests.crash.ledger import DEAD, Copy, Key, Ledger, make_body

FRAME_PAYLOAD = 131072 - 8
PREFETCH = 30
TIMED = "timed"
"""The queue whose messages expire. It has no consumers, and one publisher of this name."""
URGENT = "urgent"
"""The queue with priorities."""
PRIORITY_MAX = 3


class BrokerIsGone(Exception):
    """The connection has ended, and all that came before has been heard."""


def priority_of(queue: str, key: Key) -> int | None:
    """Some messages on end have the same."""
    return key[1] // 8 % (PRIORITY_MAX + 1) if queue == URGENT else None


def lane_of(queue: str, key: Key) -> tuple[str, int | None] | None:
    """Messages with the same leave a queue in the order of their numbers. None: there is no order.

    Dead letters are in the order in which they left their source, and that is known of what expires only: consumers
    reject in any order, and what they requeue may be dropped after what came later.
    """
    publisher, _ = key
    return None if queue == DEAD and publisher != TIMED else (publisher, priority_of(queue, key))


def content(body: bytes, persistent: bool, priority: int | None) -> bytes:
    properties = spec.BasicProperties(delivery_mode=2 if persistent else 1, priority=priority)
    parts = [body[start : start + FRAME_PAYLOAD] for start in range(0, len(body), FRAME_PAYLOAD)]
    return b"".join(
        [frame.Header(1, len(body), properties).marshal(), *(frame.Body(1, part).marshal() for part in parts)]
    )


class Client(threading.Thread):
    """A connection with one channel. ``ready`` is set when it has begun; ``failure`` is what ended it too early."""

    def __init__(self, name: str, address: tuple[str, int], ledger: Ledger, chance: random.Random) -> None:
        super().__init__(name=name, daemon=True)
        self.ledger = ledger
        self.chance = chance
        self.ready = threading.Event()
        self.failure: Exception | None = None
        self.peer = Peer(address)

    def run(self) -> None:
        try:
            self.peer.open()
            self.peer.open_channel()
            self.begin()
            self.ready.set()
            while True:
                self.go_on()
        except BrokerIsGone:
            pass
        except Exception as failure:  # noqa: BLE001 - it is told in the test's thread
            self.failure = failure
        finally:
            self.ready.set()
            self.peer.close()

    def begin(self) -> None:
        """What is done once."""

    def go_on(self) -> None:
        """What is done again and again. Must hear something, or say it."""
        raise NotImplementedError

    # Saying and hearing

    def say(self, *pieces: bytes) -> None:
        try:
            self.peer.send(*pieces)
        except (BrokenPipeError, ConnectionResetError):
            while True:  # what has come nevertheless, and then BrokerIsGone
                self.hear()

    def ask(self, request: Any, answer: type[Any] | tuple[type[Any], ...]) -> Any:
        """Say something, and hear what comes, up to the answer."""
        self.say(method(1, request))
        while not isinstance(heard := self.hear(), answer):
            pass
        return heard

    def hear(self) -> Any:
        """The next method; confirms and messages are dealt with before they are returned."""
        received = self.peer.receive()
        if received is None:
            raise BrokerIsGone
        heard = received.method
        match heard:
            case spec.Connection.Close():
                assert heard.reply_code == 320, heard
                self.peer.send(method(0, spec.Connection.CloseOk()))
                self.peer.receive_to_the_end()
                raise BrokerIsGone
            case spec.Basic.Deliver() | spec.Basic.GetOk():
                self.on_message(heard.delivery_tag, heard.redelivered, self._hear_body())
            case spec.Basic.Ack():
                self.on_confirm(heard.delivery_tag)
            case spec.Channel.Close() | spec.Basic.Nack():
                raise AssertionError(heard)
        return heard

    def _hear_body(self) -> bytes:
        header = self.peer.receive()
        missing = header.body_size if header else 0
        parts: list[bytes] = []
        while header and missing:
            part = self.peer.receive()
            if part is None:
                break
            parts.append(part.fragment)
            missing -= len(part.fragment)
        if header is None or missing:
            raise BrokerIsGone  # it was on its way: nobody has got it
        return b"".join(parts)

    def on_message(self, delivery_tag: int, redelivered: bool, body: bytes) -> None:
        """For who consumes."""

    def on_confirm(self, delivery_tag: int) -> None:
        """For who publishes: all up to this one are confirmed."""


class Numbers:
    """The numbers of publishers, from life to life."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def next(self, publisher: str) -> Key:
        number = self._last[publisher] = self._last.get(publisher, 0) + 1
        return publisher, number


class Publisher(Client):
    """Publishes through ``exchange`` and ``routing_key``, which lead to ``queues``."""

    def __init__(self, *client: Any, numbers: Numbers, queues: tuple[str, ...], exchange: str = "") -> None:
        super().__init__(*client)
        self.numbers = numbers
        self.queues = queues
        self.exchange = exchange

    def publish(self, count: int = 1, persistent: bool = True) -> None:
        """So many more messages, all in one go. Often they have the same size, and look the same to the broker."""
        announcement = method(1, spec.Basic.Publish(exchange=self.exchange, routing_key=self.queues[0]))
        size = _some_size(self.chance)
        alike = self.chance.random() < 0.5
        pieces: list[bytes] = []
        for _ in range(count):
            key = self.numbers.next(self.name)
            self.publishes([(queue, key) for queue in self.queues], persistent)
            body = make_body(key, size if alike else _some_size(self.chance))
            pieces += announcement, content(body, persistent, priority_of(self.queues[0], key))
        self.say(*pieces)

    def publishes(self, copies: list[Copy], persistent: bool) -> None:
        raise NotImplementedError


class ConfirmingPublisher(Publisher):
    """Waits when a few messages are not confirmed."""

    def begin(self) -> None:
        self.sent = self.heard = 0
        self.unconfirmed: dict[int, list[Copy]] = {}
        self.ask(spec.Confirm.Select(), spec.Confirm.SelectOk)

    def go_on(self) -> None:
        self.publish(self.chance.randint(1, 20), persistent=self.chance.random() < 0.9)
        patience = self.chance.choice((0, 0, 5, 40))
        while len(self.unconfirmed) > patience:
            self.hear()

    def publishes(self, copies: list[Copy], persistent: bool) -> None:
        self.sent += 1
        self.unconfirmed[self.sent] = copies
        self.ledger.publishes(copies, persistent)

    def on_confirm(self, delivery_tag: int) -> None:
        for number in range(self.heard + 1, delivery_tag + 1):
            self.ledger.confirmed(self.unconfirmed.pop(number))
        self.heard = delivery_tag


class TransactionPublisher(Publisher):
    def begin(self) -> None:
        self.copies: list[Copy] = []
        self.ask(spec.Tx.Select(), spec.Tx.SelectOk)

    def go_on(self) -> None:
        self.publish(self.chance.randint(1, 10))
        copies, self.copies = self.copies, []
        if self.chance.random() < 0.1:
            self.ask(spec.Tx.Rollback(), spec.Tx.RollbackOk)
        else:
            self.ledger.publishes(copies, persistent=True)
            self.ask(spec.Tx.Commit(), spec.Tx.CommitOk)
            self.ledger.confirmed(copies)

    def publishes(self, copies: list[Copy], persistent: bool) -> None:
        self.copies += copies  # nobody must see them before the commit


class Purger(ConfirmingPublisher):
    """Has a queue for itself, fills it, and purges it."""

    def go_on(self) -> None:
        super().go_on()
        if self.chance.random() < 0.3:
            copies = self.ledger.unsettled(self.queues[0])
            self.ledger.settles(copies)
            self.ask(spec.Queue.Purge(queue=self.queues[0]), spec.Queue.PurgeOk)
            self.ledger.settled(copies)


class Consumer(ConfirmingPublisher):
    """Consumes its only queue: settles what it gets in any order, rejects or requeues some of it, and gets some more by
    itself.

    Now and then it sees to it that what it has settled is on the disk: it publishes to its queue and hears the confirm,
    or declares or deletes an exchange and hears the answer.
    """

    def begin(self) -> None:
        super().begin()
        self.held: dict[int, Key] = {}
        self.settled: list[Copy] = []
        self.settled_before: dict[int, list[Copy]] = {}  # our publish of that number
        self.last: dict[tuple[str, int | None], int] = {}
        self.has_exchange = False
        self.ask(spec.Exchange.Delete(exchange=self.name), spec.Exchange.DeleteOk)
        self.consume()

    def consume(self) -> None:
        self.ask(spec.Basic.Qos(prefetch_count=PREFETCH), spec.Basic.QosOk)
        self.ask(spec.Basic.Consume(queue=self.queues[0]), spec.Basic.ConsumeOk)

    def on_message(self, delivery_tag: int, redelivered: bool, body: bytes) -> None:
        queue = self.queues[0]
        key = self.held[delivery_tag] = self.ledger.delivered(queue, body, redelivered)
        lane = lane_of(queue, key)
        if lane is not None and not redelivered:
            if key[1] <= self.last.get(lane, 0):
                self.ledger.wrong.append(f"{key} in {queue} comes after {self.last[lane]}")
            self.last[lane] = key[1]

    def on_confirm(self, delivery_tag: int) -> None:
        for number in range(self.heard + 1, delivery_tag + 1):
            self.ledger.settled(self.settled_before.pop(number, []))
        super().on_confirm(delivery_tag)

    def go_on(self) -> None:
        if not self.held or (len(self.held) < PREFETCH and self.chance.random() < 0.8):
            self.hear()
            return
        deeds = {
            self.settle_many: 30,
            self.settle_one: 30,
            self.requeue_one: 5,
            self.get: 10,
            self.publish_behind: 5,
            self.declare_behind: 2,
        }
        [deed] = self.chance.choices(list(deeds), weights=deeds.values())
        deed()

    def settle_many(self) -> None:
        last = self.chance.choice(list(self.held))
        self.settle([tag for tag in self.held if tag <= last], multiple=True)

    def settle_one(self) -> None:
        self.settle([self.chance.choice(list(self.held))], multiple=False)

    def settle(self, tags: list[int], multiple: bool) -> None:
        copies = [(self.queues[0], self.held.pop(tag)) for tag in tags]
        self.settled += copies
        if self.chance.random() < 0.2:
            self.ledger.rejects(copies)
            nack, reject = spec.Basic.Nack(tags[-1], multiple=True, requeue=False), spec.Basic.Reject(tags[-1], False)
            self.say(method(1, nack if multiple else reject))
        else:
            self.ledger.settles(copies)
            self.say(method(1, spec.Basic.Ack(tags[-1], multiple)))

    def requeue_one(self) -> None:
        tag = self.chance.choice(list(self.held))
        self.ledger.requeues([(self.queues[0], self.held.pop(tag))])
        self.say(method(1, spec.Basic.Nack(tag, requeue=True)))

    def get(self) -> None:
        self.ask(spec.Basic.Get(queue=self.queues[0]), (spec.Basic.GetOk, spec.Basic.GetEmpty))

    def publish_behind(self) -> None:
        self.settled_before[self.sent + 1], self.settled = self.settled, []
        self.publish()

    def declare_behind(self) -> None:
        copies, self.settled = self.settled, []
        if self.has_exchange:
            self.ask(spec.Exchange.Delete(exchange=self.name), spec.Exchange.DeleteOk)
        else:
            self.ask(spec.Exchange.Declare(exchange=self.name, durable=True), spec.Exchange.DeclareOk)
        self.has_exchange = not self.has_exchange
        self.ledger.settled(copies)


class TransactionConsumer(Consumer):
    """Settles in transactions, and takes some of them back."""

    def begin(self) -> None:
        self.held = {}
        self.last = {}
        self.ask(spec.Tx.Select(), spec.Tx.SelectOk)
        self.consume()

    def go_on(self) -> None:
        if len(self.held) < self.chance.randint(1, PREFETCH):
            self.hear()
            return
        tags = self.chance.sample(list(self.held), self.chance.randint(1, len(self.held)))
        self.say(*(method(1, spec.Basic.Ack(tag)) for tag in tags))
        if self.chance.random() < 0.2:
            self.ask(spec.Tx.Rollback(), spec.Tx.RollbackOk)
            return
        copies = [(self.queues[0], self.held.pop(tag)) for tag in tags]
        self.ledger.settles(copies)
        self.ask(spec.Tx.Commit(), spec.Tx.CommitOk)
        self.ledger.settled(copies)


@dataclass(slots=True)
class Place:
    """A queue with a binding: whether they are there. None: they may be, or not."""

    queue: bool | None = None
    binding: bool | None = None


class Topologist(Client):
    """Declares queues, binds them by their names to amq.topic, and undoes some of that.

    ``places`` is what is so if the broker crashes, by name.
    """

    def __init__(self, *client: Any) -> None:
        super().__init__(*client)
        self.places: dict[str, Place] = {}

    def go_on(self) -> None:
        name = f"{self.name}.{len(self.places)}"
        place = self.places[name] = Place()
        self.ask(spec.Queue.Declare(queue=name, durable=True), spec.Queue.DeclareOk)
        place.queue, place.binding = True, False
        if self.chance.random() < 0.8:
            place.binding = None
            self.ask(spec.Queue.Bind(queue=name, exchange="amq.topic", routing_key=name), spec.Queue.BindOk)
            place.binding = True
        if self.chance.random() < 0.3:
            place.binding = None
            self.ask(spec.Queue.Unbind(queue=name, exchange="amq.topic", routing_key=name), spec.Queue.UnbindOk)
            place.binding = False
        if self.chance.random() < 0.5:
            place.queue = place.binding = None
            self.ask(spec.Queue.Delete(queue=name), spec.Queue.DeleteOk)
            place.queue = False


def _some_size(chance: random.Random) -> int:
    """Most messages are small. A few are larger than a chunk of the store, or one of its pieces."""
    limits = chance.choices(((0, 300), (300, 5_000), (60_000, 600_000)), weights=(9_000, 990, 10))
    return chance.randint(*limits[0])
