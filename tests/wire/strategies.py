"""What hypothesis generates for the wire: every kind of value, and bytes that are nearly right."""

import struct
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from amqpd.wire import grammar, methods, numbers, tables
from amqpd.wire.methods import METHODS, Method
from amqpd.wire.properties import Properties


def _integers(bits: int, signed: bool) -> st.SearchStrategy[int]:
    low = -(1 << (bits - 1)) if signed else 0
    return st.integers(low, low + (1 << bits) - 1)


def _escaped(octets: bytes) -> str:
    """Any octets as the text they arrive as."""
    return octets.decode("utf-8", "surrogateescape")


octets = _integers(8, signed=False)
shorts = _integers(16, signed=False)
longs = _integers(32, signed=False)
longlongs = _integers(64, signed=False)
long_strings = st.binary(max_size=300)
any_short_strings = st.one_of(st.text(max_size=20), st.binary(max_size=255).map(_escaped))
# A character takes up to four octets, and a short string 255. Surrogates alone are no UTF-8.
short_strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=63)

scalars: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    _integers(64, signed=True),  # I or l, by size
    any_short_strings,
    st.binary(max_size=40),
    st.floats(),
    st.floats(width=32).map(numbers.Float),
    st.builds(tables.make_decimal, octets, _integers(32, signed=True)),
    _integers(8, signed=True).map(numbers.Byte),
    octets.map(numbers.UnsignedByte),
    _integers(16, signed=True).map(numbers.Short),
    shorts.map(numbers.UnsignedShort),
    longs.map(numbers.UnsignedInt),
    _integers(64, signed=True).map(numbers.Long),
    _integers(64, signed=True).map(numbers.LongLong),
    longlongs.map(numbers.Timestamp),
)
field_values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(any_short_strings, inner, max_size=4)),
    max_leaves=12,
)
field_tables: st.SearchStrategy[tables.Table] = st.dictionaries(any_short_strings, field_values, max_size=6)

properties = st.builds(
    Properties,
    content_type=st.none() | any_short_strings,
    content_encoding=st.none() | any_short_strings,
    headers=st.none() | field_tables,
    delivery_mode=st.none() | octets,
    priority=st.none() | octets,
    correlation_id=st.none() | any_short_strings,
    reply_to=st.none() | any_short_strings,
    expiration=st.none() | any_short_strings,
    message_id=st.none() | any_short_strings,
    timestamp=st.none() | longlongs,
    type=st.none() | any_short_strings,
    user_id=st.none() | any_short_strings,
    app_id=st.none() | any_short_strings,
    cluster_id=st.none() | any_short_strings,
)

_DOMAINS: dict[Any, st.SearchStrategy[Any]] = {
    grammar.OCTET: octets,
    grammar.SHORT: shorts,
    grammar.LONG: longs,
    grammar.LONGLONG: longlongs,
    grammar.SHORT_STRING: short_strings,
    grammar.ANY_SHORT_STRING: any_short_strings,
    grammar.LONG_STRING: long_strings,
    grammar.bits: st.booleans(),
    methods.FieldTable.__metadata__[0]: field_tables,
}


def methods_of(declared: type[Method]) -> st.SearchStrategy[Method]:
    """This method with any arguments."""
    domains = {name: domain.__metadata__[0] for name, domain in declared.__annotations__.items()}
    return st.builds(declared, **{name: _DOMAINS[domain] for name, domain in domains.items()})


any_methods = st.sampled_from(list(METHODS.values())).flatmap(methods_of)


@st.composite
def nearly(draw: st.DrawFn, valid: st.SearchStrategy[bytes]) -> bytes:
    """Valid bytes with a few octets replaced, put in or taken out: what a random string would rarely come close to."""
    data = bytearray(draw(valid))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        stop = start + draw(st.integers(0, 2))
        data[start:stop] = draw(st.binary(max_size=3))
    return bytes(data)


def exact(value: Any) -> Any:
    """``value`` in a form where == tells 1 from True, a Short from an int, and a table from one in another order."""
    if isinstance(value, dict):
        return [(key, exact(item)) for key, item in value.items()]
    if isinstance(value, list):
        return [exact(item) for item in value]
    if isinstance(value, Decimal):
        return value.as_tuple()
    if isinstance(value, float):
        return type(value), struct.pack(">d", value)
    return type(value), value
