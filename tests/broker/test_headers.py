import pytest

from amqpd.broker.headers import HeadersPattern
from amqpd.errors import PreconditionFailed
from amqpd.wire.tables import Long, Short, Table, Timestamp
from tests.broker.support import refused


@pytest.mark.parametrize(
    ("arguments", "headers", "expected"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}, True),  # all is what is meant when nothing is said
        ({"a": 1, "b": 2}, {"a": 1}, False),
        ({"x-match": "all", "a": 1}, {"a": 2}, False),
        ({"x-match": "any", "a": 1, "b": 2}, {"a": 2, "b": 2}, True),
        ({"x-match": "any", "a": 1, "b": 2}, {"a": 2, "b": 1}, False),
        ({}, {}, True),
        ({"x-match": "all"}, {"a": 1}, True),
        ({"x-match": "any"}, {"a": 1}, False),
        ({"a": None}, {"a": "whatever"}, True),  # a void argument: the header is there
        ({"a": None}, {}, False),
        ({"x-a": 1}, {}, True),  # x- keys do not count...
        ({"x-match": "any", "x-a": 1}, {"x-a": 1}, False),
        ({"x-match": "all-with-x", "x-a": 1}, {}, False),  # ...unless they are asked for
        ({"x-match": "all-with-x", "x-a": 1}, {"x-a": 1}, True),
        ({"x-match": "any-with-x", "x-a": 1}, {"x-a": 1}, True),
    ],
)
def test_a_pattern_matches(arguments: Table, headers: Table, expected: bool) -> None:
    assert HeadersPattern(arguments).matches(headers) is expected


def test_values_match_by_kind_and_integers_whatever_their_width() -> None:
    kinds: list[Table] = [{"a": 1}, {"a": True}, {"a": "1"}, {"a": 1.0}, {"a": b"1"}, {"a": Timestamp(1)}, {"a": [1]}]
    for arguments in kinds:
        assert [HeadersPattern(arguments).matches(headers) for headers in kinds].count(True) == 1
    assert HeadersPattern({"a": Short(1)}).matches({"a": Long(1)})


def test_a_mode_that_there_is_not_is_refused() -> None:
    with refused(
        PreconditionFailed,
        'Invalid x-match field value <<"foo">>; expected all, any, all-with-x, or any-with-x',
    ):
        HeadersPattern({"x-match": "foo"})
    with refused(PreconditionFailed, "Invalid x-match field type signedint (value 1); expected longstr"):
        HeadersPattern({"x-match": 1})
