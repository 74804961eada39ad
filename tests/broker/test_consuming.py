"""A session's consumers: tags, turns, prefetch, a receiver without room; and basic.get."""

from collections.abc import Callable

import pytest

from amqpd.broker.topology.vhost import REPLY_TO
from amqpd.errors import AccessRefused, NotAllowed
from tests.broker.support import Peer, refused

ROOM_FOR_TWO = 2 * 129  # octets: two messages of one octet


@pytest.fixture(autouse=True)
def queue(peer: Peer) -> None:
    peer.session.declare_queue("q")


def test_a_consumer_gets_what_is_there_and_what_comes(peer: Peer) -> None:
    peer.send("q", "1", "2")
    tag = peer.session.consume("q")
    peer.send("q", "3")
    assert [(consumer, number) for consumer, number, _, _ in peer.deliveries] == [(tag, 1), (tag, 2), (tag, 3)]
    assert peer.took() == ["1", "2", "3"]


def test_a_consumer_tag_is_the_clients_or_made_here(peer: Peer) -> None:
    assert peer.session.consume("q", "mine") == "mine"
    assert peer.session.consume("q") == "amq.ctag-1"
    assert peer.session.consume("q") == "amq.ctag-2"


def test_a_consumer_tag_is_used_once_in_a_session(peer: Peer) -> None:
    peer.session.consume("q", "c")
    with refused(NotAllowed, "attempt to reuse consumer tag 'c'"):
        peer.session.consume("q", "c")
    Peer(peer.client).session.consume("q", "c")  # another session is another matter
    peer.session.cancel("c")
    peer.session.consume("q", "c")


def test_a_consumer_that_is_refused_leaves_nothing_behind(peer: Peer, other: Peer) -> None:
    peer.session.consume("q", "first", exclusive=True)
    with refused(AccessRefused, "queue 'q' in vhost '/' in exclusive use"):
        other.session.consume("q", "second")
    assert not other.session.consumers
    peer.session.cancel("first")
    other.session.consume("q", "second")
    with refused(AccessRefused, "queue 'q' in vhost '/' in exclusive use"):
        peer.session.consume("q", exclusive=True)


def test_a_cancelled_consumer_gets_no_more_and_its_messages_stay_out(peer: Peer) -> None:
    tag = peer.session.consume("q")
    peer.send("q", "1")
    peer.session.cancel(tag)
    peer.send("q", "2")
    assert peer.took() == ["1"]
    assert peer.session.check_queue("q") == ("q", 1, 0)
    peer.session.requeue(1)
    assert peer.empty("q") == ["1*", "2"]


def test_cancelling_what_is_not_there_is_fine(peer: Peer) -> None:
    peer.session.cancel("nobody")
    assert peer.cancels == []


def test_consumers_of_many_sessions_take_turns(peer: Peer, join: Callable[[], Peer]) -> None:
    peers = [join() for _ in range(3)]
    for each in peers:
        each.session.consume("q", no_ack=True)
    peer.send("q", *"abcdefg")
    assert [each.took() for each in peers] == [["a", "d", "g"], ["b", "e"], ["c", "f"]]


def test_a_fast_worker_does_the_work_of_a_slow_one(peer: Peer, join: Callable[[], Peer]) -> None:
    slow, fast = join(), join()
    for worker in (slow, fast):
        worker.session.qos(1)
        worker.session.consume("q")
    peer.send("q", *"abcdef")
    done = []
    for tag in range(1, 6):
        done += fast.took()
        fast.session.complete(tag)
    assert slow.took() == ["a"]
    assert done == ["b", "c", "d", "e", "f"]


def test_messages_without_acknowledgement_are_gone_when_delivered(peer: Peer) -> None:
    peer.session.qos(1)
    peer.session.consume("q", no_ack=True)
    peer.send("q", "1", "2", "3")  # prefetch does not hold them back
    assert peer.took() == ["1", "2", "3"]
    peer.leave()
    assert peer.session.vhost.queues["q"].ready == 0


# Prefetch


