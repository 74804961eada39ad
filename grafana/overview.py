"""Overview: is all well, and if not, where to look. One screen of health, then the flows, then what is used up."""

from grafana_foundation_sdk.models import units

from grafana.board import board
from grafana.panels import NONE_IS_GOOD, Column, heat, stat, table, timeseries
from grafana.promql import INSTANCE, greatest, quantiles, rate, select, total

DROP_REASONS = {"expired": "expired", "maxlen": "maxlen", "rejected": "rejected", "delivery limit": "delivery_limit"}
FATES = {"kept": 'dead_letter_strategy!="disabled"', "lost": 'dead_letter_strategy="disabled"'}

HEALTH = [
    stat(
        "Up",
        "Whether Prometheus reaches the metrics port of every instance. Down: look whether the process runs and what "
        "it logged last; a broker that is busy or out of memory may be too late to answer.",
        units.NoUnit,
        f"min(up{{{INSTANCE}}})",
        words={"1": ("up", "green"), "0": ("down", "red")},
    ),
    stat(
        "Ready",
        "Whether every instance takes publishers: none is shutting down, none has an alarm. /health/ready on the "
        "metrics port says why not.",
        units.NoUnit,
        f"min({select('amqpd_ready')})",
        words={"1": ("ready", "green"), "0": ("not ready", "red")},
    ),
    stat(
        "Alarms",
        "Alarms for memory, for disk space and for file descriptors. Those for memory and disk block all who publish "
        "until they are over: let consumers catch up, free disk space, or raise the limit.",
        units.NoUnit,
        f"sum({select('amqpd_alarms_memory_used_watermark')} + {select('amqpd_alarms_free_disk_space_watermark')}"
        f" + {select('amqpd_alarms_file_descriptor_limit')})",
        steps=NONE_IS_GOOD,
    ),
    stat(
        "Alerts",
        "Alerts of Prometheus that are firing now, for the chosen instances. Their texts say what to do.",
        units.NoUnit,
        f'count(ALERTS{{alertname=~"Amqpd.+", alertstate="firing", {INSTANCE}}}) or vector(0)',
        steps=NONE_IS_GOOD,
    ),
    stat(
        "Blocked connections",
        "Connections that publish and are not read because of an alarm. Their programs stand still meanwhile.",
        units.Short,
        total("amqpd_connections_blocked"),
        steps=NONE_IS_GOOD,
    ),
    stat(
        "Ready messages",
        "Messages that wait in queues for somebody to take them. Growing for long: consumers are too few, too slow or "
        "gone; Queues shows where.",
        units.Short,
        total("amqpd_queue_messages_ready"),
    ),
    stat(
        "Unacked messages",
        "Messages that consumers have and have not acknowledged. As many as all prefetch counts together is normal "
        "under load; more and more of them: consumers without a prefetch count, or that forget to acknowledge.",
        units.Short,
        total("amqpd_queue_messages_unacked"),
    ),
    stat(
        "Unroutable",
        "Messages a second that no queue took: dropped, or returned to publishers that asked for it (mandatory). "
        "Queues shows the exchanges and why: a binding is missing, or a routing key is wrong.",
        units.MessagesPerSecond,
        f"{rate('amqpd_global_messages_unroutable_dropped_total')}"
        f" + {rate('amqpd_global_messages_unroutable_returned_total')}",
        steps=((None, "green"), (0.001, "orange")),
    ),
]

