"""Connections and clients: who is there, what they send, and which of their channels is stuck."""

from grafana_foundation_sdk.models import units

from grafana.board import board, query
from grafana.panels import NONE_IS_GOOD, Column, stat, table, timeseries
from grafana.promql import greatest, rate, select, total

C = "amqpd_detailed_connection_"
CH = "amqpd_detailed_channel_"

VHOST = 'vhost=~"$vhost"'
CONNECTION = "instance, connection"
CHANNEL = "instance, channel"

SHOWN = 50
"""Of ten thousand connections, those that matter: Grafana fetches the table every few seconds."""

NO_CONNECTIONS = "nobody is connected"
NO_CHANNELS = "no channel is open"


def described(expression: str, labels: str) -> str:
    """What is by connection, added up by what the connections say of themselves."""
    info = greatest(C + "info", f"{CONNECTION}, {labels}", VHOST)
    return f"sum by ({labels}) ({expression} * on ({CONNECTION}) group_left ({labels}) {info})"


def connections(expression: str) -> str:
    """The same, for the connections to the chosen virtual hosts only."""
    return f"{expression} and on ({CONNECTION}) {select(C + 'info', VHOST)}"


def channels(expression: str) -> str:
    """The same, for the channels to the chosen virtual hosts only."""
    return f"{expression} and on ({CHANNEL}) {select(CH + 'info', VHOST)}"


def busiest(expression: str) -> str:
    """The same, for those of the connections that move most octets only."""
    traffic = f"({rate(C + 'incoming_bytes_total', CONNECTION)} + {rate(C + 'outgoing_bytes_total', CONNECTION)})"
    return f"{expression} and on ({CONNECTION}) topk({SHOWN}, {connections(traffic)})"


def fullest(expression: str) -> str:
    """The same, for those of the channels that hold most messages only."""
    held = total(CH + "messages_unacked", CHANNEL)
    return f"{expression} and on ({CHANNEL}) topk({SHOWN}, {channels(held)})"


NOW = [
    stat(
        "Connections",
        "Clients that are connected now. connection_max is the most that amqpd lets in.",
        units.Short,
        total("amqpd_connections"),
        width=4,
    ),
    stat(
        "Channels",
        "Open channels. Hundreds to a connection: a program opens one for every message and forgets to close it.",
        units.Short,
        total("amqpd_channels"),
        width=4,
    ),
    stat(
        "Blocked",
        "Connections that publish and are not read because of an alarm; see Overview for which.",
        units.Short,
        total("amqpd_connections_blocked"),
        width=4,
        steps=NONE_IS_GOOD,
    ),
    stat(
        "Logins that failed",
        "In the chosen time. A few: a password was changed and a program does not know. Many: somebody tries "
        "passwords; the log has the addresses.",
        units.Short,
        f"sum(increase({select('amqpd_auth_attempts_failed_total')}[$__range]))",
        width=4,
        steps=((None, "green"), (1, "orange")),
    ),
    stat(
        "Publishers",
        "Channels that have published.",
        units.Short,
        total("amqpd_global_publishers"),
        width=4,
    ),
    stat(
        "Consumers",
        "Consumers on all channels.",
        units.Short,
        total("amqpd_consumers"),
        width=4,
    ),
]

COURSE = [
    timeseries(
        "Connections and channels",
        "A slope that never falls is a leak in some program; a drop to nothing a network that went away.",
        units.Short,
        ("connections", total("amqpd_connections")),
        ("channels", total("amqpd_channels")),
        ("blocked connections", total("amqpd_connections_blocked")),
    ),
    timeseries(
        "Opened and closed",
        "A connection takes several round trips and a password check: better one for the whole life of a program. "
        "Peaks are programs that start again and again, or reconnect.",
        units.OpsPerSecond,
        ("connections opened", rate("amqpd_connections_opened_total")),
        ("connections closed", rate("amqpd_connections_closed_total")),
        ("channels opened", rate("amqpd_channels_opened_total")),
        ("channels closed", rate("amqpd_channels_closed_total")),
    ),
    timeseries(
        "Logins",
        "Attempts to log in, by what became of them. Failures at a steady rate: a program with a wrong password that "
        "tries for ever.",
        units.OpsPerSecond,
        ("succeeded", rate("amqpd_auth_attempts_succeeded_total")),
        ("failed", rate("amqpd_auth_attempts_failed_total")),
    ),
]

