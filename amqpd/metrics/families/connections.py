"""The families of a connection: of its socket, which the broker does not know."""

from amqpd.metrics.statistics import ConnectionStatistics
from amqpd.metrics.tables import Table, counter, gauge

CONNECTIONS: Table[ConnectionStatistics] = Table(
    labels=("connection",),
    rows=lambda snapshot: snapshot.server.connections,
    label_values=lambda connection: (connection.name,),
    families={
        "connection_coarse_metrics": (
            counter(
                "connection_incoming_bytes",
                "Octets received",
                lambda connection: connection.octets_in,
                ever=lambda snapshot: snapshot.server.octets_in,
            ),
            counter(
                "connection_outgoing_bytes",
                "Octets sent",
                lambda connection: connection.octets_out,
                ever=lambda snapshot: snapshot.server.octets_out,
            ),
        ),
        "connection_metrics": (
            counter(
                "connection_incoming_packets",
                "Reads from the socket",
                lambda connection: connection.reads,
                ever=lambda snapshot: snapshot.server.reads,
            ),
            counter(
                "connection_outgoing_packets",
                "Writes to the socket",
                lambda connection: connection.writes,
                ever=lambda snapshot: snapshot.server.writes,
            ),
            gauge(
                "connection_pending_bytes",
                "Octets that the client has still to take",
                lambda connection: connection.pending,
            ),
            gauge("connection_channels", "Channels of the connection", lambda connection: connection.channels),
            gauge(
                "connection_blocked",
                "1: the connection is not read because of an alarm, since it has published",
                lambda connection: connection.blocked,
            ),
        ),
    },
)

INFO: Table[ConnectionStatistics] = Table(
    labels=("connection", "vhost", "user", "client", "client_version", "client_name"),
    rows=lambda snapshot: snapshot.server.connections,
    label_values=lambda connection: (
        connection.name,
        connection.vhost,
        connection.user,
        connection.client,
        connection.client_version,
        connection.client_name,
    ),
    families={
        "connection_metrics": (gauge("connection_info", "Whose connection it is", lambda _connection: 1, combine=None),)
    },
)
