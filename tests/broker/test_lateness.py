"""Consumers that do not acknowledge in time."""

import gc
from collections.abc import Callable

from amqpd.broker.lateness import Lateness
from amqpd.errors import PreconditionFailed
from tests.broker.support import Peer, refused
from tests.living import living

Tick = Callable[[int], None]


def test_only_what_is_late_goes_back(peer: Peer, other: Peer, tick: Tick) -> None:
    peer.declare("q", x_consumer_timeout=800)
    peer.session.consume("q", "slow")
    peer.send("q", "a")
    tick(500)
    peer.send("q", "b")
    tick(400)
    assert peer.timeouts == [("slow", [1], False)]
    assert peer.took() == ["a", "b", "a*"]


def test_never_too_early(peer: Peer, tick: Tick) -> None:
    peer.declare("q", x_consumer_timeout=800)
    peer.session.consume("q", "slow")
    peer.send("q", "a")
    tick(799)
    assert peer.timeouts == []
    tick(101)
    assert len(peer.timeouts) == 1


def test_what_was_acknowledged_is_not_late(peer: Peer, tick: Tick) -> None:
    peer.declare("q", x_consumer_timeout=800)
    peer.session.consume("q", "c")
    peer.send("q", "a", "b")
    peer.session.complete(2, multiple=True)
    tick(5000)
    assert peer.timeouts == []


def test_a_late_acknowledgement_is_tolerated(peer: Peer, tick: Tick) -> None:
    peer.declare("q", x_consumer_timeout=800)
    peer.session.qos(1)
    peer.session.consume("q", "slow")
    peer.send("q", "a")
    tick(1000)
    peer.session.complete(1)
    assert peer.late == [1]
    assert peer.took() == ["a", "a*"]
    peer.session.discard(1)
    assert peer.late == [1, 1]
    with refused(PreconditionFailed, "unknown delivery tag 3"):
        peer.session.complete(3)


def test_a_shorter_timeout_holds_for_what_is_delivered_from_then_on(peer: Peer, tick: Tick) -> None:
    peer.declare("q")
    peer.session.set_policy("patience", "^q$", {"consumer-timeout": 1_800_000})
    peer.session.consume("q", "c")
    peer.send("q", "a")
    peer.session.set_policy("patience", "^q$", {"consumer-timeout": 800})
    peer.send("q", "b")
    tick(900)
    assert peer.timeouts == [("c", [1, 2], False)]


def test_an_acknowledgement_that_is_rolled_back_is_waited_for_again(peer: Peer, tick: Tick) -> None:
    peer.declare("q", x_consumer_timeout=800)
    peer.send("q", "a")
    peer.session.select_transaction()
    peer.session.consume("q", "c")
    peer.session.complete(1)
    tick(5000)
    assert peer.timeouts == []
    peer.session.rollback()
    tick(900)
    assert peer.timeouts == [("c", [1], False)]


def test_the_timer_ends_with_the_session(peer: Peer, tick: Tick) -> None:
    gc.collect()
    before = len(living(Lateness))
    peer.declare("q", x_consumer_timeout=1_800_000)
    peer.session.consume("q", "c")
    peer.send("q", "a")
    assert len(living(Lateness)) == before + 1
    peer.leave()
    assert len(living(Lateness)) == before


def test_one_of_many_settles_those_before_it_that_are_not_late(peer: Peer, tick: Tick) -> None:
    peer.declare("timed", x_consumer_timeout=800)
    peer.declare("free")
    peer.send("free", "b")
    peer.session.consume("free", "free")
    peer.session.consume("timed", "slow")
    peer.send("timed", "a")
    tick(1000)
    peer.session.complete(2, multiple=True)
    assert peer.late == [2]
    assert peer.session.vhost.queues["free"].unacked == 0


def test_its_own_argument_goes_before_the_queues(peer: Peer, tick: Tick) -> None:
    peer.declare("q", x_consumer_timeout=800)
    peer.session.consume("q", "patient", arguments={"x-consumer-timeout": 8000})
    peer.send("q", "a")
    tick(5000)
    assert peer.timeouts == []
    tick(4000)
    assert peer.timeouts == [("patient", [1], False)]


def test_rabbitmqs_way(peer: Peer, tick: Tick) -> None:
    peer.declare("q", x_consumer_timeout=800, x_consumer_timeout_action="channel-close")
    peer.session.consume("q", "slow")
    peer.send("q", "a")
    tick(1000)
    assert peer.timeouts == [("slow", [1], True)]
    assert peer.took() == ["a"]


def test_who_does_not_acknowledge_at_all_is_never_late(peer: Peer, tick: Tick) -> None:
    peer.declare("q", x_consumer_timeout=800)
    peer.session.consume("q", no_ack=True)
    peer.send("q", "a")
    tick(5000)
    assert peer.timeouts == []


def test_a_session_that_has_ended_has_no_time(peer: Peer, tick: Tick) -> None:
    peer.declare("q", x_consumer_timeout=800)
    peer.session.consume("q")
    peer.send("q", "a")
    peer.leave()
    tick(5000)
    assert peer.timeouts == []
    assert peer.ready("q") == 1
