"""What the arguments of queues and consumers may be: type and value of each, in RabbitMQ's words where one is wrong.

The first complaint is also RabbitMQ's first. It looks at the type of the dead letter exchange, at the type of the
queue, at each argument it knows in an order of its own, then for arguments that only other types of queue have, and at
last at the flags that a quorum queue must have. Arguments that nobody knows are accepted and kept.

Strategy: one table, from argument to check. A check is told the value and all the arguments beside it, and returns the
complaint, an Erlang term as RabbitMQ prints it, or None.
"""

from collections.abc import Callable
from typing import Any

from amqpd.broker.queues.rules import Overflow, TimeoutAction
from amqpd.broker.records import QueueRecord
from amqpd.errors import PreconditionFailed
from amqpd.wire.numbers import Byte, Long, LongLong, Short, UnsignedByte, UnsignedInt, UnsignedShort
from amqpd.wire.tables import Table, type_name

EXPIRY_MAX_MS = 315_360_000_000
"""Ten years: RabbitMQ's limit for all times that messages and queues may live."""

PRIORITY_MAX = 255
"""A priority is one octet (specification 0-9-1, 1.8)."""

ROUTING_KEY_MAX = 255
"""Octets of a short string (4.2.5.3)."""

Check = Callable[[Any, Table], str | None]

_INTEGERS = frozenset((int, Byte, UnsignedByte, Short, UnsignedShort, UnsignedInt, Long, LongLong))


def check_queue_arguments(record: QueueRecord) -> None:
    """PreconditionFailed: no queue can be made with these arguments, or not with these flags."""
    arguments, subject = record.arguments, f"queue '{record.name}' in vhost '{record.vhost}'"
    exchange = arguments.get("x-dead-letter-exchange", "")
    if not isinstance(exchange, str):
        raise PreconditionFailed(f"invalid type '{type_name(exchange)}' for arg 'x-dead-letter-exchange' in {subject}")
    _check(subject, arguments, {"x-queue-type": _queue_type})
    kind = record.type
    _check(subject, {key: value for key, value in arguments.items() if key not in FOREIGN[kind]}, QUEUE_CHECKS)
    _check_foreign(subject, arguments, kind, FOREIGN[kind])
    if kind == "quorum":
        _check_quorum(record, subject)


def check_server_named(record: QueueRecord) -> None:
    """PreconditionFailed: a queue of this type must be named by who declares it. Comes before all other checks."""
    if record.type == "quorum":
        raise PreconditionFailed("Cannot declare a server-named queue for type rabbit_quorum_queue")


def check_consumer_arguments(queue_name: str, vhost: str, arguments: Table, kind: str = "classic") -> None:
    """PreconditionFailed: nobody can consume with these arguments from this queue, which is of type ``kind``."""
    subject = f"queue '{queue_name}' in vhost '{vhost}'"
    _check(subject, arguments, CONSUMER_CHECKS)
    _check_foreign(subject, arguments, kind, FOREIGN_TO_CONSUMERS)


def _check(subject: str, arguments: Table, checks: dict[str, Check]) -> None:
    for argument, check in checks.items():
        if argument in arguments:
            complaint = check(arguments[argument], arguments)
            if complaint is not None:
                raise PreconditionFailed(f"invalid arg '{argument}' for {subject}: {complaint}")


def _check_foreign(subject: str, arguments: Table, kind: str, foreign: frozenset[str]) -> None:
    for argument in arguments:
        if argument in foreign:
            raise PreconditionFailed(f"invalid arg '{argument}' for {subject} of queue type rabbit_{kind}_queue")


def _check_quorum(record: QueueRecord, subject: str) -> None:
    demanded = (
        ("auto-delete", not record.auto_delete),
        ("exclusive-owner", not record.exclusive),
        ("non-durable", record.durable),
    )
    for flag, is_met in demanded:
        if not is_met:
            raise PreconditionFailed(f"invalid property '{flag}' for {subject}")


# The checks -----------------------------------------------------------------------------------------------------------


def _integer(value: Any, _: Table) -> str | None:
    return None if type(value) in _INTEGERS else f'"expected integer, got {type_name(value)}"'


def _not_negative(value: Any, arguments: Table) -> str | None:
    return _integer(value, arguments) or (f"{{value_negative,{value}}}" if value < 0 else None)


def _positive(value: Any, arguments: Table) -> str | None:
    return _not_negative(value, arguments) or ("{value_zero,0}" if value == 0 else None)