CLIENTS = [
    timeseries(
        "Received from clients",
        "Octets a second by the product that the connections say they are.",
        units.BytesPerSecondSI,
        (
            "{{client}} {{client_version}}",
            described(rate(C + "incoming_bytes_total", CONNECTION), "client, client_version"),
        ),
        empty=NO_CONNECTIONS,
    ),
    timeseries(
        "Sent to clients",
        "Octets a second by the product that the connections say they are. Far more than is received: the same "
        "messages go to many queues.",
        units.BytesPerSecondSI,
        (
            "{{client}} {{client_version}}",
            described(rate(C + "outgoing_bytes_total", CONNECTION), "client, client_version"),
        ),
        empty=NO_CONNECTIONS,
    ),
    timeseries(
        "Waiting to be sent",
        "Octets for the ten connections that are furthest behind with reading. A line that stays high: that consumer "
        "or its network is too slow, and its queues wait.",
        units.BytesSI,
        ("{{instance}} {{connection}}", f"topk(10, {connections(total(C + 'pending_bytes', CONNECTION))})"),
        empty=NO_CONNECTIONS,
    ),
    timeseries(
        "Connections by client",
        "Which libraries are in use, in which versions.",
        units.Short,
        (
            "{{client}} {{client_version}}",
            total(C + "info", "client, client_version", VHOST),
        ),
        stacked=True,
        empty=NO_CONNECTIONS,
    ),
    timeseries(
        "Connections by user",
        "Which users are connected to which virtual hosts.",
        units.Short,
        (
            "{{user}} {{vhost}}",
            total(C + "info", "user, vhost", VHOST),
        ),
        stacked=True,
        empty=NO_CONNECTIONS,
    ),
    timeseries(
        "Reads and writes",
        "Calls that moved octets from and to the sockets. Many for few octets: clients send message by message and "
        "wait for each confirm; let them wait for many at once.",
        units.OpsPerSecond,
        ("reads", rate("amqpd_connection_incoming_packets_total")),
        ("writes", rate("amqpd_connection_outgoing_packets_total")),
    ),
]

CONNECTION_TABLE = [
    table(
        "Busiest connections",
        f"The {SHOWN} connections that move most octets. Pending is what they have not read yet: high and steady means "
        "that the client does not keep up. Blocked: it publishes during an alarm.",
        {
            "instance": "Instance",
            "connection": "Connection",
            "user": "User",
            "vhost": "Virtual host",
            "client_name": "Name",
            "client": "Client",
            "client_version": "Version",
        },
        Column(
            "Info", busiest(greatest(C + "info", f"{CONNECTION}, user, vhost, client, client_version, client_name"))
        ),
        Column("Channels", busiest(total(C + "channels", CONNECTION))),
        Column("Received", busiest(rate(C + "incoming_bytes_total", CONNECTION)), units.BytesPerSecondSI),
        Column("Sent", busiest(rate(C + "outgoing_bytes_total", CONNECTION)), units.BytesPerSecondSI),
        Column("Pending", busiest(total(C + "pending_bytes", CONNECTION)), units.BytesSI),
        Column("Blocked", busiest(greatest(C + "blocked", CONNECTION)), steps=NONE_IS_GOOD),
        hidden=("Info",),
        sort_by="Received",
        empty=NO_CONNECTIONS,
    )
]

CHANNELS = [
    table(
        "Fullest channels",
        f"The {SHOWN} channels that hold most unacknowledged messages. Unacked always at the prefetch count: its "
        "consumers are busy, or stuck; in the thousands: they have no prefetch count. Unconfirmed that "
        "stays high: the disk is slow. Uncommitted that only grows: a transaction was forgotten.",
        {
            "instance": "Instance",
            "channel": "Channel",
            "user": "User",
            "vhost": "Virtual host",
        },
        Column("Info", fullest(greatest(CH + "info", f"{CHANNEL}, user, vhost"))),
        Column("Unacked", fullest(total(CH + "messages_unacked", CHANNEL))),
        Column("Consumers", fullest(total(CH + "consumers", CHANNEL))),
        Column("Unconfirmed", fullest(total(CH + "messages_unconfirmed", CHANNEL))),
        Column("Uncommitted", fullest(total(CH + "messages_uncommitted", CHANNEL))),
        Column("Acks uncommitted", fullest(total(CH + "acks_uncommitted", CHANNEL))),
        Column("Published", fullest(rate(CH + "messages_published_total", CHANNEL)), units.MessagesPerSecond),
        Column("Acknowledged", fullest(rate(CH + "messages_acked_total", CHANNEL)), units.MessagesPerSecond),
        Column("Redelivered", fullest(rate(CH + "messages_redelivered_total", CHANNEL)), units.MessagesPerSecond),
        hidden=("Info",),
        sort_by="Unacked",
        empty=NO_CHANNELS,
    ),
    timeseries(
        "Unacked",
        "The ten channels that hold most. A line that only climbs: its consumer does not acknowledge.",
        units.Short,
        ("{{instance}} {{channel}}", f"topk(10, {channels(total(CH + 'messages_unacked', CHANNEL))})"),
        empty=NO_CHANNELS,
    ),
    timeseries(
        "Unconfirmed",
        "The ten channels whose publishers wait for most confirms. That many are under way, not lost; the store's "
        "commit times in Runtime say how long one takes.",
        units.Short,
        ("{{instance}} {{channel}}", f"topk(10, {channels(total(CH + 'messages_unconfirmed', CHANNEL))})"),
        empty=NO_CHANNELS,
    ),
    timeseries(
        "Published",
        "The ten channels that publish most: who is it when there is suddenly a flood.",
        units.MessagesPerSecond,
        ("{{instance}} {{channel}}", f"topk(10, {channels(rate(CH + 'messages_published_total', CHANNEL))})"),
        empty=NO_CHANNELS,
    ),
]

CONNECTIONS = board(
    "amqpd-connections",
    "Connections and clients",
    "Who is connected, what comes and goes, and the channels that hold messages. Needs /metrics, and /metrics/detailed "
    "with the families of connections and channels: the job amqpd-connections in prometheus.yml.",
    {
        "Now": NOW,
        "Over time": COURSE,
        "Clients": CLIENTS,
        "Connections": CONNECTION_TABLE,
        "Channels": CHANNELS,
    },
    query("vhost", "Virtual host", f'label_values({C}info{{instance=~"$instance"}}, vhost)'),
)
