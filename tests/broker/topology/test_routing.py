"""Routes across several exchanges, and what the router remembers of them."""

import gc
from itertools import pairwise
from unittest.mock import patch

import pytest

from amqpd.broker.message import Message, join_address, make_message
from amqpd.broker.queues.queue import Queue
from amqpd.broker.topology import routing
from amqpd.errors import NotFound
from amqpd.wire.properties import Properties
from amqpd.wire.tables import Table
from tests.broker.support import Peer, refused
from tests.living import living


def chain(peer: Peer, *exchanges: str, queue: str = "q") -> None:
    """Fanout exchanges bound one to the next, the last to a queue."""
    for exchange in exchanges:
        peer.session.declare_exchange(exchange, "fanout")
    for source, destination in pairwise(exchanges):
        peer.session.bind(destination, source, destination_kind="exchange")
    peer.session.declare_queue(queue)
    peer.session.bind(queue, exchanges[-1])


def test_a_message_goes_from_exchange_to_exchange_to_queue(peer: Peer) -> None:
    chain(peer, "a", "b", "c")
    peer.session.publish("a", "key", b"m")
    assert peer.empty("q") == ["m"]
    peer.session.unbind("c", "b", destination_kind="exchange")
    peer.session.publish("a", "key", b"m")
    assert peer.empty("q") == []


def test_each_exchange_on_the_way_matches_the_same_routing_key(peer: Peer) -> None:
    chain(peer, "last")
    peer.session.bind("last", "amq.topic", "a.*", destination_kind="exchange")
    for routing_key in ("a.b", "b.a"):
        peer.session.publish("amq.topic", routing_key, routing_key.encode())
    assert peer.empty("q") == ["a.b"]


def test_two_ways_to_a_queue_bring_one_copy(peer: Peer) -> None:
    chain(peer, "a", "b")
    peer.session.bind("q", "a")
    peer.session.publish("a", "", b"m")
    assert peer.empty("q") == ["m"]


def test_a_loop_of_exchanges_ends(peer: Peer) -> None:
    chain(peer, "a", "b")
    peer.session.bind("a", "b", destination_kind="exchange")
    peer.session.bind("a", "a", destination_kind="exchange")
    peer.session.publish("b", "", b"m")
    assert peer.empty("q") == ["m"]


def test_what_an_exchange_cannot_route_goes_to_its_alternate(peer: Peer) -> None:
    chain(peer, "spare")
    peer.session.declare_exchange("x", "direct", arguments={"alternate-exchange": "spare"})
    peer.session.declare_queue("known")
    peer.session.bind("known", "x", "known")
    for routing_key in ("known", "unknown"):
        peer.session.publish("x", routing_key, routing_key.encode(), mandatory=True)
    assert (peer.empty("known"), peer.empty("q")) == (["known"], ["unknown"])
    assert peer.returns == []  # the alternate took it: it was routed


def test_alternates_follow_one_another_and_loops_of_them_end(peer: Peer) -> None:
    for name, alternate in (("a", "b"), ("b", "c"), ("c", "a")):
        peer.session.declare_exchange(name, "direct", arguments={"alternate-exchange": alternate})
    peer.session.publish("a", "key", b"lost", mandatory=True)
    assert [message.body for message, _, _ in peer.returns] == [b"lost"]
    peer.session.declare_queue("q")
    peer.session.bind("q", "c", "key")
    peer.session.publish("a", "key", b"found", mandatory=True)
    assert peer.empty("q") == ["found"]


def test_an_alternate_is_asked_only_where_nothing_matched_at_all(peer: Peer) -> None:
    peer.session.declare_exchange("dead end", "fanout")
    chain(peer, "spare")
    peer.session.declare_exchange("x", "fanout", arguments={"alternate-exchange": "spare"})
    peer.session.bind("dead end", "x", destination_kind="exchange")
    peer.session.publish("x", "", b"m")
    assert peer.empty("q") == []


def test_an_alternate_that_is_not_there_takes_nothing(peer: Peer) -> None:
    peer.session.declare_exchange("x", arguments={"alternate-exchange": "later"})
    peer.session.publish("x", "", b"early", mandatory=True)
    chain(peer, "later")
    peer.session.publish("x", "", b"late", mandatory=True)
    assert [message.body for message, _, _ in peer.returns] == [b"early"]
    assert peer.empty("q") == ["late"]


