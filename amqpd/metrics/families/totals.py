"""The families of the broker as a whole: what there is now, and all that there ever was."""

from collections.abc import Mapping
from dataclasses import dataclass

from amqpd.broker.statistics import DROP_REASONS, BrokerStatistics, Handovers
from amqpd.metrics.snapshot import Snapshot
from amqpd.metrics.tables import NOT_DETAILED, Table, counter, gauge, histogram

PROTOCOL_NAME = "amqp091"

BROKER: Table[BrokerStatistics] = Table(
    labels=(),
    rows=lambda snapshot: (snapshot.broker,),
    label_values=lambda _broker: (),
    families={
        NOT_DETAILED: (
            gauge("connections", "Connections open now", lambda broker: broker.connections),
            gauge(
                "connections_blocked",
                "Connections that are not read because of an alarm, since they have published",
                lambda broker: broker.connections_blocked,
            ),
            gauge("channels", "Channels open now", lambda broker: broker.channels),
            gauge("consumers", "Consumers there are now", lambda broker: broker.consumers),
            gauge("queues", "Queues there are now", lambda broker: len(broker.queues)),
            gauge("exchanges", "Exchanges there are now", lambda broker: len(broker.exchanges)),
        ),
        "connection_churn_metrics": (
            counter("connections_opened", "Connections opened", lambda broker: broker.connections_opened),
            counter("connections_closed", "Connections closed", lambda broker: broker.connections_closed),
            counter("channels_opened", "Channels opened", lambda broker: broker.channels_opened),
            counter("channels_closed", "Channels closed", lambda broker: broker.channels_closed),
            counter(
                "queues_declared",
                "Declarations of queues, also of those there already",
                lambda broker: broker.queues_declared,
            ),
            counter("queues_created", "Queues created", lambda broker: broker.queues_created),
            counter("queues_deleted", "Queues deleted", lambda broker: broker.queues_deleted),
        ),
    },
)

PROTOCOL: Table[BrokerStatistics] = Table(
    labels=("protocol",),
    rows=lambda snapshot: (snapshot.broker,),
    label_values=lambda _broker: (PROTOCOL_NAME,),
    families={
        "auth_attempt_metrics": (
            counter("auth_attempts", "Logins tried", lambda broker: broker.auth_succeeded + broker.auth_failed),
            counter("auth_attempts_succeeded", "Logins that were let in", lambda broker: broker.auth_succeeded),
            counter("auth_attempts_failed", "Logins that were refused", lambda broker: broker.auth_failed),
        ),
        NOT_DETAILED: (
            counter(
                "global_messages_received",
                "Messages received from publishers",
                lambda broker: broker.messages_published,
            ),
            counter(
                "global_messages_received_confirm",
                "Messages received from publishers that want a confirm",
                lambda broker: broker.messages_published_confirm,
            ),
            counter(
                "global_messages_routed",
                "Messages routed to a queue, once for each queue",
                lambda broker: broker.messages_routed,
            ),
            counter(
                "global_messages_unroutable_dropped",
                "Messages that no queue took, dropped",
                lambda broker: broker.messages_unroutable_dropped,
            ),
            counter(
                "global_messages_unroutable_returned",
                "Mandatory messages that no queue took, returned to their publishers",
                lambda broker: broker.messages_unroutable_returned,
            ),
            counter(
                "global_messages_confirmed",
                "Messages confirmed to publishers",
                lambda broker: broker.messages_confirmed,
            ),
            counter(
                "global_messages_rejected",
                "Messages refused by a full queue, with a nack",
                lambda broker: broker.messages_rejected,
            ),
            gauge("global_publishers", "Channels that have published", lambda broker: broker.publishers),
            gauge("global_consumers", "Consumers there are now", lambda broker: broker.consumers),
            histogram(
                "message_size_bytes",
                "Size of the bodies of messages received from publishers",
                lambda broker: broker.message_sizes,
            ),
        ),
    },
)


@dataclass(frozen=True, slots=True)
class QueueType:
    """All queues of one type that there ever were."""

    name: str
    handovers: Handovers


QUEUE_TYPES_SHOWN = ("classic", "quorum", "stream")
"""RabbitMQ's, whether or not there are any here: dashboards ask for them all."""


