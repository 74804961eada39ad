"""Consumer timeouts: deliveries that are not acknowledged in time go back to their queue.

RabbitMQ closes the channel, and with it all that was delivered there comes again. Here only what is late is requeued,
the channel lives on, and an acknowledgement that comes after all changes nothing; whoever wants RabbitMQ's way asks for
the action ``channel-close``. What was taken by basic.get is not waited for.

Strategy: delivery tags grow, so a mark (a moment, and the next tag at that moment) stands for all deliveries before it.
A consumer gets a few marks for each timeout, however many deliveries there are: a delivery is given back at most an
eighth of its timeout too late, never too early.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from amqpd.broker.agenda import Work
from amqpd.broker.queues.rules import TimeoutAction
from amqpd.broker.timers import NEVER, Timer, Timers

if TYPE_CHECKING:
    from amqpd.broker.consumer import Consumer, Deliveries

MARKS = 8
"""For each timeout."""

LATE_TAGS_MAX = 65_536
"""Deliveries of a session that were taken back and are remembered, so that a late acknowledgement is known for one. A
client has a bug if it has more of them; its oldest are then unknown delivery tags."""


class Lateness(Work):
    """The deliveries of one session that are waited for, and those that were taken back."""

    def __init__(self, deliveries: "Deliveries", timers: Timers) -> None:
        super().__init__()
        self._deliveries = deliveries
        self._timers = timers
        self._timer = Timer(timers, self)
        self._marks: dict[Consumer, list[tuple[int, int]]] = {}  # when what is below a tag is late
        self._late: OrderedDict[int, None] = OrderedDict()

    def expect(self, consumer: "Consumer", below: int, timeout: int) -> None:
        """Deliveries to a consumer with tags ``below`` this have to be acknowledged within ``timeout`` milliseconds."""
        marks = self._marks.setdefault(consumer, [])
        deadline = self._timers.now() + timeout
        latest = deadline + timeout // MARKS
        if marks and deadline <= marks[-1][0] <= latest:
            marks[-1] = marks[-1][0], below
        else:
            marks.append((latest, below))
            self._timer.set(min(self._timer.when, latest))

    def is_late(self, delivery_tag: int) -> bool:
        """Whether a tag is one of those that were taken back."""
        return delivery_tag in self._late

    def stop(self) -> None:
        """Nobody is waited for any more."""
        self._marks.clear()
        self._timer.drop()

    def perform(self) -> None:
        now = self._timers.now()
        due: dict[Consumer, int] = {}
        for consumer, marks in list(self._marks.items()):
            below = max((tag for moment, tag in marks if moment <= now), default=0)
            if below:
                due[consumer] = below
                self._marks[consumer] = [mark for mark in marks if mark[0] > now]
            if not self._marks[consumer]:
                del self._marks[consumer]
        for consumer, tags in self._deliveries.tags_below(due).items():
            self._take_back(consumer, tags)
        for each in self._deliveries.consumers.values():
            each.wake()
        self._timer.set(min((mark[0] for marks in self._marks.values() for mark in marks), default=NEVER))

    def _take_back(self, consumer: "Consumer", tags: Sequence[int]) -> None:
        fatal = consumer.queue.rules.consumer_timeout_action is TimeoutAction.CHANNEL_CLOSE
        self._deliveries.receiver.timed_out(consumer.tag, tags, consumer.timeout or 0, fatal)
        if fatal:
            return
        self._late.update(dict.fromkeys(tags))
        while len(self._late) > LATE_TAGS_MAX:
            self._late.popitem(last=False)
        for delivered_to, position, message in self._deliveries.take_out(tags):
            delivered_to.gave_back(1)
            delivered_to.queue.requeue(position, message)
