"""Exchanges that give each message to one of their bindings."""

from collections import Counter

import pytest

from amqpd.broker.exchanges.exchange import Exchange
from amqpd.errors import PreconditionFailed
from amqpd.wire.properties import Properties
from tests.broker.support import Peer, refused


def taken(peer: Peer, exchange: str, keys: list[str]) -> list[str]:
    """Which queue gets a message with each of these routing keys."""
    there = []
    for key in keys:
        peer.session.publish(exchange, key, b"m")
        [queue] = [queue for queue in peer.session.vhost.queues if peer.empty(queue)]
        there.append(queue)
    return there


def make(peer: Peer, kind: str, weights: dict[str, str]) -> Exchange:
    peer.session.declare_exchange("x", kind)
    for queue, weight in weights.items():
        peer.session.declare_queue(queue)
        peer.session.bind(queue, "x", weight)
    return peer.session.vhost.exchange("x")


KEYS = [f"order.{number}" for number in range(2000)]


def test_a_consistent_hash_gives_each_its_share(peer: Peer) -> None:
    make(peer, "x-consistent-hash", {"a": "1", "b": "1", "c": "2", "d": "4"})
    shares = Counter(taken(peer, "x", KEYS))
    for queue, weight in (("a", 1), ("b", 1), ("c", 2), ("d", 4)):
        assert shares[queue] == pytest.approx(len(KEYS) * weight / 8, rel=0.15)


def test_the_same_key_goes_the_same_way(peer: Peer) -> None:
    make(peer, "x-consistent-hash", {"a": "1", "b": "1", "c": "2"})
    before = taken(peer, "x", KEYS[:50])
    peer.session.delete_exchange("x")
    make(peer, "x-consistent-hash", {"c": "2", "b": "1", "a": "1"})  # in another order, as after a restart
    assert taken(peer, "x", KEYS[:50]) == before


def test_it_goes_the_same_way_in_every_version(peer: Peer) -> None:
    make(peer, "x-consistent-hash", {"a": "1", "b": "1", "c": "2"})
    assert "".join(taken(peer, "x", KEYS[:20])) == "cbbacaabcbbbaacccaac"


def test_a_binding_that_comes_or_goes_moves_only_the_keys_that_it_gets_or_had(peer: Peer) -> None:
    make(peer, "x-consistent-hash", {"a": "1", "b": "1", "c": "1"})
    before = taken(peer, "x", KEYS)
    peer.session.declare_queue("d")
    peer.session.bind("d", "x", "1")
    after = taken(peer, "x", KEYS)
    moved = [new for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) == {"d"}
    assert len(moved) == pytest.approx(len(KEYS) / 4, rel=0.15)
    peer.session.unbind("d", "x", "1")
    assert taken(peer, "x", KEYS) == before


def test_who_is_bound_twice_has_the_larger_weight(peer: Peer) -> None:
    make(peer, "x-consistent-hash", {"a": "1", "b": "1"})
    peer.session.bind("a", "x", "3")
    shares = Counter(taken(peer, "x", KEYS))
    assert shares["a"] == pytest.approx(len(KEYS) * 3 / 4, rel=0.1)
    peer.session.unbind("a", "x", "3")
    assert Counter(taken(peer, "x", KEYS))["a"] == pytest.approx(len(KEYS) / 2, rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "one", "like_it", "none"),
    [
        (
            {"hash-header": "id"},
            [Properties(headers={"id": number}) for number in range(20)],
            [Properties(headers={"id": number, "other": 1}, message_id="1") for number in range(20)],
            [Properties(), Properties(headers={}), Properties(headers={"other": 1})],
        ),
        (
            {"hash-property": "message_id"},
            [Properties(message_id=str(number)) for number in range(20)],
            [Properties(message_id=str(number), headers={"id": 1}) for number in range(20)],
            [Properties(), Properties(correlation_id="1")],
        ),
        (
            {"hash-property": "timestamp"},
            [Properties(timestamp=number) for number in range(20)],
            [Properties(timestamp=number, correlation_id="1") for number in range(20)],
            [Properties(), Properties(correlation_id="1")],
        ),
    ],
)
def test_a_header_or_a_property_is_hashed_instead_of_the_routing_key(
    peer: Peer,
    arguments: dict[str, str],
    one: list[Properties],
    like_it: list[Properties],
    none: list[Properties],
) -> None:
    peer.session.declare_exchange("x", "x-consistent-hash", arguments={**arguments})
    for queue in ("a", "b", "c"):
        peer.session.declare_queue(queue)
        peer.session.bind(queue, "x", "1")

    def way(properties: Properties, routing_key: str) -> str:
        peer.session.publish("x", routing_key, b"m", properties)
        return next(queue for queue in ("a", "b", "c") if peer.empty(queue))

    ways = [way(properties, "1") for properties in one]
    assert set(ways) == {"a", "b", "c"}
    assert [way(properties, "2") for properties in like_it] == ways
    assert len({way(properties, str(number)) for number, properties in enumerate(none)}) == 1


