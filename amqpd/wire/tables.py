"""Field tables and field arrays, by hand: the arguments of declarations and the headers of messages.

Must not know methods or properties. ``grammar`` declares the same format; the tests hold the two against each other.

Strategy: each field type is one row of ``_FIXED`` (a value of fixed size: a struct format and a Python type) or one of
the four types with a length in front (``S x F A``). A number type the wire tells apart but Python doesn't has a class
of its own in ``numbers``, so that decoding and encoding again gives the same bytes.

The types are those RabbitMQ reads and writes, not the specification's (4.2.1): ``s`` is a 16-bit integer where the
specification has a short string, and both ``l`` and ``L`` are signed 64-bit integers. RabbitMQ turns ``L`` into ``l``
when it writes; here it stays ``L``. Three things are not kept: of a key that comes twice only the first value, which is
the one RabbitMQ's look-ups find; which octet but 0 stood for true; that a 32-bit NaN was a signalling one.
"""

from collections.abc import Callable
from decimal import Decimal
from struct import Struct
from struct import error as StructError
from typing import Any, Final, TypeAlias

from amqpd.errors import MalformedArguments
from amqpd.wire.numbers import (
    Byte,
    Float,
    Long,
    LongLong,
    Short,
    Timestamp,
    UnsignedByte,
    UnsignedInt,
    UnsignedShort,
)

# How many tables and arrays may lie in one another, the outermost included. RabbitMQ sets no limit and its own headers
# (x-death) go three deep. Ours keeps recursion over hostile bytes far from the interpreter's limit of 1000 calls.
TABLE_DEPTH_MAX: Final = 32

_pack_length: Final = Struct(">I").pack
_unpack_length: Final = Struct(">I").unpack_from


FieldValue: TypeAlias = "bool | int | float | str | bytes | Decimal | dict[str, FieldValue] | list[FieldValue] | None"
Table: TypeAlias = dict[str, FieldValue]


def make_decimal(scale: int, unscaled: int) -> Decimal:
    """``unscaled`` with the decimal point ``scale`` digits from the right, exactly as many digits behind it."""
    return Decimal(f"{unscaled}E-{scale}")


def split_decimal(value: Decimal) -> tuple[int, int]:
    """The scale and the unscaled number of a decimal.

    Raises ValueError for infinities and NaNs.
    """
    _, digits, exponent = value.as_tuple()
    # An exponent above 9 can't fit 32 bits; asking first keeps Decimal("1E+999999") from becoming a million digits.
    if not isinstance(exponent, int) or (exponent > 9 and value):
        raise ValueError(f"{value} does not fit a decimal field")
    unscaled = int("".join(map(str, digits))) * 10 ** min(max(exponent, 0), 9)
    return max(-exponent, 0), -unscaled if value < 0 else unscaled


# Tag, Python type, format of the value, RabbitMQ's word for it.
# D: the number is signed in the specification's text (4.2.5.5) and in clients, unsigned in its grammar (4.2.1).
_FIXED: tuple[tuple[str, type, str, str], ...] = (
    ("t", bool, "?", "bool"),
    ("b", Byte, "b", "byte"),
    ("B", UnsignedByte, "B", "unsignedbyte"),
    ("s", Short, "h", "short"),
    ("u", UnsignedShort, "H", "unsignedshort"),
    ("I", int, "i", "signedint"),
    ("i", UnsignedInt, "I", "unsignedint"),
    ("l", Long, "q", "long"),
    ("L", LongLong, "q", "long"),
    ("f", Float, "f", "float"),
    ("d", float, "d", "double"),
    ("D", Decimal, "Bi", "decimal"),
    ("T", Timestamp, "Q", "timestamp"),
    ("V", type(None), "", "void"),
)
_MAKERS: dict[type, Callable[..., FieldValue]] = {Decimal: make_decimal, type(None): lambda: None}

