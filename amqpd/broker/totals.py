"""The broker's counters: they only grow, whatever comes and goes.

What a queue counts stays its own while it lives; :meth:`Totals.keep` takes it over when the queue is deleted.
"""

from collections import Counter
from dataclasses import dataclass, field

from amqpd.broker.queues.queue import Queue
from amqpd.broker.statistics import SIZES, Tally
from amqpd.histogram import Histogram


@dataclass(slots=True)
class Totals:
    """Plain ints, counted since the start. ``messages_rejected``: publishes that were refused with a nack;
    ``messages_dropped``: those that left a queue otherwise than to a consumer that was done with them, by type of the
    queue, reason, and whether they went to a dead letter exchange. ``message_sizes`` are octets of the bodies that
    came; ``gone`` is what deleted queues had counted."""

    connections_opened: int = 0
    connections_closed: int = 0
    channels_opened: int = 0
    channels_closed: int = 0
    queues_declared: int = 0
    queues_created: int = 0
    queues_deleted: int = 0
    auth_succeeded: int = 0
    auth_failed: int = 0
    messages_published: int = 0
    messages_published_confirm: int = 0
    messages_routed: int = 0
    messages_unroutable_returned: int = 0
    messages_unroutable_dropped: int = 0
    messages_confirmed: int = 0
    messages_rejected: int = 0
    messages_dropped: Counter[tuple[str, str, bool]] = field(default_factory=Counter)
    message_sizes: Histogram = field(default_factory=lambda: Histogram(SIZES))
    gone: Tally = field(default_factory=lambda: Tally({}))

    def keep(self, queue: Queue) -> None:
        """A queue is deleted: its counts live on."""
        if not queue.volatile:  # nor was it counted when it was made
            self.queues_deleted += 1
        self.gone = self.gone.plus([queue.statistics()])
