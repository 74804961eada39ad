"""What a message looks like when a queue has dropped it: a dead letter, with an account of its deaths in its headers.

``x-death`` has one table for each queue and reason, the latest in front; a death that repeats is counted. Names, types
and order of its fields are RabbitMQ's (``rabbit_dead_letter``), as are ``x-first-death-*`` and, since its 3.13,
``x-last-death-*``.

What a client wrote there can't be told from what a broker wrote: clients publish dead letters anew with the headers
they got, and the deaths go on being counted. So tables are kept whoever made them, and anything else is dropped.

Strategy: address and content header of a dead letter depend on those of the message, not on its body. Many messages
that expire have them in common, so the last ones that were made are remembered.
"""

from functools import lru_cache

from amqpd.broker.message import Message, TimedMessage, join_address, split_address
from amqpd.wire.numbers import Long, Timestamp
from amqpd.wire.properties import expiration, headers, with_headers, without_expiration
from amqpd.wire.tables import FieldValue, Table

DELIVERY_COUNT = "x-delivery-count"

_COUNT_MAX = 2**63 - 1  # what a field of type long can carry: the number may be a client's


def make_dead_letter(
    message: Message, *, queue: str, reason: str, now_ms: int, exchange: str, routing_key: str | None
) -> Message:
    """The message as it is published to the dead letter exchange ``exchange``, when ``queue`` has dropped it now.

    ``routing_key``: the one that the queue gives to its dead letters; None: each keeps its own.
    """
    address, header = _dead_letter(
        message.address, message.header, queue, reason, now_ms // 1000, exchange, routing_key
    )
    return Message(address, header, message.body)


@lru_cache(maxsize=16)
def _dead_letter(
    address: bytes, header: bytes, queue: str, reason: str, now_s: int, exchange: str, routing_key: str | None
) -> tuple[bytes, bytes]:
    """Its address and its content header."""
    old_exchange, key = split_address(address)
    table = headers(header)
    death: Table = {
        "count": Long(1),
        "reason": reason,
        "queue": queue,
        "time": Timestamp(now_s),
        "exchange": old_exchange,
        "routing-keys": [key, *_copies(table)],
    }
    original_expiration = expiration(header)
    if original_expiration is not None:
        death["original-expiration"] = original_expiration
    _record(table, death)
    table.pop(DELIVERY_COUNT, None)  # how often it came back to the queue it has left
    if routing_key is not None:
        key = routing_key
        table.pop("CC", None)  # it goes by this key alone
    # Without its expiration: it is not to expire again where it comes to.
    return join_address(exchange, key), without_expiration(with_headers(header, _sorted(table)))


def cycles(message: Message, queue: str) -> bool:
    """Whether a dead letter would come back to this queue with no consumer having rejected it on the way.

    It would go round without end. Where consumers reject it, that is for them to end.
    """
    if queue.encode("utf-8", "surrogateescape") not in message.header:
        return False
    for death in _deaths(message.headers):
        if death.get("reason") == "rejected":
            return False
        if death.get("queue") == queue:
            return True
    return False


def with_delivery_count(message: Message, count: int) -> Message:
    """The message as it is delivered when it has come back ``count`` times to a queue that limits that."""
    header = with_headers(message.header, _sorted(message.headers | {DELIVERY_COUNT: Long(count)}))
    if isinstance(message, TimedMessage):
        return TimedMessage(message.address, header, message.body, message.deadline)
    return Message(message.address, header, message.body)


def _record(table: Table, death: Table) -> None:
    """Put ``death``, as it is the first time, among the deaths in the headers ``table``."""
    deaths = _deaths(table)
    for which in ("last",) if deaths else ("first", "last"):
        table.update({f"x-{which}-death-{name}": death[name] for name in ("exchange", "queue", "reason")})
    repeated = [each for each in deaths if _is_same(each, death)]
    others = [each for each in deaths if not _is_same(each, death)]
    latest = _once_more(repeated[0]) if repeated else death
    table["x-death"] = [_sorted(latest), *others] if deaths else [latest]


def _deaths(table: Table) -> list[Table]:
    """Latest first."""
    deaths = table.get("x-death")
    return [death for death in deaths if isinstance(death, dict)] if isinstance(deaths, list) else []


def _is_same(one: Table, other: Table) -> bool:
    return one.get("queue") == other["queue"] and one.get("reason") == other["reason"]


def _once_more(death: Table) -> Table:
    """All in it is about the first time, but for the count."""
    count = death.get("count")
    return death | {"count": Long(min(count + 1, _COUNT_MAX) if isinstance(count, int) else 1)}


def _copies(table: Table) -> list[FieldValue]:
    """The further routing keys that it was published with."""
    keys = table.get("CC")
    return [key for key in keys if isinstance(key, str)] if isinstance(keys, list) else []


def _sorted(table: Table) -> Table:
    """By name, as RabbitMQ leaves each table in which it sets a value."""
    return dict(sorted(table.items()))
