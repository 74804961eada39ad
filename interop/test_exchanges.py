"""Exchanges: which messages reach which queues."""

from collections.abc import Callable
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker

from interop.blocking import drain, publish

OpenChannel = Callable[..., BlockingChannel]
Unique = Callable[[str], str]


def bound_queue(channel: BlockingChannel, exchange: str, *keys: str, **arguments: Any) -> str:
    """A queue of this connection, bound with each of these keys."""
    queue = str(channel.queue_declare("", exclusive=True).method.queue)
    for key in keys:
        channel.queue_bind(queue, exchange, key, arguments or None)
    return queue


def test_the_predeclared_exchanges_are_there(channel: BlockingChannel) -> None:
    for name, exchange_type in {
        "amq.direct": "direct",
        "amq.fanout": "fanout",
        "amq.topic": "topic",
        "amq.headers": "headers",
        "amq.match": "headers",
    }.items():
        channel.exchange_declare(name, exchange_type, durable=True)  # equivalent, so nothing is created


def test_default_exchange_routes_by_queue_name(channel: BlockingChannel) -> None:
    here, there = bound_queue(channel, ""), bound_queue(channel, "")
    publish(channel, here, [b"here"])
    assert drain(channel, there) == []
    assert drain(channel, here) == [b"here"]


def test_direct_routes_by_equal_key_until_unbound(channel: BlockingChannel) -> None:
    queue = bound_queue(channel, "amq.direct", "red", "blue")
    channel.queue_bind(queue, "amq.direct", "red")  # a second time: still one binding
    for key in "red", "blue", "redblue":
        channel.basic_publish("amq.direct", key, key.encode())
    assert drain(channel, queue) == [b"red", b"blue"]

    channel.queue_unbind(queue, "amq.direct", "red")
    for key in "red", "blue":
        channel.basic_publish("amq.direct", key, key.encode())
    assert drain(channel, queue) == [b"blue"]


@pytest.mark.parametrize(
    ("binding_key", "matches", "misses"),
    [
        ("stock.usd.nyse", ["stock.usd.nyse"], ["stock.usd", "stock.usd.nyse.x", "stock.usd.NYSE"]),
        ("*", ["stock"], ["", "stock.usd"]),  # an empty key has no words
        ("#", ["", "stock", "stock.usd.nyse", "..."], []),
        ("stock.*", ["stock.usd", "stock."], ["stock", "stock.usd.nyse"]),
        ("stock.#", ["stock", "stock.usd", "stock.usd.nyse"], ["stocks", "a.stock"]),
        ("#.nyse", ["nyse", "stock.nyse", "stock.usd.nyse"], ["nyse.stock"]),
        ("*.usd.#", ["stock.usd", "stock.usd.nyse.x"], ["usd", "stock.eur.usd"]),
        ("a.#.b.#.c", ["a.b.c", "a.x.b.y.z.c", "a.b.b.c"], ["a.b", "a.c", "b.c"]),
        ("#.*", ["a", "a.b"], [""]),
    ],
)
def test_topic_patterns(
    channel: BlockingChannel, unique: Unique, binding_key: str, matches: list[str], misses: list[str]
) -> None:
    exchange = unique("topic")
    channel.exchange_declare(exchange, "topic")
    queue = bound_queue(channel, exchange, binding_key)
    for routing_key in matches + misses:
        channel.basic_publish(exchange, routing_key, routing_key.encode())
    assert drain(channel, queue) == [key.encode() for key in matches]


@pytest.mark.parametrize(
    ("wanted", "matches", "misses"),
    [
        ({"x-match": "all", "a": 1, "b": "x"}, [{"a": 1, "b": "x"}, {"a": 1, "b": "x", "c": 2}], [{"a": 1}, {}]),
        ({"a": 1, "b": "x"}, [{"a": 1, "b": "x"}], [{"a": 1, "b": "y"}]),  # all is the default
        ({"x-match": "any", "a": 1, "b": "x"}, [{"a": 1}, {"b": "x"}, {"a": 2, "b": "x"}], [{"a": 2}, {"c": 1}, {}]),
        ({"x-match": "all", "a": None}, [{"a": 1}, {"a": "anything"}], [{"b": 1}]),  # void: the key is enough
        ({"x-match": "all", "a": 1}, [{"a": 1}], [{"a": "1"}, {"a": True}]),  # types count
        ({"x-match": "all", "a": 1}, [{"a": 1}], [{"a": 2**40}]),
        ({"x-match": "all", "x-a": 1}, [{}, {"x-a": 2}], []),  # keys that begin with x- don't count ...
        ({"x-match": "all-with-x", "x-a": 1}, [{"x-a": 1}], [{}, {"x-a": 2}]),  # ... unless asked for
        ({"x-match": "any-with-x", "x-a": 1, "b": 2}, [{"x-a": 1}, {"b": 2}], [{"c": 1}]),
        ({"x-match": "all"}, [{}, {"a": 1}], []),
        ({"x-match": "any"}, [], [{}, {"a": 1}]),
    ],
)
def test_headers_matching(
    channel: BlockingChannel,
    unique: Unique,
    wanted: dict[str, Any],
    matches: list[dict[str, Any]],
    misses: list[dict[str, Any]],
) -> None:
    exchange = unique("headers")
    channel.exchange_declare(exchange, "headers")
    queue = bound_queue(channel, exchange, "", **wanted)
    for headers in matches + misses:
        channel.basic_publish(exchange, "", repr(headers).encode(), pika.BasicProperties(headers=headers))
    assert drain(channel, queue) == [repr(headers).encode() for headers in matches]