def _message_ttl(value: Any, arguments: Table) -> str | None:
    return _not_negative(value, arguments) or (f"{{value_too_large,{value}}}" if value > EXPIRY_MAX_MS else None)


def _expires(value: Any, arguments: Table) -> str | None:
    return _positive(value, arguments) or _message_ttl(value, arguments)


def _max_priority(value: Any, arguments: Table) -> str | None:
    return _not_negative(value, arguments) or (f"{{max_value_exceeded,{value}}}" if value > PRIORITY_MAX else None)


def _boolean(value: Any, _: Table) -> str | None:
    return None if isinstance(value, bool) else _unacceptable(value)


def _unacceptable(value: Any) -> str:
    return f"{{unacceptable_type,{type_name(value)}}}"


def _one_of(words: tuple[str, ...], otherwise: str) -> Check:
    """``otherwise``: the complaint about any other text, which may show it."""

    def check(value: Any, _: Table) -> str | None:
        if not isinstance(value, str):
            return _unacceptable(value)
        return None if value in words else otherwise.format(value)

    return check


def _dead_letter_routing_key(value: Any, arguments: Table) -> str | None:
    if not isinstance(value, str):
        return _unacceptable(value)
    if "x-dead-letter-exchange" not in arguments:
        return "routing_key_but_no_dlx_defined"
    # RabbitMQ takes one that no method can carry, and fails when it comes to deliver the first dead letter.
    size = len(value.encode("utf-8", "surrogateescape"))
    return f"{{value_too_long,{size}}}" if size > ROUTING_KEY_MAX else None


def _queue_version(value: Any, arguments: Table) -> str | None:
    return _not_negative(value, arguments) or (None if value in (1, 2) else f"\"unsupported queue version '{value}'\"")


# RabbitMQ knows "stream" as well.
_queue_type = _one_of(("classic", "quorum"), "\"unsupported queue type '{}'\"")

QUEUE_CHECKS: dict[str, Check] = {
    "x-expires": _expires,
    "x-message-ttl": _message_ttl,
    "x-dead-letter-routing-key": _dead_letter_routing_key,
    "x-dead-letter-strategy": _one_of(("at-most-once", "at-least-once"), "invalid_dlx_strategy"),
    "x-max-length": _not_negative,
    "x-max-length-bytes": _not_negative,
    "x-max-in-memory-length": _not_negative,
    "x-max-in-memory-bytes": _not_negative,
    "x-max-priority": _max_priority,
    "x-overflow": _one_of(tuple(Overflow), "invalid_overflow"),
    "x-queue-mode": _one_of(("default", "lazy"), "\"unsupported queue mode '{}'\""),
    "x-queue-version": _queue_version,
    "x-single-active-consumer": _boolean,
    "x-quorum-initial-group-size": _positive,
    "x-queue-leader-locator": _one_of(
        ("client-local", "balanced", "random", "least-leaders"), "invalid_queue_locator_arg"
    ),
    # RabbitMQ does not check it. Below 0 there is no limit.
    "x-delivery-limit": _integer,
    # RabbitMQ has it since 4.3, for quorum queues.
    "x-consumer-timeout": _not_negative,
    # Ours alone.
    "x-consumer-timeout-action": _one_of(tuple(TimeoutAction), "invalid_consumer_timeout_action"),
    "x-message-times": _boolean,
}

CONSUMER_CHECKS: dict[str, Check] = {
    "x-priority": _integer,
    "x-consumer-timeout": _not_negative,
    "x-cancel-on-ha-failover": _boolean,
}

_OF_CLASSIC_QUEUES = frozenset(("x-max-priority", "x-queue-mode", "x-queue-version", "x-queue-master-locator"))
_OF_QUORUM_QUEUES = frozenset(
    ("x-dead-letter-strategy", "x-max-in-memory-length", "x-max-in-memory-bytes", "x-quorum-initial-group-size")
)
_OF_STREAMS = frozenset(
    ("x-max-age", "x-stream-max-segment-size-bytes", "x-stream-filter-size-bytes", "x-initial-cluster-size")
)
FOREIGN = {"classic": _OF_QUORUM_QUEUES | _OF_STREAMS, "quorum": _OF_CLASSIC_QUEUES | _OF_STREAMS}
"""Arguments that a type of queue must not have. ``x-delivery-limit`` is for all of them here."""

FOREIGN_TO_CONSUMERS = frozenset(("x-stream-offset",))