def type_name(queue_type: str) -> str:
    """RabbitMQ's name for it, which its dashboards ask for."""
    return f"rabbit_{queue_type}_queue"


def _queue_types(snapshot: Snapshot) -> list[QueueType]:
    return [QueueType(name, snapshot.tally.handovers.get(name, Handovers())) for name in QUEUE_TYPES_SHOWN]


QUEUE_TYPES: Table[QueueType] = Table(
    labels=("protocol", "queue_type"),
    rows=_queue_types,
    label_values=lambda row: (PROTOCOL_NAME, type_name(row.name)),
    families={
        NOT_DETAILED: (
            counter(
                "global_messages_delivered",
                "Messages delivered to consumers or got by basic.get",
                lambda row: row.handovers.delivered,
            ),
            counter(
                "global_messages_delivered_consume_manual_ack",
                "Messages delivered to consumers, to be acknowledged",
                lambda row: row.handovers.consume_manual,
            ),
            counter(
                "global_messages_delivered_consume_auto_ack",
                "Messages delivered to consumers, not to be acknowledged",
                lambda row: row.handovers.consume_auto,
            ),
            counter(
                "global_messages_delivered_get_manual_ack",
                "Messages got by basic.get, to be acknowledged",
                lambda row: row.handovers.get_manual,
            ),
            counter(
                "global_messages_delivered_get_auto_ack",
                "Messages got by basic.get, not to be acknowledged",
                lambda row: row.handovers.get_auto,
            ),
            counter(
                "global_messages_get_empty",
                "Times that basic.get found no message",
                lambda row: row.handovers.get_empty,
            ),
            counter(
                "global_messages_redelivered",
                "Messages delivered or got that had been before",
                lambda row: row.handovers.redelivered,
            ),
            counter(
                "global_messages_acknowledged",
                "Messages acknowledged by consumers",
                lambda row: row.handovers.acked,
            ),
        )
    },
)


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Messages that left queues of one type without having been acknowledged, by reason: whether they went to a dead
    letter exchange is the strategy. A reason that is not there cannot happen."""

    queue_type: str
    strategy: str
    counts: Mapping[str, int]


STRATEGIES = {False: "disabled", True: "at_most_once"}
STRATEGY = "; disabled: there is no dead letter exchange, they are lost; at_most_once: they were published to it"


def _dead_letters(snapshot: Snapshot) -> list[DeadLetters]:
    rows: dict[tuple[str, str], dict[str, int]] = {}
    for (queue_type, reason, forwarded), count in snapshot.broker.messages_dropped.items():
        rows.setdefault((queue_type, STRATEGIES[forwarded]), {})[reason] = count
    # RabbitMQ has this combination too, with the confirms of those that took them over; it does not happen here.
    rows["quorum", "at_least_once"] = dict.fromkeys(("confirmed", *DROP_REASONS), 0)
    return [DeadLetters(*key, counts) for key, counts in rows.items()]


DEAD_LETTERS: Table[DeadLetters] = Table(
    labels=("queue_type", "dead_letter_strategy"),
    rows=_dead_letters,
    label_values=lambda row: (type_name(row.queue_type), row.strategy),
    families={
        NOT_DETAILED: (
            counter(
                "global_messages_dead_lettered_expired",
                f"Messages that expired in a queue{STRATEGY}",
                lambda row: row.counts.get("expired"),
            ),
            counter(
                "global_messages_dead_lettered_rejected",
                f"Messages that consumers rejected{STRATEGY}",
                lambda row: row.counts.get("rejected"),
            ),
            counter(
                "global_messages_dead_lettered_maxlen",
                f"Messages that were too many for a queue{STRATEGY}",
                lambda row: row.counts.get("maxlen"),
            ),
            counter(
                "global_messages_dead_lettered_delivery_limit",
                f"Messages that came back to a queue too often{STRATEGY}",
                lambda row: row.counts.get("delivery_limit"),
            ),
            counter(
                "global_messages_dead_lettered_confirmed",
                "Messages whose dead letter exchange has confirmed them, which only at_least_once asks for: not here",
                lambda row: row.counts.get("confirmed"),
            ),
        )
    },
)
