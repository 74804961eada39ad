"""The formats of AMQP 0-9-1 (specification, part 4), declared with construct.

Must not know the methods (``methods`` composes them of what is here), and must never be ``.compile()``d: construct's
documentation warns against compiling for bytes one doesn't trust.

Strategy: one declaration an element, readable next to the specification, with the Python values of ``tables``. It is
the codec of the methods, and the oracle that tests hold the hand-written codecs against. construct's errors
(``ConstructError``) leave this module as they are; who parses says which AMQP error they mean.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from construct import (
    Bytes,
    Check,
    Const,
    Construct,
    Container,
    Error,
    ExprAdapter,
    Flag,
    FlagsEnum,
    Float32b,
    Float64b,
    FocusedSeq,
    GreedyBytes,
    GreedyRange,
    If,
    Int8sb,
    Int8ub,
    Int16sb,
    Int16ub,
    Int32sb,
    Int32ub,
    Int64sb,
    Int64ub,
    LazyBound,
    Pass,
    Prefixed,
    Rebuild,
    Sequence,
    StringError,
    Struct,
    Switch,
    Terminated,
    this,
)

from amqpd.wire import numbers, tables
from amqpd.wire.constants import FRAME_END

# 4.2.5.1 integers, 4.2.5.4 timestamps. All are in network byte order and unsigned.
OCTET: Final = Int8ub
SHORT: Final = Int16ub
LONG: Final = Int32ub
LONGLONG: Final = Int64ub
TIMESTAMP: Final = Int64ub


# 4.2.5.3 strings. A long string is octets; a short string is UTF-8 of at most 255 octets. RabbitMQ checks the UTF-8
# except in what belongs to a message: properties, headers, and the names in basic.publish, return, deliver and get-ok.
# Such text is any octets here too (surrogates stand for those that aren't UTF-8) and leaves as the octets it came in.
def _text(octets: bytes, context: Any) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _strict_text(octets: bytes, context: Any) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        raise StringError("Malformed UTF-8 in shortstr") from None


def _octets(text: str, context: Any) -> bytes:
    return text.encode("utf-8", "surrogateescape")


LONG_STRING: Final = Prefixed(LONG, GreedyBytes)
SHORT_STRING: Final = ExprAdapter(Prefixed(OCTET, GreedyBytes), _strict_text, _octets)
ANY_SHORT_STRING: Final = ExprAdapter(Prefixed(OCTET, GreedyBytes), _text, _octets)


def bits(*names: str) -> Construct:
    """Up to eight consecutive bits in one octet, the first in its lowest (4.2.5.2).

    Parses to a Container of bools, builds from the values of those names around it. As with RabbitMQ, bits without a
    name may be anything.
    """
    flags = FlagsEnum(OCTET, **{name: 1 << position for position, name in enumerate(names)})
    return Rebuild(flags, lambda context: {name: context[name] for name in names})


# 4.2.5.5 field tables and arrays --------------------------------------------------------------------------------------


def _as(kind: Callable[[Any], Any], number: Construct) -> Construct:
    """A number that is a ``kind`` in Python."""
    return ExprAdapter(number, lambda value, context: kind(value), lambda value, context: value)


def _within_depth(context: Any) -> bool:
    """Whether a table or array here is nested no deeper than ``TABLE_DEPTH_MAX``: each value around it has a tag."""
    depth = 1
    while context is not None:
        depth += "tag" in context
        context = context.get("_")
    return depth <= tables.TABLE_DEPTH_MAX


def _whole(items: Construct) -> Construct:
    """As many ``items`` as the length in front has room for, and no octet left over."""
    return Prefixed(LONG, FocusedSeq("items", Check(_within_depth), "items" / GreedyRange(items), Terminated))


_VALUES: Final = {
    b"t": Flag,
    b"b": _as(numbers.Byte, Int8sb),
    b"B": _as(numbers.UnsignedByte, Int8ub),
    b"s": _as(numbers.Short, Int16sb),
    b"u": _as(numbers.UnsignedShort, Int16ub),
    b"I": Int32sb,
    b"i": _as(numbers.UnsignedInt, Int32ub),
    b"l": _as(numbers.Long, Int64sb),
    b"L": _as(numbers.LongLong, Int64sb),
    b"f": _as(numbers.Float, Float32b),
    b"d": Float64b,
    b"D": ExprAdapter(
        Sequence(OCTET, Int32sb),
        lambda scale_and_unscaled, context: tables.make_decimal(*scale_and_unscaled),
        lambda value, context: tables.split_decimal(value),
    ),
    b"S": ExprAdapter(LONG_STRING, _text, _octets),
    b"x": LONG_STRING,
    b"A": LazyBound(lambda: ARRAY),
    b"T": _as(numbers.Timestamp, TIMESTAMP),
    b"F": LazyBound(lambda: TABLE),
    b"V": Pass,
}
_TAGGED_VALUE: Final = ("tag" / Bytes(1), "value" / Switch(this.tag, _VALUES, default=Error))


def _tagged(value: tables.FieldValue) -> dict[str, Any]:
    return {"tag": tables.tag_of(value).encode(), "value": value}


def _table_of(fields: Any, context: Any) -> tables.Table:
    """Of a key that comes twice the first counts, as in RabbitMQ's look-ups."""
    table: tables.Table = {}
    for field in fields:
        table.setdefault(field.key, field.value)
    return table


