"""What the broker knows about itself, as immutable snapshots with named fields.

The one thing that metrics and management read (the manner of trio's ``statistics()``). Counters only ever grow: what a
deleted queue or a closed channel had counted stays in the broker's totals.

Sizes are octets of bodies, times are seconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from amqpd.histogram import TIMES_S, Distribution, Histogram, nothing

SIZES = (100.0, 1_000.0, 10_000.0, 100_000.0, 1e6, 1e7, 5e7, 1e8)
"""Octets of a body: the buckets of RabbitMQ's message_size_bytes."""

DROP_REASONS = ("expired", "maxlen", "rejected", "delivery_limit")
"""Why messages leave a queue without having been acknowledged: the reasons that x-death gives."""

NO_TIMES = nothing(TIMES_S)

UNROUTABLE = (
    ("returned", "no_bindings"),
    ("returned", "no_match"),
    ("dropped", "no_bindings"),
    ("dropped", "no_match"),
)
"""What became of a message that reached no queue, and why: nothing is bound to the exchange (of the default exchange:
there is no such queue), or nothing that is bound wants it."""


@dataclass(frozen=True, slots=True)
class Handovers:
    """Messages handed to clients, all that there ever were: to consumers or by basic.get, to be acknowledged (manual)
    or not (auto). ``get_empty`` counts basic.get where there was nothing; ``redelivered`` are among the first four."""

    consume_manual: int = 0
    consume_auto: int = 0
    get_manual: int = 0
    get_auto: int = 0
    get_empty: int = 0
    redelivered: int = 0
    acked: int = 0

    @property
    def delivered(self) -> int:
        return self.consume_manual + self.consume_auto + self.get_manual + self.get_auto

    def plus(self, other: "Handovers") -> "Handovers":
        """Both together."""
        return Handovers(
            self.consume_manual + other.consume_manual,
            self.consume_auto + other.consume_auto,
            self.get_manual + other.get_manual,
            self.get_auto + other.get_auto,
            self.get_empty + other.get_empty,
            self.redelivered + other.redelivered,
            self.acked + other.acked,
        )


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """One queue. Its counters count since it was declared, or since the start of the broker.

    ``ready_in_memory`` of the ready messages are in memory, the others with the store only. ``refused`` publishes found
    no room, with confirms or without. ``ready_age_s`` is for how long a message has been ready at
    the most, since it came, came back, or the broker has started; ``unacked_age_s`` is how long ago the oldest delivery
    was made of which nothing has been said; None: there is none. ``waits`` is how long messages were ready before they
    were delivered for the first time, ``acks`` how long consumers took to acknowledge; None: it was never measured
    here. ``blocked_s`` is for how long messages were ready, consumers there, and none of them could take any.
    """

    vhost: str
    name: str
    type: str
    durable: bool
    exclusive: bool
    ready: int
    ready_bytes: int
    ready_in_memory: int
    ready_in_memory_bytes: int
    unacked: int
    unacked_bytes: int
    consumers: int
    published: int
    refused: int
    handovers: Handovers
    ready_age_s: float | None
    unacked_age_s: float | None
    waits: Distribution | None
    acks: Distribution | None
    blocked_s: float

    @property
    def delivered(self) -> int:
        return self.handovers.delivered

    @property
    def redelivered(self) -> int:
        return self.handovers.redelivered

    @property
    def acked(self) -> int:
        return self.handovers.acked


@dataclass(frozen=True, slots=True)
class ExchangeStatistics:
    """One exchange. ``unroutable`` counts messages that reached no queue, in the order of ``UNROUTABLE``."""

    vhost: str
    name: str
    type: str
    bindings: int
    published: int
    confirmed: int
    unroutable: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ConsumerStatistics:
    """One consumer of a session."""

    tag: str
    vhost: str
    queue: str
    no_ack: bool
    prefetch_count: int
    unacked: int
    handovers: Handovers


