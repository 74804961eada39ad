"""Declared things as plain, immutable values: what a store keeps and definitions list.

Topology has one path: declare -> validate -> ``store.save(record)`` -> ``VHost.apply(record)``. Recovery and imports
replay records through the same ``apply``.
"""

from dataclasses import dataclass, field
from typing import Literal

from amqpd.wire.tables import Table

DestinationKind = Literal["queue", "exchange"]


@dataclass(frozen=True, slots=True)
class ExchangeRecord:
    vhost: str
    name: str
    type: str
    durable: bool = False
    auto_delete: bool = False
    internal: bool = False
    arguments: Table = field(default_factory=dict)

    @property
    def survives(self) -> bool:
        """Whether it is there again after a restart."""
        return self.durable


@dataclass(frozen=True, slots=True)
class QueueRecord:
    vhost: str
    name: str
    durable: bool = False
    exclusive: bool = False
    auto_delete: bool = False
    arguments: Table = field(default_factory=dict)

    @property
    def type(self) -> str:
        """ "classic" or "quorum"; both are the same here, but for the rules that go with it."""
        return "quorum" if self.arguments.get("x-queue-type") == "quorum" else "classic"

    @property
    def survives(self) -> bool:
        """Whether it is there again after a restart: an exclusive queue dies with its connection, so before."""
        return self.durable and not self.exclusive


@dataclass(frozen=True, slots=True)
class BindingRecord:
    """From exchange ``source`` to a queue or another exchange. Survives a restart when both its ends do."""

    vhost: str
    source: str
    destination: str
    destination_kind: DestinationKind
    routing_key: str = ""
    arguments: Table = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """What all queues or exchanges of a vhost get whose name matches ``pattern``, a regular expression.

    ``apply_to``: all, queues, classic_queues, quorum_queues, streams or exchanges. Of the policies that match, the one
    with the highest ``priority`` holds. ``operator``: it is an operator policy, which limits what the others say.
    """

    vhost: str
    name: str
    pattern: str
    definition: Table
    apply_to: str = "all"
    priority: int = 0
    operator: bool = False


@dataclass(frozen=True, slots=True)
class VHostRecord:
    name: str


@dataclass(frozen=True, slots=True)
class UserRecord:
    """``password_hash`` is RabbitMQ's form of it, see auth/passwords.py; empty: none. ``tags`` stand between commas."""

    name: str
    password_hash: str = field(repr=False)  # and so it gets into no log
    hashing_algorithm: str
    tags: str = ""


@dataclass(frozen=True, slots=True)
class PermissionRecord:
    """Three regular expressions, see auth/permissions.py."""

    vhost: str
    user: str
    configure: str
    write: str
    read: str


@dataclass(frozen=True, slots=True)
class TopicPermissionRecord:
    """What a user may do with routing keys of one topic exchange: two regular expressions."""

    vhost: str
    user: str
    exchange: str
    write: str
    read: str


TopologyRecord = ExchangeRecord | QueueRecord | BindingRecord | PolicyRecord
"""What lies in a virtual host."""

Record = TopologyRecord | VHostRecord | UserRecord | PermissionRecord | TopicPermissionRecord
