"""Arguments by hand against the grammar, which has the last word: what is taken on is the same."""

from typing import Any

import pytest
from construct import ConstructError, Container
from hypothesis import given
from hypothesis import strategies as st

from amqpd.errors import MalformedArguments
from amqpd.wire.arguments import decode_arguments, encode_arguments
from amqpd.wire.methods import METHODS, BasicQos, Method, QueueDeclare, encode_method
from tests.wire.strategies import any_methods, exact, nearly


def values_of(parsed: Container) -> list[Any]:
    """What construct parsed, in order, its runs of bits laid open."""
    values: list[Any] = []
    for name, value in parsed.items():
        if isinstance(value, Container):
            values += values_of(value)
        elif not name.startswith("_"):
            values.append(value)
    return values


@given(any_methods)
def test_a_method_is_never_left_to_the_grammar(method: Method) -> None:
    values = [getattr(method, name) for name in method.__slots__]
    octets = encode_arguments(method.kinds, values)
    assert octets == method.layout.build({name: getattr(method, name) for name in method.__slots__})
    assert exact(decode_arguments(method.kinds, octets, 0)) == exact(values_of(method.layout.parse(octets)))


@given(st.sampled_from(sorted(METHODS.values(), key=lambda method: method.name)), st.data())
def test_what_is_taken_is_what_the_grammar_takes(method: type[Method], data: st.DataObject) -> None:
    octets = data.draw(st.binary(max_size=60) | nearly(any_methods.map(encode_method)).map(lambda payload: payload[4:]))
    taken = decode_arguments(method.kinds, octets, 0)
    try:
        expected = values_of(method.layout.parse(octets))
    except (ConstructError, MalformedArguments):
        assert taken is None
    else:
        assert exact(taken) == exact(expected)


@pytest.mark.parametrize(
    ("method", "octets"),
    [
        (BasicQos, b"\x00\x00\x00\x00\x00\x0a"),  # ends too soon
        (BasicQos, b"\x00\x00\x00\x00\x00\x0a\x00\x00"),  # does not end
        (QueueDeclare, b"\x00\x00\x02\xff\xfe\x00\x00\x00\x00\x00"),  # a name that is no text
        (QueueDeclare, b"\x00\x00\x01q\x00\x00\x00\x00\x09\x01k"),  # a table that ends too soon
        (QueueDeclare, b"\x00\x00\x09q\x00\x00\x00\x00\x00"),  # a name that ends too soon
    ],
)
def test_what_is_not_right_is_left_to_the_grammar(method: type[Method], octets: bytes) -> None:
    assert decode_arguments(method.kinds, octets, 0) is None


@pytest.mark.parametrize(
    "method",
    [
        BasicQos(prefetch_count=1 << 16),
        BasicQos(prefetch_count=-1),
        QueueDeclare("q" * 256),
        QueueDeclare(arguments={"k": object()}),
    ],  # type: ignore[dict-item]
)
def test_a_value_that_does_not_fit_is_left_to_the_grammar(method: Any) -> None:
    assert encode_arguments(method.kinds, [getattr(method, name) for name in method.__slots__]) is None
