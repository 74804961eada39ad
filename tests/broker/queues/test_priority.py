"""Queues with x-max-priority."""

from collections.abc import Callable

from amqpd.broker.broker import Broker
from tests.broker.support import Disk, Peer


def test_the_highest_first_and_each_in_order(peer: Peer) -> None:
    peer.declare("q", x_max_priority=5)
    for body, priority in (("a0", 0), ("b3", 3), ("c1", 1), ("d3", 3), ("e5", 5)):
        peer.send("q", body, priority=priority)
    assert peer.ready("q") == 5
    assert peer.empty("q") == ["e5", "b3", "d3", "c1", "a0"]


def test_no_priority_is_0_and_one_above_the_highest_is_the_highest(peer: Peer) -> None:
    peer.declare("q", x_max_priority=2)
    peer.send("q", "zero", priority=0)
    peer.send("q", "none")
    peer.send("q", "two", priority=2)
    peer.send("q", "nine", priority=9)
    assert peer.empty("q") == ["two", "nine", "zero", "none"]


def test_what_comes_back_takes_its_place_among_its_like(peer: Peer) -> None:
    peer.declare("q", x_max_priority=2)
    for body, priority in (("a", 1), ("b", 1), ("c", 2)):
        peer.send("q", body, priority=priority)
    assert [peer.get("q"), peer.get("q")] == ["c", "a"]
    peer.session.requeue(2)
    assert peer.empty("q") == ["a*", "b"]
    peer.session.complete(1)


def test_a_consumer_gets_them_by_priority_and_acks_them(peer: Peer) -> None:
    peer.declare("q", x_max_priority=2)
    for body, priority in (("a", 0), ("b", 1), ("c", 2), ("d", 1)):
        peer.send("q", body, priority=priority)
    peer.session.consume("q")
    assert peer.took() == ["c", "b", "d", "a"]
    peer.session.complete(4, multiple=True)
    peer.leave()
    assert peer.ready("q") == 0


def test_a_full_queue_drops_its_highest_first_and_counts_all(peer: Peer) -> None:
    peer.declare("q", x_max_priority=2, x_max_length=2)
    for body, priority in (("a", 0), ("b", 2), ("c", 1)):
        peer.send("q", body, priority=priority)
    assert peer.empty("q") == ["c", "a"]


def test_what_has_expired_below_a_live_message_stays(peer: Peer, tick: Callable[[int], None]) -> None:
    peer.declare("q", x_max_priority=2)
    peer.send("q", "low", priority=0, expiration="10")
    peer.send("q", "high", priority=2)
    tick(20)
    assert peer.ready("q") == 2
    assert peer.empty("q") == ["high"]


def test_purging(peer: Peer) -> None:
    peer.declare("q", x_max_priority=2)
    peer.send("q", "a", priority=0)
    peer.send("q", "b", priority=2)
    assert peer.session.purge_queue("q") == 2
    assert peer.empty("q") == []


def test_a_restart_keeps_lanes(disk: Disk) -> None:
    before = Peer(Broker(disk).connect())
    before.declare("q", durable=True, x_max_priority=2)
    for body, priority in (("a", 0), ("b", 2), ("c", 1)):
        before.send("q", body, priority=priority, delivery_mode=2)
    after = Peer(Broker(Disk.after(disk)).connect())
    assert after.ready("q") == 3
    assert [text.rstrip("*") for text in after.empty("q")] == ["b", "c", "a"]


def test_after_a_restart_one_lane_is_read_after_the_other(disk: Disk) -> None:
    before = Peer(Broker(disk).connect())
    before.declare("q", durable=True, x_max_priority=5)
    before.send("q", "lo", delivery_mode=2)
    before.send("q", "hi", delivery_mode=2, priority=5)
    disk = Disk.after(disk)
    broker = Broker(disk)
    after = Peer(broker.connect())
    after.session.consume("q", no_ack=True)
    for _ in range(3):
        disk.read()
        broker.agenda.settle()
    assert after.took() == ["hi*", "lo*"]