MESSAGES = [
    timeseries(
        "Messages in queues",
        "What waits, and what consumers hold. A saw-tooth is batches; a slope that goes on is a backlog that will "
        "reach the disk's limit.",
        units.Short,
        ("ready", total("amqpd_queue_messages_ready")),
        ("unacked", total("amqpd_queue_messages_unacked")),
        stacked=True,
    ),
    timeseries(
        "Published",
        "What publishers sent, the copies that were put into queues (routed: one for each queue), what was confirmed, "
        "and what was refused (nack). Confirmed below received with confirms: the disk does not keep up. Refused: "
        "queues are full that reject what comes. What reached no queue is in Messages without a queue.",
        units.MessagesPerSecond,
        ("received", rate("amqpd_global_messages_received_total")),
        ("received with confirms", rate("amqpd_global_messages_received_confirm_total")),
        ("routed", rate("amqpd_global_messages_routed_total")),
        ("confirmed", rate("amqpd_global_messages_confirmed_total")),
        ("refused", rate("amqpd_global_messages_rejected_total")),
    ),
    timeseries(
        "Delivered",
        "What was handed to consumers and by basic.get, what they acknowledged, and what was delivered again. "
        "Delivered above acknowledged for long: unacked messages grow. Redelivered close to delivered: a message "
        "that consumers cannot deal with goes round; a delivery limit on its queue ends that.",
        units.MessagesPerSecond,
        ("delivered", rate("amqpd_global_messages_delivered_total")),
        ("acknowledged", rate("amqpd_global_messages_acknowledged_total")),
        ("redelivered", rate("amqpd_global_messages_redelivered_total")),
    ),
    timeseries(
        "How messages are taken",
        "Deliveries by the way they were asked for. Without acknowledgement (auto ack), what a consumer had when it "
        "died is lost. Many empty gets: somebody polls a queue where a consumer would be told.",
        units.MessagesPerSecond,
        ("consume, manual ack", rate("amqpd_global_messages_delivered_consume_manual_ack_total")),
        ("consume, auto ack", rate("amqpd_global_messages_delivered_consume_auto_ack_total")),
        ("get, manual ack", rate("amqpd_global_messages_delivered_get_manual_ack_total")),
        ("get, auto ack", rate("amqpd_global_messages_delivered_get_auto_ack_total")),
        ("get, empty", rate("amqpd_global_messages_get_empty_total")),
    ),
    timeseries(
        "Messages without a queue",
        "Published, and no queue wanted them. Dropped: the publisher did not ask to be told, and the message is gone. "
        "Returned: it asked (mandatory). Bind a queue, or give the exchange an alternate exchange to see them.",
        units.MessagesPerSecond,
        ("dropped", rate("amqpd_global_messages_unroutable_dropped_total")),
        ("returned", rate("amqpd_global_messages_unroutable_returned_total")),
    ),
    timeseries(
        "Messages that left unacknowledged",
        "Out of a queue without an acknowledgement, for the reason given: kept, if it went to the dead letter exchange "
        "of its queue; lost, if the queue has none. Expired and maxlen: consumers were too slow. Rejected and delivery "
        "limit: they could not deal with them; look at the dead letters.",
        units.MessagesPerSecond,
        *(
            (f"{reason}, {fate}", rate(f"amqpd_global_messages_dead_lettered_{name}_total", where=strategy))
            for reason, name in DROP_REASONS.items()
            for fate, strategy in FATES.items()
        ),
    ),
]

TIMES = [
    timeseries(
        "Time until delivery",
        "How long messages were ready before they were delivered for the first time: the delay that the queues "
        "add. It grows when consumers are too few or blocked by their prefetch count.",
        units.Seconds,
        *quantiles("amqpd_queue_message_wait_seconds"),
        empty="no message was delivered",
    ),
    timeseries(
        "Time until acknowledgement",
        "How long consumers took from delivery to acknowledgement: their work, and the time a message lay in their "
        "own buffer. A large prefetch count shows here as a long time.",
        units.Seconds,
        *quantiles("amqpd_queue_ack_seconds"),
        empty="no message was acknowledged",
    ),
    timeseries(
        "Oldest message",
        "The age of the oldest ready message and of the oldest delivery that is not settled, over all queues. Seconds "
        "are a busy queue, hours one that somebody has forgotten. Queues shows which one.",
        units.Seconds,
        ("ready", greatest("amqpd_queue_oldest_ready_age_seconds")),
        ("unacked", greatest("amqpd_queue_oldest_unacked_age_seconds")),
    ),
    heat(
        "Size of messages",
        "Sizes of the bodies that were published. Megabytes in a broker cost all that pass through it: better to send "
        "where they lie.",
        units.BytesSI,
        "amqpd_message_size_bytes",
        empty="no message was published",
    ),
    timeseries(
        "Connections and channels",
        "Clients that are connected, and the channels they have open. A slope that never falls: a program opens and "
        "does not close. Connections shows whose they are.",
        units.Short,
        ("connections", total("amqpd_connections")),
        ("channels", total("amqpd_channels")),
        ("consumers", total("amqpd_consumers")),
        ("queues", total("amqpd_queues")),
    ),
    timeseries(
        "Churn",
        "What comes and goes each second. A connection for every message costs more than the message; keep them. "
        "Queues that are declared and not created were there already.",
        units.OpsPerSecond,
        ("connections opened", rate("amqpd_connections_opened_total")),
        ("connections closed", rate("amqpd_connections_closed_total")),
        ("channels opened", rate("amqpd_channels_opened_total")),
        ("channels closed", rate("amqpd_channels_closed_total")),
        ("queues declared", rate("amqpd_queues_declared_total")),
        ("queues created", rate("amqpd_queues_created_total")),
        ("queues deleted", rate("amqpd_queues_deleted_total")),
    ),
]

