"""What a session was handed and has not settled: its consumers, their credit, and the delivery tags.

Delivery tags are numbers that grow by one with each delivery of a session, so a batch of deliveries is one
``dict.update`` and an ack of many walks a range: every tag is visited at most once by that walk. And when a tag was
delivered is known by a few marks, see moments.py.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat

from amqpd.broker.agenda import Agenda
from amqpd.broker.lateness import Lateness
from amqpd.broker.message import Message
from amqpd.broker.moments import RESOLUTION_S, Moments
from amqpd.broker.queues.queue import Queue
from amqpd.broker.queues.rules import PLAIN
from amqpd.broker.queues.subscriber import Subscriber
from amqpd.broker.receiver import Receiver
from amqpd.broker.statistics import ConsumerStatistics, Handovers
from amqpd.errors import PreconditionFailed
from amqpd.wire.tables import Table

UNLIMITED = 1 << 40
"""Credit of a consumer without prefetch."""


class Deliveries:
    """The consumers of one session by tag, their deliveries that are not settled, and the prefetch that they share.

    ``prefetch_count`` is basic.qos with global=true in RabbitMQ's reading: one limit for all consumers of the channel;
    0 is none. ``flowing`` is channel.flow: False stops deliveries to consumers. ``given_back`` counts what was settled
    otherwise than by an acknowledgement, ``retired`` is what consumers that are gone had counted.
    """

    __slots__ = (
        "_agenda",
        "_lateness",
        "_lowest_tag",
        "_moments",
        "_next_tag",
        "_unacked",
        "consumers",
        "flowing",
        "given_back",
        "outstanding",
        "prefetch_count",
        "receiver",
        "retired",
    )

    def __init__(self, receiver: Receiver, agenda: Agenda) -> None:
        self.receiver = receiver
        self.given_back = 0
        self.retired = Handovers()
        self.consumers: dict[str, Consumer] = {}
        self.prefetch_count = 0
        self.flowing = True
        self.outstanding = 0
        self._lateness: Lateness | None = None
        self._agenda = agenda
        self._moments: Moments | None = None
        self._unacked: dict[int, Delivery] = {}
        self._next_tag = 1
        self._lowest_tag = 1

    def __len__(self) -> int:
        return len(self._unacked)

    def send(
        self, consumer: "Consumer", positions: Sequence[int], messages: Sequence[Message], redelivered: bool
    ) -> None:
        """Number messages for a consumer, remember them unless it wants no acks, and hand them to the receiver."""
        first = self._next_tag
        count = len(messages)
        self._next_tag = first + count
        consumer.delivered += count
        if redelivered:
            consumer.redelivered += count
        if not consumer.no_ack:
            entries = zip(repeat(consumer), positions, messages)
            self._unacked.update(zip(range(first, first + count), entries, strict=False))
            consumer.unacked += count
            self.outstanding += count
            if self._moments is None or self._agenda.moment - self._moments.latest >= RESOLUTION_S:
                self._note(first)
        self.receiver.deliver(consumer.tag, first, redelivered, messages)

    def expect(self, consumer: "Consumer", timeout: int) -> None:
        """What a consumer has got by now must be acknowledged within so many milliseconds."""
        if self._lateness is None:
            self._lateness = Lateness(self, consumer.queue.timers)
        self._lateness.expect(consumer, self._next_tag, timeout)

    def tags_below(self, limits: "Mapping[Consumer, int]") -> "dict[Consumer, list[int]]":
        """What consumers have unacked with tags below a limit of each."""
        found: dict[Consumer, list[int]] = {}
        for tag, (consumer, _, _) in self._unacked.items():
            if tag < limits.get(consumer, 0):
                found.setdefault(consumer, []).append(tag)
        return found

    def take_out(self, delivery_tags: Iterable[int]) -> "Iterator[Delivery]":
        """What is unacked with these tags is so no more."""
        return (self._unacked.pop(tag) for tag in delivery_tags)

    def _note(self, delivery_tag: int) -> None:
        """From this tag on, they are delivered now."""
        moment = self._agenda.moment
        if self._moments is None:
            self._moments = Moments(moment)
        self._moments.note(delivery_tag, moment)

    def measure(self, withdrawn: "dict[int, Delivery]") -> None:
        """These are acknowledged, in the order of their tags: let their queues know how long that took."""
        moments, moment = self._moments, self._agenda.moment
        first = next(iter(withdrawn))
        if moments is None or (first >= moments.newest and moment - moments.latest <= RESOLUTION_S):
            return  # no time, as for a client that is quick
        stop = first + len(withdrawn)
        if next(reversed(withdrawn)) == stop - 1 and len({consumer for consumer, _, _ in withdrawn.values()}) == 1:
            self._measure(withdrawn[first], first, stop)  # as mostly: all that one consumer got in this time
        else:
            for tag, delivery in withdrawn.items():
                self._measure(delivery, tag, tag + 1)

    def _measure(self, delivery: "Delivery", first: int, stop: int) -> None:
        queue = delivery[0].queue
        if queue.acks is not None and queue.exists and self._moments is not None:
            self._moments.measure(first, stop, self._agenda.moment, queue.acks)

    def unsettled(self) -> "list[tuple[int, Delivery]]":
        """Tags and deliveries, the oldest first."""
        return list(self._unacked.items())

    def delivered_at(self, delivery_tag: int) -> float:
        """When that was; see moments.py."""
        return self._agenda.moment if self._moments is None else self._moments.of(delivery_tag)

    def retire(self, consumer: "Consumer") -> None:
        """It ends; its tag may be used again. What it had counted stays."""
        del self.consumers[consumer.tag]
        self.retired = self.retired.plus(consumer.handovers())

    def handovers(self) -> Handovers:
        """What this session's consumers were handed, all that it ever had."""
        total = self.retired
        for consumer in self.consumers.values():
            total = total.plus(consumer.handovers())
        return total

    def pulled(self, puller: "Consumer", position: int, message: Message) -> int:
        """Number one message that was asked for by basic.get; prefetch does not count it. Returns its delivery tag."""
        tag = self._next_tag
        self._next_tag += 1
        if not puller.no_ack:
            self._unacked[tag] = (puller, position, message)
            self._note(tag)
        return tag

    def withdraw(self, delivery_tag: int, multiple: bool) -> "dict[int, Delivery]":
        """Take out what an ack, nack or reject speaks of, in the order of the tags; ``multiple`` with tag 0 is all.

        A tag that was taken back because it was late is tolerated. PreconditionFailed: no such tag.
        """
        unacked = self._unacked
        if not multiple:
            withdrawn: dict[int, Delivery] = {}
            self.withdraw_each((delivery_tag,), withdrawn)
            return withdrawn
        if delivery_tag == 0:
            self._unacked = {}
            return unacked
        if delivery_tag not in unacked:
            self._check_late(delivery_tag)
        tags: Iterable[int] = range(self._lowest_tag, delivery_tag + 1)
        if len(range(self._lowest_tag, delivery_tag + 1)) > 2 * len(unacked):  # mostly settled one by one before
            tags = sorted(tag for tag in unacked if tag <= delivery_tag)
        self._lowest_tag = delivery_tag + 1
        pop = unacked.pop
        return {tag: delivery for tag in tags if (delivery := pop(tag, None)) is not None}

    def withdraw_each(self, delivery_tags: Sequence[int], withdrawn: "dict[int, Delivery]") -> None:
        """The same for several tags: what is taken out comes into ``withdrawn``, up to the one that does not exist."""
        for delivery_tag in delivery_tags:
            delivery = self._unacked.pop(delivery_tag, None)
            if delivery is None:
                self._check_late(delivery_tag)
            else:
                withdrawn[delivery_tag] = delivery

    def withdraw_all(self) -> "dict[int, Delivery]":
        return self.withdraw(0, True)

    def _check_late(self, delivery_tag: int) -> None:
        if self._lateness is None or not self._lateness.is_late(delivery_tag):
            raise PreconditionFailed(f"unknown delivery tag {delivery_tag}")
        self.receiver.acknowledged_late(delivery_tag)

    def forget(self) -> None:
        """The session has ended, and nothing is waited for any more."""
        if self._lateness is not None:
            self._lateness.stop()
            self._lateness = None

    def restore(self, deliveries: "dict[int, Delivery]") -> None:
        """Put back what was withdrawn, each in its place: a transaction was rolled back."""
        if deliveries:
            self._unacked = dict(sorted((self._unacked | deliveries).items()))
            self._lowest_tag = min(self._lowest_tag, min(deliveries))
        for consumer in {consumer for consumer, _, _ in deliveries.values()}:
            consumer.expect()