@pytest.mark.parametrize(
    ("routing_key", "text"),
    [
        ("0", "The binding key must be greater than 0"),
        ("-1", "The binding key must be greater than 0"),
        ("", "The binding key must be an integer: <<>>"),
        ("abc", 'The binding key must be an integer: <<"abc">>'),
        ("1.5", 'The binding key must be an integer: <<"1.5">>'),
        ("1\n", 'The binding key must be an integer: <<"1\n">>'),
        ("٣", 'The binding key must be an integer: <<"٣">>'),
    ],
)
def test_a_weight_is_a_positive_integer(peer: Peer, routing_key: str, text: str) -> None:
    make(peer, "x-consistent-hash", {"a": "+5", "b": "007", "c": "9" * 255})
    with refused(PreconditionFailed, text):
        peer.session.bind("a", "x", routing_key)


def test_a_modulus_hash_has_equal_shares_that_do_not_depend_on_the_order_of_binding(peer: Peer) -> None:
    make(peer, "x-modulus-hash", {"a": "", "b": "", "c": ""})
    before = taken(peer, "x", KEYS)
    assert all(share == pytest.approx(len(KEYS) / 3, rel=0.15) for share in Counter(before).values())
    for queue in ("a", "c"):
        peer.session.unbind(queue, "x")
    assert set(taken(peer, "x", KEYS[:20])) == {"b"}
    for queue in ("c", "a"):
        peer.session.bind(queue, "x")
    assert taken(peer, "x", KEYS) == before


def test_a_random_exchange_gives_each_binding_the_same_chance(peer: Peer) -> None:
    make(peer, "x-random", {"a": "", "b": "", "c": ""})
    peer.session.bind("a", "x", "again")
    shares = Counter(taken(peer, "x", ["the same"] * 2000))
    for queue, chance in (("a", 2 / 4), ("b", 1 / 4), ("c", 1 / 4)):
        assert shares[queue] == pytest.approx(2000 * chance, rel=0.15)


@pytest.mark.parametrize("kind", ["x-consistent-hash", "x-modulus-hash", "x-random"])
def test_without_bindings_there_is_no_way(peer: Peer, kind: str) -> None:
    make(peer, kind, {"a": "1"})
    peer.session.unbind("a", "x", "1")
    peer.session.publish("x", "1", b"m", mandatory=True)
    assert [message.body for message, _, _ in peer.returns] == [b"m"]


@pytest.mark.parametrize("kind", ["x-consistent-hash", "x-modulus-hash", "x-random"])
def test_the_way_may_go_on_to_an_exchange(peer: Peer, kind: str) -> None:
    make(peer, kind, {})
    peer.session.declare_queue("a")
    peer.session.bind("a", "amq.fanout")
    peer.session.bind("amq.fanout", "x", "1", destination_kind="exchange")
    assert taken(peer, "x", ["key"]) == ["a"]


def test_only_what_looks_at_messages_is_not_remembered(peer: Peer) -> None:
    for kind, arguments, per_message in (
        ("x-consistent-hash", {}, False),
        ("x-consistent-hash", {"hash-header": "a"}, True),
        ("x-consistent-hash", {"hash-property": "timestamp"}, True),
        ("x-modulus-hash", {}, False),
        ("x-random", {}, True),
        ("direct", {"x-message-deduplication": True}, True),
        ("direct", {"x-message-deduplication": False}, False),
    ):
        peer.session.declare_exchange("y", kind, arguments=arguments)
        assert peer.session.vhost.exchange("y").per_message is per_message
        peer.session.delete_exchange("y")
