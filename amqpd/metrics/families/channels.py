"""The families of a channel: of a session, as the broker calls it."""

from dataclasses import dataclass

from amqpd.broker.statistics import ConsumerStatistics, Handovers, SessionStatistics
from amqpd.metrics.snapshot import Snapshot
from amqpd.metrics.tables import Table, counter, gauge


def channel_name(session: SessionStatistics) -> str:
    """RabbitMQ's name for it."""
    return f"{session.client} ({session.number})"


CHANNELS: Table[SessionStatistics] = Table(
    labels=("channel",),
    rows=lambda snapshot: snapshot.broker.sessions,
    label_values=lambda session: (channel_name(session),),
    families={
        "channel_metrics": (
            gauge("channel_consumers", "Consumers of the channel", lambda session: len(session.consumers)),
            gauge(
                "channel_messages_unacked",
                "Messages delivered on the channel and not acknowledged yet",
                lambda session: session.unacked,
            ),
            gauge(
                "channel_messages_unconfirmed",
                "Messages published on the channel and not confirmed yet",
                lambda session: session.unconfirmed,
            ),
            gauge(
                "channel_messages_uncommitted",
                "Messages published in a transaction that is not committed",
                lambda session: session.uncommitted,
            ),
            gauge(
                "channel_acks_uncommitted",
                "Acknowledgements in a transaction that is not committed",
                lambda session: session.acks_uncommitted,
            ),
            gauge(
                "channel_prefetch",
                "Messages that the consumers of the channel may have unacknowledged together; 0: any number",
                lambda session: session.prefetch_count,
            ),
            counter(
                "channel_messages_published",
                "Messages published on the channel",
                lambda session: session.published,
                ever=lambda snapshot: snapshot.broker.messages_published,
            ),
            counter(
                "channel_messages_confirmed",
                "Messages published on the channel and confirmed",
                lambda session: session.confirmed,
                ever=lambda snapshot: snapshot.broker.messages_confirmed,
            ),
            counter(
                "channel_messages_unroutable_returned",
                "Mandatory messages that no queue took, returned",
                lambda session: session.unroutable_returned,
                ever=lambda snapshot: snapshot.broker.messages_unroutable_returned,
            ),
            counter(
                "channel_messages_unroutable_dropped",
                "Messages that no queue took, dropped",
                lambda session: session.unroutable_dropped,
                ever=lambda snapshot: snapshot.broker.messages_unroutable_dropped,
            ),
            counter(
                "channel_get_ack",
                "Messages got by basic.get, to be acknowledged",
                lambda session: session.handovers.get_manual,
                ever=lambda snapshot: snapshot.handovers.get_manual,
            ),
            counter(
                "channel_get",
                "Messages got by basic.get, not to be acknowledged",
                lambda session: session.handovers.get_auto,
                ever=lambda snapshot: snapshot.handovers.get_auto,
            ),
            counter(
                "channel_get_empty",
                "Times that basic.get found no message",
                lambda session: session.handovers.get_empty,
                ever=lambda snapshot: snapshot.handovers.get_empty,
            ),
            counter(
                "channel_messages_delivered_ack",
                "Messages delivered to consumers, to be acknowledged",
                lambda session: session.handovers.consume_manual,
                ever=lambda snapshot: snapshot.handovers.consume_manual,
            ),
            counter(
                "channel_messages_delivered",
                "Messages delivered to consumers, not to be acknowledged",
                lambda session: session.handovers.consume_auto,
                ever=lambda snapshot: snapshot.handovers.consume_auto,
            ),
            counter(
                "channel_messages_redelivered",
                "Messages delivered or got that had been before",
                lambda session: session.handovers.redelivered,
                ever=lambda snapshot: snapshot.handovers.redelivered,
            ),
            counter(
                "channel_messages_acked",
                "Messages acknowledged",
                lambda session: session.handovers.acked,
                ever=lambda snapshot: snapshot.handovers.acked,
            ),
        )
    },
)

INFO: Table[SessionStatistics] = Table(
    labels=("channel", "connection", "vhost", "user"),
    rows=lambda snapshot: snapshot.broker.sessions,
    label_values=lambda session: (channel_name(session), session.client, session.vhost, session.user),
    families={"channel_metrics": (gauge("channel_info", "Whose channel it is", lambda _session: 1, combine=None),)},
)


@dataclass(frozen=True, slots=True)
class ChannelConsumer:
    """One consumer of a channel."""

    channel: str
    consumer: ConsumerStatistics


def _consumers(snapshot: Snapshot) -> list[ChannelConsumer]:
    return [
        ChannelConsumer(channel_name(session), consumer)
        for session in snapshot.broker.sessions
        for consumer in session.consumers
    ]


CONSUMERS: Table[ChannelConsumer] = Table(
    labels=("channel", "vhost", "queue", "consumer_tag"),
    rows=_consumers,
    label_values=lambda row: (row.channel, row.consumer.vhost, row.consumer.queue, row.consumer.tag),
    families={
        "channel_queue_metrics": (
            gauge(
                "consumer_prefetch",
                "Messages that the consumer may have unacknowledged; 0: any number",
                lambda row: row.consumer.prefetch_count,
            ),
        )
    },
)


@dataclass(frozen=True, slots=True)
class ChannelQueue:
    """What the consumers that a channel has now got from one queue."""

    channel: str
    vhost: str
    queue: str
    handovers: Handovers


def _queues(snapshot: Snapshot) -> list[ChannelQueue]:
    found: dict[tuple[str, str, str], Handovers] = {}
    for row in _consumers(snapshot):
        key = (row.channel, row.consumer.vhost, row.consumer.queue)
        found[key] = found.get(key, Handovers()).plus(row.consumer.handovers)
    return [ChannelQueue(*key, handovers) for key, handovers in found.items()]


QUEUES: Table[ChannelQueue] = Table(
    labels=("channel", "vhost", "queue"),
    rows=_queues,
    label_values=lambda row: (row.channel, row.vhost, row.queue),
    families={
        "channel_queue_metrics": (
            counter(
                "channel_messages_delivered_ack",
                "Messages delivered to the channel's consumers of the queue, to be acknowledged",
                lambda row: row.handovers.consume_manual,
            ),
            counter(
                "channel_messages_delivered",
                "Messages delivered to the channel's consumers of the queue, not to be acknowledged",
                lambda row: row.handovers.consume_auto,
            ),
            counter(
                "channel_messages_redelivered",
                "Messages delivered to the channel's consumers of the queue that had been delivered before",
                lambda row: row.handovers.redelivered,
            ),
            counter(
                "channel_messages_acked",
                "Messages of the queue that the channel's consumers acknowledged",
                lambda row: row.handovers.acked,
            ),
        )
    },
)