LIMITS = [
    timeseries(
        "Memory",
        "Memory of the process against its watermark. At the limit publishers are blocked until it falls. It rises "
        "with what consumers hold unacknowledged and with connections; waiting messages go to the disk.",
        units.BytesIEC,
        ("{{instance}}", greatest("amqpd_memory_used_bytes", "instance")),
        ("limit {{instance}}", greatest("amqpd_resident_memory_limit_bytes", "instance")),
    ),
    timeseries(
        "Free disk space",
        "What is free where the data lie. Below the limit publishers are blocked. A backlog grows here, and so does a "
        "store that a backup or a check is reading.",
        units.BytesIEC,
        ("{{instance}}", greatest("amqpd_disk_space_available_bytes", "instance")),
        ("limit {{instance}}", greatest("amqpd_disk_space_available_limit_bytes", "instance")),
        empty="not measured: amqpd keeps nothing on a disk",
    ),
    timeseries(
        "File descriptors",
        "Open files and sockets against what the system allows the process. At the limit no connection is accepted: "
        "raise it (ulimit -n, LimitNOFILE) or find who opens so many.",
        units.Short,
        ("{{instance}}", greatest("amqpd_process_open_fds", "instance")),
        ("limit {{instance}}", greatest("amqpd_process_max_fds", "instance")),
        empty="not known on this system",
    ),
]

NODES = [
    table(
        "Instances",
        "Every instance: which version runs where, for how long, and what it has. A short uptime is a restart: the log "
        "says why.",
        {
            "instance": "Instance",
            "amqpd_node": "Node",
            "amqpd_cluster": "Cluster",
            "version": "Version",
            "build": "Build",
            "python_version": "Python",
        },
        Column("Identity", greatest("amqpd_identity_info", "instance, amqpd_node, amqpd_cluster")),
        Column("Software", greatest("amqpd_build_info", "instance, version, build, python_version")),
        Column("Uptime", greatest("amqpd_uptime_seconds", "instance"), units.DurationSeconds),
        Column("Connections", total("amqpd_connections", "instance")),
        Column("Queues", total("amqpd_queues", "instance")),
        Column("Ready", total("amqpd_queue_messages_ready", "instance")),
        Column("Unacked", total("amqpd_queue_messages_unacked", "instance")),
        Column("Memory", greatest("amqpd_memory_used_bytes", "instance"), units.BytesIEC),
        hidden=("Identity", "Software"),
        sort_by="Instance",
        descending=False,
        height=6,
    )
]

OVERVIEW = board(
    "amqpd-overview",
    "Overview",
    "Whether amqpd is well, what flows through it, and what it is running out of. Needs /metrics only.",
    {
        "Health": HEALTH,
        "Messages": MESSAGES,
        "Times, sizes, clients": TIMES,
        "Limits": LIMITS,
        "Instances": NODES,
    },
)
