"""What the broker knows about itself, as immutable snapshots with named fields.

The one thing that metrics and management read (the manner of trio's ``statistics()``). Counters only ever grow: what a
deleted queue or a closed connection had counted stays in the broker's totals.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """One queue. Counts of messages; ``published`` .. ``redelivered`` since the queue was declared."""

    vhost: str
    name: str
    durable: bool
    ready: int
    unacked: int
    consumers: int
    published: int
    delivered: int
    redelivered: int
    acked: int
    ready_bytes: int


@dataclass(frozen=True, slots=True)
class BrokerStatistics:
    """The whole broker at one moment: gauges (what there is now), counters (since it started), and every queue.

    ``messages_rejected`` are publishes that were refused; those that were ``dropped`` have left a queue without having
    been acknowledged, for the reasons that dead letters name.

    Memory and disk are in octets, as they were last measured: what is used or free, and where the alarm begins. None:
    no disk is looked after.
    """

    connections: int
    connections_blocked: int
    channels: int
    consumers: int
    exchanges: int
    connections_opened: int
    connections_closed: int
    channels_opened: int
    channels_closed: int
    queues_declared: int
    queues_created: int
    queues_deleted: int
    messages_published: int
    messages_routed: int
    messages_confirmed: int
    messages_rejected: int
    messages_dropped_expired: int
    messages_dropped_maxlen: int
    messages_dropped_rejected: int
    messages_dropped_delivery_limit: int
    messages_unroutable_returned: int
    messages_unroutable_dropped: int
    messages_delivered: int
    messages_redelivered: int
    messages_acked: int
    memory_alarm: bool
    disk_alarm: bool
    memory_used: int
    memory_limit: int
    disk_free: int | None
    disk_free_limit: int | None
    queues: tuple[QueueStatistics, ...]
