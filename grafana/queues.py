"""Queues: which of them need looking at, then one of them in depth, then the exchanges that feed them."""

from grafana_foundation_sdk.models import units

from grafana.board import board, query
from grafana.panels import NEVER, NOT_OBSERVED, Column, heat, stat, table, timeseries
from grafana.promql import greatest, quantiles, rate, total

VHOST = 'vhost=~"$vhost"'
QUEUE = f'{VHOST}, queue="$queue"'
EACH = "instance, vhost, queue"
EACH_EXCHANGE = "instance, vhost, exchange"

SHOWN = 50
"""A table of ten thousand queues is of no use to anybody, and Grafana would fetch it every few seconds."""

IN_DEPTH = (
    "/d/amqpd-queues?var-queue=${__data.fields.Queue:percentencode}"
    "&var-vhost=${__data.fields[Virtual host]:percentencode}&var-instance=${__data.fields.Instance:percentencode}"
    "&${datasource:queryparam}&${__url_time_range}"
)

NO_QUEUES = "there are no queues here"
NO_QUEUE = "there is no such queue"
NOT_MEASURED = "nothing yet, or not measured for this queue"

Q = "amqpd_detailed_queue_"


def longest(expression: str) -> str:
    """The same, for the queues with the most messages only."""
    return f"{expression} and on ({EACH}) topk({SHOWN}, {total(Q + 'messages', EACH, VHOST)})"


ALL_QUEUES = [
    table(
        "Longest queues",
        f"The {SHOWN} queues with the most messages, ready or unacked. Messages and no consumers: their program is "
        "not running. Low utilisation with consumers there: they are blocked by their prefetch count or slow; more "
        "of them, or a larger prefetch count, help. A name leads to the queue in depth below.",
        {"instance": "Instance", "vhost": "Virtual host", "queue": "Queue", "queue_type": "Type"},
        Column("Info", longest(greatest(Q + "info", EACH + ", queue_type", VHOST))),
        Column("Ready", longest(total(Q + "messages_ready", EACH, VHOST))),
        Column("Unacked", longest(total(Q + "messages_unacked", EACH, VHOST))),
        Column("Bytes ready", longest(total(Q + "messages_ready_bytes", EACH, VHOST)), units.BytesSI),
        Column("Consumers", longest(total(Q + "consumers", EACH, VHOST))),
        Column("Published", longest(total(Q + "publish_rate", EACH, VHOST)), units.MessagesPerSecond),
        Column("Delivered", longest(total(Q + "delivery_rate", EACH, VHOST)), units.MessagesPerSecond),
        Column("Acknowledged", longest(total(Q + "ack_rate", EACH, VHOST)), units.MessagesPerSecond),
        Column("Oldest ready", longest(greatest(Q + "oldest_ready_age_seconds", EACH, VHOST)), units.Seconds),
        Column("Empty in", longest(greatest(Q + "seconds_until_empty", EACH, VHOST)), units.Seconds, mapping=NEVER),
        Column("Utilisation", longest(greatest(Q + "consumer_utilisation", EACH, VHOST)), units.PercentUnit),
        hidden=("Info",),
        sort_by="Ready",
        links={"Queue": ("Show in depth", IN_DEPTH)},
        empty=NO_QUEUES,
    ),
    timeseries(
        "Most ready messages",
        "The ten queues where most waits. One that only grows is where to look.",
        units.Short,
        ("{{instance}} {{vhost}} {{queue}}", f"topk(10, {total(Q + 'messages_ready', EACH, VHOST)})"),
        empty=NO_QUEUES,
    ),
    timeseries(
        "Most published to",
        "The ten queues that get most messages.",
        units.MessagesPerSecond,
        ("{{instance}} {{vhost}} {{queue}}", f"topk(10, {rate(Q + 'messages_published_total', EACH, VHOST)})"),
        empty=NO_QUEUES,
    ),
    timeseries(
        "Oldest ready messages",
        "The ten queues that keep their messages waiting longest. Old messages in a short queue: its consumers are "
        "stuck or gone.",
        units.Seconds,
        ("{{instance}} {{vhost}} {{queue}}", f"topk(10, {greatest(Q + 'oldest_ready_age_seconds', EACH, VHOST)})"),
        empty=NO_QUEUES,
    ),
]

