"""Field tables and message properties with their exact types, as RabbitMQ speaks them.

Client libraries turn tables into dicts and lose what a value was: a long and a byte are both an int. Which type a
broker wants, or puts into ``x-death``, is part of what these tests compare, so here a value keeps its type. This codec
knows nothing of amqpd's, which is what it helps to test.

A plain Python value stands for the type that clients send it as (``str`` longstr, ``int`` signedint, or long if it is
large, ``float`` double, ``bytes`` binary, ``None`` void, ...); any other type is a ``Field`` of that name.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class Field(NamedTuple):
    """A value with its type, named as RabbitMQ's error texts name it."""

    type: str
    value: Any


Table = Mapping[str, Any]

byte = partial(Field, "byte")
unsignedbyte = partial(Field, "unsignedbyte")
short = partial(Field, "short")
unsignedshort = partial(Field, "unsignedshort")
unsignedint = partial(Field, "unsignedint")
long = partial(Field, "long")
single = partial(Field, "float")  # of single precision: Python's own float is a double
timestamp = partial(Field, "timestamp")
decimal = partial(Field, "decimal")  # (scale, digits)

SCALARS = {  # the letter of a type in a table, and how its values are packed
    "bool": (b"t", "?"),
    "byte": (b"b", "b"),
    "unsignedbyte": (b"B", "B"),
    "short": (b"s", "h"),
    "unsignedshort": (b"u", "H"),
    "signedint": (b"I", "i"),
    "unsignedint": (b"i", "I"),
    "long": (b"l", "q"),
    "float": (b"f", "f"),
    "double": (b"d", "d"),
    "timestamp": (b"T", "Q"),
}
NAMES = {letter: (name, packed) for name, (letter, packed) in SCALARS.items()}

PROPERTIES = {  # in the order of their flags, from bit 15 down
    "content_type": "shortstr",
    "content_encoding": "shortstr",
    "headers": "table",
    "delivery_mode": "B",
    "priority": "B",
    "correlation_id": "shortstr",
    "reply_to": "shortstr",
    "expiration": "shortstr",
    "message_id": "shortstr",
    "timestamp": "Q",
    "type": "shortstr",
    "user_id": "shortstr",
    "app_id": "shortstr",
    "cluster_id": "shortstr",
}


def typed(value: Any) -> Field:
    """The field that a plain value stands for."""
    match value:
        case Field():
            return value
        case bool():
            return Field("bool", value)
        case int():
            return Field("signedint" if -(2**31) <= value < 2**31 else "long", value)
        case float():
            return Field("double", value)
        case str():
            return Field("longstr", value)
        case bytes():
            return Field("binary", value)
        case None:
            return Field("void", None)
        case list():
            return Field("array", value)
        case Mapping():
            return Field("table", value)
    raise TypeError(f"no field of a table: {value!r}")


def encode_table(table: Table) -> bytes:
    return _counted(b"".join(_shortstr(name) + _encode_field(typed(value)) for name, value in table.items()))


def encode_properties(properties: Table) -> bytes:
    """The flags of a content header and the properties that they announce."""
    flags = 0
    packed = []
    for bit, (name, form) in enumerate(PROPERTIES.items()):
        if name in properties:
            flags |= 0x8000 >> bit
            packed.append(_encode_property(form, properties[name]))
    assert properties.keys() <= PROPERTIES.keys(), properties
    return flags.to_bytes(2, "big") + b"".join(packed)


def decode_properties(data: bytes) -> dict[str, Any]:
    """The properties of a content header, from its flags on; the headers as ``Field``s."""
    reader = Reader(data)
    flags = reader.number("H")
    return {
        name: reader.property(form) for bit, (name, form) in enumerate(PROPERTIES.items()) if flags & (0x8000 >> bit)
    }


def _encode_property(form: str, value: Any) -> bytes:
    match form:
        case "shortstr":
            return _shortstr(value)
        case "table":
            return encode_table(value)
    return bytes(struct.pack(">" + form, value))


def _encode_field(field: Field) -> bytes:
    name, value = field
    if name in SCALARS:
        letter, packed = SCALARS[name]
        return letter + struct.pack(">" + packed, value)
    match name:
        case "longstr":
            return b"S" + _counted(value.encode())
        case "binary":
            return b"x" + _counted(value)
        case "void":
            return b"V"
        case "decimal":
            return b"D" + struct.pack(">Bi", *value)
        case "table":
            return b"F" + encode_table(value)
        case "array":
            return b"A" + _counted(b"".join(_encode_field(typed(each)) for each in value))
    raise ValueError(f"no type of a field: {name}")


def _shortstr(text: str) -> bytes:
    return len(text.encode()).to_bytes(1, "big") + text.encode()


def _counted(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


class Reader:
    """Takes values from the front of octets."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def number(self, form: str) -> Any:
        return struct.unpack(">" + form, self._take(struct.calcsize(">" + form)))[0]

    def property(self, form: str) -> Any:
        match form:
            case "shortstr":
                return self._take(self.number("B")).decode("utf-8", "backslashreplace")
            case "table":
                return self.table()
        return self.number(form)

    def table(self) -> dict[str, Field]:
        return dict(self._counted(lambda part: (part.property("shortstr"), part.field())))

    def field(self) -> Field:
        letter = self._take(1)
        if letter in NAMES:
            name, packed = NAMES[letter]
            return Field(name, self.number(packed))
        match letter:
            case b"S":
                return Field("longstr", self._take(self.number("I")).decode("utf-8", "backslashreplace"))
            case b"x":
                return Field("binary", self._take(self.number("I")))
            case b"V":
                return Field("void", None)
            case b"D":
                return Field("decimal", (self.number("B"), self.number("i")))
            case b"F":
                return Field("table", self.table())
            case b"A":
                return Field("array", list(self._counted(lambda part: part.field())))
        raise ValueError(f"no type of a field: {letter!r}")

    def _counted(self, take: Callable[["Reader"], T]) -> Iterator[T]:
        part = Reader(self._take(self.number("I")))
        while part._data:
            yield take(part)

    def _take(self, count: int) -> bytes:
        taken, self._data = self._data[:count], self._data[count:]
        assert len(taken) == count, "cut short"
        return taken
