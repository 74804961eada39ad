"""Whether a declaration repeats an earlier one, in RabbitMQ's words where it does not.

"If not set and the exchange exists, the server MUST check that the existing exchange has the same values for type,
durable, and arguments fields" (specification 0-9-1, exchange.declare, passive; queue.declare has its like). RabbitMQ
compares the arguments it knows and passes over the rest, and compares integers by value, whatever their width.
"""

from amqpd.broker.headers import same_value
from amqpd.broker.records import ExchangeRecord, QueueRecord
from amqpd.errors import PreconditionFailed
from amqpd.wire.tables import FieldValue, Table, type_name

EXCHANGE_ARGUMENTS = ("alternate-exchange",)
QUEUE_ARGUMENTS = (
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-delivery-limit",
    "x-single-active-consumer",
    "x-queue-type",
)
"""The arguments a queue's declaration is compared by."""


def check_same_exchange(current: ExchangeRecord, received: ExchangeRecord) -> None:
    """PreconditionFailed: an exchange of that name is there and is another."""
    subject = f"exchange '{current.name}' in vhost '{current.vhost}'"
    for field in ("type", "durable", "auto_delete", "internal"):
        _check_field(subject, field, getattr(current, field), getattr(received, field))
    for argument in EXCHANGE_ARGUMENTS:
        _check_argument(subject, argument, current.arguments, received.arguments)


def check_same_queue(current: QueueRecord, received: QueueRecord) -> None:
    """PreconditionFailed: a queue of that name is there and is another."""
    subject = f"queue '{current.name}' in vhost '{current.vhost}'"
    for field in ("durable", "auto_delete"):
        _check_field(subject, field, getattr(current, field), getattr(received, field))
    for argument in QUEUE_ARGUMENTS:
        _check_argument(subject, argument, current.arguments, received.arguments)


def _check_field(subject: str, field: str, current: bool | str, received: bool | str) -> None:
    if current != received:
        _refuse(subject, field, f"'{_word(received)}'", f"'{_word(current)}'")


def _check_argument(subject: str, name: str, current: Table, received: Table) -> None:
    if name not in current and name not in received:
        return
    if name in current and name in received:
        if not same_value(current[name], received[name]):
            _refuse(subject, name, f"'{_word(received[name])}'", f"'{_word(current[name])}'")
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


def _word(value: FieldValue) -> str:
    """As Erlang prints it: booleans in lower case."""
    return str(value).lower() if isinstance(value, bool) else str(value)
