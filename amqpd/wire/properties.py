"""Content headers and the 14 properties of class basic, by hand.

Must not change what it isn't asked to: a message's header goes from publisher to consumer as the bytes it came in.
``grammar.CONTENT_HEADER`` declares the same format; the tests hold the two against each other.

Strategy: a header is checked once (``check_header``), which also makes it safe to peek at. Whoever needs one property
walks over those in front of it: ``_skip`` does that for every peek, for the check and for the rewriting of a property.
What it walks over depends on the flags alone, so that is worked out once for each pattern of flags that is met.

The class id and the weight in front (4.2.6.1) are not looked at: whether they fit is a matter of what was expected.
"""

from dataclasses import dataclass
from functools import cache
from struct import Struct
from struct import error as StructError
from typing import Final

from amqpd.errors import MalformedArguments
from amqpd.wire.constants import CLASS_BASIC
from amqpd.wire.tables import Table, check_table, decode_table, encode_table

_PREFIX = Struct(">HHQH")  # class id, weight, body size, property flags
_unpack_length: Final = Struct(">I").unpack_from
_PREFIX_SIZE: Final = 14
_FLAGS_AT: Final = 12

# What a property looks like: the octets of one of fixed size, or one of these.
_SHORT_STRING: Final = 0
_TABLE: Final = -1
_OCTET: Final = 1
_TIMESTAMP: Final = 8

# 1.8: the properties of class basic in the order of the wire, the first with the highest bit of the flags.
_SIZES: dict[str, int] = {
    "content_type": _SHORT_STRING,
    "content_encoding": _SHORT_STRING,
    "headers": _TABLE,
    "delivery_mode": _OCTET,
    "priority": _OCTET,
    "correlation_id": _SHORT_STRING,
    "reply_to": _SHORT_STRING,
    "expiration": _SHORT_STRING,
    "message_id": _SHORT_STRING,
    "timestamp": _TIMESTAMP,
    "type": _SHORT_STRING,
    "user_id": _SHORT_STRING,
    "app_id": _SHORT_STRING,
    "cluster_id": _SHORT_STRING,
}
_FLAGS = {name: 0x8000 >> position for position, name in enumerate(_SIZES)}
_CONTENT_TYPE: Final = 0x8000
_CONTENT_ENCODING: Final = 0x4000
_HEADERS: Final = 0x2000
_DELIVERY_MODE: Final = 0x1000
_BEHIND_DELIVERY_MODE: Final = 0x0FFC
_PRIORITY = _FLAGS["priority"]
_REPLY_TO = _FLAGS["reply_to"]
_EXPIRATION = _FLAGS["expiration"]
_USER_ID = _FLAGS["user_id"]

# 4.2.6.1: "If the last bit (0) is set this indicates that a further property flags field follows." With 14 properties
# there is nothing it could say, and bit 1 has no property whose value could be skipped. RabbitMQ lets both pass.
_NO_PROPERTY: Final = 0b11


@dataclass(slots=True)
class Properties:
    """The properties of a message (1.8); None for those that are absent."""

    content_type: str | None = None
    content_encoding: str | None = None
    headers: Table | None = None
    delivery_mode: int | None = None  # 1 transient, 2 persistent
    priority: int | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration: str | None = None  # milliseconds, as decimal digits
    message_id: str | None = None
    timestamp: int | None = None  # seconds since 1970
    type: str | None = None
    user_id: str | None = None
    app_id: str | None = None
    cluster_id: str | None = None  # deprecated since 0-9, and kept by all


# The walk -------------------------------------------------------------------------------------------------------------


@cache  # 14 bits: at most 16384 entries, whatever peers send
def _sizes_of(flags: int) -> tuple[int, ...]:
    return tuple(size for name, size in _SIZES.items() if flags & _FLAGS[name])


def _skip(header: bytes, flags: int, offset: int = _PREFIX_SIZE) -> int:
    """The offset behind the properties with these flags, which begin at ``offset`` and leave none out.

    Raises IndexError or struct.error where a length is missing. A length may still lead past the end of the header.
    """
    for size in _sizes_of(flags):
        if size > 0:
            offset += size
        elif size == _SHORT_STRING:
            offset += 1 + header[offset]
        else:
            offset += 4 + _unpack_length(header, offset)[0]
    return offset


def _find(header: bytes, flag: int) -> int:
    """The offset of the property with this flag, or 0 if it is absent."""
    flags = header[_FLAGS_AT] << 8 | header[_FLAGS_AT + 1]
    if not flags & flag:
        return 0
    return _skip(header, flags & -(flag << 1))


def check_header(header: bytes) -> int:
    """Accept the payload of a content header frame whose property list is well-formed to its last octet.

    Returns the delivery mode, as :func:`delivery_mode` does, since it comes by there.

    Raises MalformedArguments. RabbitMQ closes with 541 here, and only when it needs to read a property.
    """
    if len(header) < _PREFIX_SIZE:
        raise MalformedArguments("content header ends before its properties")
    flags = header[_FLAGS_AT] << 8 | header[_FLAGS_AT + 1]
    if flags & _NO_PROPERTY:
        raise MalformedArguments(f"content header has flags {flags:#06x}, which class basic does not define")
    mode = table_at = 0
    offset = _PREFIX_SIZE
    try:  # the first four, which most messages have, and the table that is to be looked into; then the rest
        if flags & _CONTENT_TYPE:
            offset += 1 + header[offset]
        if flags & _CONTENT_ENCODING:
            offset += 1 + header[offset]
        if flags & _HEADERS:
            table_at = offset
            offset += 4 + _unpack_length(header, offset)[0]
        if flags & _DELIVERY_MODE:
            mode = header[offset]
            offset += 1
        if flags & _BEHIND_DELIVERY_MODE:
            offset = _skip(header, flags & _BEHIND_DELIVERY_MODE, offset)
    except (IndexError, StructError):
        offset = -1
    if offset != len(header):
        raise MalformedArguments("content header's length does not match its properties")
    if table_at:
        check_table(header, table_at, offset)
    return mode


