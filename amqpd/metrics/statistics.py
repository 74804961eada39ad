"""What the server knows about itself beside its broker, as immutable snapshots: the other half of what metrics read.

The server fills these in; nothing here is measured or counted.
"""

from dataclasses import dataclass

from amqpd.histogram import Distribution


@dataclass(frozen=True, slots=True)
class ConnectionStatistics:
    """One connection. ``client`` and ``client_version`` are the product that it says it is, ``client_name`` what it
    calls itself (connection.start-ok: product, version, connection_name).

    These and the names are empty as long as they are not known. Octets are the socket's, ``reads`` and ``writes``
    the calls that moved them; ``pending`` octets are still to be taken by the peer. It is ``blocked`` by an
    alarm, not for a slow disk.
    """

    name: str
    vhost: str
    user: str
    client: str
    client_version: str
    client_name: str
    blocked: bool
    channels: int
    octets_in: int
    octets_out: int
    reads: int
    writes: int
    pending: int


@dataclass(frozen=True, slots=True)
class JournalStatistics:
    """One file of the store. ``commits`` are seconds from the cut of a group until it was safe, ``groups`` how many
    changes (records, messages, settlements) each group had. ``read_s`` is the time in which the disk was read.
    ``waiting`` octets of messages have not reached the disk yet; above ``waiting_limit`` publishers have to wait."""

    file: str
    commits: Distribution
    groups: Distribution
    octets_written: int
    messages_written: int
    reads: int
    read_s: float
    octets_read: int
    messages_read: int
    octets_in_file: int
    waiting: int
    waiting_limit: int


@dataclass(frozen=True, slots=True)
class ServerStatistics:
    """The process. ``loop_lag``: by how many seconds the event loop was late, looked at ten times a second.
    ``gc_pauses``: seconds that collections of garbage took. Octets, reads and writes are those of all connections that
    there ever were. ``not_ready``: why no client should be sent here now, if
    anything."""

    node: str
    cluster: str
    uptime_s: float
    loop_lag: Distribution
    gc_pauses: Distribution
    octets_in: int
    octets_out: int
    reads: int
    writes: int
    journals: tuple[JournalStatistics, ...]
    connections: tuple[ConnectionStatistics, ...]
    not_ready: tuple[str, ...]
