"""Definitions as records: what each item says, and what is wrong with it.

An item is a record, or a text about it: a problem, or that amqpd has no such thing, or that it means nothing here. Only
what an item says by itself is judged in this module; whether it fits the others is ``importing``'s business.

Numbers are whole numbers or doubles, as in RabbitMQ's own import: JSON does not say how wide they were.
"""

from collections.abc import Callable, Mapping
from typing import Any

from amqpd.auth.passwords import SHA256, PasswordHash
from amqpd.broker.records import (
    BindingRecord,
    DestinationKind,
    ExchangeRecord,
    PermissionRecord,
    PolicyRecord,
    QueueRecord,
    Record,
    TopicPermissionRecord,
    UserRecord,
    VHostRecord,
)
from amqpd.wire.tables import Table, encode_table

OWN_GLOBAL_PARAMETERS = ("cluster_name", "cluster_tags", "internal_cluster_id")
"""What a RabbitMQ says about itself: nothing that one would miss."""


class DefinitionsUnusable(Exception):
    """Definitions cannot be imported. Each of ``problems`` says which item, and what is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Wrong(Exception):
    """An item is not as it must be. The text says what is wrong."""


class LeftOut(Exception):
    """An item is something that amqpd has not, or does not import. The text says what."""


class WithoutEffect(Exception):
    """An item means nothing here. The text says what."""


class Item:
    """The fields of one item, by their types. ``vhost``: the one it is for, whatever it says itself."""

    def __init__(self, fields: Mapping[str, Any], vhost: str | None = None) -> None:
        self.fields = fields
        self._vhost = vhost

    @property
    def vhost(self) -> str:
        if self._vhost is not None:
            return self._vhost
        if "vhost" not in self.fields:
            raise Wrong("names no vhost: definitions of a single one can only be imported into one that is named")
        return self.text("vhost")

    def text(self, key: str, default: str | None = None) -> str:
        value = self._get(key, default)
        if not isinstance(value, str):
            raise Wrong(f"{key} is not a text")
        try:
            value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise Wrong(f"{key} is not Unicode") from None
        return value

    def name(self, key: str = "name") -> str:
        """A text that a short string of AMQP can hold."""
        name = self.text(key)
        if len(name.encode("utf-8", "surrogateescape")) > 255:
            raise Wrong(f"{key} has more than 255 octets")
        return name

    def texts(self, key: str) -> list[str]:
        """A list of texts, or one with commas between them."""
        value = self.fields.get(key) or []
        if isinstance(value, str):
            value = [each.strip() for each in value.split(",")]
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise Wrong(f"{key} is neither a list of texts nor a text")
        return [Item({key: each}).text(key) for each in value if each]

    def flag(self, key: str, default: bool) -> bool:
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise Wrong(f"{key} is neither true nor false")
        return value

    def number(self, key: str, default: int) -> int:
        value = self._get(key, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise Wrong(f"{key} is not a whole number")
        if not -(1 << 63) <= value < 1 << 63:
            raise Wrong(f"{key} does not fit 64 bits")
        return value

    def table(self, key: str) -> Table:
        """An object, or a list of pairs, which is what RabbitMQ sometimes writes for one."""
        value = self._get(key, {})
        if isinstance(value, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in value):
            value = {name: each for name, each in value if isinstance(name, str)}
        if not isinstance(value, dict):
            raise Wrong(f"{key} is not an object")
        table: Table = dict(value)
        try:
            encode_table(table)
        except ValueError as error:  # also for a text that is not Unicode
            raise Wrong(f"{key}: {error}") from None
        return table

    def _get(self, key: str, default: Any) -> Any:
        value = self.fields.get(key)
        if value is None:
            value = default
        if value is None:
            raise Wrong(f"has no {key}")
        return value


def read_vhost(item: Item) -> VHostRecord:
    return VHostRecord(item.name())


def read_user(item: Item) -> UserRecord:
    """``password`` in clear text is fine too, as in RabbitMQ; a user with neither cannot log in with one."""
    algorithm = item.text("hashing_algorithm", SHA256)
    password_hash = item.text("password_hash", "")
    if not password_hash and "password" in item.fields:
        password_hash = PasswordHash.of(item.text("password").encode("utf-8", "surrogateescape")).encode()
        algorithm = SHA256
    return UserRecord(item.name(), password_hash, algorithm, ",".join(item.texts("tags")))


def read_permission(item: Item) -> PermissionRecord:
    return PermissionRecord(
        item.vhost, item.name("user"), item.text("configure"), item.text("write"), item.text("read")
    )


def read_topic_permission(item: Item) -> TopicPermissionRecord:
    return TopicPermissionRecord(
        item.vhost, item.name("user"), item.text("exchange"), item.text("write"), item.text("read")
    )


def read_parameter(item: Item) -> PolicyRecord:
    component = item.text("component")
    if component != "operator_policy":
        raise WithoutEffect(f"a parameter of {component} has no effect")
    value = item.fields.get("value")
    if not isinstance(value, dict):
        raise Wrong("value is not an object")
    return _policy(item, Item(value), operator=True)


def read_global_parameter(item: Item) -> None:
    if item.text("name") not in OWN_GLOBAL_PARAMETERS:
        raise WithoutEffect("a global parameter has no effect")


def read_policy(item: Item) -> PolicyRecord:
    return _policy(item, item, operator=False)


def _policy(item: Item, policy: Item, operator: bool) -> PolicyRecord:
    return PolicyRecord(
        item.vhost,
        item.name(),
        policy.text("pattern"),
        policy.table("definition"),
        policy.text("apply-to", "all"),
        policy.number("priority", 0),
        operator,
    )


def read_exchange(item: Item) -> ExchangeRecord | None:
    """None: one that is there in every virtual host."""
    name = item.name()
    if not name or name.startswith("amq."):
        return None
    return ExchangeRecord(
        item.vhost,
        name,
        item.name("type"),
        item.flag("durable", True),
        item.flag("auto_delete", False),
        item.flag("internal", False),
        item.table("arguments"),
    )


def read_queue(item: Item) -> QueueRecord:
    name, arguments = item.name(), item.table("arguments")
    if name.startswith("amq."):
        raise LeftOut("a queue that the server named for a client is not imported")
    kind = item.text("type", "classic")
    if kind != "classic":  # of its virtual host, whose queues need not say so themselves
        arguments.setdefault("x-queue-type", kind)
    kind = str(arguments.get("x-queue-type", "classic"))
    if kind not in ("classic", "quorum"):
        raise LeftOut(f"there are no queues of type {kind}")
    return QueueRecord(
        item.vhost,
        name,
        durable=item.flag("durable", True),
        auto_delete=item.flag("auto_delete", False),
        arguments=arguments,
    )


def read_binding(item: Item) -> BindingRecord | None:
    """None: to the default exchange, where every queue is."""
    source = item.name("source")
    if not source:
        return None
    kind: DestinationKind
    match item.text("destination_type"):
        case "queue" | "exchange" as kind:
            pass
        case _:
            raise Wrong("destination_type is neither queue nor exchange")
    return BindingRecord(
        item.vhost, source, item.name("destination"), kind, item.name("routing_key"), item.table("arguments")
    )


Read = Callable[[Item], Record | None]

READERS: dict[str, Read] = {
    "vhosts": read_vhost,
    "users": read_user,
    "permissions": read_permission,
    "topic_permissions": read_topic_permission,
    "policies": read_policy,
    "parameters": read_parameter,
    "global_parameters": read_global_parameter,
    "exchanges": read_exchange,
    "queues": read_queue,
    "bindings": read_binding,
}
"""By category, in an order in which records can be applied."""


def further_fields(category: str, item: Item) -> list[str]:
    """What an item says beside, and has no effect here."""
    fields = item.fields
    match category:
        case "users" if fields.get("limits"):
            return ["limits have no effect"]
        case "vhosts":
            metadata = fields.get("metadata")
            if not isinstance(metadata, Mapping):
                metadata = {}
            kind = fields.get("default_queue_type") or metadata.get("default_queue_type")
            return [f"default_queue_type {kind} has no effect"] if kind not in (None, "classic", "undefined") else []
    return []