@pytest.mark.parametrize("first", ["amq.fanout", "amq.headers"])
def test_behind_a_headers_exchange_every_message_is_looked_at(peer: Peer, first: str) -> None:
    peer.session.declare_exchange("h", "headers")
    peer.session.bind("h", first, destination_kind="exchange")
    peer.session.declare_queue("q")
    peer.session.bind("q", "h", arguments={"colour": "red"})
    for body, headers in ((b"1", {"colour": "red"}), (b"2", {"colour": "blue"}), (b"3", {"colour": "red"})):
        peer.session.publish(first, "", body, Properties(headers=headers))
    assert peer.empty("q") == ["1", "3"]


def test_so_it_is_when_the_way_goes_on_to_an_exchange_that_does_not_look(peer: Peer) -> None:
    chain(peer, "all")
    peer.session.bind("all", "amq.headers", destination_kind="exchange")
    peer.session.declare_queue("red")
    peer.session.bind("red", "amq.headers", arguments={"colour": "red"})
    for body, headers in ((b"1", {"colour": "red"}), (b"2", {"colour": "blue"})):
        peer.session.publish("amq.headers", "", body, Properties(headers=headers))
    assert (peer.empty("q"), peer.empty("red")) == (["1", "2"], ["1"])


def test_an_exchange_that_is_not_there_is_not_found(peer: Peer) -> None:
    with refused(NotFound, "no exchange 'x' in vhost '/'"):
        peer.session.publish("x", "", b"m")


# Further routing keys


def test_cc_and_bcc_are_further_routing_keys_and_each_queue_gets_one_copy(peer: Peer) -> None:
    for queue in ("to", "cc", "bcc"):
        peer.session.declare_queue(queue)
    headers: Table = {"CC": ["cc", "to", "nobody", 1], "BCC": ["bcc", "cc"]}
    peer.session.publish("", "to", b"m", Properties(headers=headers))
    assert [peer.empty(queue) for queue in ("to", "cc", "bcc")] == [["m"], ["m"], ["m"]]


def test_a_message_that_one_of_its_keys_routes_needs_no_alternate(peer: Peer) -> None:
    chain(peer, "spare")
    peer.session.declare_exchange("x", "direct", arguments={"alternate-exchange": "spare"})
    peer.session.declare_queue("known")
    peer.session.bind("known", "x", "known")
    peer.session.publish("x", "unknown", b"1", Properties(headers={"CC": ["known"]}))
    peer.session.publish("x", "unknown", b"2", Properties(headers={"CC": ["unknown too"]}))
    assert (peer.empty("known"), peer.empty("q")) == (["1"], ["2"])


def test_an_exchange_that_chooses_one_way_chooses_one_for_all_keys(peer: Peer) -> None:
    peer.session.declare_exchange("x", "x-random")
    for queue in ("a", "b", "c"):
        peer.session.declare_queue(queue)
        peer.session.bind(queue, "x")
    peer.session.publish("x", "", b"m", Properties(headers={"CC": ["b", "c", "d"]}))
    assert sum(len(peer.empty(queue)) for queue in ("a", "b", "c")) == 1


def test_a_single_message_is_routed_by_all_its_keys(peer: Peer) -> None:
    router = peer.session.vhost.router
    for queue in ("a", "b"):
        peer.session.declare_queue(queue)
    plain, copied, odd = (
        make_message("", "a", b"", Properties(headers=headers))
        for headers in (None, {"CC": ["b"]}, {"CC": "b"})  # the last one was let in by an older version
    )
    a, b = (peer.session.vhost.queues[queue] for queue in ("a", "b"))
    assert router.sinks(router.route(plain.address), plain) == (a,)
    assert router.sinks(router.route(copied.address), copied) == (a, b)
    assert router.sinks(router.route(odd.address), odd) == (a,)
    assert router.onward(peer.session.vhost.exchanges[""], "nobody", copied) == (b,)


# Policies and deduplication


def test_a_policy_names_an_alternate_where_no_argument_does(peer: Peer) -> None:
    chain(peer, "spare")
    peer.session.declare_exchange("x")
    peer.session.declare_exchange("own", arguments={"alternate-exchange": "not there"})
    vhost = peer.session.vhost
    for name in ("x", "own"):
        vhost.exchange(name).policy = {"alternate-exchange": "spare"}
    vhost.router.forget()
    peer.session.publish("x", "", b"1")
    peer.session.publish("own", "", b"2")
    assert peer.empty("q") == ["1"]