class Consumer(Subscriber):
    """A subscription of a session to a queue.

    With the tag ``""`` it stands for the session's basic.get on that queue.
    """

    __slots__ = (
        "_deliveries",
        "arguments",
        "given_back",
        "prefetch_count",
        "queue",
        "redelivered",
        "unacked",
    )

    def __init__(
        self,
        tag: str,
        queue: Queue,
        deliveries: Deliveries,
        no_ack: bool = False,
        exclusive: bool = False,
        prefetch_count: int = 0,
        arguments: Table | None = None,
    ) -> None:
        arguments = arguments or {}
        priority = arguments.get("x-priority", 0)
        super().__init__(tag, no_ack, exclusive, priority if isinstance(priority, int) else 0)
        self.queue = queue
        self.prefetch_count = prefetch_count
        self.arguments = arguments
        self.unacked = 0
        self.redelivered = 0
        self.given_back = 0
        self._deliveries = deliveries

    @property
    def timeout(self) -> int | None:
        """Milliseconds after which a delivery is late: its own argument, or the queue's rule. 0 is never."""
        own = self.arguments.get("x-consumer-timeout")
        return (own if isinstance(own, int) else self.queue.rules.consumer_timeout) or None

    def credit(self) -> int:
        shared = self._deliveries
        if not shared.flowing:
            return 0
        if self.no_ack:
            return UNLIMITED  # "The prefetch-count is ignored if the no-ack option is set" (0-9-1, basic.qos)
        credit = self.prefetch_count - self.unacked if self.prefetch_count else UNLIMITED
        if shared.prefetch_count:
            credit = min(credit, shared.prefetch_count - shared.outstanding)
        return credit

    def room(self) -> int:
        return self._deliveries.receiver.room()

    def deliver(self, positions: Sequence[int], messages: Sequence[Message], redelivered: bool) -> None:
        self._deliveries.send(self, positions, messages, redelivered)
        if self.arguments or self.queue.rules is not PLAIN:
            self.expect()

    def expect(self) -> None:
        """What it has got by now has to be acknowledged in time, if there is a time."""
        if self.timeout is not None and self.tag and not self.no_ack:
            self._deliveries.expect(self, self.timeout)

    def cancelled(self) -> None:
        self._deliveries.retire(self)
        self._deliveries.receiver.cancelled(self.tag)

    def settled(self, count: int) -> None:
        """So many of its deliveries are no longer outstanding."""
        if self.tag:
            self.unacked -= count
            self._deliveries.outstanding -= count

    def gave_back(self, count: int) -> None:
        """The same, and they were not acknowledged."""
        self.settled(count)
        self.given_back += count
        self._deliveries.given_back += count

    def handovers(self) -> Handovers:
        if self.no_ack:
            return Handovers(consume_auto=self.delivered, redelivered=self.redelivered)
        acked = self.delivered - self.unacked - self.given_back
        return Handovers(consume_manual=self.delivered, redelivered=self.redelivered, acked=acked)

    def statistics(self) -> ConsumerStatistics:
        return ConsumerStatistics(
            tag=self.tag,
            vhost=self.queue.record.vhost,
            queue=self.queue.name,
            no_ack=self.no_ack,
            prefetch_count=self.prefetch_count,
            unacked=self.unacked,
            handovers=self.handovers(),
        )

    def wake(self) -> None:
        """Stand in the queue's ring again, if there is credit now."""
        if self.idle and self.credit() > 0:
            self.queue.activate(self)


Delivery = tuple[Consumer, int, Message]
"""An unsettled delivery: whom it was handed to, its position in that consumer's queue, and the message."""


def by_consumer(withdrawn: dict[int, Delivery]) -> dict[Consumer, list[int]]:
    """The positions of deliveries, for each consumer that got them."""
    groups: dict[Consumer, list[int]] = {}
    last: Consumer | None = None
    positions: list[int] = []
    for consumer, position, _ in withdrawn.values():
        if consumer is not last:
            last, positions = consumer, groups.setdefault(consumer, [])
        positions.append(position)
    return groups
