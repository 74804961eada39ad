"""What the broker reads in the properties of a published message: complaints are RabbitMQ 3.10's, to the letter."""

from typing import Any

import pytest
from hypothesis import given

from amqpd.broker.admission import (
    check_properties,
    concerns_broker,
    expiration_ms,
    has_copies,
    sender_selected,
    without_bcc,
)
from amqpd.broker.message import make_message
from amqpd.errors import PreconditionFailed
from amqpd.wire.numbers import Long
from amqpd.wire.properties import Properties, check_header, delivery_mode, encode_header
from amqpd.wire.tables import FieldValue, Table
from tests.broker.support import refused
from tests.wire.strategies import properties


def header(**properties: Any) -> bytes:
    return encode_header(1, Properties(**properties))


def concerns(header: bytes) -> bool:
    return has_copies(header) or concerns_broker(header, delivery_mode(header))


def check(**properties: Any) -> None:
    check_properties(header(**properties), "guest")


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"delivery_mode": 1},
        {"delivery_mode": 2, "content_type": "CC", "priority": 255},
        {"headers": {"a": 1}},
        {"correlation_id": "CC", "message_id": "m", "timestamp": 1, "type": "t", "app_id": "a", "cluster_id": "c"},
    ],
)
def test_most_messages_do_not_concern_the_broker(properties: dict[str, Any]) -> None:
    assert not concerns(header(**properties))


@pytest.mark.parametrize(
    "properties",
    [
        {"delivery_mode": 0},
        {"delivery_mode": 3},
        {"reply_to": "amq.rabbitmq.reply-to"},
        {"expiration": "5"},
        {"user_id": "guest"},
        {"headers": {"CC": ["a"]}},
        {"headers": {"BCC": ["a"]}},
    ],
)
def test_some_do(properties: dict[str, Any]) -> None:
    assert concerns(header(**properties))


@given(properties)
def test_what_does_not_concern_the_broker_is_let_through(properties: Properties) -> None:
    header = encode_header(0, properties)
    if not concerns(header):
        check_properties(header, "guest")


# Checks ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [1, 2, None])
def test_delivery_modes(mode: int | None) -> None:
    check(delivery_mode=mode)


@pytest.mark.parametrize("mode", [0, 3, 255])
def test_other_delivery_modes(mode: int) -> None:
    with refused(PreconditionFailed, f"invalid message: {{delivery_mode_unknown,{mode}}}"):
        check(delivery_mode=mode)


def test_a_user_publishes_in_the_own_name() -> None:
    check(user_id="guest")
    for other in ("bob", "", "Guest"):
        with refused(PreconditionFailed, f"user_id property set to '{other}' but authenticated user was 'guest'"):
            check(user_id=other)


def test_an_impersonator_publishes_in_any_name() -> None:
    check_properties(header(user_id="bob"), "guest", impersonator=True)


@pytest.mark.parametrize(
    ("expiration", "ms"),
    [("0", 0), ("1", 1), ("00", 0), ("+5", 5), ("-0", 0), ("60000", 60_000), ("315360000000", 315_360_000_000)],
)
def test_an_expiration_is_a_number_of_milliseconds(expiration: str, ms: int) -> None:
    check(expiration=expiration)
    assert expiration_ms(header(expiration=expiration)) == ms


def test_no_expiration() -> None:
    assert expiration_ms(header(headers={"expiration": "5"}, message_id="5")) is None


@pytest.mark.parametrize(
    ("expiration", "complaint"),
    [
        ("", "no_integer"),
        ("abc", "no_integer"),
        (" 5", "no_integer"),
        ("--1", "no_integer"),
        ("+", "no_integer"),
        ("٣", "no_integer"),
        ("5x", '{leftover_string,"x"}'),
        ("5 ", '{leftover_string," "}'),
        ("5.5", '{leftover_string,".5"}'),
        ("1_0", '{leftover_string,"_0"}'),
        ("1e3", '{leftover_string,"e3"}'),
        ("-1x", '{leftover_string,"x"}'),
        ("-1", "{value_negative,-1}"),
        ("315360000001", "{value_too_large,315360000001}"),
    ],
)
def test_other_expirations(expiration: str, complaint: str) -> None:
    with refused(PreconditionFailed, f"invalid expiration '{expiration}': {complaint}"):
        check(expiration=expiration)


@given(properties)
def test_what_was_let_through_can_be_read(properties: Properties) -> None:
    header = encode_header(0, properties)
    try:
        check_properties(header, "guest")
    except PreconditionFailed:
        return
    milliseconds = expiration_ms(header)
    assert (milliseconds is None) == (properties.expiration is None)
    sender_selected(properties.headers or {})


def test_the_first_complaint() -> None:
    wrong = {"user_id": "bob", "expiration": "x", "headers": {"BCC": 1, "CC": 1}, "delivery_mode": 3}
    for name, complaint in (
        ("user_id", "user_id property set to 'bob' but authenticated user was 'guest'"),
        ("expiration", "invalid expiration 'x': no_integer"),
        ("headers", 'invalid message: {unacceptable_type_in_header,"CC",signedint}'),
        ("delivery_mode", "invalid message: {delivery_mode_unknown,3}"),
    ):
        with refused(PreconditionFailed, complaint):
            check(**wrong)
        del wrong[name]
    check(**wrong)


# CC and BCC -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "keys"),
    [
        ({}, ()),
        ({"cc": 5, "nested": {"CC": 5}}, ()),
        ({"CC": []}, ()),
        ({"CC": ["a", "b"]}, ("a", "b")),
        ({"BCC": ["c"], "CC": ["a"]}, ("a", "c")),
        ({"CC": ["a", 5, None, b"b"]}, ("a",)),
    ],
)
def test_keys_that_the_sender_has_selected(headers: Table, keys: tuple[str, ...]) -> None:
    check(headers=headers)
    assert sender_selected(headers) == keys


@pytest.mark.parametrize("name", ["CC", "BCC"])
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (5, "signedint"),
        (Long(5), "long"),
        ("a", "longstr"),
        (b"a", "binary"),
        (None, "void"),
        (True, "bool"),
        ({"a": 1}, "table"),
    ],
)
def test_they_come_as_an_array(name: str, value: FieldValue, kind: str) -> None:
    with refused(PreconditionFailed, f'invalid message: {{unacceptable_type_in_header,"{name}",{kind}}}'):
        check(headers={name: value})


def test_blind_copies_are_told_to_nobody() -> None:
    properties = Properties(headers={"b": 1, "BCC": ["x"], "CC": ["y"], "a": 2}, message_id="m")
    seen = without_bcc(make_message("", "q", b"body", properties))

    check_header(seen.header)
    assert (seen.exchange, seen.routing_key, seen.body) == ("", "q", b"body")
    assert seen.properties == Properties(headers={"b": 1, "CC": ["y"], "a": 2}, message_id="m")


def test_no_blind_copies_leave_an_empty_table() -> None:
    assert without_bcc(make_message("", "q", b"", Properties(headers={"BCC": []}))).properties == Properties(headers={})


@pytest.mark.parametrize("properties", [Properties(), Properties(headers={"CC": ["BCC"]}), Properties(app_id="BCC")])
def test_a_message_without_blind_copies_is_left_alone(properties: Properties) -> None:
    message = make_message("", "q", b"", properties)
    assert without_bcc(message) is message