def test_a_consumer_has_at_most_its_prefetch_unacked(peer: Peer) -> None:
    peer.session.qos(2)
    peer.session.consume("q")
    peer.send("q", "1", "2", "3", "4", "5")
    assert peer.took() == ["1", "2"]
    peer.session.complete(1)
    assert peer.took() == ["3"]
    peer.session.complete(3, multiple=True)
    assert peer.took() == ["4", "5"]


@pytest.mark.parametrize("settle", ["complete", "discard", "requeue"])
def test_each_way_to_settle_gives_credit_back(peer: Peer, settle: str) -> None:
    peer.session.qos(1)
    peer.session.consume("q")
    peer.send("q", "1", "2")
    assert peer.took() == ["1"]
    getattr(peer.session, settle)(1)
    assert peer.took() == (["1*"] if settle == "requeue" else ["2"])


def test_each_consumer_has_a_prefetch_of_its_own(peer: Peer) -> None:
    peer.session.qos(1)
    peer.session.consume("q", "a")
    peer.session.consume("q", "b")
    peer.send("q", "1", "2", "3")
    assert peer.took_by() == [("a", "1"), ("b", "2")]


def test_a_prefetch_holds_for_consumers_that_run_as_well(peer: Peer) -> None:
    """Unlike RabbitMQ, where it is for later consumers: Celery changes it while it consumes."""
    peer.session.qos(1)
    peer.session.consume("q")
    peer.send("q", *"12345")
    assert peer.took() == ["1"]
    peer.session.qos(3)
    assert peer.took() == ["2", "3"]
    peer.session.qos(1)
    peer.session.complete(2, multiple=True)
    assert peer.took() == []  # the third is still out
    peer.session.complete(3)
    assert peer.took() == ["4"]
    peer.session.qos(0)
    assert peer.took() == ["5"]


def test_a_shared_prefetch_is_one_for_the_session(peer: Peer, other: Peer) -> None:
    peer.session.qos(2, shared=True)
    peer.session.consume("q", "a")
    peer.session.consume("q", "b")
    peer.send("q", "1", "2", "3", "4")
    assert peer.took_by() == [("a", "1"), ("b", "2")]
    peer.session.complete(1)
    assert len(peer.took()) == 1
    other.session.consume("q", no_ack=True)
    assert other.took() == ["4"]


def test_a_shared_prefetch_that_grows_has_its_effect_at_once(peer: Peer) -> None:
    peer.session.qos(1, shared=True)
    peer.session.consume("q")
    peer.send("q", *"1234")
    assert peer.took() == ["1"]
    peer.session.qos(2, shared=True)
    assert peer.took() == ["2"]
    peer.session.qos(0, shared=True)
    assert peer.took() == ["3", "4"]


def test_credit_that_one_consumer_gives_back_another_may_use(peer: Peer) -> None:
    peer.session.declare_queue("r")
    peer.session.qos(1, shared=True)
    peer.session.consume("q", "a")
    peer.session.consume("r", "b")
    peer.send("q", "1")
    peer.send("r", "2")
    assert peer.took_by() == [("a", "1")]
    peer.session.complete(1)
    assert peer.took_by() == [("b", "2")]


@pytest.mark.parametrize("shared", [True, False])
def test_a_cancelled_consumer_is_not_woken_by_what_it_settles(peer: Peer, shared: bool) -> None:
    peer.session.qos(1, shared)
    tag = peer.session.consume("q")
    peer.send("q", "1", "2")
    assert peer.took() == ["1"]
    peer.session.cancel(tag)
    peer.session.complete(1)
    assert peer.took() == []
    assert peer.empty("q") == ["2"]


def test_what_a_cancelled_consumer_has_out_still_counts_for_the_session(peer: Peer) -> None:
    peer.session.qos(1, shared=True)
    tag = peer.session.consume("q")
    peer.send("q", "1", "2")
    peer.session.cancel(tag)
    peer.session.consume("q")
    assert peer.took() == ["1"]
    peer.session.complete(1)
    assert peer.took() == ["2"]


def test_flow_stops_deliveries_and_starts_them_again(peer: Peer, other: Peer) -> None:
    peer.session.consume("q", no_ack=True)
    peer.session.flow(False)
    peer.send("q", "1")
    assert peer.took() == []
    assert other.get("q") == "1"
    other.session.requeue(1)
    peer.session.flow(True)
    assert peer.took() == ["1*"]