_SIZES = {ord(tag): Struct(">" + layout).size for tag, _, layout, _ in _FIXED}
_READERS: dict[int, tuple[int, Callable[[bytes, int], tuple[Any, ...]], Callable[..., FieldValue]]] = {
    ord(tag): (Struct(">" + layout).size, Struct(">" + layout).unpack_from, _MAKERS.get(kind, kind))
    for tag, kind, layout, _ in _FIXED
}
_WRITERS: dict[str, Callable[..., bytes]] = {tag: Struct(">c" + layout).pack for tag, _, layout, _ in _FIXED}

_LONG_STRING: Final = ord("S")
_BINARY: Final = ord("x")
_TABLE: Final = ord("F")
_ARRAY: Final = ord("A")
_PREFIXED = frozenset(b"SxFA")

_TAGS: dict[type, str] = {kind: tag for tag, kind, _, _ in _FIXED} | {str: "S", bytes: "x", dict: "F", list: "A"}
_NAMES: dict[str, str] = {tag: name for tag, _, _, name in _FIXED} | {
    "S": "longstr",
    "x": "binary",
    "F": "table",
    "A": "array",
}


def tag_of(value: FieldValue) -> str:
    """The letter that announces ``value`` on the wire.

    Goes by the exact type. Any other is a ValueError, also a subclass: it would not come back as itself.
    """
    tag = _TAGS.get(type(value))
    if tag is None:
        raise ValueError(f"no field type for a value of type {type(value).__name__}")
    if tag == "I" and not -0x8000_0000 <= value <= 0x7FFF_FFFF:  # type: ignore[operator]
        return "l"
    return tag


def type_name(value: FieldValue) -> str:
    """What RabbitMQ calls the type of ``value`` in its errors: ``signedint``, ``longstr``, ``table``..."""
    return _NAMES[tag_of(value)]


# Decoding -------------------------------------------------------------------------------------------------------------


def decode_table(data: bytes, offset: int = 0) -> tuple[Table, int]:
    """The table whose four octets of length start at ``offset``, and the offset behind it.

    Raises MalformedArguments.
    """
    start, end = _extent(data, offset, len(data))
    return _read_table(data, start, end, 1), end


def decode_fields(data: bytes) -> Table:
    """The table whose fields are all of ``data``: one without its length, as in the response of SASL's AMQPLAIN.

    Raises MalformedArguments.
    """
    return _read_table(data, 0, len(data), 1)


def _read_table(data: bytes, offset: int, end: int, depth: int) -> Table:
    table: Table = {}
    while offset < end:
        key_end = offset + 1 + data[offset]
        if key_end >= end:
            raise MalformedArguments("field table ends inside a field")
        key = data[offset + 1 : key_end].decode("utf-8", "surrogateescape")
        value, offset = _read_value(data, key_end, end, depth)
        table.setdefault(key, value)
    return table


def _read_array(data: bytes, offset: int, end: int, depth: int) -> list[FieldValue]:
    array: list[FieldValue] = []
    while offset < end:
        value, offset = _read_value(data, offset, end, depth)
        array.append(value)
    return array


def _read_value(data: bytes, offset: int, end: int, depth: int) -> tuple[FieldValue, int]:
    """The value whose tag is at ``offset`` (which is before ``end``), and the offset behind it."""
    tag = data[offset]
    reader = _READERS.get(tag)
    if reader is not None:
        size, unpack, make = reader
        if offset + 1 + size > end:
            raise MalformedArguments("field table ends inside a field")
        return make(*unpack(data, offset + 1)), offset + 1 + size
    if tag not in _PREFIXED:
        raise MalformedArguments(f"unknown field type {bytes((tag,))!r}")
    start, stop = _extent(data, offset + 1, end)
    if tag == _LONG_STRING:
        return data[start:stop].decode("utf-8", "surrogateescape"), stop
    if tag == _BINARY:
        return data[start:stop], stop
    if depth == TABLE_DEPTH_MAX:
        raise MalformedArguments(f"field table nested deeper than {TABLE_DEPTH_MAX} levels")
    if tag == _TABLE:
        return _read_table(data, start, stop, depth + 1), stop
    return _read_array(data, start, stop, depth + 1), stop


