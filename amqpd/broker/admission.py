"""What the broker itself reads in the properties of a message that is published: checked, and read.

All other properties are between applications. Headers come here when ``check_header`` has found them well-formed; a
message whose properties were not refused can be read here without an error ever after.

Strategy: most messages have nothing that concerns the broker, which the flags in front of the properties tell. Checks
and texts are RabbitMQ's, in its order (``rabbit_channel``, basic.publish), so the first complaint is the same.
"""

import re

from amqpd.broker.message import FLAGS_AT, HAS_EXPIRATION, HAS_HEADERS, PERSISTENT, Message
from amqpd.broker.topology.arguments import EXPIRY_MAX_MS
from amqpd.errors import PreconditionFailed
from amqpd.wire.properties import delivery_mode, expiration, headers, user_id, with_headers
from amqpd.wire.tables import Table, type_name

SENDER_SELECTED = ("CC", "BCC")
"""Headers with further routing keys: copies, and copies that those who get one don't know of."""

_HAS_DELIVERY_MODE = 0x10
_HAS_REPLY_TO = 0x02
_HAS_USER_ID = 0x10  # in the second octet of flags
_TRANSIENT = 1
_DELIVERY_MODES = (_TRANSIENT, PERSISTENT)
_NUMBER = re.compile("[+-]?[0-9]+")  # as Erlang's string:to_integer reads it


def has_copies(header: bytes) -> bool:
    """Whether there may be a header CC or BCC in a message with this content header."""
    return bool(header[FLAGS_AT] & HAS_HEADERS) and b"CC" in header


def concerns_broker(header: bytes, mode: int) -> bool:
    """Whether there may be anything else to check or to obey, for one that also has this delivery mode."""
    flags = header[FLAGS_AT]
    if flags & (_HAS_REPLY_TO | HAS_EXPIRATION) or header[FLAGS_AT + 1] & _HAS_USER_ID:
        return True
    return mode not in _DELIVERY_MODES and bool(flags & _HAS_DELIVERY_MODE)


def check_properties(header: bytes, user: str, impersonator: bool = False) -> None:
    """What ``user`` must not publish is refused: PreconditionFailed.

    ``impersonator``: the user may publish in the name of others.
    """
    claimed = user_id(header)
    if claimed is not None and claimed != user and not impersonator:
        raise PreconditionFailed(f"user_id property set to '{claimed}' but authenticated user was '{user}'")
    if header[FLAGS_AT] & HAS_EXPIRATION:
        _check_expiration(expiration(header) or "")
    if has_copies(header):
        sender_selected(headers(header))
    mode = delivery_mode(header)
    if header[FLAGS_AT] & _HAS_DELIVERY_MODE and mode not in _DELIVERY_MODES:
        raise PreconditionFailed(f"invalid message: {{delivery_mode_unknown,{mode}}}")


def _check_expiration(text: str) -> None:
    number = _NUMBER.match(text)
    if number is None:
        complaint = "no_integer"
    elif number.end() < len(text):
        complaint = f'{{leftover_string,"{text[number.end() :]}"}}'
    elif int(text) < 0:
        complaint = f"{{value_negative,{int(text)}}}"
    elif int(text) > EXPIRY_MAX_MS:
        complaint = f"{{value_too_large,{int(text)}}}"
    else:
        return
    raise PreconditionFailed(f"invalid expiration '{text}': {complaint}")


def expiration_ms(header: bytes) -> int | None:
    """For how many milliseconds the message lives in a queue; None: as long as the queue lets it."""
    return int(expiration(header) or 0) if header[FLAGS_AT] & HAS_EXPIRATION else None


def sender_selected(headers: Table) -> tuple[str, ...]:
    """The further routing keys of a message: those in CC, and those in BCC. What is no text there is passed over.

    PreconditionFailed: one of the two is no array.
    """
    keys: list[str] = []
    for name in SENDER_SELECTED:
        value = headers.get(name, [])
        if not isinstance(value, list):
            raise PreconditionFailed(f'invalid message: {{unacceptable_type_in_header,"{name}",{type_name(value)}}}')
        keys += [key for key in value if isinstance(key, str)]
    return tuple(keys)


def without_bcc(message: Message) -> Message:
    """The message as it is handed on: with nothing about blind copies. It is the same one where there is nothing."""
    if b"BCC" not in message.header or "BCC" not in message.headers:
        return message
    others = {name: value for name, value in message.headers.items() if name != "BCC"}
    return Message(message.address, with_headers(message.header, others), message.body)
