"""Whether a declaration repeats an earlier one, in RabbitMQ's words where it does not.

"If not set and the exchange exists, the server MUST check that the existing exchange has the same values for type,
durable, and arguments fields" (specification 0-9-1, exchange.declare, passive; queue.declare has its like). RabbitMQ
compares the arguments it knows and passes over the rest, and compares integers by value, whatever their width.
"""

from amqpd.broker.records import ExchangeRecord, QueueRecord
from amqpd.errors import PreconditionFailed
from amqpd.wire.numbers import Timestamp
from amqpd.wire.tables import FieldValue, Table, type_name

EXCHANGE_ARGUMENTS = ("alternate-exchange",)
_OWN_ARGUMENTS = (
    "x-consumer-timeout",
    "x-consumer-timeout-action",
    "x-message-times",
    "x-message-deduplication",
    "x-cache-size",
    "x-cache-ttl",
    "x-deduplication-header",
)
QUEUE_ARGUMENTS = {
    "classic": (
        "x-expires",
        "x-message-ttl",
        "x-dead-letter-exchange",
        "x-dead-letter-routing-key",
        "x-max-length",
        "x-max-length-bytes",
        "x-max-priority",
        "x-overflow",
        "x-queue-mode",
        "x-queue-version",
        "x-single-active-consumer",
        "x-queue-type",
        "x-queue-master-locator",
        "x-queue-leader-locator",
        "x-delivery-limit",
        *_OWN_ARGUMENTS,
    ),
    "quorum": (
        "x-dead-letter-exchange",
        "x-dead-letter-routing-key",
        "x-dead-letter-strategy",
        "x-expires",
        "x-max-length",
        "x-max-length-bytes",
        "x-max-in-memory-length",
        "x-max-in-memory-bytes",
        "x-overflow",
        "x-single-active-consumer",
        "x-queue-type",
        "x-quorum-initial-group-size",
        "x-delivery-limit",
        "x-message-ttl",
        "x-queue-leader-locator",
        *_OWN_ARGUMENTS,
    ),
}
"""What a queue's declaration is compared by, for each type, in the order in which RabbitMQ does it."""


def check_same_exchange(current: ExchangeRecord, received: ExchangeRecord) -> None:
    """PreconditionFailed: an exchange of that name is there and is another."""
    subject = f"exchange '{current.name}' in vhost '{current.vhost}'"
    _check_field(subject, "type", _atom(current.type), _atom(received.type))
    for field in ("durable", "auto_delete", "internal"):
        _check_field(subject, field, getattr(current, field), getattr(received, field))
    for argument in EXCHANGE_ARGUMENTS:
        _check_argument(subject, argument, current.arguments, received.arguments)


def check_same_queue(current: QueueRecord, received: QueueRecord) -> None:
    """PreconditionFailed: a queue of that name is there and is another."""
    subject = f"queue '{current.name}' in vhost '{current.vhost}'"
    # An exclusive queue is never a durable one, whatever was asked for: so says RabbitMQ.
    _check_field(subject, "durable", current.survives, received.survives)
    _check_field(subject, "auto_delete", current.auto_delete, received.auto_delete)
    for argument in QUEUE_ARGUMENTS[current.type]:
        _check_argument(subject, argument, current.arguments, received.arguments)


def _check_field(subject: str, field: str, current: bool | str, received: bool | str) -> None:
    if current != received:
        _refuse(subject, field, _quoted(received), _quoted(current))


def _check_argument(subject: str, name: str, current: Table, received: Table) -> None:
    if name not in current and name not in received:
        return
    if name in current and name in received:
        if not _same_value(current[name], received[name]):
            _refuse(subject, name, _quoted(received[name]), _quoted(current[name]))
        return
    only = received.get(name, current.get(name))
    if name == "x-queue-type" and only == "classic":  # what a queue without the argument is
        return
    if name in received:
        _refuse(subject, name, _value_and_type(only), "none")
    _refuse(subject, name, "none", _value_and_type(only))


def _refuse(subject: str, name: str, received: str, current: str) -> None:
    raise PreconditionFailed(f"inequivalent arg '{name}' for {subject}: received {received} but current is {current}")


def _value_and_type(value: FieldValue) -> str:
    return f"the value '{_word(value)}' of type '{type_name(value)}'"


def _atom(name: str) -> str:
    """As Erlang prints the name of a type: in quotes, where it is more than one word."""
    return f"'{name}'" if "-" in name else name


def _quoted(value: FieldValue) -> str:
    return "none" if value is None else f"'{_word(value)}'"


def _word(value: FieldValue) -> str:
    """As Erlang prints it: booleans in lower case."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _same_value(one: FieldValue, other: FieldValue) -> bool:
    """Whether two field values are the same value of the same kind, to the last one within them; octets are text."""
    one, other = _as_text(one), _as_text(other)
    if _kind(one) is not _kind(other):
        return False
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same_value, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same_value(one[key], other[key]) for key in one)
    return one == other


def _as_text(value: FieldValue) -> FieldValue:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _kind(value: FieldValue) -> type:
    """The Python type at the root of a field value: all widths of integer are ``int``, but a bool or a time is none."""
    for kind in (bool, Timestamp, int, float, str, list, dict):
        if isinstance(value, kind):
            return kind
    return type(value)
