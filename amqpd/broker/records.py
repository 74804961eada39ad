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


Record = ExchangeRecord | QueueRecord | BindingRecord
