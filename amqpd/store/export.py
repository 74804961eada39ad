"""The messages of a queue as lines of JSON: those that a broker would have if it started now.

They are read a page at a time, each at a moment of its own: a reader that takes its time keeps neither memory nor the
broker's file growing. What is settled while they are read may be among them or not. Of a queue with priorities, those
of the highest come first, each with its ``lane``. What has a deadline has ``expires_at``, in milliseconds since 1970.

JSON has no octets, no decimals, no points in time and no infinity. In ``headers`` these are objects with one key that
says what they are: ``{"$base64": "AAE="}``, ``{"$decimal": "1.50"}``, ``{"$timestamp": 1700000000}`` (seconds since
1970), ``{"$float": "inf"}``. A body that is not UTF-8 is given as ``body_base64``. Octets of names that are no UTF-8
are escapes from ``\\udc80`` to ``\\udcff``.
"""

import json
import math
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import fields
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

from amqpd.broker.message import Message, TimedMessage
from amqpd.broker.records import QueueRecord
from amqpd.store.codec import LANES, Damaged, decode_record, decode_state, log_id, state_key
from amqpd.store.environment import END, Environment
from amqpd.store.gone import Gone
from amqpd.store.reading import Reading
from amqpd.wire.numbers import Timestamp
from amqpd.wire.tables import FieldValue


class UnknownQueue(Exception):
    """There is no such queue in the store. The text names one that is like it."""


def export(environment: Environment, vhost: str, queue: str, complain: Callable[[Damaged], None]) -> Iterator[str]:
    """A line for each message of a durable queue, in order. ``complain`` hears of what cannot be read.

    UnknownQueue, before the first line.
    """
    queue_id = _queue_id(environment, vhost, queue)
    return (
        as_json(position, message, lane)
        for lane in reversed(range(LANES))
        for position, message in _messages(environment, log_id(queue_id, lane), complain)
    )


def as_json(position: int, message: Message, lane: int = 0) -> str:
    """One message on one line."""
    found = message.properties
    properties = ((field.name, getattr(found, field.name)) for field in fields(found))
    line: dict[str, Any] = {
        "position": position,
        "exchange": message.exchange,
        "routing_key": message.routing_key,
        "properties": {name: _as_json(value) for name, value in properties if value is not None},
    }
    if lane:
        line["lane"] = lane
    if isinstance(message, TimedMessage):
        line["expires_at"] = message.deadline
    try:
        line["body"] = message.body.decode("utf-8")
    except UnicodeDecodeError:
        line["body_base64"] = _base64(message.body)
    return json.dumps(line, allow_nan=False)


def _queue_id(environment: Environment, vhost: str, name: str) -> int:
    ids: dict[str, int] = {}
    for value in environment.topology():
        record, queue = decode_record(value)
        if isinstance(record, QueueRecord) and record.vhost == vhost:
            ids[record.name] = queue
    if name not in ids:
        near = get_close_matches(name, ids, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise UnknownQueue(f"there is no durable queue '{name}' in vhost '{vhost}'{hint}")
    return ids[name]


def _messages(environment: Environment, log: int, complain: Callable[[Damaged], None]) -> Iterator[tuple[int, Message]]:
    state = environment.get(state_key(log))
    gone = Gone() if state is None else decode_state(state)[0]
    start = gone.floor
    while start < END:
        reading = Reading(environment, log, start, END, END, gone.intervals, take=_nobody_waits)
        reading.run()
        for damage in reading.damages:
            complain(damage)
        for first, messages in reading.page.runs:
            yield from enumerate(messages, first)
        start = reading.page.stop


def _nobody_waits(_: Reading) -> None:
    """For a page that is taken where it was read."""


def _as_json(value: FieldValue) -> Any:
    match value:
        case dict():
            return {key: _as_json(each) for key, each in value.items()}
        case list():
            return [_as_json(each) for each in value]
        case bytes():
            return {"$base64": _base64(value)}
        case Decimal():
            return {"$decimal": str(value)}
        case Timestamp():
            return {"$timestamp": int(value)}
        case float() if not math.isfinite(value):
            return {"$float": str(value)}
    return value


def _base64(octets: bytes) -> str:
    return b64encode(octets).decode("ascii")
