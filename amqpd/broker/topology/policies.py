"""Policies: settings that an operator gives to all queues and exchanges of a vhost whose names match an expression.

Of the policies that match, one holds: that with the highest priority, and of equals that whose name comes first
(RabbitMQ leaves that open). An operator policy limits what it says: of times and lengths the smaller one holds. What
the settings then do is the business of queues (rules.py) and exchanges; this module checks them, keeps them and tells
which hold.

RabbitMQ's settings are all known here, also those that mean nothing on one node, so that its definitions can be
imported; they are kept and have no effect.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from amqpd.auth.patterns import Matcher, matcher
from amqpd.broker.exchanges.erlang import erlang_term
from amqpd.broker.queues.rules import SMALLER, Overflow, QueueRules, TimeoutAction, rules_of, smaller
from amqpd.broker.records import ExchangeRecord, PolicyRecord, QueueRecord
from amqpd.broker.topology.arguments import ROUTING_KEY_MAX
from amqpd.errors import NotFound, PreconditionFailed
from amqpd.wire.tables import FieldValue, Table, encode_table

Check = Callable[[FieldValue], bool]

APPLY_TO = {
    "all": ("classic", "quorum", "exchange"),
    "queues": ("classic", "quorum"),
    "classic_queues": ("classic",),
    "quorum_queues": ("quorum",),
    "streams": (),  # there are none here
    "exchanges": ("exchange",),
}
"""What a policy is for, by the word in ``apply_to``."""

LEADER_LOCATORS = ("client-local", "balanced", "random", "least-leaders")


def _text(value: FieldValue) -> bool:
    return isinstance(value, str)


def _number(value: FieldValue) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _anything(_: FieldValue) -> bool:
    return True


def _at_least(least: int) -> Check:
    return lambda value: _number(value) and value >= least  # type: ignore[operator]


def _between(least: int, most: int) -> Check:
    return lambda value: _number(value) and least <= value <= most  # type: ignore[operator]


def _one_of(*values: str | int) -> Check:
    return lambda value: not isinstance(value, bool) and value in values


def _boolean(value: FieldValue) -> bool:
    return isinstance(value, bool)


def _routing_key(value: FieldValue) -> bool:
    return isinstance(value, str) and len(value.encode("utf-8", "surrogateescape")) <= ROUTING_KEY_MAX


def _age(value: FieldValue) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9]+[YMDhms]", value) is not None


NAME_MAX = 255
"""Characters: names of policies stand in logs and lists."""

BOTH = frozenset({"classic", "quorum"})
CLASSIC = frozenset({"classic"})
QUORUM = frozenset({"quorum"})
STREAM: frozenset[str] = frozenset()


class Setting(NamedTuple):
    """What a value must be, and RabbitMQ's words for it after "is not a valid". ``types``: of queues that have it.

    ``operator``: an operator policy may say it (in RabbitMQ 4).
    """

    check: Check = _anything
    words: str = "value"
    operator: bool = False
    types: frozenset[str] = BOTH


SETTINGS: dict[str, Setting] = {
    "alternate-exchange": Setting(_text, "alternate exchange name"),
    "consumer-timeout": Setting(_at_least(0), "consumer timeout"),
    "consumer-timeout-action": Setting(_one_of(*TimeoutAction), "consumer timeout action"),  # our own
    "dead-letter-exchange": Setting(_text, "dead letter exchange name"),
    "dead-letter-routing-key": Setting(_routing_key, "dead letter routing key"),
    "delivery-limit": Setting(_number, "delivery limit", operator=True, types=QUORUM),
    "expires": Setting(_at_least(1), "queue expiry", operator=True),
    "max-length": Setting(_at_least(0), "maximum length", operator=True),
    "max-length-bytes": Setting(_at_least(0), "maximum length in bytes", operator=True),
    "message-times": Setting(_boolean, "choice of measuring message times"),  # our own
    "message-ttl": Setting(_at_least(0), "message TTL", operator=True),
    "overflow": Setting(_one_of(*Overflow), "overflow value", operator=True),
    # Without effect here: of replicated queues, streams, plugins, and RabbitMQ 3
    "consumer-disconnected-timeout": Setting(_at_least(0), "consumer disconnected timeout"),
    "dead-letter-strategy": Setting(_one_of("at-most-once", "at-least-once"), "dead letter strategy", types=QUORUM),
    "delayed-retry-max": Setting(operator=True),
    "delayed-retry-min": Setting(operator=True),
    "delayed-retry-type": Setting(operator=True),
    "federation-upstream": Setting(),
    "federation-upstream-pattern": Setting(),
    "federation-upstream-set": Setting(),
    "ha-mode": Setting(types=CLASSIC),
    "ha-params": Setting(types=CLASSIC),
    "ha-promote-on-failure": Setting(types=CLASSIC),
    "ha-promote-on-shutdown": Setting(types=CLASSIC),
    "ha-sync-batch-size": Setting(),
    "ha-sync-mode": Setting(types=CLASSIC),
    "initial-cluster-size": Setting(_at_least(0), "cluster size", types=STREAM),
    "max-age": Setting(_age, "max age", types=STREAM),
    "max-in-memory-bytes": Setting(_at_least(0), "maximum memory in bytes", operator=True, types=QUORUM),
    "max-in-memory-length": Setting(_at_least(0), "maximum memory in bytes", operator=True, types=QUORUM),
    "member-placement-tag": Setting(operator=True),
    "queue-leader-locator": Setting(_one_of(*LEADER_LOCATORS), "queue leader locator value"),
    "queue-master-locator": Setting(operator=True, types=CLASSIC),
    "queue-mode": Setting(_one_of("default", "lazy"), "queue-mode value", types=CLASSIC),
    "queue-version": Setting(_one_of(1, 2), "queue-version value", operator=True),
    "routing-key": Setting(),
    "shards-per-node": Setting(),
    "stream-filter-size-bytes": Setting(_between(16, 255), "filter size. Valid range is 16-255"),
    "stream-max-segment-size-bytes": Setting(_between(0, 3_000_000_000), "segment size", types=STREAM),
    "target-group-size": Setting(operator=True, types=QUORUM),
}


def check_policy(record: PolicyRecord) -> None:
    """PreconditionFailed, with RabbitMQ's text: it is not one."""
    if not record.name.isprintable() or not 0 < len(record.name) <= NAME_MAX:
        raise PreconditionFailed(f"the name of a policy is a text of 1 to {NAME_MAX} characters")
    if not -(1 << 63) <= record.priority < 1 << 63:
        raise PreconditionFailed(f"{record.priority} is not a valid priority")
    try:
        matcher(record.pattern)
    except ValueError as error:
        raise PreconditionFailed(f"pattern should be regular expression but is invalid: {error}") from None
    if record.apply_to not in APPLY_TO:
        raise PreconditionFailed(
            f"apply-to '{record.apply_to}' unrecognised; should be one of: 'queues', 'classic_queues',  "
            "'quorum_queues', 'streams', 'exchanges', or 'all'"
        )
    if not record.definition:
        raise PreconditionFailed("no policy provided")
    unknown: list[str] = []
    for key, value in record.definition.items():
        setting = SETTINGS.get(key)
        if setting is None or (record.operator and not setting.operator):
            unknown.append(f"{{{erlang_term(key)},{erlang_term(value)}}}")
        elif not setting.check(value):
            raise PreconditionFailed(f"{erlang_term(value)} is not a valid {setting.words}")
    if unknown:
        raise PreconditionFailed(f"[{','.join(unknown)}] are not recognised policy settings")
    try:
        encode_table(record.definition)
    except ValueError as error:
        raise PreconditionFailed(f"a policy setting cannot be kept: {error}") from None