def test_an_exchange_bound_to_an_exchange_hands_messages_on(channel: BlockingChannel, unique: Unique) -> None:
    source, destination = unique("source"), unique("destination")
    channel.exchange_declare(source, "topic")
    channel.exchange_declare(destination, "fanout")
    channel.exchange_bind(destination, source, "news.#")
    queue = bound_queue(channel, destination, "")
    channel.queue_bind(queue, source, "news.local")  # reached twice, delivered once

    channel.basic_publish(source, "news.local", b"news")
    channel.basic_publish(source, "weather", b"weather")
    method, _, body = channel.basic_get(queue, auto_ack=True)
    assert (body, method.exchange, method.routing_key) == (b"news", source, "news.local")  # as published
    assert drain(channel, queue) == []

    channel.exchange_unbind(destination, source, "news.#")
    channel.basic_publish(source, "news.world", b"news")
    assert drain(channel, queue) == []


def test_exchanges_bound_in_a_circle_deliver_once(channel: BlockingChannel, unique: Unique) -> None:
    one, two = unique("one"), unique("two")
    for exchange in one, two:
        channel.exchange_declare(exchange, "fanout")
    channel.exchange_bind(two, one)
    channel.exchange_bind(one, two)
    queue = bound_queue(channel, two, "")
    channel.basic_publish(one, "", b"round and round")
    assert drain(channel, queue) == [b"round and round"]


def test_an_alternate_exchange_takes_what_was_not_routed(channel: BlockingChannel, unique: Unique) -> None:
    main, alternate = unique("main"), unique("alternate")
    channel.exchange_declare(alternate, "fanout")
    channel.exchange_declare(main, "direct", arguments={"alternate-exchange": alternate})
    routed, unrouted = bound_queue(channel, main, "known"), bound_queue(channel, alternate, "")

    channel.confirm_delivery()
    channel.basic_publish(main, "known", b"1", mandatory=True)
    channel.basic_publish(main, "unknown", b"2", mandatory=True)  # taken by the alternate, so not returned
    assert drain(channel, routed) == [b"1"]
    method, _, body = channel.basic_get(unrouted, auto_ack=True)
    assert (body, method.exchange, method.routing_key) == (b"2", main, "unknown")
    assert drain(channel, unrouted) == []


def test_an_auto_delete_exchange_goes_with_its_last_binding(
    open_channel: OpenChannel, channel: BlockingChannel, unique: Unique
) -> None:
    exchange = unique("auto")
    channel.exchange_declare(exchange, "fanout", auto_delete=True)
    first, second = bound_queue(channel, exchange, ""), bound_queue(channel, exchange, "")
    channel.queue_unbind(first, exchange, "")
    channel.exchange_declare(exchange, passive=True)
    channel.queue_delete(second)
    with pytest.raises(ChannelClosedByBroker) as gone:
        open_channel().exchange_declare(exchange, passive=True)
    assert gone.value.args == (404, f"NOT_FOUND - no exchange '{exchange}' in vhost '/'")


def test_if_unused_protects_an_exchange(open_channel: OpenChannel, channel: BlockingChannel, unique: Unique) -> None:
    exchange = unique("used")
    channel.exchange_declare(exchange, "fanout")
    queue = bound_queue(channel, exchange, "")
    with pytest.raises(ChannelClosedByBroker) as refused:
        open_channel().exchange_delete(exchange, if_unused=True)
    assert refused.value.args == (406, f"PRECONDITION_FAILED - exchange '{exchange}' in vhost '/' in use")

    channel.queue_unbind(queue, exchange, "")
    channel.exchange_delete(exchange, if_unused=True)


def test_bindings_go_with_their_queue_and_their_exchange(channel: BlockingChannel, unique: Unique) -> None:
    exchange = unique("again")
    channel.exchange_declare(exchange, "fanout")
    queue = bound_queue(channel, exchange, "")
    channel.exchange_delete(exchange)
    channel.exchange_declare(exchange, "fanout")  # a new one with the old name
    channel.basic_publish(exchange, "", b"nobody is bound")
    assert drain(channel, queue) == []
