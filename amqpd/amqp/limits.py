"""The limits of an AMQP connection, each with its reason. The settings take their defaults from here."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may ask for. Sizes in octets, times in seconds."""

    channel_max: int = 2047
    """Channels a connection may have open; RabbitMQ's default. 0: as many as the protocol can number (65535)."""

    frame_max: int = 131072
    """The largest frame, its head and end included; RabbitMQ's default. Bounds what a half-received frame can hold."""

    heartbeat_s: int = 60
    """Proposed heartbeat; a peer that stays silent for two of them is dropped. 0: none is proposed."""

    handshake_timeout_s: float = 10.0
    """From the TCP connection to connection.open: a peer that says nothing may not hold a socket for ever."""

    close_timeout_s: float = 10.0
    """How long a peer may take to answer connection.close before its socket is closed anyway."""

    message_size_max: int = 134_217_728
    """The largest message body (128 MiB, as RabbitMQ 3.x): a body is in memory whole before it is routed."""

    outbound_high_water: int = 1_048_576
    """Deliveries to a connection stop when so much waits to be sent: a consumer that does not read costs its queue."""

    outbound_limit: int = 8_388_608
    """A connection is no longer read when so much waits to be sent: replies and returns it does not take are its own
    doing."""

    consumers_per_channel_max: int = 65535
    """Consumers on one channel: each costs memory as long as the channel lives."""