NOW = [
    stat(
        "Ready",
        "Messages that wait in this queue. Here and below, queues of this name in all chosen instances and virtual "
        "hosts are taken together; the link in the table above chooses one of each.",
        units.Short,
        total(Q + "messages_ready", where=QUEUE),
        empty=NO_QUEUE,
    ),
    stat(
        "Unacked",
        "Messages that consumers of this queue hold. No more than their prefetch counts together, if they have one.",
        units.Short,
        total(Q + "messages_unacked", where=QUEUE),
        empty=NO_QUEUE,
    ),
    stat(
        "Consumers",
        "Who takes from this queue. None: nothing will be delivered until one comes.",
        units.Short,
        total(Q + "consumers", where=QUEUE),
        steps=((None, "orange"), (1, "green")),
        empty=NO_QUEUE,
    ),
    stat(
        "Utilisation",
        "The share of time in which a consumer could take a message. Well below 100 % with messages ready: a larger "
        "prefetch count or more consumers make it faster. At 100 %: consumers wait for messages, not messages for "
        "them.",
        units.PercentUnit,
        greatest(Q + "consumer_utilisation", where=QUEUE),
        empty=NO_QUEUE,
    ),
    stat(
        "Empty in",
        "When the ready messages will be gone if all goes on as in the last seconds. Not shrinking: more comes in than "
        "goes out.",
        units.Seconds,
        greatest(Q + "seconds_until_empty", where=QUEUE),
        mapping=NEVER,
        empty=NO_QUEUE,
    ),
    stat(
        "Oldest ready",
        "How long the next message to be delivered has been ready.",
        units.Seconds,
        greatest(Q + "oldest_ready_age_seconds", where=QUEUE),
        steps=((None, "green"), (600, "orange")),
        empty=NO_QUEUE,
    ),
    stat(
        "Oldest unacked",
        "How long ago the oldest delivery was made that is not settled yet. Much longer than the work takes: a "
        "consumer is stuck, or forgot to acknowledge. RabbitMQ would close its channel after 30 minutes; here that "
        "is a setting of the queue (x-consumer-timeout).",
        units.Seconds,
        greatest(Q + "oldest_unacked_age_seconds", where=QUEUE),
        steps=((None, "green"), (1800, "orange")),
        empty=NO_QUEUE,
    ),
    stat(
        "Bytes ready",
        "The bodies of the ready messages together, in memory and on the disk.",
        units.BytesSI,
        total(Q + "messages_ready_bytes", where=QUEUE),
        empty=NO_QUEUE,
    ),
]