def _extent(data: bytes, offset: int, end: int) -> tuple[int, int]:
    """Start and end of what the length at ``offset`` announces; neither is past ``end``."""
    start = offset + 4
    if start > end:
        raise MalformedArguments("field table ends inside a length")
    stop: int = start + _unpack_length(data, offset)[0]
    if stop > end:
        raise MalformedArguments("field table: a length reaches past the end")
    return start, stop


def check_table(data: bytes, offset: int, end: int) -> int:
    """The offset behind the table at ``offset``, which must not reach past ``end``; builds no values.

    Accepts and refuses the same bytes as ``decode_table``. Raises MalformedArguments.
    """
    start, stop = _extent(data, offset, end)
    if not _are_well_formed(data, start, stop, 1, True):
        _read_table(data, start, stop, 1)  # which tells what is wrong
    return stop


def _are_well_formed(data: bytes, offset: int, end: int, depth: int, keyed: bool) -> bool:
    """Walk the fields of a table (``keyed``) or of an array.

    Every message with headers comes by here, so only the end tells: a length that leads past it leads past it for good.
    """
    while offset < end:
        if keyed:
            offset += 1 + data[offset]
            if offset >= end:
                return False
        tag = data[offset]
        if tag in _SIZES:
            offset += 1 + _SIZES[tag]
            continue
        start = offset + 5
        if start > end or tag not in _PREFIXED:
            return False
        offset = start + _unpack_length(data, offset + 1)[0]
        if tag == _TABLE or tag == _ARRAY:
            if depth == TABLE_DEPTH_MAX or offset > end:
                return False
            if not _are_well_formed(data, start, offset, depth + 1, tag == _TABLE):
                return False
    return offset == end


# Encoding -------------------------------------------------------------------------------------------------------------


def encode_table(table: Table) -> bytes:
    """``table`` with its four octets of length.

    Raises ValueError for what no field can carry: a number out of range, a key over 255 octets, an unknown type, too
    many levels.
    """
    return _prefixed(_write_table(table, 1))


def encode_fields(table: Table) -> bytes:
    """``table`` without its length. Raises ValueError like ``encode_table``."""
    return _write_table(table, 1)


def _write_table(table: Table, depth: int) -> bytes:
    parts: list[bytes] = []
    for key, value in table.items():
        name = key.encode("utf-8", "surrogateescape")
        if len(name) > 255:
            raise ValueError(f"a field name of {len(name)} octets, 255 at most: {key[:32]!r}...")
        parts += (bytes((len(name),)), name, _write_value(value, depth))
    return b"".join(parts)


def _write_value(value: FieldValue, depth: int) -> bytes:
    tag = tag_of(value)
    letter = tag.encode()
    if isinstance(value, str):
        return letter + _prefixed(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, bytes):
        return letter + _prefixed(value)
    if isinstance(value, (dict, list)):
        if depth == TABLE_DEPTH_MAX:
            raise ValueError(f"field table nested deeper than {TABLE_DEPTH_MAX} levels")
        if isinstance(value, dict):
            return letter + _prefixed(_write_table(value, depth + 1))
        return letter + _prefixed(b"".join([_write_value(item, depth + 1) for item in value]))
    try:
        if isinstance(value, Decimal):
            return _WRITERS[tag](letter, *split_decimal(value))
        if value is None:
            return letter
        return _WRITERS[tag](letter, value)
    except (StructError, OverflowError):
        raise ValueError(f"{value} does not fit a field of type {_NAMES[tag]}") from None


def _prefixed(content: bytes) -> bytes:
    return _pack_length(len(content)) + content
