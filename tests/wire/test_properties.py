"""Content headers: exact octets, both ways, against the grammar, the peeks, and hostile bytes."""

from dataclasses import asdict, fields, replace
from typing import Any

import pytest
from construct import ConstructError
from hypothesis import example, given
from hypothesis import strategies as st

from amqpd.errors import MalformedArguments
from amqpd.wire import grammar
from amqpd.wire.properties import (
    Properties,
    check_header,
    decode_properties,
    delivery_mode,
    encode_header,
    expiration,
    headers,
    priority,
    reply_to,
    user_id,
    with_headers,
    with_reply_to,
    without_expiration,
)
from amqpd.wire.tables import Table
from tests.wire.strategies import any_short_strings, exact, field_tables, longlongs, nearly, properties

PREFIX = b"\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05"  # class basic, weight 0, a body of 5 octets

# Each property alone: its value, its flag, its octets.
ALONE = [
    ("content_type", "text/plain", 0x8000, b"\x0atext/plain"),
    ("content_encoding", "gzip", 0x4000, b"\x04gzip"),
    ("headers", {"a": None}, 0x2000, b"\x00\x00\x00\x03\x01aV"),
    ("delivery_mode", 2, 0x1000, b"\x02"),
    ("priority", 9, 0x0800, b"\x09"),
    ("correlation_id", "42", 0x0400, b"\x0242"),
    ("reply_to", "amq.gen-x", 0x0200, b"\x09amq.gen-x"),
    ("expiration", "60000", 0x0100, b"\x0560000"),
    ("message_id", "m", 0x0080, b"\x01m"),
    ("timestamp", 1, 0x0040, b"\x00\x00\x00\x00\x00\x00\x00\x01"),
    ("type", "t", 0x0020, b"\x01t"),
    ("user_id", "guest", 0x0010, b"\x05guest"),
    ("app_id", "\udcff", 0x0008, b"\x01\xff"),
    ("cluster_id", "", 0x0004, b"\x00"),
]
ALL = {name: value for name, value, _, _ in ALONE}


def test_no_property_is_two_octets_of_no_flag() -> None:
    assert encode_header(5, Properties()) == PREFIX + b"\x00\x00"
    assert decode_properties(PREFIX + b"\x00\x00") == Properties()


@pytest.mark.parametrize(("name", "value", "flag", "octets"), ALONE)
def test_each_property_has_its_flag_and_octets(name: str, value: Any, flag: int, octets: bytes) -> None:
    properties = Properties(**{name: value})
    header = PREFIX + flag.to_bytes(2, "big") + octets

    assert encode_header(5, properties) == header
    assert decode_properties(header) == properties


def test_all_properties_follow_one_another_in_order() -> None:
    header = PREFIX + b"\xff\xfc" + b"".join(octets for _, _, _, octets in ALONE)

    assert encode_header(5, Properties(**ALL)) == header
    assert decode_properties(header) == Properties(**ALL)


# Both ways, against the grammar ---------------------------------------------------------------------------------------


def build_by_grammar(body_size: int, properties: Properties) -> bytes:
    prefix = {"class_id": 60, "weight": 0, "body_size": body_size}
    data: bytes = grammar.CONTENT_HEADER.build(prefix | asdict(properties))
    return data


@given(longlongs, properties)
def test_properties_give_the_octets_of_the_grammar(body_size: int, properties: Properties) -> None:
    header = encode_header(body_size, properties)

    assert header == build_by_grammar(body_size, properties)
    assert exact(asdict(decode_properties(header))) == by_grammar(header)


def by_grammar(header: bytes) -> Any:
    try:
        parsed = grammar.CONTENT_HEADER.parse(header)
    except ConstructError:
        return "malformed"
    return exact({name: parsed[name] for name in grammar.PROPERTIES})


def by_hand(header: bytes) -> Any:
    try:
        return exact(asdict(decode_properties(header)))
    except MalformedArguments:
        return "malformed"


def accepted(header: bytes) -> bool:
    try:
        check_header(header)
    except MalformedArguments:
        return False
    return True


flags_and_anything = st.builds(
    lambda flags, rest: PREFIX + flags + rest, st.binary(min_size=2, max_size=2), st.binary()
)


@given(st.binary(max_size=40) | flags_and_anything | nearly(properties.map(lambda each: encode_header(0, each))))
@example(b"")
@example(PREFIX + b"\x00")
@example(PREFIX + b"\x00\x01\x00\x00")  # bit 0: more flags follow
@example(PREFIX + b"\x00\x02")  # bit 1: no property
@example(PREFIX + b"\x20\x00\x00\x00\x00\x01")  # a table that ends with its length
@example(PREFIX + b"\x20\x00\x00\x00\x00\x03\x01aZ")
def test_any_bytes_are_the_same_properties_to_hand_and_grammar_or_to_neither(header: bytes) -> None:
    verdict = by_hand(header)

    assert verdict == by_grammar(header)
    assert accepted(header) == (verdict != "malformed")


