"""Records as definitions.

What clients or the broker make for themselves is not among them: exclusive queues, and whatever has a name that begins
with ``amq.``; RabbitMQ does not import that either.

JSON has no octets, no decimals, no points in time and no infinity: these become texts and numbers, as in RabbitMQ.
Octets of names that are no UTF-8 are escapes from ``\\udc80`` to ``\\udcff``.
"""

import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from amqpd import __version__
from amqpd.broker.records import (
    BindingRecord,
    ExchangeRecord,
    PermissionRecord,
    PolicyRecord,
    QueueRecord,
    Record,
    TopicPermissionRecord,
    UserRecord,
    VHostRecord,
)
from amqpd.wire.tables import FieldValue

CATEGORIES = (
    "users",
    "vhosts",
    "permissions",
    "topic_permissions",
    "parameters",
    "global_parameters",
    "policies",
    "queues",
    "exchanges",
    "bindings",
)
OF_THE_BROKER = ("users", "vhosts", "permissions", "topic_permissions", "global_parameters")
"""Not in the definitions of a single virtual host."""

Item = dict[str, Any]


def export_definitions(records: Iterable[Record], vhost: str | None = None) -> dict[str, Any]:
    """All that these records say, or what one virtual host has: then no item names it, so that it can be imported into
    another one."""
    found: dict[str, list[Item]] = {category: [] for category in CATEGORIES}
    queues: set[tuple[str, str]] = set()
    for record in records:  # queues come before bindings
        if isinstance(record, QueueRecord) and not _is_private(record):
            queues.add((record.vhost, record.name))
        if _is_exported(record, queues):
            category, item = _as_item(record)
            found[category].append(item)
    for items in found.values():
        items.sort(key=_order)
    definitions: dict[str, Any] = {"product_name": "amqpd", "product_version": __version__}
    if vhost is None:
        return definitions | found
    for category in (category for category in CATEGORIES if category not in OF_THE_BROKER):
        definitions[category] = [item for item in found[category] if item.pop("vhost") == vhost]
    return definitions


def _is_private(record: QueueRecord) -> bool:
    return record.exclusive or record.name.startswith("amq.")


def _is_exported(record: Record, queues: set[tuple[str, str]]) -> bool:
    match record:
        case ExchangeRecord():
            return record.name != "" and not record.name.startswith("amq.")
        case QueueRecord():
            return not _is_private(record)
        case BindingRecord(destination_kind="queue"):
            return (record.vhost, record.destination) in queues
    return True


def _order(item: Item) -> list[str]:
    keys = ("vhost", "name", "user", "source", "destination", "routing_key", "arguments")
    return [str(item.get(key, "")) for key in keys]


def _as_item(record: Record) -> tuple[str, Item]:
    """The category, and the record as an item of it."""
    match record:
        case UserRecord():
            return "users", {
                "name": record.name,
                "password_hash": record.password_hash,
                "hashing_algorithm": record.hashing_algorithm,
                "tags": record.tags.split(",") if record.tags else [],
                "limits": {},
            }
        case VHostRecord():
            return "vhosts", {"name": record.name}
        case PermissionRecord():
            return "permissions", _fields(record, "user", "vhost", "configure", "write", "read")
        case TopicPermissionRecord():
            return "topic_permissions", _fields(record, "user", "vhost", "exchange", "write", "read")
        case PolicyRecord():
            return _policy(record)
        case QueueRecord():
            item = _fields(record, "name", "vhost", "durable", "auto_delete")
            kind = as_json(record.arguments.get("x-queue-type", "classic"))
            return "queues", item | {"type": kind, "arguments": as_json(record.arguments)}
        case ExchangeRecord():
            item = _fields(record, "name", "vhost", "type", "durable", "auto_delete", "internal")
            return "exchanges", item | {"arguments": as_json(record.arguments)}
        case BindingRecord():
            item = _fields(record, "source", "vhost", "destination")
            return "bindings", item | {
                "destination_type": record.destination_kind,
                "routing_key": record.routing_key,
                "arguments": as_json(record.arguments),
            }


def _policy(record: PolicyRecord) -> tuple[str, Item]:
    """An operator policy lies among the parameters, where RabbitMQ has it."""
    policy = {
        "pattern": record.pattern,
        "apply-to": record.apply_to,
        "definition": as_json(record.definition),
        "priority": record.priority,
    }
    item = _fields(record, "name", "vhost")
    if record.operator:
        return "parameters", item | {"component": "operator_policy", "value": policy}
    return "policies", item | policy


def _fields(record: Record, *names: str) -> Item:
    return {name: getattr(record, name) for name in names}


def as_json(value: FieldValue) -> Any:
    """A value of a field table, as what JSON has for it."""
    match value:
        case dict():
            return {key: as_json(each) for key, each in value.items()}
        case list():
            return [as_json(each) for each in value]
        case bytes():
            return value.decode("utf-8", "surrogateescape")
        case Decimal():
            return float(value)
        case float() if not math.isfinite(value):
            return str(value)
    return value