ARRAY: Final[Construct] = ExprAdapter(
    _whole(Struct(*_TAGGED_VALUE)),
    lambda items, context: [item.value for item in items],
    lambda values, context: [_tagged(value) for value in values],
)
TABLE: Final[Construct] = ExprAdapter(
    _whole(Struct("key" / ANY_SHORT_STRING, *_TAGGED_VALUE)),
    _table_of,
    lambda table, context: [{"key": key} | _tagged(value) for key, value in table.items()],
)


# 4.2.3 and 4.2.6 frames -----------------------------------------------------------------------------------------------

FRAME: Final = Struct(
    "type" / OCTET,
    "channel" / SHORT,
    "payload" / LONG_STRING,
    Const(bytes((FRAME_END,))),
)

# The properties of class basic (1.8): the first has the highest bit of the flags, and so on downwards (4.2.6.1).
PROPERTIES: Final = {
    "content_type": ANY_SHORT_STRING,
    "content_encoding": ANY_SHORT_STRING,
    "headers": TABLE,
    "delivery_mode": OCTET,
    "priority": OCTET,
    "correlation_id": ANY_SHORT_STRING,
    "reply_to": ANY_SHORT_STRING,
    "expiration": ANY_SHORT_STRING,
    "message_id": ANY_SHORT_STRING,
    "timestamp": TIMESTAMP,
    "type": ANY_SHORT_STRING,
    "user_id": ANY_SHORT_STRING,
    "app_id": ANY_SHORT_STRING,
    "cluster_id": ANY_SHORT_STRING,
}
_PROPERTY_BITS: Final = {name: 1 << (15 - position) for position, name in enumerate(PROPERTIES)}


def _flags_of(context: Any) -> int:
    return sum(bit for name, bit in _PROPERTY_BITS.items() if context[name] is not None)


# 4.2.6.1: "If the last bit (0) is set this indicates that a further property flags field follows." Basic has 14
# properties, so neither bit 0 nor bit 1 can say anything true; a property this grammar doesn't know couldn't be read.
CONTENT_HEADER: Final = Struct(
    "class_id" / SHORT,
    "weight" / SHORT,
    "body_size" / LONGLONG,
    "flags" / Rebuild(SHORT, _flags_of),
    Check(this.flags & 0b11 == 0),
    *(name / If(this.flags & _PROPERTY_BITS[name], element) for name, element in PROPERTIES.items()),
    Terminated,
)


# Tables in methods are read by hand. Their size is the peer's choice, and construct takes some 10 us a field: a frame
# full of tiny fields would hold up every other connection for half a second, even before its sender has logged in.
TABLE_BY_HAND: Final = ExprAdapter(
    LONG_STRING,
    lambda octets, context: tables.decode_fields(octets),
    lambda table, context: tables.encode_fields(table),
)


# What construct answers -----------------------------------------------------------------------------------------------


def values_of(parsed: Container) -> Iterator[tuple[str, Any]]:
    """Names and values of what construct parsed; its runs of bits laid open, its own entries (``_io``) left out."""
    for name, value in parsed.items():
        if isinstance(value, Container):
            yield from values_of(value)
        elif not name.startswith("_"):
            yield name, value


def reason_of(error: Exception) -> str:
    """What an error says, in one line. construct may say "Error in path (parsing) -> queue" in a line before."""
    where, _, what = str(error).rpartition("\n")
    argument = where.partition(" -> ")[2]
    return f"{argument}: {what}" if argument else what
