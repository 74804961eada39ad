"""Queues that may not grow: x-max-length, x-max-length-bytes, x-overflow."""

from amqpd.broker.message import make_message
from amqpd.wire.properties import Properties
from tests.broker.support import Peer


def test_the_oldest_goes_when_there_is_one_too_many(peer: Peer) -> None:
    peer.declare("q", x_max_length=2)
    peer.send("q", "a", "b", "c")
    assert peer.empty("q") == ["b", "c"]


def test_octets_are_those_of_bodies(peer: Peer) -> None:
    peer.declare("q", x_max_length_bytes=5)
    peer.send("q", "aa", "bb", "cc")
    assert peer.empty("q") == ["bb", "cc"]


def test_a_message_larger_than_the_queue_is_dropped_and_all_before_it(peer: Peer) -> None:
    peer.declare("q", x_max_length_bytes=5)
    peer.send("q", "aa", "too large")
    assert peer.empty("q") == []


def test_both_limits_hold(peer: Peer) -> None:
    peer.declare("q", x_max_length=2, x_max_length_bytes=3)
    peer.send("q", "a", "b", "c", "ddd")
    assert peer.empty("q") == ["ddd"]


def test_only_what_is_ready_counts(peer: Peer) -> None:
    peer.declare("q", x_max_length=1)
    peer.send("q", "a")
    assert peer.get("q") == "a"
    peer.send("q", "b")
    assert peer.ready("q") == 1
    peer.session.requeue(1)  # and is the oldest now
    assert peer.empty("q") == ["b"]


def test_a_consumer_takes_before_the_limit_counts(peer: Peer, other: Peer) -> None:
    peer.declare("q", x_max_length=0)
    other.session.qos(2)
    other.session.consume("q")
    peer.send("q", "a", "b", "c")
    assert other.took() == ["a", "b"]
    assert peer.ready("q") == 0


def test_a_full_queue_may_refuse_what_comes(peer: Peer) -> None:
    peer.declare("q", x_max_length=2, x_overflow="reject-publish")
    peer.session.select_confirms()
    peer.send("q", "a", "b", "c")
    assert peer.confirms == [(1, False), (2, False)]
    assert peer.rejections == [(3, False)]
    assert peer.empty("q") == ["a", "b"]


def test_of_a_run_as_many_as_fit_are_taken(peer: Peer) -> None:
    peer.declare("q", x_max_length_bytes=7, x_overflow="reject-publish")
    peer.session.select_confirms()
    agenda = peer.session.vhost.agenda
    agenda.hold()
    peer.send("q", "aa", "bb", "cc", "dd", "ee")
    agenda.release()
    assert peer.confirms == [(3, True)]
    assert peer.rejections == [(5, True)]


def test_one_queue_that_refuses_is_enough_for_a_nack_and_the_others_have_it(peer: Peer) -> None:
    peer.declare("full", x_max_length=0, x_overflow="reject-publish")
    peer.declare("free")
    for queue in ("full", "free"):
        peer.session.bind(queue, "amq.fanout")
    peer.session.select_confirms()
    peer.session.publish("amq.fanout", "", b"a")
    assert peer.rejections == [(1, False)]
    assert peer.empty("free") == ["a"]


def test_what_is_refused_may_be_dead_lettered(peer: Peer) -> None:
    peer.declare("q", x_max_length=1, x_overflow="reject-publish-dlx", x_dead_letter_exchange="amq.fanout")
    peer.declare("dead")
    peer.session.bind("dead", "amq.fanout")
    peer.send("q", "a", "b")
    assert [peer.empty("q"), peer.empty("dead")] == [["a"], ["b"]]


def test_nobody_hears_of_it_who_did_not_ask_for_confirms(peer: Peer) -> None:
    peer.declare("q", x_max_length=0, x_overflow="reject-publish")
    peer.send("q", "a")
    assert peer.rejections == []


def test_a_duplicate_of_what_was_refused_is_none(peer: Peer) -> None:
    peer.declare("q", x_max_length=1, x_overflow="reject-publish", x_message_deduplication=True)
    peer.session.select_confirms()
    key = {"x-deduplication-header": "k"}
    peer.send("q", "in the way")
    peer.send("q", "refused", headers=key)
    assert peer.empty("q") == ["in the way"]
    peer.send("q", "again", headers=key)
    assert peer.empty("q") == ["again"]
    assert peer.rejections == [(2, False)]


def test_an_empty_message_has_no_room_where_there_is_too_much_already(peer: Peer) -> None:
    peer.declare("q", x_max_length_bytes=3, x_overflow="reject-publish")
    peer.session.select_confirms()
    peer.send("q", "aaa", "")
    assert peer.get("q") == "aaa"
    peer.send("q", "bbb")
    peer.session.requeue(1)
    peer.send("q", "")
    assert peer.rejections == [(4, False)]


def test_nor_is_it_one_to_its_exchange(peer: Peer) -> None:
    peer.declare("q", x_max_length=1, x_overflow="reject-publish")
    peer.session.declare_exchange("x", "fanout", arguments={"x-message-deduplication": True})
    peer.session.bind("q", "x")
    peer.session.select_confirms()
    once = Properties(headers={"x-deduplication-header": "k"})
    peer.send("q", "in the way")
    peer.session.publish("x", "", b"refused", once)
    assert peer.empty("q") == ["in the way"]
    peer.session.publish("x", "", b"again", once)
    assert peer.empty("q") == ["again"]


def test_messages_with_a_ttl_of_0_do_not_get_into_each_others_way(peer: Peer) -> None:
    peer.declare("q", x_message_ttl=0, x_max_length=1, x_overflow="reject-publish")
    peer.session.select_confirms()
    messages = [make_message("", "q", body) for body in (b"a", b"b")]
    peer.session.publish_run(peer.session.route(messages[0].address), messages, 2)
    assert peer.confirms == [(2, True)]