# Peeks: what follows takes headers that ``check_header`` has accepted -------------------------------------------------


def _short_string(header: bytes, flag: int) -> str | None:
    offset = _find(header, flag)
    if not offset:
        return None
    return header[offset + 1 : offset + 1 + header[offset]].decode("utf-8", "surrogateescape")


def delivery_mode(header: bytes) -> int:
    """1 transient, 2 persistent, 0 when absent; any other octet is the publisher's.

    It is looked for in every message that is unlike the last one, so the walk is written out: over content type,
    content encoding and headers.
    """
    flags = header[_FLAGS_AT]
    if not flags & 0x10:
        return 0
    offset = _PREFIX_SIZE
    if flags & 0x80:
        offset += 1 + header[offset]
    if flags & 0x40:
        offset += 1 + header[offset]
    if flags & 0x20:
        offset += 4 + _unpack_length(header, offset)[0]
    return header[offset]


def priority(header: bytes) -> int:
    """0 when absent, which means the same to a queue."""
    offset = _find(header, _PRIORITY)
    return header[offset] if offset else 0


def headers(header: bytes) -> Table:
    """The headers table, empty when absent."""
    offset = _find(header, _HEADERS)
    return decode_table(header, offset)[0] if offset else {}


def reply_to(header: bytes) -> str | None:
    """None when absent."""
    return _short_string(header, _REPLY_TO)


def expiration(header: bytes) -> str | None:
    """Milliseconds as the publisher wrote them, which is any text; None when absent."""
    return _short_string(header, _EXPIRATION)


def user_id(header: bytes) -> str | None:
    """None when absent."""
    return _short_string(header, _USER_ID)


# Rewriting: one property becomes another, and every other octet stays as it was ---------------------------------------


def with_headers(header: bytes, headers: Table) -> bytes:
    """``header`` with this headers table, whether it had one or not. Raises ValueError for what no table can carry."""
    return _with(header, _HEADERS, encode_table(headers))


def with_reply_to(header: bytes, reply_to: str) -> bytes:
    """``header`` with this ``reply_to``, whether it had one or not. Raises ValueError above 255 octets."""
    return _with(header, _REPLY_TO, _encode_short_string(reply_to))


def without_expiration(header: bytes) -> bytes:
    """``header`` with no ``expiration``, whether it had one or not."""
    return _with(header, _EXPIRATION, b"")


def _with(header: bytes, flag: int, value: bytes) -> bytes:
    """``header`` with these octets for the property with this flag; with none, it is without that property."""
    flags = header[_FLAGS_AT] << 8 | header[_FLAGS_AT + 1]
    start = _skip(header, flags & -(flag << 1))
    end = _skip(header, flags & -flag)
    changed = (flags | flag if value else flags & ~flag).to_bytes(2, "big")
    return b"".join((header[:_FLAGS_AT], changed, header[_PREFIX_SIZE:start], value, header[end:]))


# Whole headers --------------------------------------------------------------------------------------------------------


def decode_properties(header: bytes) -> Properties:
    """All properties in the payload of a content header frame.

    Raises MalformedArguments.
    """
    check_header(header)
    properties = Properties()
    flags = header[_FLAGS_AT] << 8 | header[_FLAGS_AT + 1]
    offset = _PREFIX_SIZE
    for name, size in _SIZES.items():
        if not flags & _FLAGS[name]:
            continue
        value: str | int | Table
        if size == _TABLE:
            value, offset = decode_table(header, offset)
        elif size == _SHORT_STRING:
            start, offset = offset + 1, offset + 1 + header[offset]
            value = header[start:offset].decode("utf-8", "surrogateescape")
        else:
            start, offset = offset, offset + size
            value = int.from_bytes(header[start:offset], "big")
        setattr(properties, name, value)
    return properties


def encode_header(body_size: int, properties: Properties) -> bytes:
    """The payload of the content header frame of a message of ``body_size`` octets.

    Raises ValueError where a property doesn't fit: a short string over 255 octets, a number out of range, a header that
    no table can carry.
    """
    flags = 0
    parts: list[bytes] = []
    for name, size in _SIZES.items():
        value = getattr(properties, name)
        if value is None:
            continue
        flags |= _FLAGS[name]
        if size == _TABLE:
            parts.append(encode_table(value))
        elif size == _SHORT_STRING:
            parts.append(_encode_short_string(value))
        else:
            parts.append(_encode_number(name, value, size))
    return _PREFIX.pack(CLASS_BASIC, 0, body_size, flags) + b"".join(parts)


def _encode_number(name: str, value: int, size: int) -> bytes:
    try:
        return value.to_bytes(size, "big")
    except OverflowError:
        raise ValueError(f"{name} {value} does not fit {size * 8} unsigned bits") from None


def _encode_short_string(text: str) -> bytes:
    octets = text.encode("utf-8", "surrogateescape")
    if len(octets) > 255:
        raise ValueError(f"a short string of {len(octets)} octets, 255 at most: {text[:32]!r}...")
    return bytes((len(octets),)) + octets