@dataclass(frozen=True, slots=True)
class SessionStatistics:
    """One session; in AMQP a channel. ``client`` is the name of who has it, ``number`` tells it from that one's others.

    ``uncommitted`` publishes and ``acks_uncommitted`` wait for the commit of a transaction. ``prefetch_count`` is the
    one that its consumers share; 0: none.
    """

    client: str
    number: int
    vhost: str
    user: str
    consumers: tuple[ConsumerStatistics, ...]
    unacked: int
    unconfirmed: int
    uncommitted: int
    acks_uncommitted: int
    prefetch_count: int
    published: int
    confirmed: int
    unroutable_returned: int
    unroutable_dropped: int
    handovers: Handovers


@dataclass(frozen=True, slots=True)
class Tally:
    """What several queues have counted: see :class:`QueueStatistics`. ``handovers`` are by type of queue, ``waits`` and
    ``acks`` of queues where they are measured."""

    handovers: Mapping[str, Handovers]
    waits: Distribution = NO_TIMES
    acks: Distribution = NO_TIMES
    published: int = 0
    refused: int = 0

    def plus(self, queues: Iterable[QueueStatistics]) -> "Tally":
        """With what these have counted."""
        published, refused = self.published, self.refused
        handovers = dict(self.handovers)
        waits, acks = Histogram(TIMES_S), Histogram(TIMES_S)
        waits.absorb(self.waits)
        acks.absorb(self.acks)
        for queue in queues:
            published += queue.published
            refused += queue.refused
            handovers[queue.type] = handovers.get(queue.type, Handovers()).plus(queue.handovers)
            if queue.waits is not None and queue.acks is not None:
                waits.absorb(queue.waits)
                acks.absorb(queue.acks)
        return Tally(handovers, waits.distribution(), acks.distribution(), published, refused)


@dataclass(frozen=True, slots=True)
class BrokerStatistics:
    """The whole broker: gauges (what there is now), counters (since it started), and all that it consists of.

    ``connections_blocked`` are those that are not read because of an alarm. ``messages_rejected`` are publishes whose
    publishers were told that they were refused. ``message_sizes`` are of all that came, in transactions too that were
    rolled back. ``messages_dropped`` left a queue without having been acknowledged: by (queue type, reason, whether
    they went to a dead letter exchange), all combinations. ``gone`` is what queues had counted that are not there any
    more. Reply queues come and go with their consumers, and are not among the ``queues``. ``publishers`` are sessions
    that have published.

    Memory and disk are in octets, as they were last measured: what is used or free, and where the alarm begins. None:
    no disk is looked after.
    """

    connections: int
    connections_blocked: int
    channels: int
    consumers: int
    publishers: int
    connections_opened: int
    connections_closed: int
    channels_opened: int
    channels_closed: int
    queues_declared: int
    queues_created: int
    queues_deleted: int
    auth_succeeded: int
    auth_failed: int
    messages_published: int
    messages_published_confirm: int
    messages_routed: int
    messages_confirmed: int
    messages_rejected: int
    messages_dropped: Mapping[tuple[str, str, bool], int]
    messages_unroutable_returned: int
    messages_unroutable_dropped: int
    message_sizes: Distribution
    gone: Tally
    memory_alarm: bool
    disk_alarm: bool
    memory_used: int
    memory_limit: int
    disk_free: int | None
    disk_free_limit: int | None
    vhosts: tuple[str, ...]
    queues: tuple[QueueStatistics, ...]
    reply_queues: tuple[QueueStatistics, ...]
    exchanges: tuple[ExchangeStatistics, ...]
    sessions: tuple[SessionStatistics, ...]

    def tally(self) -> Tally:
        """What all queues have counted that there ever were. Takes its time, if they are many."""
        return self.gone.plus((*self.queues, *self.reply_queues))

    @property
    def messages_delivered(self) -> int:
        return sum(handovers.delivered for handovers in self.tally().handovers.values())

    @property
    def messages_redelivered(self) -> int:
        return sum(handovers.redelivered for handovers in self.tally().handovers.values())

    @property
    def messages_acked(self) -> int:
        return sum(handovers.acked for handovers in self.tally().handovers.values())
