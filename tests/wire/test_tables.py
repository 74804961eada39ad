"""Field tables: exact octets, both ways, against the grammar, and against hostile bytes."""

from decimal import Decimal
from typing import Any

import pytest
from construct import ConstructError, Struct, Tell
from hypothesis import example, given
from hypothesis import strategies as st

from amqpd.errors import MalformedArguments
from amqpd.wire import grammar
from amqpd.wire.numbers import Byte, Float, Long, LongLong, Short, Timestamp, UnsignedByte, UnsignedInt, UnsignedShort
from amqpd.wire.tables import (
    TABLE_DEPTH_MAX,
    Table,
    check_table,
    decode_fields,
    decode_table,
    encode_fields,
    encode_table,
    type_name,
)
from tests.wire.strategies import exact, field_tables, nearly

# One value of each type: what it is in Python, RabbitMQ's word for it, its octets with the tag.
VALUES = [
    (True, "bool", b"t\x01"),
    (False, "bool", b"t\x00"),
    (Byte(-1), "byte", b"b\xff"),
    (UnsignedByte(255), "unsignedbyte", b"B\xff"),
    (Short(-2), "short", b"s\xff\xfe"),
    (UnsignedShort(65534), "unsignedshort", b"u\xff\xfe"),
    (-3, "signedint", b"I\xff\xff\xff\xfd"),
    (2147483647, "signedint", b"I\x7f\xff\xff\xff"),
    (-2147483648, "signedint", b"I\x80\x00\x00\x00"),
    (UnsignedInt(4294967293), "unsignedint", b"i\xff\xff\xff\xfd"),
    (Long(1), "long", b"l\x00\x00\x00\x00\x00\x00\x00\x01"),
    (Long(-1), "long", b"l\xff\xff\xff\xff\xff\xff\xff\xff"),
    (LongLong(-1), "long", b"L\xff\xff\xff\xff\xff\xff\xff\xff"),
    (Float(1.5), "float", b"f\x3f\xc0\x00\x00"),
    (1.5, "double", b"d\x3f\xf8\x00\x00\x00\x00\x00\x00"),
    (Decimal("-1.50"), "decimal", b"D\x02\xff\xff\xff\x6a"),
    (Decimal("0"), "decimal", b"D\x00\x00\x00\x00\x00"),
    ("naïve", "longstr", b"S\x00\x00\x00\x06na\xc3\xafve"),
    ("\udcff", "longstr", b"S\x00\x00\x00\x01\xff"),
    (b"\x00\xff", "binary", b"x\x00\x00\x00\x02\x00\xff"),
    (Timestamp(1), "timestamp", b"T\x00\x00\x00\x00\x00\x00\x00\x01"),
    (None, "void", b"V"),
    ([], "array", b"A\x00\x00\x00\x00"),
    ([1, "a", None], "array", b"A\x00\x00\x00\x0cI\x00\x00\x00\x01S\x00\x00\x00\x01aV"),
    ({}, "table", b"F\x00\x00\x00\x00"),
    ({"k": {"n": True}}, "table", b"F\x00\x00\x00\x0b\x01kF\x00\x00\x00\x04\x01nt\x01"),
]


@pytest.mark.parametrize(("value", "name", "octets"), VALUES)
def test_each_type_has_its_octets(value: Any, name: str, octets: bytes) -> None:
    table = {"key": value}
    data = (4 + len(octets)).to_bytes(4, "big") + b"\x03key" + octets

    assert encode_table(table) == data
    assert grammar.TABLE.build(table) == data
    assert exact(decode_table(data)[0]) == exact(table)
    assert exact(grammar.TABLE.parse(data)) == exact(table)
    assert type_name(value) == name


def test_a_table_is_read_where_it_lies() -> None:
    data = b"before" + encode_table({"a": 1, "b": 2}) + b"behind"

    assert decode_table(data, 6) == ({"a": 1, "b": 2}, len(data) - 6)
    assert check_table(data, 6, len(data)) == len(data) - 6


def test_fields_are_a_table_without_its_length() -> None:
    assert encode_fields({"a": None}) == b"\x01aV"
    assert decode_fields(b"\x01aV") == {"a": None}


def test_an_integer_takes_64_bits_only_where_32_are_too_few() -> None:
    assert encode_fields({"": 2**31}) == b"\x00l\x00\x00\x00\x00\x80\x00\x00\x00"
    assert type_name(2**31 - 1) == type_name(-(2**31)) == "signedint"
    assert type_name(2**31) == type_name(-(2**31) - 1) == "long"


def test_any_octet_but_zero_is_true() -> None:
    assert decode_fields(b"\x01at\x02") == {"a": True}


def test_of_a_key_that_comes_twice_the_first_counts() -> None:
    data = b"\x00\x00\x00\x0b\x01aB\x01\x01bV\x01aB\x02"

    assert decode_table(data)[0] == grammar.TABLE.parse(data) == {"a": 1, "b": None}


# Both ways, against the grammar ---------------------------------------------------------------------------------------


@given(field_tables)
def test_values_give_the_octets_of_the_grammar(table: Table) -> None:
    assert encode_table(table) == grammar.TABLE.build(table)


@given(field_tables)
def test_decoding_and_encoding_again_gives_the_same_octets(table: Table) -> None:
    data = encode_table(table)

    decoded, end = decode_table(data)

    assert end == len(data)
    assert encode_table(decoded) == data
    assert exact(decoded) == exact(grammar.TABLE.parse(data))


TABLE_AND_END = Struct("table" / grammar.TABLE, "end" / Tell)


def by_grammar(data: bytes) -> Any:
    try:
        parsed = TABLE_AND_END.parse(data)
    except ConstructError:
        return "malformed"
    return exact(parsed.table), parsed.end