class Policies:
    """The policies of one virtual host."""

    def __init__(self) -> None:
        self._records: dict[tuple[bool, str], PolicyRecord] = {}
        self._ranked: dict[bool, list[tuple[PolicyRecord, Matcher]]] = {False: [], True: []}

    def __iter__(self) -> Iterator[PolicyRecord]:
        return iter(self._records.values())

    def put(self, record: PolicyRecord) -> None:
        """Add one, in place of that with its name; policies and operator policies have names of their own."""
        self._records[record.operator, record.name] = record
        self._rank(record.operator)

    def remove(self, name: str, operator: bool) -> PolicyRecord:
        """NotFound: there is none of that name."""
        record = self._records.pop((operator, name), None)
        if record is None:
            raise NotFound(f"no {'operator policy' if operator else 'policy'} '{name}'")
        self._rank(operator)
        return record

    def get(self, name: str, operator: bool) -> PolicyRecord | None:
        return self._records.get((operator, name))

    def find(self, record: QueueRecord | ExchangeRecord, operator: bool) -> PolicyRecord | None:
        """The policy, or the operator policy, that holds for this queue or exchange."""
        ranked = self._ranked[operator]
        if not ranked:  # mostly
            return None
        kind = _kind(record)
        found = (policy for policy, matches in ranked if _is_for(policy, kind) and matches(record.name))
        return next(found, None)

    def effective_definition(self, record: QueueRecord | ExchangeRecord) -> Table:
        """What the two policies that hold come to."""
        policy, operator = self.find(record, False), self.find(record, True)
        return merge(policy.definition if policy else {}, operator.definition if operator else {})

    def rules_for(self, record: QueueRecord) -> QueueRules:
        """The rules that a queue follows, from its arguments and the policies that hold."""
        return rules_of(record.arguments, self.effective_definition(record))

    def _rank(self, operator: bool) -> None:
        records = [record for record in self._records.values() if record.operator is operator]
        records.sort(key=lambda record: (-record.priority, record.name))
        self._ranked[operator] = [(record, matcher(record.pattern)) for record in records]


def _kind(record: QueueRecord | ExchangeRecord) -> str:
    return "exchange" if isinstance(record, ExchangeRecord) else record.type


def _is_for(policy: PolicyRecord, kind: str) -> bool:
    """Whether it is for queues of this type, or for exchanges.

    A policy with a setting that a type does not have holds for none of its queues: RabbitMQ passes over it whole
    (``rabbit_queue_type:is_policy_applicable``). Our classic queues do have a delivery limit; but a policy that was
    written for RabbitMQ shall not make them drop messages, so it must name them.
    """
    if kind not in APPLY_TO[policy.apply_to]:
        return False
    if kind == "exchange":
        return True
    named = {"delivery-limit"} if policy.apply_to == "classic_queues" else set()
    return all(kind in SETTINGS[key].types or key in named for key in policy.definition)


def merge(definition: Table, operator: Table) -> Table:
    """What a policy and an operator policy say together (``rabbit_policies:merge_policy_value``)."""
    merged = definition | operator
    for key in (key for key in operator if key in SMALLER and key in definition):
        merged[key] = smaller(definition[key], operator[key])
    return merged