def test_a_duplicate_reaches_nothing_and_is_returned_if_it_is_mandatory(peer: Peer) -> None:
    chain(peer, "spare")
    arguments: Table = {"x-message-deduplication": True, "alternate-exchange": "spare"}
    peer.session.declare_exchange("x", "direct", arguments=arguments)
    peer.session.declare_queue("known")
    peer.session.bind("known", "x", "key")
    for routing_key, body in (("key", b"1"), ("key", b"2"), ("other", b"3")):
        seen = Properties(headers={"x-deduplication-header": "one"})
        peer.session.publish("x", routing_key, body, seen, mandatory=True)
    assert (peer.empty("known"), peer.empty("q")) == (["1"], [])
    assert [message.body for message, _, _ in peer.returns] == [b"2", b"3"]


def test_an_exchange_on_the_way_stops_only_what_goes_through_it(peer: Peer) -> None:
    chain(peer, "first")
    peer.session.declare_exchange("second", "fanout", arguments={"x-message-deduplication": True})
    peer.session.bind("second", "first", destination_kind="exchange")
    peer.session.declare_queue("once")
    peer.session.bind("once", "second")
    for body in (b"1", b"2"):
        peer.session.publish("first", "", body, Properties(headers={"x-deduplication-header": "one"}))
    assert (peer.empty("q"), peer.empty("once")) == (["1", "2"], ["1"])


# Memory


def test_an_address_is_routed_once_until_the_topology_changes(peer: Peer) -> None:
    peer.session.declare_queue("q")
    address = join_address("", "q")
    route = peer.session.route(address)
    assert peer.session.route(address) is route
    peer.session.declare_queue("q")  # there already: nothing has changed
    assert peer.session.route(address) is route
    peer.session.declare_queue("another")  # reached by another address alone
    assert peer.session.route(address) is route
    peer.session.bind("another", "amq.fanout")
    assert peer.session.route(address) is not route


def test_a_queue_that_comes_or_goes_unbound_outdates_the_route_to_its_name_alone(peer: Peer) -> None:
    session = peer.session
    session.declare_queue("other")
    other = session.route(join_address("", "other"))
    nowhere = session.route(join_address("", "q"))
    assert nowhere.queues == ()
    session.declare_queue("q")
    assert nowhere.version != session.vhost.router.version
    there = session.route(join_address("", "q"))
    assert [queue.name for queue in there.queues] == ["q"]
    session.delete_queue("q")
    assert there.version != session.vhost.router.version
    assert session.route(join_address("", "q")).queues == ()
    assert session.route(join_address("", "other")) is other


def test_a_queue_that_is_gone_is_held_by_nothing(peer: Peer) -> None:
    gc.collect()
    before = len(living(Queue))
    for number in range(3):
        peer.declare(f"q{number}")
        peer.send(f"q{number}", "a")
        peer.session.delete_queue(f"q{number}")
    gc.collect()
    assert len(living(Queue)) == before


def test_routes_to_the_same_queues_share_them(peer: Peer) -> None:
    session = peer.session
    session.declare_queue("q")
    session.bind("q", "amq.fanout")
    one, two = session.route(join_address("amq.fanout", "a")), session.route(join_address("amq.fanout", "b"))
    assert one is not two
    assert one.queues is two.queues


def test_whatever_changes_the_topology_outdates_a_route(peer: Peer) -> None:
    session = peer.session
    session.declare_queue("q")
    changes = [
        lambda: session.declare_exchange("x", "fanout"),
        lambda: session.bind("q", "x"),
        lambda: session.unbind("q", "x"),
        lambda: session.delete_exchange("x"),
        lambda: session.delete_queue("q"),
    ]
    for change in changes:
        route = session.route(join_address("", "q"))
        change()
        assert route.version != session.vhost.router.version


def test_a_route_that_is_out_of_date_is_found_anew_when_it_is_used(peer: Peer) -> None:
    peer.session.declare_queue("q")
    route = peer.session.route(join_address("", "q"))
    peer.session.delete_queue("q")
    peer.session.declare_queue("q")
    message = Message(route.address, b"\x00" * 14, b"m")
    peer.session.publish_run(route, [message], 1)
    assert peer.empty("q") == ["m"]


def test_keys_that_never_repeat_do_not_fill_the_memory(peer: Peer) -> None:
    peer.session.declare_queue("q")
    with patch.object(routing, "ROUTES_MAX", 10):
        for number in range(35):
            peer.session.publish("amq.topic", f"key.{number}", b"")
            peer.send("q", str(number))
            assert len(peer.session.vhost.router._routes) <= 10
    assert peer.empty("q") == [str(number) for number in range(35)]