# A receiver without room


def test_a_receiver_without_room_waits_for_resume(peer: Peer, other: Peer) -> None:
    other.room_octets = 0
    other.session.consume("q", no_ack=True)
    peer.send("q", "1", "2")
    other.session.resume()
    assert other.took() == []
    assert peer.session.check_queue("q") == ("q", 2, 1)
    other.room_octets = 1 << 20
    other.session.resume()
    assert other.took() == ["1", "2"]


def test_a_receiver_gets_no_more_at_a_time_than_it_has_room_for(peer: Peer) -> None:
    peer.send("q", *"12345")
    stingy = Stingy(peer.client, ROOM_FOR_TWO)
    stingy.session.consume("q", no_ack=True)
    assert stingy.took() == ["1", "2"]
    stingy.drain(ROOM_FOR_TWO)
    assert stingy.took() == ["3", "4"]
    stingy.drain(1)  # the smallest room is enough for one
    assert stingy.took() == ["5"]


class Stingy(Peer):
    """A peer whose room shrinks with each delivery until it is drained."""

    def deliver(self, consumer_tag, delivery_tag, redelivered, messages) -> None:  # type: ignore[no-untyped-def]
        super().deliver(consumer_tag, delivery_tag, redelivered, messages)
        self.room_octets -= sum(128 + len(message.body) for message in messages)

    def drain(self, room_octets: int) -> None:
        self.room_octets = room_octets
        self.session.resume()


def test_a_consumer_that_does_not_read_costs_the_others_nothing(peer: Peer, other: Peer) -> None:
    other.room_octets = 0
    other.session.consume("q")
    peer.session.consume("q")
    peer.send("q", "1", "2", "3")
    assert (peer.took(), other.took()) == (["1", "2", "3"], [])


def test_an_acknowledgement_does_not_make_room(peer: Peer) -> None:
    stingy = Stingy(peer.client, ROOM_FOR_TWO)
    stingy.session.qos(2)
    stingy.session.consume("q")
    peer.send("q", "1", "2", "3")
    stingy.session.complete(2, multiple=True)
    assert stingy.took() == ["1", "2"]
    stingy.drain(ROOM_FOR_TWO)
    assert stingy.took() == ["3"]


# Get


def test_get_takes_one_and_tells_how_many_are_left(peer: Peer) -> None:
    assert peer.session.get("q") is None
    peer.send("q", "1", "2", "3")
    got = peer.session.get("q")
    assert got is not None
    delivery_tag, redelivered, message, left = got
    assert (delivery_tag, redelivered, message.body, left) == (1, False, b"1", 2)
    peer.session.requeue(1)
    assert peer.get("q") == "1*"


def test_get_and_consumers_share_the_delivery_tags(peer: Peer) -> None:
    peer.send("q", "1", "2")
    peer.get("q")
    peer.session.consume("q")
    assert [number for _, number, _, _ in peer.deliveries] == [2]
    peer.session.complete(2, multiple=True)
    assert peer.session.vhost.queues["q"].unacked == 0


def test_get_needs_no_prefetch_and_takes_none(peer: Peer) -> None:
    peer.session.qos(1)
    peer.send("q", "1", "2", "3")
    peer.get("q")
    peer.session.consume("q")
    assert peer.took() == ["2"]
    assert peer.get("q") == "3"
    peer.session.complete(1)
    peer.session.complete(3)
    peer.send("q", "4")
    assert peer.took() == []  # the second is still out


def test_get_works_beside_a_consumer_even_an_exclusive_one(peer: Peer, other: Peer) -> None:
    other.session.qos(1)
    other.session.consume("q", exclusive=True)
    peer.send("q", "1", "2")
    assert peer.get("q") == "2"


def test_reply_consumers_wait_for_room_like_others(peer: Peer, other: Peer) -> None:
    peer.room_octets = 0
    peer.session.consume(REPLY_TO, no_ack=True)
    (address,) = [name for name in peer.session.vhost.queues if name != "q"]
    other.send(address, "answer")
    assert peer.took() == []
    peer.room_octets = 1
    peer.session.resume()
    assert peer.took() == ["answer"]
