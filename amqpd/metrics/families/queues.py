"""The families of a queue."""

from amqpd.broker.statistics import QueueStatistics
from amqpd.metrics.families.totals import type_name
from amqpd.metrics.rates import QueueRates, queue_rates
from amqpd.metrics.tables import Family, Table, counter, gauge, greatest, histogram

COARSE: tuple[Family[QueueStatistics], ...] = (
    gauge("queue_messages_ready", "Messages ready to be delivered", lambda queue: queue.ready),
    gauge("queue_messages_unacked", "Messages delivered and not acknowledged yet", lambda queue: queue.unacked),
    gauge("queue_messages", "Messages ready or not acknowledged yet", lambda queue: queue.ready + queue.unacked),
)

CONSUMERS: tuple[Family[QueueStatistics], ...] = (
    gauge("queue_consumers", "Consumers of the queue", lambda queue: queue.consumers),
)

METRICS: tuple[Family[QueueStatistics], ...] = (
    gauge(
        "queue_messages_ram",
        "Messages that are in memory, on the disk too or not: the first that are ready, and all not acknowledged yet",
        lambda queue: queue.ready_in_memory + queue.unacked,
    ),
    gauge(
        "queue_messages_ram_bytes",
        "Size of the bodies of the messages that are in memory",
        lambda queue: queue.ready_in_memory_bytes + queue.unacked_bytes,
    ),
    gauge(
        "queue_messages_bytes",
        "Size of the bodies of the messages ready or not acknowledged yet",
        lambda queue: queue.ready_bytes + queue.unacked_bytes,
    ),
    gauge("queue_messages_ready_bytes", "Size of the bodies of the ready messages", lambda queue: queue.ready_bytes),
    gauge(
        "queue_messages_unacked_bytes",
        "Size of the bodies of the messages delivered and not acknowledged yet",
        lambda queue: queue.unacked_bytes,
    ),
    gauge(
        "queue_oldest_ready_age_seconds",
        "How long a message has been ready at the most, since it came, came back, or the broker has started; "
        "0: there is none",
        lambda queue: queue.ready_age_s or 0.0,
        combine=greatest,
    ),
    gauge(
        "queue_oldest_unacked_age_seconds",
        "How long ago the oldest delivery was made that is not acknowledged; 0: there is none",
        lambda queue: queue.unacked_age_s or 0.0,
        combine=greatest,
    ),
    counter(
        "queue_messages_published",
        "Messages that came into the queue",
        lambda queue: queue.published,
        ever=lambda snapshot: snapshot.tally.published,
    ),
    counter(
        "queue_messages_refused",
        "Messages that did not come into the queue, since it was full, with confirms or without",
        lambda queue: queue.refused,
        ever=lambda snapshot: snapshot.tally.refused,
    ),
    counter(
        "queue_blocked_seconds",
        "Time in which messages were ready, consumers there, and none could take one: their prefetch count is reached, "
        "or they do not read",
        lambda queue: queue.blocked_s,
    ),
)

DELIVERY: tuple[Family[QueueStatistics], ...] = (
    counter(
        "queue_get_ack",
        "Messages got by basic.get, to be acknowledged",
        lambda queue: queue.handovers.get_manual,
        ever=lambda snapshot: snapshot.handovers.get_manual,
    ),
    counter(
        "queue_get",
        "Messages got by basic.get, not to be acknowledged",
        lambda queue: queue.handovers.get_auto,
        ever=lambda snapshot: snapshot.handovers.get_auto,
    ),
    counter(
        "queue_get_empty",
        "Times that basic.get found no message",
        lambda queue: queue.handovers.get_empty,
        ever=lambda snapshot: snapshot.handovers.get_empty,
    ),
    counter(
        "queue_messages_delivered_ack",
        "Messages delivered to consumers, to be acknowledged",
        lambda queue: queue.handovers.consume_manual,
        ever=lambda snapshot: snapshot.handovers.consume_manual,
    ),
    counter(
        "queue_messages_delivered",
        "Messages delivered to consumers, not to be acknowledged",
        lambda queue: queue.handovers.consume_auto,
        ever=lambda snapshot: snapshot.handovers.consume_auto,
    ),
    counter(
        "queue_messages_redelivered",
        "Messages delivered or got that had been before",
        lambda queue: queue.redelivered,
        ever=lambda snapshot: snapshot.handovers.redelivered,
    ),
    counter(
        "queue_messages_acked",
        "Messages acknowledged",
        lambda queue: queue.acked,
        ever=lambda snapshot: snapshot.handovers.acked,
    ),
)

TIMES: tuple[Family[QueueStatistics], ...] = (
    histogram(
        "queue_message_wait_seconds",
        "How long messages were ready before they were delivered for the first time",
        lambda queue: queue.waits,
        ever=lambda snapshot: snapshot.tally.waits,
    ),
    histogram(
        "queue_ack_seconds",
        "How long consumers took to acknowledge a message",
        lambda queue: queue.acks,
        ever=lambda snapshot: snapshot.tally.acks,
    ),
)

QUEUES: Table[QueueStatistics] = Table(
    labels=("vhost", "queue"),
    rows=lambda snapshot: snapshot.broker.queues,
    label_values=lambda queue: (queue.vhost, queue.name),
    families={
        "queue_coarse_metrics": COARSE,
        "queue_consumer_count": CONSUMERS,
        "queue_metrics": (*CONSUMERS, *METRICS),
        "queue_delivery_metrics": DELIVERY,
        "queue_time_metrics": TIMES,
    },
)

CAPACITY = (
    "Share of the time since an earlier scrape in which consumers could have been given a message at once; "
    "0: there are none"
)

SINCE = "a second, since an earlier scrape, at least 5 s ago"

RATES: Table[QueueRates] = Table(
    labels=("vhost", "queue"),
    rows=lambda snapshot: queue_rates(snapshot.broker.queues, snapshot.taken_s, snapshot.earlier),
    label_values=lambda rates: (rates.vhost, rates.name),
    families={
        "queue_metrics": (
            gauge("queue_consumer_capacity", CAPACITY, lambda rates: rates.capacity, combine=None),
            gauge("queue_consumer_utilisation", CAPACITY, lambda rates: rates.capacity, combine=None),
        ),
        "queue_rate_metrics": (
            gauge("queue_publish_rate", f"Messages that came into the queue {SINCE}", lambda rates: rates.publish),
            gauge("queue_delivery_rate", f"Messages delivered or got {SINCE}", lambda rates: rates.delivery),
            gauge("queue_ack_rate", f"Messages acknowledged {SINCE}", lambda rates: rates.ack),
            gauge(
                "queue_seconds_until_empty",
                "Seconds until no message is ready, at the rate at which they became fewer since an earlier scrape; "
                "0: none is ready; +Inf: they do not become fewer",
                lambda rates: rates.until_empty_s,
                combine=None,
            ),
        ),
    },
)

INFO: Table[QueueStatistics] = Table(
    labels=("vhost", "queue", "queue_type", "durable", "exclusive"),
    rows=lambda snapshot: snapshot.broker.queues,
    label_values=lambda queue: (
        queue.vhost,
        queue.name,
        type_name(queue.type),
        "true" if queue.durable else "false",
        "true" if queue.exclusive else "false",
    ),
    families={"queue_metrics": (gauge("queue_info", "What kind of queue it is", lambda _queue: 1, combine=None),)},
)
