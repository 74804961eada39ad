"""The grammar's own elements, in octets written down from the specification."""

from typing import Any

import pytest
from construct import Construct, ConstructError, Struct
from hypothesis import given
from hypothesis import strategies as st

from amqpd.wire import grammar
from amqpd.wire.constants import FRAME_HEAD_SIZE, FRAME_OVERHEAD, PROTOCOL_HEADER
from tests.wire.strategies import octets, shorts


def test_the_protocol_header_is_eight_octets() -> None:
    assert list(PROTOCOL_HEADER) == [65, 77, 81, 80, 0, 0, 9, 1]


@pytest.mark.parametrize(
    ("element", "value", "data"),
    [
        (grammar.OCTET, 255, b"\xff"),
        (grammar.SHORT, 258, b"\x01\x02"),
        (grammar.LONG, 16909060, b"\x01\x02\x03\x04"),
        (grammar.LONGLONG, 2**64 - 2, b"\xff\xff\xff\xff\xff\xff\xff\xfe"),
        (grammar.TIMESTAMP, 1, b"\x00\x00\x00\x00\x00\x00\x00\x01"),
        (grammar.SHORT_STRING, "", b"\x00"),
        (grammar.SHORT_STRING, "é", b"\x02\xc3\xa9"),
        (grammar.ANY_SHORT_STRING, "\udce9", b"\x01\xe9"),
        (grammar.LONG_STRING, b"\x00PLAIN", b"\x00\x00\x00\x06\x00PLAIN"),
        (grammar.TABLE, {}, b"\x00\x00\x00\x00"),
        (grammar.ARRAY, [None], b"\x00\x00\x00\x01V"),
    ],
)
def test_an_element_has_its_octets(element: Construct, value: Any, data: bytes) -> None:
    assert element.build(value) == data
    assert element.parse(data) == value


@pytest.mark.parametrize(
    ("element", "data"),
    [
        (grammar.SHORT, b"\x01"),
        (grammar.SHORT_STRING, b""),
        (grammar.SHORT_STRING, b"\x02a"),
        (grammar.SHORT_STRING, b"\x01\xe9"),
        (grammar.LONG_STRING, b"\x00\x00\x00\x02a"),
        (grammar.TABLE, b"\x00\x00\x00\x01\x00"),
    ],
)
def test_what_is_no_element_is_an_error_of_construct(element: Construct, data: bytes) -> None:
    with pytest.raises(ConstructError):
        element.parse(data)


def test_a_short_string_has_room_for_255_octets() -> None:
    assert grammar.SHORT_STRING.build("x" * 255) == b"\xff" + b"x" * 255
    with pytest.raises(ConstructError):
        grammar.SHORT_STRING.build("x" * 256)


def test_consecutive_bits_share_an_octet_the_first_in_its_lowest() -> None:
    element = Struct("run" / grammar.bits("first", "second", "third"))

    assert element.build({"first": True, "second": False, "third": False}) == b"\x01"
    assert element.build({"first": False, "second": True, "third": True}) == b"\x06"
    run = element.parse(b"\xfd").run  # bits without a name are set, and not looked at
    assert (run.first, run.second, run.third) == (True, False, True)


def test_a_heartbeat_frame() -> None:
    data = b"\x08\x00\x00\x00\x00\x00\x00\xce"

    frame = grammar.FRAME.parse(data)

    assert (frame.type, frame.channel, frame.payload) == (8, 0, b"")
    assert grammar.FRAME.build({"type": 8, "channel": 0, "payload": b""}) == data


def test_a_frame_ends_with_its_end() -> None:
    with pytest.raises(ConstructError):
        grammar.FRAME.parse(b"\x08\x00\x00\x00\x00\x00\x00\xcf")


@given(octets, shorts, st.binary(max_size=100))
def test_a_frame_is_its_payload_and_eight_octets(kind: int, channel: int, payload: bytes) -> None:
    data = grammar.FRAME.build({"type": kind, "channel": channel, "payload": payload})

    assert len(data) == len(payload) + FRAME_OVERHEAD
    assert data[FRAME_HEAD_SIZE:-1] == payload
    frame = grammar.FRAME.parse(data)
    assert (frame.type, frame.channel, frame.payload) == (kind, channel, payload)


def test_a_content_header_with_two_properties() -> None:
    data = (
        b"\x00\x3c"  # class basic
        b"\x00\x00"  # weight
        b"\x00\x00\x00\x00\x00\x00\x00\x05"  # body size
        b"\x90\x00"  # content-type and delivery-mode
        b"\x0atext/plain"
        b"\x02"
    )

    header = grammar.CONTENT_HEADER.parse(data)

    assert (header.class_id, header.weight, header.body_size) == (60, 0, 5)
    assert {name: header[name] for name in grammar.PROPERTIES if header[name] is not None} == {
        "content_type": "text/plain",
        "delivery_mode": 2,
    }
    assert grammar.CONTENT_HEADER.build(header) == data
