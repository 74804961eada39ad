"""Dead lettering: what queues drop is published to their dead letter exchange.

It is work on the agenda, since queues drop messages in the midst of other things, and since a dead letter may push
another one out of the next queue, and so on. A message is gone from its queue's log when it is published, and not
before; nothing is written between the two, so a store sees it leave one queue and come into another at once.

As in RabbitMQ, a dead letter exchange that is not there drops the message, permissions were checked when the queue was
declared, and nobody is told what became of it.
"""

from collections import deque
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from amqpd.broker.agenda import Agenda, Work
from amqpd.broker.dead_letter import cycles, make_dead_letter
from amqpd.broker.message import Message
from amqpd.broker.queues.queue import REJECTED, Queue
from amqpd.broker.timers import Timer, Timers
from amqpd.broker.topology.routing import Router

if TYPE_CHECKING:
    from amqpd.broker.exchanges.exchange import Exchange

AT_ONCE = 1000
"""Dead letters that follow from others, and are published in one go; the rest comes a moment later. Queues that
dead-letter into a fanout they are bound to multiply them, n queues up to n! times, and everybody else must be served
meanwhile."""


class DeadLetters(Work):
    """Those of one virtual host that are to be published."""

    def __init__(self, agenda: Agenda, timers: Timers, router: Router, exchanges: "dict[str, Exchange]") -> None:
        super().__init__()
        self._agenda = agenda
        self._timers = timers
        self._timer = Timer(timers, self)
        self._router = router
        self._exchanges = exchanges
        self._dropped: deque[tuple[Queue, str, int | None, Message, bool]] = deque()  # the last: follows from others
        self._publishing = False

    def add(self, queue: Queue, reason: str, positions: Sequence[int], messages: Sequence[Message]) -> None:
        """A queue that has a dead letter exchange drops these; see :meth:`Host.dead_letter`."""
        for position, message in zip_longest(positions, messages):
            self._dropped.append((queue, reason, position, message, self._publishing))
        if not self._publishing:
            self._agenda.schedule(self)

    def perform(self) -> None:
        self._publishing = True
        try:
            self._publish_some(self._timers.now())
        finally:
            self._publishing = False
            if self._dropped:
                self._timer.set(self._timers.now())

    def _publish_some(self, now: int) -> None:
        followed = 0
        while self._dropped and followed < AT_ONCE:
            queue, reason, position, message, follows = self._dropped.popleft()
            followed += follows
            if position is not None:
                queue.buried(position)
            exchange = queue.rules.dead_letter_exchange
            if exchange is not None and exchange in self._exchanges:
                letter = make_dead_letter(
                    message,
                    queue=queue.name,
                    reason=reason,
                    now_ms=now,
                    exchange=exchange,
                    routing_key=queue.rules.dead_letter_routing_key,
                )
                self._publish(letter, reason)

    def _publish(self, message: Message, reason: str) -> None:
        for sink in self._router.sinks(self._router.route(message.address), message):
            # What a consumer has rejected goes round as long as consumers do that; what does so by itself must not.
            if reason == REJECTED or not (isinstance(sink, Queue) and cycles(message, sink.name)):
                sink.enqueue((message,), len(message.body))
