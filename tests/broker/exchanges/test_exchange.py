"""Which queues a message reaches, by type of exchange, seen by applications."""

from collections.abc import Iterable

import pytest

from amqpd.broker.exchanges.exchange import binding_key
from amqpd.broker.records import BindingRecord
from amqpd.errors import PreconditionFailed
from amqpd.wire.properties import Properties
from amqpd.wire.tables import Table
from tests.broker.support import Peer, refused


def bind(peer: Peer, exchange: str, bindings: Iterable[tuple[str, str]]) -> None:
    """Bind queues, which are made where they are missing, each with its routing key."""
    for queue, routing_key in bindings:
        peer.session.declare_queue(queue)
        peer.session.bind(queue, exchange, routing_key)


def reached(peer: Peer, exchange: str, routing_key: str, headers: Table | None = None) -> list[str]:
    """The queues that a message comes to."""
    peer.session.publish(exchange, routing_key, b"m", Properties(headers=headers))
    return sorted(queue for queue in list(peer.session.vhost.queues) if peer.empty(queue))


def test_the_default_exchange_knows_every_queue_by_its_name(peer: Peer) -> None:
    peer.session.declare_queue("a")
    peer.session.declare_queue("b")
    assert reached(peer, "", "a") == ["a"]
    assert reached(peer, "", "c") == []


def test_a_direct_exchange_compares_routing_keys(peer: Peer) -> None:
    bind(peer, "amq.direct", [("a", "red"), ("b", "red"), ("b", "blue"), ("c", "")])
    assert reached(peer, "amq.direct", "red") == ["a", "b"]
    assert reached(peer, "amq.direct", "blue") == ["b"]
    assert reached(peer, "amq.direct", "") == ["c"]
    assert reached(peer, "amq.direct", "green") == []


def test_a_fanout_exchange_asks_for_no_routing_key(peer: Peer) -> None:
    bind(peer, "amq.fanout", [("a", "red"), ("b", "")])
    assert reached(peer, "amq.fanout", "green") == ["a", "b"]


def test_a_topic_exchange_matches_patterns(peer: Peer) -> None:
    bind(peer, "amq.topic", [("all", "#"), ("errors", "*.error"), ("disk", "disk.#")])
    assert reached(peer, "amq.topic", "disk.error") == ["all", "disk", "errors"]
    assert reached(peer, "amq.topic", "disk") == ["all", "disk"]
    assert reached(peer, "amq.topic", "") == ["all"]


@pytest.mark.parametrize("exchange", ["amq.headers", "amq.match"])
def test_a_headers_exchange_looks_at_each_message(peer: Peer, exchange: str) -> None:
    for queue, arguments in (
        ("both", {"a": 1, "b": 2}),
        ("either", {"x-match": "any", "a": 1, "b": 2}),
        ("any of none", {"x-match": "any"}),
        ("all of none", {}),
    ):
        peer.session.declare_queue(queue)
        peer.session.bind(queue, exchange, "ignored", arguments)
    assert reached(peer, exchange, "", {"a": 1, "b": 2}) == ["all of none", "both", "either"]
    assert reached(peer, exchange, "", {"b": 2}) == ["all of none", "either"]
    assert reached(peer, exchange, "", {"a": True}) == ["all of none"]
    assert reached(peer, exchange, "") == ["all of none"]


def test_a_queue_that_is_bound_twice_gets_one_copy(peer: Peer) -> None:
    bind(peer, "amq.topic", [("q", "#"), ("q", "a.*"), ("q", "*.b")])
    peer.session.publish("amq.topic", "a.b", b"m")
    assert peer.empty("q") == ["m"]


@pytest.mark.parametrize(
    ("exchange", "pattern", "arguments"),
    [
        ("amq.direct", "key", {}),
        ("amq.fanout", "key", {}),
        ("amq.topic", "#", {}),
        ("amq.headers", "key", {"a": None}),
    ],
)
def test_a_binding_is_known_by_key_and_arguments_and_unbound_once(
    peer: Peer, exchange: str, pattern: str, arguments: Table
) -> None:
    peer.session.declare_queue("q")
    peer.session.bind("q", exchange, pattern, arguments)
    peer.session.bind("q", exchange, pattern, arguments)  # there already
    peer.session.bind("q", exchange, pattern, {**arguments, "x-note": 1})  # another one
    assert len(peer.session.vhost.exchange(exchange).bindings) == 2

    peer.session.unbind("q", exchange, pattern, arguments)
    assert reached(peer, exchange, "key", {"a": 1}) == ["q"]
    peer.session.unbind("q", exchange, pattern, arguments)  # gone already
    peer.session.unbind("q", exchange, pattern, {**arguments, "x-note": 1})
    assert reached(peer, exchange, "key", {"a": 1}) == []


def test_the_order_of_a_bindings_arguments_means_nothing() -> None:
    one = BindingRecord("/", "x", "q", "queue", "key", {"a": 1, "b": 2})
    other = BindingRecord("/", "x", "q", "queue", "key", {"b": 2, "a": 1})
    assert binding_key(one) == binding_key(other)


def test_a_binding_whose_arguments_mean_nothing_is_not_made(peer: Peer) -> None:
    peer.session.declare_queue("q")
    with refused(
        PreconditionFailed, 'Invalid x-match field value <<"foo">>; expected all, any, all-with-x, or any-with-x'
    ):
        peer.session.bind("q", "amq.headers", "", {"x-match": "foo"})
    assert reached(peer, "amq.headers", "") == []
    peer.session.bind("q", "amq.direct", "", {"x-match": "foo"})  # other types do not look at it
    peer.session.unbind("q", "amq.headers", "", {"x-match": "foo"})  # what is not there may be anything
