import pytest

from amqpd.broker.exchanges.headers import HeadersPattern, comparable
from amqpd.errors import PreconditionFailed
from amqpd.wire.numbers import Float, Long, Short, Timestamp
from amqpd.wire.tables import FieldValue, Table, make_decimal
from tests.broker.support import refused


def matches(arguments: Table, headers: Table) -> bool:
    return HeadersPattern(arguments).matches(comparable(headers))


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
    assert matches(arguments, headers) is expected


# Values in groups of those that match each other, as in RabbitMQ 3.10.8.
ALIKE: list[list[FieldValue]] = [
    [1, Short(1), Long(1), 1.0, Float(1.0), Timestamp(1)],
    ["1", b"1"],
    [True],
    [make_decimal(0, 1)],
    [make_decimal(1, 10)],
    [[1]],
    [[Long(1)]],
    [["1"]],
    [{"a": 1}],
    [{"a": Long(1)}],
    [{"a": 1, "b": 1}],
    [{"b": 1, "a": 1}],
]


def test_numbers_match_by_value_texts_by_octets_and_the_rest_by_type_too() -> None:
    for values in ALIKE:
        for value in values:
            matching = [found for group in ALIKE for found in group if matches({"a": value}, {"a": found})]
            assert matching == values


def test_a_void_header_is_there_and_has_no_value() -> None:
    assert matches({"a": None}, {"a": None})
    assert not matches({"a": 0}, {"a": None})
    assert not matches({"a": "undefined"}, {"a": None})


def test_a_mode_that_there_is_not_is_refused() -> None:
    with refused(
        PreconditionFailed,
        'Invalid x-match field value <<"foo">>; expected all, any, all-with-x, or any-with-x',
    ):
        HeadersPattern({"x-match": "foo"})
    with refused(PreconditionFailed, "Invalid x-match field value <<>>; expected all, any, all-with-x, or any-with-x"):
        HeadersPattern({"x-match": ""})
    odd: list[tuple[FieldValue, str]] = [
        (1, "type signedint (value 1)"),
        (True, "type bool (value true)"),
        (None, "type void (value undefined)"),
        (b"all", 'type binary (value <<"all">>)'),
        ([], "type array (value [])"),
        ({"a": 1}, 'type table (value [{<<"a">>,signedint,1}])'),
    ]
    for mode, shown in odd:
        with refused(PreconditionFailed, f"Invalid x-match field {shown}; expected longstr"):
            HeadersPattern({"x-match": mode})
