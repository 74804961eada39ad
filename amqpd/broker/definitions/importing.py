"""Definitions come in: first all is looked at, then what is new or has changed is declared.

If one item is wrong, nothing is imported. What amqpd does not have (streams, some types of exchanges) is left out, with
what refers to it, and the rest comes in. What is there already and is described otherwise: users, permissions and
policies become what is described; queues and exchanges cannot be changed, and stay as they are (RabbitMQ passes over
them in silence; here it is told). So the same definitions can be imported again and again, and cost little.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from amqpd.broker.accounts import check_account
from amqpd.broker.broker import Broker
from amqpd.broker.definitions.exporting import OF_THE_BROKER
from amqpd.broker.definitions.items import (
    READERS,
    DefinitionsUnusable,
    Item,
    LeftOut,
    WithoutEffect,
    Wrong,
    further_fields,
)
from amqpd.broker.exchanges.exchange import binding_key
from amqpd.broker.exchanges.types import EXCHANGE_TYPES, check_exchange
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
from amqpd.broker.topology.arguments import check_queue_arguments
from amqpd.broker.topology.equivalence import check_same_exchange, check_same_queue
from amqpd.broker.topology.policies import check_policy
from amqpd.errors import AMQPError, PreconditionFailed

R = TypeVar("R", ExchangeRecord, QueueRecord)

Name = tuple[str, str, str]
"""Kind ("queue" or "exchange"), vhost and name."""

KINDS = {"queues": "queue", "exchanges": "exchange"}
"""What a binding can name, by category."""


@dataclass(slots=True)
class Imported:
    """What an import came to: how many records were new or have changed, and texts about items that are not among
    them."""

    changed: int = 0
    left_out: list[str] = field(default_factory=list)
    without_effect: list[str] = field(default_factory=list)


def import_definitions(
    broker: Broker, definitions: object, vhost: str | None = None, at_start: bool = False
) -> Imported:
    """Declare what definitions say. ``definitions`` is what was read from JSON.

    ``vhost``: import the topology and policies into this virtual host, whichever one they are from. ``at_start``:
    nobody uses the broker yet; so if there are users among them, the default user need not be there beside these.

    DefinitionsUnusable: nothing was imported; or, where an item is only found wrong when it is declared, all but that.
    """
    if not isinstance(definitions, Mapping):
        raise DefinitionsUnusable(["they are not a JSON object"])
    if at_start and definitions.get("users"):
        broker.drop_default_user()
    plan = _Plan(broker, vhost)
    plan.read(definitions)
    if plan.problems:
        raise DefinitionsUnusable(plan.problems)
    policies: dict[str, list[PolicyRecord]] = {}
    for label, record in plan.records:
        if isinstance(record, PolicyRecord):
            policies.setdefault(record.vhost, []).append(record)
            continue
        try:
            _declare(broker, record)
        except AMQPError as error:
            plan.problems.append(f"{label}: {error.text}")
    for name, records in policies.items():  # which were checked; together, since each holds for all queues at once
        broker.vhost(name).set_policies(records)
    if plan.problems:
        raise DefinitionsUnusable(plan.problems)
    return plan.imported


def _declare(broker: Broker, record: Record) -> None:
    match record:
        case VHostRecord(name):
            broker.add_vhost(name)
        case UserRecord():
            broker.put_user(record)
        case PermissionRecord() | TopicPermissionRecord():
            broker.set_permission(record)
        case ExchangeRecord():
            broker.vhost(record.vhost).declare_exchange(record)
        case QueueRecord():
            broker.vhost(record.vhost).declare_queue(record, owner=None)
        case BindingRecord():
            broker.vhost(record.vhost).bind(record, owner=None)


class _Plan:
    """What is to be declared, found by walking over all items once: each is held against the broker, and against what
    came before it."""

    def __init__(self, broker: Broker, vhost: str | None) -> None:
        self.records: list[tuple[str, Record]] = []
        self.problems: list[str] = []
        self.imported = Imported()
        self._broker = broker
        self._vhost = vhost
        self._vhosts = set(broker.vhosts)
        self._users = {user.name for user in broker.users}
        self._coming: set[Name] = set()
        self._left_out: set[Name] = set()

    def read(self, definitions: Mapping[str, Any]) -> None:
        if self._vhost is not None and self._vhost not in self._vhosts:
            self.problems.append(f"there is no vhost '{self._vhost}' to import them into")
            return
        for category in READERS:
            if self._vhost is not None and category in OF_THE_BROKER:
                continue
            items = definitions.get(category) or []
            if not isinstance(items, list):
                self.problems.append(f"{category} is not a list")
                continue
            for index, fields in enumerate(items):
                if isinstance(fields, Mapping):
                    self._take(category, index, Item(fields, self._vhost))
                else:
                    self.problems.append(f"{category}[{index}] is not an object")

    def _take(self, category: str, index: int, item: Item) -> None:
        label = _label(category, index, item.fields)
        record: Record | None = None
        try:
            self.imported.without_effect += [f"{label}: {text}" for text in further_fields(category, item)]
            record = READERS[category](item)
            if record is not None and self._is_new(record, item):
                self.records.append((label, record))
                self.imported.changed += 1
        except WithoutEffect as told:
            self.imported.without_effect.append(f"{label}: {told}")
        except LeftOut as left:
            self.imported.left_out.append(f"{label}: {left}")
            if category in KINDS:
                self._left_out.add((KINDS[category], item.vhost, item.name()))
        except Wrong as wrong:
            self.problems.append(f"{label}: {wrong}")
        except AMQPError as error:
            self.problems.append(f"{label}: {error.text}")

    def _is_new(self, record: Record, item: Item) -> bool:
        """Whether it is to be declared: it is not there just so already. Wrong, LeftOut or AMQPError: it cannot be."""
        match record:
            case VHostRecord(name):
                self._vhosts.add(name)
                return name not in self._broker.vhosts
            case UserRecord(name):
                check_account(record)
                self._users.add(name)
                return not self._broker.has(record) and not self._has_password(record, item)
            case PermissionRecord() | TopicPermissionRecord():
                self._check_vhost(record.vhost)
                if record.user not in self._users:
                    raise Wrong(f"there is no user '{record.user}'")
                check_account(record)
                return not self._broker.has(record)
            case PolicyRecord():
                self._check_vhost(record.vhost)
                check_policy(record)
                vhost = self._broker.vhosts.get(record.vhost)
                return vhost is None or vhost.policies.get(record.name, record.operator) != record
            case ExchangeRecord():
                return self._is_new_exchange(record)
            case QueueRecord():
                return self._is_new_queue(record)
            case BindingRecord():
                return self._is_new_binding(record)

    def _has_password(self, record: UserRecord, item: Item) -> bool:
        """A password in clear text has another hash each time. Whether all is as it was but for that."""
        user, password = self._broker.users.get(record.name), item.fields.get("password")
        kept = user.password_hash if user else None
        if (
            kept is None
            or not isinstance(password, str)
            or not kept.matches(password.encode("utf-8", "surrogateescape"))
        ):
            return False
        return self._broker.has(replace(record, password_hash=kept.encode(), hashing_algorithm=kept.algorithm))

    def _is_new_exchange(self, record: ExchangeRecord) -> bool:
        self._check_vhost(record.vhost)
        vhost = self._broker.vhosts.get(record.vhost)
        current = vhost.exchanges.get(record.name) if vhost else None
        if current is not None:
            _check_same(check_same_exchange, current.record, record)
            return False
        if record.type not in EXCHANGE_TYPES:
            raise LeftOut(f"there are no exchanges of type {record.type}")
        check_exchange(record)
        self._coming.add(("exchange", record.vhost, record.name))
        return True

    def _is_new_queue(self, record: QueueRecord) -> bool:
        self._check_vhost(record.vhost)
        vhost = self._broker.vhosts.get(record.vhost)
        current = vhost.queues.get(record.name) if vhost else None
        if current is not None:
            _check_same(check_same_queue, current.record, record)
            return False
        check_queue_arguments(record)
        self._coming.add(("queue", record.vhost, record.name))
        return True

    def _is_new_binding(self, record: BindingRecord) -> bool:
        self._check_vhost(record.vhost)
        self._check_end("exchange", record.vhost, record.source)
        self._check_end(record.destination_kind, record.vhost, record.destination)
        vhost = self._broker.vhosts.get(record.vhost)
        source = vhost.exchanges.get(record.source) if vhost else None
        return source is None or binding_key(record) not in source.bindings

    def _check_vhost(self, name: str) -> None:
        if name not in self._vhosts:
            raise Wrong(f"there is no vhost '{name}'")

    def _check_end(self, kind: str, vhost: str, name: str) -> None:
        """The exchange or queue that a binding names is there, or is coming."""
        if (kind, vhost, name) in self._coming or (kind == "exchange" and name.startswith("amq.")):
            return
        host = self._broker.vhosts.get(vhost)
        if host is not None and name in (host.queues if kind == "queue" else host.exchanges):
            return
        if (kind, vhost, name) in self._left_out:
            raise LeftOut(f"the {kind} '{name}' is not there")
        raise Wrong(f"there is no {kind} '{name}'")


def _label(category: str, index: int, fields: Mapping[str, Any]) -> str:
    """Which item it is, for somebody who looks for it in the file."""
    name = fields.get("name", fields.get("user"))
    if category == "bindings":
        name = f"{fields.get('source')} -> {fields.get('destination')}"
    vhost = f" in vhost '{fields['vhost']}'" if "vhost" in fields else ""
    return f"{category}[{index}] '{name}'{vhost}"


def _check_same(check: Callable[[R, R], None], current: R, record: R) -> None:
    """LeftOut: what is there already is another one."""
    try:
        check(current, record)
    except PreconditionFailed as difference:
        raise LeftOut(f"is there already and stays as it is: {difference.text}") from None