ONE_QUEUE = [
    *NOW,
    timeseries(
        "Messages",
        "Depth of the queue. Ready that grows while unacked stays: consumers are at their limit.",
        units.Short,
        ("ready", total(Q + "messages_ready", where=QUEUE)),
        ("unacked", total(Q + "messages_unacked", where=QUEUE)),
        stacked=True,
        empty=NO_QUEUE,
    ),
    timeseries(
        "In and out",
        "Published into the queue, delivered from it in any way, acknowledged. Published above delivered is what makes "
        "it grow.",
        units.MessagesPerSecond,
        ("published", rate(Q + "messages_published_total", where=QUEUE)),
        (
            "delivered",
            " + ".join(
                rate(Q + name, where=QUEUE)
                for name in (
                    "messages_delivered_ack_total",
                    "messages_delivered_total",
                    "get_ack_total",
                    "get_total",
                )
            ),
        ),
        ("acknowledged", rate(Q + "messages_acked_total", where=QUEUE)),
        empty=NO_QUEUE,
    ),
    timeseries(
        "How messages are taken",
        "Deliveries by the way they were asked for, and what was delivered again. Many redeliveries: consumers "
        "reject or die with the same messages; a delivery limit and a dead letter exchange take those out.",
        units.MessagesPerSecond,
        ("consume, manual ack", rate(Q + "messages_delivered_ack_total", where=QUEUE)),
        ("consume, auto ack", rate(Q + "messages_delivered_total", where=QUEUE)),
        ("get, manual ack", rate(Q + "get_ack_total", where=QUEUE)),
        ("get, auto ack", rate(Q + "get_total", where=QUEUE)),
        ("get, empty", rate(Q + "get_empty_total", where=QUEUE)),
        ("redelivered", rate(Q + "messages_redelivered_total", where=QUEUE)),
        empty=NO_QUEUE,
    ),
    heat(
        "Waits",
        "How long messages were ready before their first delivery: each column is a moment, the darker the more "
        "messages. Two bands: some go straight to a consumer, others wait for a turn.",
        units.Seconds,
        Q + "message_wait_seconds",
        where=QUEUE,
        empty=NOT_MEASURED,
    ),
    heat(
        "Acknowledgements",
        "How long consumers took to acknowledge. A band far above the others: one kind of message, or one consumer, is "
        "slow.",
        units.Seconds,
        Q + "ack_seconds",
        where=QUEUE,
        empty=NOT_MEASURED,
    ),
    timeseries(
        "Ages",
        "The oldest ready message and the oldest delivery that is not settled. A line that climbs by a second each "
        "second is one message that nobody takes or settles.",
        units.Seconds,
        ("oldest ready", greatest(Q + "oldest_ready_age_seconds", where=QUEUE)),
        ("oldest unacked", greatest(Q + "oldest_unacked_age_seconds", where=QUEUE)),
        empty=NO_QUEUE,
    ),
    timeseries(
        "Time until delivery",
        "What half, 90 % and 99 % of the messages did not exceed, estimated within the buckets of the histogram.",
        units.Seconds,
        *quantiles(Q + "message_wait_seconds", where=QUEUE),
        empty=NOT_MEASURED,
    ),
    timeseries(
        "Time until acknowledgement",
        "The same for consumers, from delivery to acknowledgement.",
        units.Seconds,
        *quantiles(Q + "ack_seconds", where=QUEUE),
        empty=NOT_MEASURED,
    ),
    timeseries(
        "Consumers' time",
        "Utilisation: the share of time in which a consumer could take messages. Blocked: the share in which messages "
        "were ready, consumers there, and none could take any, because of prefetch counts or connections that do "
        "not read. Blocked for long: a larger prefetch count, or more consumers.",
        units.PercentUnit,
        ("utilisation", greatest(Q + "consumer_utilisation", where=QUEUE)),
        ("blocked", rate(Q + "blocked_seconds_total", where=QUEUE)),
        most=1,
        empty=NO_QUEUE,
    ),
    timeseries(
        "Number of consumers",
        "How many there are. Steps down are programs that ended or lost their connection.",
        units.Short,
        ("consumers", total(Q + "consumers", where=QUEUE)),
        empty=NO_QUEUE,
    ),
    timeseries(
        "Bytes",
        "The bodies of the ready messages, and how much of them is in memory. What is not in memory is on the disk and "
        "read back before consumers need it.",
        units.BytesSI,
        ("ready", total(Q + "messages_ready_bytes", where=QUEUE)),
        ("in memory", total(Q + "messages_ram_bytes", where=QUEUE)),
        empty=NO_QUEUE,
    ),
    timeseries(
        "Time until empty",
        "The time until the queue is empty at the present rates; no curve while it does not shrink, 0 when it is "
        "empty. Planning to restart something? This is how long to wait.",
        units.Seconds,
        ("empty in", greatest(Q + "seconds_until_empty", where=QUEUE)),
        empty=NO_QUEUE,
    ),
]

X = "amqpd_detailed_exchange_messages_"

EXCHANGES = [
    timeseries(
        "Published by exchange",
        "The ten exchanges that get most. amq.default is the one without a name, by which a message goes to the queue "
        "that its routing key names.",
        units.MessagesPerSecond,
        ("{{instance}} {{vhost}} {{exchange}}", f"topk(10, {rate(X + 'published_total', EACH_EXCHANGE, VHOST)})"),
        width=12,
        empty=NOT_OBSERVED,
    ),
    timeseries(
        "Unroutable by exchange",
        "Messages that reached no queue, and why. no_bindings: nothing is bound to the exchange (of amq.default: there "
        "is no queue of that name). no_match: something is, and does not want this key or these headers. Dropped are "
        "lost; returned went back to a publisher that asked for it.",
        units.MessagesPerSecond,
        (
            "{{instance}} {{vhost}} {{exchange}} {{outcome}}, {{reason}}",
            f"topk(10, {rate(X + 'unroutable_total', EACH_EXCHANGE + ', outcome, reason', VHOST)})",
        ),
        width=12,
        empty=NOT_OBSERVED,
    ),
]

QUEUES = board(
    "amqpd-queues",
    "Queues",
    "All queues by their backlog, and those of one name in depth. Needs /metrics/detailed with the families of queues "
    "and exchanges: the job amqpd-objects in prometheus.yml.",
    {
        "All queues": ALL_QUEUES,
        "Queue $queue": ONE_QUEUE,
        "Exchanges": EXCHANGES,
    },
    query("vhost", "Virtual host", f'label_values({Q}info{{instance=~"$instance"}}, vhost)'),
    query("queue", "Queue", f'label_values({Q}info{{instance=~"$instance", {VHOST}}}, queue)', several=False),
)
