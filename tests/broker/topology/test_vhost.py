"""Topology: how exchanges, queues and bindings come and go."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from amqpd.broker.broker import Broker
from amqpd.errors import AccessRefused, NotFound, PreconditionFailed, ResourceLocked
from tests.broker.support import Peer, refused

LOCKED = (
    "cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be originally declared on another "
    "connection or the exclusive property value does not match that of the original declaration."
)
NOT_ON_DEFAULT = "operation not permitted on the default exchange"


# Exchanges


def test_some_exchanges_are_there_from_the_start(broker: Broker, peer: Peer) -> None:
    exchanges = broker.vhosts["/"].exchanges
    assert {name: (exchange.type, exchange.record.internal) for name, exchange in exchanges.items()} == {
        "": ("direct", False),
        "amq.direct": ("direct", False),
        "amq.fanout": ("fanout", False),
        "amq.topic": ("topic", False),
        "amq.headers": ("headers", False),
        "amq.match": ("headers", False),
        "amq.rabbitmq.trace": ("topic", True),
    }
    assert all(exchange.record.durable for exchange in exchanges.values())
    peer.session.declare_exchange("amq.direct", "direct", durable=True)  # as it is: fine
    with refused(
        PreconditionFailed,
        "inequivalent arg 'durable' for exchange 'amq.direct' in vhost '/': received 'false' but current is 'true'",
    ):
        peer.session.declare_exchange("amq.direct", "direct")


def test_declaring_again_finds_the_same_exchange(peer: Peer, other: Peer) -> None:
    peer.session.declare_exchange("x", "fanout")
    exchange = peer.session.vhost.exchange("x")
    other.session.declare_exchange("x", "fanout")
    other.session.check_exchange("x")
    assert peer.session.vhost.exchange("x") is exchange


def test_an_exchange_that_is_not_there_cannot_be_checked(peer: Peer) -> None:
    with refused(NotFound, "no exchange 'x' in vhost '/'"):
        peer.session.check_exchange("x")


def test_deleting_an_exchange_takes_its_bindings_on_both_sides(peer: Peer) -> None:
    session = peer.session
    for name in ("from", "x"):
        session.declare_exchange(name, "fanout")
    session.declare_queue("q")
    session.bind("x", "from", destination_kind="exchange")
    session.bind("x", "x", destination_kind="exchange")
    session.bind("q", "x")
    session.delete_exchange("x")
    assert session.vhost.exchange("from").bindings == {}
    assert session.vhost._bindings_to == {}
    session.delete_exchange("x")  # not there any more: fine
    with refused(NotFound, "no exchange 'x' in vhost '/'"):
        session.publish("x", "", b"m")


def test_if_unused_protects_an_exchange_that_has_bindings(peer: Peer) -> None:
    peer.session.declare_exchange("x")
    peer.session.declare_queue("q")
    peer.session.bind("q", "x")
    with refused(PreconditionFailed, "exchange 'x' in vhost '/' in use"):
        peer.session.delete_exchange("x", if_unused=True)
    peer.session.unbind("q", "x")
    peer.session.delete_exchange("x", if_unused=True)


def test_an_exchange_that_is_only_bound_to_is_unused(peer: Peer) -> None:
    peer.session.declare_exchange("x")
    peer.session.bind("x", "amq.fanout", destination_kind="exchange")
    peer.session.delete_exchange("x", if_unused=True)
    assert peer.session.vhost.exchange("amq.fanout").bindings == {}


@pytest.mark.parametrize("name", ["amq.direct", "amq.nothing"])
def test_the_servers_exchanges_cannot_be_deleted(peer: Peer, name: str) -> None:
    with refused(AccessRefused, f"deletion of system exchange '{name}' in vhost '/' not allowed"):
        peer.session.delete_exchange(name)


def test_nothing_can_be_done_to_the_default_exchange(peer: Peer) -> None:
    session = peer.session
    session.declare_queue("q")
    operations: list[Callable[[], object]] = [
        lambda: session.declare_exchange("", "direct", durable=True),
        lambda: session.check_exchange(""),
        lambda: session.delete_exchange(""),
        lambda: session.bind("q", ""),
        lambda: session.unbind("q", ""),
        lambda: session.bind("", "amq.direct", destination_kind="exchange"),
        lambda: session.bind("amq.direct", "", destination_kind="exchange"),
    ]
    for operation in operations:
        with refused(AccessRefused, NOT_ON_DEFAULT):
            operation()


def test_nobody_publishes_to_an_internal_exchange_but_other_exchanges(peer: Peer) -> None:
    peer.session.declare_exchange("x", "fanout", internal=True)
    peer.session.declare_queue("q")
    peer.session.bind("q", "x")
    with refused(AccessRefused, "cannot publish to internal exchange 'x' in vhost '/'"):
        peer.session.publish("x", "", b"refused")
    peer.session.bind("x", "amq.fanout", destination_kind="exchange")
    peer.session.publish("amq.fanout", "", b"by binding")
    assert peer.empty("q") == ["by binding"]


def test_an_auto_delete_exchange_goes_with_its_last_binding(peer: Peer) -> None:
    session = peer.session
    session.declare_exchange("x", auto_delete=True)
    session.declare_queue("q")
    session.bind("x", "amq.fanout", destination_kind="exchange")
    session.unbind("x", "amq.fanout", destination_kind="exchange")  # to it: does not count
    session.check_exchange("x")
    for key in ("a", "b"):
        session.bind("q", "x", key)
    session.unbind("q", "x", "a")
    session.check_exchange("x")
    session.unbind("q", "x", "b")
    with refused(NotFound, "no exchange 'x' in vhost '/'"):
        session.check_exchange("x")


def test_an_auto_delete_exchange_goes_with_the_last_queue_bound_to_it(peer: Peer) -> None:
    peer.session.declare_exchange("x", auto_delete=True)
    peer.session.declare_queue("q")
    peer.session.bind("q", "x", "a")
    peer.session.bind("q", "x", "b")
    peer.session.delete_queue("q")
    assert "x" not in peer.session.vhost.exchanges


def test_a_long_chain_of_auto_delete_exchanges_falls_like_dominoes(peer: Peer) -> None:
    session = peer.session
    names = [f"x{number}" for number in range(2000)]  # more than the interpreter would let functions call one another
    for name in names:
        session.declare_exchange(name, "fanout", auto_delete=True)
    session.declare_queue("q")
    for source, destination in pairwise(names):
        session.bind(destination, source, destination_kind="exchange")
    session.bind("q", names[-1])
    session.delete_queue("q")
    assert not set(names) & set(session.vhost.exchanges)
    assert session.vhost._bindings_to == {}


# Queues


def test_a_queue_is_declared_and_found_again_with_its_counts(peer: Peer, other: Peer) -> None:
    assert peer.session.declare_queue("q") == ("q", 0, 0)
    peer.send("q", "1", "2", "3")
    peer.get("q")  # unacked: no longer ready
    other.session.qos(1)
    other.session.consume("q")
    assert other.session.declare_queue("q") == ("q", 1, 1)
    assert peer.session.check_queue("q") == ("q", 1, 1)


def test_a_queue_that_is_not_there_is_not_found(peer: Peer) -> None:
    operations: list[Callable[[], object]] = [
        lambda: peer.session.check_queue("q"),
        lambda: peer.session.consume("q"),
        lambda: peer.session.get("q"),
        lambda: peer.session.purge_queue("q"),
        lambda: peer.session.bind("q", "amq.direct"),
    ]
    for operation in operations:
        with refused(NotFound, "no queue 'q' in vhost '/'"):
            operation()


def test_deleting_what_is_not_there_is_fine(peer: Peer) -> None:
    assert peer.session.delete_queue("q") == 0
    peer.session.delete_exchange("x")
    peer.session.unbind("q", "amq.direct")
    peer.session.unbind("q", "x")
    peer.session.unbind("y", "x", destination_kind="exchange")


def test_a_queue_without_a_name_gets_one_that_nobody_has(peer: Peer) -> None:
    assert peer.session.declare_queue() == ("amq.gen-1", 0, 0)
    assert peer.session.declare_queue() == ("amq.gen-2", 0, 0)
    assert peer.session.declare_queue("amq.gen-1") == ("amq.gen-1", 0, 0)  # it is there: to be found by its name


def test_names_made_by_a_broker_cannot_be_guessed() -> None:
    peer = Peer(Broker().connect())
    names = [peer.session.declare_queue()[0] for _ in range(3)]
    assert len(set(names)) == 3
    assert {len(name) for name in names} == {len("amq.gen-") + 22}


@pytest.mark.parametrize("name", ["amq.", "amq.mine", "amq.gen-mine"])
def test_names_that_begin_with_amq_are_the_servers(peer: Peer, name: str) -> None:
    with refused(AccessRefused, f"queue name '{name}' contains reserved prefix 'amq.*'"):
        peer.session.declare_queue(name)
    with refused(AccessRefused, f"exchange name '{name}' contains reserved prefix 'amq.*'"):
        peer.session.declare_exchange(name)
    with refused(NotFound, f"no queue '{name}' in vhost '/'"):
        peer.session.check_queue(name)


@pytest.mark.parametrize("name", ["two\nlines", "\r", "nul\0", "no \udcff text"])
def test_a_name_is_text_without_control_characters(peer: Peer, name: str) -> None:
    reason = "control characters, or octets that are no UTF-8"
    with refused(PreconditionFailed, f"invalid queue name {name!r}: {reason}"):
        peer.session.declare_queue(name)
    with refused(PreconditionFailed, f"invalid exchange name {name!r}: {reason}"):
        peer.session.declare_exchange(name)


def test_purge_and_delete_tell_how_many_ready_messages_went(peer: Peer) -> None:
    peer.session.declare_queue("q")
    peer.send("q", "1", "2", "3")
    peer.get("q")
    assert peer.session.purge_queue("q") == 2
    peer.session.requeue(1)  # what was out is not purged
    peer.send("q", "4")
    assert peer.session.delete_queue("q") == 2


def test_if_unused_and_if_empty_protect_a_queue(peer: Peer) -> None:
    peer.session.declare_queue("q")
    peer.send("q", "1")
    with refused(PreconditionFailed, "queue 'q' in vhost '/' not empty"):
        peer.session.delete_queue("q", if_empty=True)
    tag = peer.session.consume("q")
    with refused(PreconditionFailed, "queue 'q' in vhost '/' in use"):
        peer.session.delete_queue("q", if_unused=True)
    assert peer.session.delete_queue("q", if_empty=True) == 0  # unacked is not ready
    assert peer.cancels == [tag]


def test_deleting_a_queue_takes_its_bindings(peer: Peer) -> None:
    peer.session.declare_queue("q")
    for exchange in ("amq.direct", "amq.topic", "amq.headers"):
        peer.session.bind("q", exchange, "key")
    peer.session.delete_queue("q")
    assert peer.session.vhost._bindings_to == {}
    peer.session.declare_queue("q")
    peer.session.publish("amq.direct", "key", b"m", mandatory=True)
    assert len(peer.returns) == 1


def test_deleting_a_queue_ends_its_consumers_and_says_so(peer: Peer, other: Peer) -> None:
    peer.session.declare_queue("q")
    peer.session.declare_queue("another")
    peer.session.consume("q", "one")
    peer.session.consume("another", "stays")
    other.session.consume("q", "two")
    peer.session.delete_queue("q")
    assert (peer.cancels, other.cancels) == (["one"], ["two"])
    assert list(peer.session.consumers) == ["stays"]
    peer.session.declare_queue("q")
    peer.session.consume("q", "one")  # the tag is free again
    peer.session.cancel("one")
    assert peer.cancels == ["one"]  # whoever cancels needs not be told


def test_what_a_deleted_queue_left_unacked_can_be_settled_in_peace(peer: Peer) -> None:
    peer.session.declare_queue("q")
    peer.send("q", "1", "2", "3")
    peer.session.consume("q")
    peer.session.delete_queue("q")
    peer.session.complete(1)
    peer.session.requeue(2)
    peer.session.discard(3)
    assert peer.session.declare_queue("q") == ("q", 0, 0)


def test_an_auto_delete_queue_goes_with_its_last_consumer(peer: Peer, other: Peer) -> None:
    peer.session.declare_queue("q", auto_delete=True)
    peer.send("q", "1")
    assert peer.get("q", no_ack=True) == "1"  # never before a first consumer
    peer.session.consume("q", "a")
    other.session.consume("q", "b")
    peer.session.cancel("a")
    assert peer.exists("q")
    other.leave()
    assert not peer.exists("q")


# Exclusive queues


def test_an_exclusive_queue_is_its_connections_own(peer: Peer, other: Peer) -> None:
    peer.session.declare_queue("q", exclusive=True)
    operations: list[Callable[[], object]] = [
        lambda: other.session.declare_queue("q", exclusive=True),
        lambda: other.session.declare_queue("q"),
        lambda: other.session.check_queue("q"),
        lambda: other.session.consume("q"),
        lambda: other.session.get("q"),
        lambda: other.session.purge_queue("q"),
        lambda: other.session.delete_queue("q"),
        lambda: other.session.bind("q", "amq.fanout"),
        lambda: other.session.unbind("q", "amq.fanout"),
    ]
    for operation in operations:
        with refused(ResourceLocked, LOCKED):
            operation()
    other.send("q", "1")  # publishing is allowed
    assert peer.get("q") == "1"


def test_an_exclusive_queue_serves_all_sessions_of_its_connection(peer: Peer) -> None:
    peer.session.declare_queue("q", exclusive=True)
    sibling = Peer(peer.client)
    assert sibling.session.declare_queue("q", exclusive=True) == ("q", 0, 0)
    peer.leave()  # a session is not the connection
    assert sibling.session.check_queue("q") == ("q", 0, 0)


def test_exclusive_or_not_is_part_of_what_a_queue_is(peer: Peer) -> None:
    peer.session.declare_queue("q", exclusive=True)
    with refused(ResourceLocked, LOCKED):
        peer.session.declare_queue("q")
    peer.session.delete_queue("q")
    peer.session.declare_queue("q")
    with refused(ResourceLocked, LOCKED):
        peer.session.declare_queue("q", exclusive=True)


def test_exclusive_queues_go_with_their_connection(broker: Broker, peer: Peer, other: Peer) -> None:
    peer.session.declare_queue("mine", exclusive=True)
    peer.session.declare_queue("ours")
    peer.session.bind("mine", "amq.fanout")
    other.session.declare_queue("theirs", exclusive=True)
    broker.disconnect(peer.client)
    assert list(broker.vhosts["/"].queues) == ["ours", "theirs"]
    assert broker.vhosts["/"].exchange("amq.fanout").bindings == {}
    assert peer.client not in broker.vhosts["/"]._owned


# Bindings


def test_a_binding_needs_both_its_ends(peer: Peer) -> None:
    session = peer.session
    with refused(NotFound, "no exchange 'x' in vhost '/'"):
        session.bind("q", "x")
    with refused(NotFound, "no queue 'q' in vhost '/'"):
        session.bind("q", "amq.direct")
    with refused(NotFound, "no exchange 'y' in vhost '/'"):
        session.bind("y", "amq.direct", destination_kind="exchange")
