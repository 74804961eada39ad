"""The broker's counters: they only grow, whatever comes and goes.

What a queue counts stays its own while it lives; :meth:`Totals.keep` takes it over when the queue is deleted.
"""

from collections import Counter
from dataclasses import dataclass, field

from amqpd.broker.queues.queue import Queue


@dataclass(slots=True)
class Totals:
    """Plain ints, counted since the start. ``messages_rejected``: publishes that were refused with a nack;
    ``messages_dropped``: by reason, those that left a queue otherwise than to a consumer that was done with them."""

    connections_opened: int = 0
    connections_closed: int = 0
    channels_opened: int = 0
    channels_closed: int = 0
    queues_declared: int = 0
    queues_created: int = 0
    queues_deleted: int = 0
    messages_published: int = 0
    messages_routed: int = 0
    messages_unroutable_returned: int = 0
    messages_unroutable_dropped: int = 0
    messages_confirmed: int = 0
    messages_rejected: int = 0
    messages_dropped: Counter[str] = field(default_factory=Counter)
    gone_delivered: int = 0
    gone_redelivered: int = 0
    gone_acked: int = 0

    def keep(self, queue: Queue) -> None:
        """A queue is deleted: its counts live on."""
        if not queue.volatile:  # nor was it counted when it was made
            self.queues_deleted += 1
        self.gone_delivered += queue.delivered
        self.gone_redelivered += queue.redelivered
        self.gone_acked += queue.acked
