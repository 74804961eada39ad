"""Exchanges of type headers: which headers match which arguments of a binding.

Whether a message is routed shows in its publish: it is mandatory, and comes back where there is no queue for it.
"""

from typing import Any

from interop.differential.broker import Broker
from interop.differential.compare import differential
from interop.differential.fields import byte, decimal, long, short, single, timestamp


def match_each(broker: Broker, binding: dict[str, Any], *messages: dict[str, Any]) -> None:
    """Bind a queue with these arguments, and publish messages with these headers."""
    client = broker.connect()
    q, x = broker.names("q", "x")
    broker.forget(x)
    client.declare(q)
    client.declare_exchange(x, "headers")
    client.bind(q, x, "", binding)
    for number, headers in enumerate(messages, 1):
        client.publish(x, "", f"message {number}", mandatory=True, headers=headers)


@differential()
def test_headers_all(broker: Broker) -> None:
    match_each(
        broker,
        {"x-match": "all", "a": 1, "b": "two"},
        {"a": 1, "b": "two"},
        {"a": 1, "b": "two", "c": 3},
        {"a": 1},
        {"a": 1, "b": "three"},
        {},
    )


@differential()
def test_headers_all_is_what_none_means(broker: Broker) -> None:
    match_each(broker, {"a": 1, "b": "two"}, {"a": 1, "b": "two"}, {"a": 1})


@differential()
def test_headers_any(broker: Broker) -> None:
    match_each(
        broker,
        {"x-match": "any", "a": 1, "b": "two"},
        {"a": 1},
        {"b": "two", "a": 5},
        {"a": 2, "b": "three"},
        {"c": 3},
        {},
    )


@differential()
def test_headers_that_begin_with_x(broker: Broker) -> None:
    """all and any pass over them; a binding with nothing else matches all, or none."""
    match_each(broker, {"x-match": "all", "x-a": 1, "b": 2}, {"b": 2}, {"b": 2, "x-a": 5}, {"x-a": 1})
    match_each(broker, {"x-match": "all", "x-a": 1}, {"x-a": 1}, {"b": 2}, {})
    match_each(broker, {"x-match": "any", "x-a": 1}, {"x-a": 1}, {"b": 2}, {})
    match_each(broker, {"x-match": "any", "x-a": 1, "b": 2}, {"x-a": 1}, {"b": 2})


@differential()
def test_headers_all_with_x(broker: Broker) -> None:
    match_each(broker, {"x-match": "all-with-x", "x-a": 1, "b": 2}, {"b": 2}, {"b": 2, "x-a": 1}, {"b": 2, "x-a": 2})
    match_each(broker, {"x-match": "all-with-x"}, {"b": 2}, {})


@differential()
def test_headers_any_with_x(broker: Broker) -> None:
    match_each(broker, {"x-match": "any-with-x", "x-a": 1, "b": 2}, {"b": 2}, {"x-a": 1}, {"x-a": 2}, {})
    match_each(broker, {"x-match": "any-with-x"}, {"b": 2}, {})


@differential()
def test_headers_without_arguments(broker: Broker) -> None:
    match_each(broker, {}, {"a": 1}, {})
    match_each(broker, {"x-match": "any"}, {"a": 1}, {})


@differential()
def test_headers_void_means_that_it_is_there(broker: Broker) -> None:
    match_each(broker, {"a": None}, {"a": 1}, {"a": "text"}, {"a": None}, {"a": False}, {"b": 1})
    match_each(broker, {"x-match": "any", "a": None, "b": 2}, {"a": 1}, {"b": 1})
    match_each(broker, {"a": 1}, {"a": None})


@differential()
def test_headers_integers_of_all_widths_are_equal(broker: Broker) -> None:
    match_each(broker, {"a": 5}, {"a": long(5)}, {"a": short(5)}, {"a": byte(5)}, {"a": long(6)})
    match_each(broker, {"a": long(5)}, {"a": 5}, {"a": short(5)}, {"a": byte(5)})


@differential()
def test_headers_values_of_other_types(broker: Broker) -> None:
    """Numbers are equal to a timestamp and to a float of the same value, text to octets; nothing else is."""
    others: list[Any] = ["1", True, 1.0, single(1.0), timestamp(1), decimal((0, 1)), b"1", [1], {"a": 1}]
    match_each(broker, {"a": 1}, *({"a": other} for other in others))
    match_each(broker, {"a": "1"}, {"a": 1}, {"a": b"1"})
    match_each(broker, {"a": True}, {"a": 1}, {"a": "true"}, {"a": True}, {"a": False})


@differential()
def test_headers_values_of_each_type(broker: Broker) -> None:
    for value in ("1", True, 1.0, single(1.0), timestamp(1), decimal((0, 1)), b"1", [1], {"a": 1}):
        match_each(broker, {"a": value}, {"a": value})
    match_each(broker, {"a": 1.0}, {"a": single(1.0)})
    match_each(broker, {"a": [1, "two"]}, {"a": ["two", 1]}, {"a": [1]}, {"a": [long(1), "two"]})
    match_each(broker, {"a": {"b": 1, "c": 2}}, {"a": {"c": 2, "b": 1}}, {"a": {"b": 1}})


@differential()
def test_headers_message_without_any(broker: Broker) -> None:
    client = broker.connect()
    q, x = broker.names("q", "x")
    client.declare(q)
    client.declare_exchange(x, "headers")
    client.bind(q, x, "", {"x-match": "any", "a": 1})
    client.publish(x, "", "a", mandatory=True)
    client.bind(q, x, "", {"x-match": "all"})
    client.publish(x, "", "b", mandatory=True)


@differential()
def test_headers_key_does_not_matter(broker: Broker) -> None:
    """Bindings that differ in their arguments are two; a queue gets a message once."""
    client = broker.connect()
    q, x = broker.names("q", "x")
    client.declare(q)
    client.declare_exchange(x, "headers")
    client.bind(q, x, "one", {"a": 1})
    client.bind(q, x, "two", {"a": 1})
    client.bind(q, x, "one", {"b": 1})
    client.publish(x, "other", "a", headers={"a": 1, "b": 1})
    client.count(q)
    client.unbind(q, x, "one", {"a": 1})
    client.publish(x, "other", "a", mandatory=True, headers={"a": 1})
    client.unbind(q, x, "two", {"a": long(1)})
    client.publish(x, "other", "a", mandatory=True, headers={"a": 1})
    client.unbind(q, x, "two", {"a": 1})
    client.publish(x, "other", "a", mandatory=True, headers={"a": 1})
    client.publish(x, "other", "b", mandatory=True, headers={"b": 1})