def by_hand(data: bytes) -> Any:
    try:
        table, end = decode_table(data)
    except MalformedArguments:
        return "malformed"
    return exact(table), end


def by_check(data: bytes) -> Any:
    try:
        return check_table(data, 0, len(data))
    except MalformedArguments:
        return "malformed"


@given(st.binary(max_size=40) | nearly(field_tables.map(encode_table)))
@example(b"")
@example(b"\x00\x00\x00\x01\x00")
@example(b"\x00\x00\x00\x02\x00V")
def test_any_bytes_are_the_same_table_to_hand_and_grammar_or_to_neither(data: bytes) -> None:
    verdict = by_hand(data)

    assert verdict == by_grammar(data)
    assert by_check(data) == (verdict if verdict == "malformed" else verdict[1])


# Hostile bytes --------------------------------------------------------------------------------------------------------


def nested(depth: int, tag: bytes) -> bytes:
    """``depth`` tables or arrays in one another, the outermost a table."""
    content = b""
    for _ in range(depth - 1):
        key = b"\x00" if tag == b"F" else b""
        content = key + tag + len(content).to_bytes(4, "big") + content
    if tag == b"A":
        content = b"\x00" + content
    return len(content).to_bytes(4, "big") + content


@pytest.mark.parametrize("tag", [b"F", b"A"])
def test_nesting_ends_at_its_limit(tag: bytes) -> None:
    deepest = nested(TABLE_DEPTH_MAX, tag)
    assert by_hand(deepest) == by_grammar(deepest) != "malformed"
    assert by_check(deepest) == len(deepest)

    too_deep = nested(TABLE_DEPTH_MAX + 1, tag)
    assert by_hand(too_deep) == by_grammar(too_deep) == by_check(too_deep) == "malformed"


@pytest.mark.parametrize("tag", [b"F", b"A"])
def test_nesting_without_measure_is_no_more_than_malformed(tag: bytes) -> None:
    data = nested(20_000, tag)

    with pytest.raises(MalformedArguments, match="nested deeper than 32 levels"):
        decode_table(data)
    with pytest.raises(MalformedArguments, match="nested deeper than 32 levels"):
        check_table(data, 0, len(data))


EVERYTHING = encode_table({str(position): value for position, (value, _, _) in enumerate(VALUES)})


def test_a_table_cut_off_anywhere_is_malformed() -> None:
    for size in range(len(EVERYTHING)):
        assert by_hand(EVERYTHING[:size]) == by_check(EVERYTHING[:size]) == "malformed"


def test_a_length_that_cuts_a_table_anywhere_agrees_with_the_grammar() -> None:
    for size in range(len(EVERYTHING) - 4):
        data = size.to_bytes(4, "big") + EVERYTHING[4:]
        verdict = by_hand(data)

        assert verdict == by_grammar(data)
        assert by_check(data) == (verdict if verdict == "malformed" else 4 + size)


def test_other_tags_are_malformed() -> None:
    for tag in set(range(256)) - set(b"tbBsuIilLfdDSATFVx"):
        fields = b"\x01a" + bytes((tag,)) + bytes(16)

        with pytest.raises(MalformedArguments, match="unknown field type"):
            decode_fields(fields)
        with pytest.raises(MalformedArguments, match="unknown field type"):
            check_table(b"\x00\x00\x00\x13" + fields, 0, 23)


@pytest.mark.parametrize("tag", [b"S", b"x", b"F", b"A"])
def test_a_length_past_the_end_of_the_table_is_malformed_even_if_octets_follow(tag: bytes) -> None:
    data = b"\x00\x00\x00\x07\x01a" + tag + b"\x00\x00\x00\x01" + b"V" * 20

    assert by_hand(data) == by_check(data) == by_grammar(data) == "malformed"


# Values that no field can carry ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (2**63, "9223372036854775808 does not fit a field of type long"),
        (-(2**63) - 1, "does not fit a field of type long"),
        (Byte(128), "128 does not fit a field of type byte"),
        (UnsignedByte(-1), "-1 does not fit a field of type unsignedbyte"),
        (Timestamp(-1), "-1 does not fit a field of type timestamp"),
        (Float(1e300), r"1e\+300 does not fit a field of type float"),
        (Decimal("1E-256"), "does not fit a field of type decimal"),
        (Decimal("2147483648"), "does not fit a field of type decimal"),
        (Decimal("1E+999999"), "does not fit a decimal field"),
        (Decimal("NaN"), "does not fit a decimal field"),
        (Decimal("Infinity"), "does not fit a decimal field"),
        ((1, 2), "no field type for a value of type tuple"),
        ({"k" * 256: 1}, "a field name of 256 octets, 255 at most"),
        ([{"a": [object()]}], "no field type for a value of type object"),
    ],
)
def test_a_value_that_does_not_fit_is_the_callers_error(value: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        encode_table({"key": value})


def test_a_table_in_itself_is_the_callers_error() -> None:
    table: Table = {}
    table["self"] = table

    with pytest.raises(ValueError, match="nested deeper than 32 levels"):
        encode_table(table)


@pytest.mark.parametrize(
    ("value", "octets"),
    [
        (Decimal("1E+3"), b"D\x00\x00\x00\x03\xe8"),
        (Decimal("-2E+9"), b"D\x00\x88\xca\x6c\x00"),
        (Decimal("0E+40"), b"D\x00\x00\x00\x00\x00"),
        (Decimal("1E-255"), b"D\xff\x00\x00\x00\x01"),
    ],
)
def test_decimals_at_the_edge(value: Decimal, octets: bytes) -> None:
    assert encode_fields({"": value}) == b"\x00" + octets
    assert decode_fields(b"\x00" + octets)[""] == value
