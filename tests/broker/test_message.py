import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.message import join_address, make_message, split_address
from amqpd.wire.properties import Properties

names = st.binary(max_size=255).map(lambda octets: octets.decode("utf-8", "surrogateescape"))


@given(names, names)
def test_an_address_is_two_names_and_any_octets_pass(exchange: str, routing_key: str) -> None:
    assert split_address(join_address(exchange, routing_key)) == (exchange, routing_key)


@pytest.mark.parametrize(("exchange", "routing_key"), [("x" * 256, ""), ("", "k" * 256), ("", "ü" * 128)])
def test_a_name_has_at_most_255_octets(exchange: str, routing_key: str) -> None:
    with pytest.raises(ValueError, match="255 octets"):
        join_address(exchange, routing_key)


def test_a_message_tells_what_was_put_in() -> None:
    properties = Properties(delivery_mode=2, headers={"a": 1}, message_id="m")
    message = make_message("amq.topic", "a.b", b"body", properties)
    assert (message.exchange, message.routing_key, message.body) == ("amq.topic", "a.b", b"body")
    assert message.properties == properties
    assert message.headers == {"a": 1}
    assert message.persistent


@pytest.mark.parametrize("delivery_mode", [None, 1, 3])
def test_only_delivery_mode_2_is_persistent(delivery_mode: int | None) -> None:
    assert not make_message("", "q", b"", Properties(delivery_mode=delivery_mode)).persistent


def test_a_message_without_headers_has_an_empty_table_of_them() -> None:
    assert make_message("", "q", b"").headers == {}