# Peeks ----------------------------------------------------------------------------------------------------------------


@given(properties)
def test_a_peek_sees_what_decoding_sees(properties: Properties) -> None:
    header = encode_header(0, properties)

    assert delivery_mode(header) == (properties.delivery_mode or 0)
    assert priority(header) == (properties.priority or 0)
    assert reply_to(header) == properties.reply_to
    assert expiration(header) == properties.expiration
    assert user_id(header) == properties.user_id
    assert exact(headers(header)) == exact(decode_properties(header).headers or {})


# Rewriting ------------------------------------------------------------------------------------------------------------


@given(longlongs, properties, any_short_strings)
def test_only_reply_to_is_rewritten(body_size: int, properties: Properties, address: str) -> None:
    header = encode_header(body_size, properties)

    assert with_reply_to(header, address) == build_by_grammar(body_size, replace(properties, reply_to=address))


@given(longlongs, properties, field_tables)
def test_only_the_headers_are_rewritten(body_size: int, properties: Properties, table: Table) -> None:
    header = encode_header(body_size, properties)

    assert with_headers(header, table) == build_by_grammar(body_size, replace(properties, headers=table))


@given(longlongs, properties)
def test_only_the_expiration_is_taken_out(body_size: int, properties: Properties) -> None:
    header = encode_header(body_size, properties)

    assert without_expiration(header) == build_by_grammar(body_size, replace(properties, expiration=None))


def test_rewriting_keeps_octets_that_decoding_would_not() -> None:
    doubled = b"\x00\x00\x00\x06\x01aV\x01aV"  # a key that comes twice
    header = PREFIX + b"\x23\x00" + doubled + b"\x01x\x010"

    assert with_reply_to(header, "there") == PREFIX + b"\x23\x00" + doubled + b"\x05there\x010"
    assert without_expiration(header) == PREFIX + b"\x22\x00" + doubled + b"\x01x"


def test_class_weight_and_body_size_are_not_looked_at() -> None:
    check_header(b"\x00\x32\x00\x01" + b"\xff" * 8 + b"\x00\x00")


# Hostile bytes --------------------------------------------------------------------------------------------------------


def test_a_header_cut_off_anywhere_is_malformed() -> None:
    header = encode_header(5, Properties(**ALL))

    for size in range(len(header)):
        assert by_hand(header[:size]) == by_grammar(header[:size]) == "malformed"


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        (PREFIX, "content header ends before its properties"),
        (PREFIX + b"\x00\x01", "flags 0x0001, which class basic does not define"),
        (PREFIX + b"\x00\x00\x00", "length does not match its properties"),
        (PREFIX + b"\x80\x00\x05abcd", "length does not match its properties"),
        (PREFIX + b"\x10\x00", "length does not match its properties"),
        (PREFIX + b"\x20\x00\xff\xff\xff\xff", "length does not match its properties"),
        (PREFIX + b"\x20\x00\x00\x00\x00\x04\x01aI\x00", "field table ends inside a field"),
        (PREFIX + b"\x20\x00\x00\x00\x00\x03\x01aZ", "unknown field type b'Z'"),
    ],
)
def test_a_malformed_header_is_told_what_is_wrong(header: bytes, complaint: str) -> None:
    with pytest.raises(MalformedArguments, match=complaint) as refused:
        check_header(header)
    assert refused.value.code == 502


def test_headers_nested_without_measure_are_no_more_than_malformed() -> None:
    table = b""
    for _ in range(10_000):
        table = b"\x00F" + len(table).to_bytes(4, "big") + table

    with pytest.raises(MalformedArguments, match="nested deeper"):
        check_header(PREFIX + b"\x20\x00" + len(table).to_bytes(4, "big") + table)


# Values that no header can carry --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("properties", "complaint"),
    [
        (Properties(message_id="x" * 256), "a short string of 256 octets, 255 at most"),
        (Properties(message_id="é" * 128), "a short string of 256 octets, 255 at most"),
        (Properties(priority=256), "priority 256 does not fit 8 unsigned bits"),
        (Properties(timestamp=-1), "timestamp -1 does not fit 64 unsigned bits"),
        (Properties(headers={"n": 2**64}), "does not fit a field of type long"),
    ],
)
def test_a_property_that_does_not_fit_is_the_callers_error(properties: Properties, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        encode_header(0, properties)


def test_the_properties_are_those_of_the_grammar_in_its_order() -> None:
    assert [each.name for each in fields(Properties)] == list(grammar.PROPERTIES)
