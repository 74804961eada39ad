"""Messages and queues that expire."""

from collections.abc import Callable

from amqpd.broker.broker import Broker
from tests.broker.support import Disk, HandClock, Peer

Tick = Callable[[int], None]


def test_a_message_expires_after_the_queues_ttl(peer: Peer, tick: Tick) -> None:
    peer.declare("q", x_message_ttl=100)
    peer.send("q", "a")
    tick(60)
    peer.send("q", "b")
    tick(39)
    assert peer.ready("q") == 2
    tick(1)
    assert peer.ready("q") == 1
    tick(60)
    assert peer.ready("q") == 0


def test_or_after_its_own_expiration_whichever_is_smaller(peer: Peer, tick: Tick) -> None:
    peer.declare("q", x_message_ttl=100)
    peer.send("q", "short", expiration="10")
    peer.send("q", "long", expiration="10000")
    tick(10)
    assert peer.ready("q") == 1
    tick(90)
    assert peer.ready("q") == 0


def test_an_expiration_needs_no_argument_of_the_queue(peer: Peer, tick: Tick) -> None:
    peer.declare("q")
    peer.send("q", "a", expiration="10")
    peer.send("q", "b")
    tick(10)
    assert peer.empty("q") == ["b"]


def test_what_has_expired_behind_a_live_message_counts_and_is_never_delivered(peer: Peer, tick: Tick) -> None:
    peer.declare("q")
    peer.send("q", "live")
    peer.send("q", "dead", expiration="10")
    peer.send("q", "last")
    tick(20)
    assert peer.ready("q") == 3
    assert peer.empty("q") == ["live", "last"]


def test_a_ttl_of_0_is_for_who_is_there(peer: Peer, other: Peer) -> None:
    peer.declare("q", x_message_ttl=0)
    peer.send("q", "nobody")
    assert peer.ready("q") == 0
    other.session.qos(1)
    other.session.consume("q")
    peer.send("q", "one", "two")
    assert other.took() == ["one"]
    assert peer.ready("q") == 0


def test_an_arrival_hands_out_nothing_that_has_expired(peer: Peer, other: Peer, tick: Tick) -> None:
    peer.declare("q", x_max_length=10)
    other.session.qos(1)
    other.session.consume("q")
    peer.send("q", "held")
    peer.send("q", "live")
    peer.send("q", "dead", expiration="10")
    tick(20)
    other.session.qos(0)
    peer.send("q", "new")
    assert other.took() == ["held", "live", "new"]


def test_what_comes_back_after_its_time_is_gone(peer: Peer, tick: Tick) -> None:
    peer.declare("q", x_message_ttl=100)
    peer.send("q", "a", "b")
    assert peer.get("q") == "a"
    tick(100)
    peer.session.requeue(1)
    assert peer.ready("q") == 0


def test_an_unacked_message_does_not_expire(peer: Peer, tick: Tick) -> None:
    peer.declare("q", x_message_ttl=100)
    peer.session.consume("q", "c")
    peer.send("q", "a")
    tick(1000)
    assert peer.took() == ["a"]
    peer.session.complete(1)


def test_each_queue_lets_it_expire_for_itself(peer: Peer, tick: Tick) -> None:
    peer.declare("short", x_message_ttl=10)
    peer.declare("long", x_message_ttl=20)
    peer.declare("never")
    for queue in ("short", "long", "never"):
        peer.session.bind(queue, "amq.fanout")
    peer.session.publish("amq.fanout", "", b"a")
    tick(10)
    assert [peer.ready(queue) for queue in ("short", "long", "never")] == [0, 1, 1]
    tick(10)
    assert [peer.ready(queue) for queue in ("short", "long", "never")] == [0, 0, 1]


def test_a_million_ttls_need_one_timer(peer: Peer, tick: Tick) -> None:
    peer.declare("q", x_message_ttl=100)
    timers = peer.session.vhost.timers
    wakes: list[int] = []
    timers.wake = lambda: wakes.append(timers.due)
    peer.send("q", *map(str, range(1000)))
    assert len(wakes) == 1
    tick(100)
    assert peer.ready("q") == 0


def test_many_that_expire_at_once_do_so_a_part_at_a_time(peer: Peer, tick: Tick) -> None:
    peer.declare("q", x_message_ttl=100)
    peer.send("q", *["x"] * 5000)
    tick(100)
    assert peer.ready("q") == 5000 - 4096
    tick(0)
    assert peer.ready("q") == 0


def test_what_waits_behind_it_does_not_wait_longer(broker: Broker, peer: Peer, tick: Tick) -> None:
    peer.declare("q")
    peer.session.qos(1)
    peer.send("q", "a")
    peer.send("q", "dead", expiration="5")
    peer.send("q", "c")
    tick(6)
    broker.agenda.hold()  # two consumers come in one read
    peer.session.consume("q", "one")
    peer.session.consume("q", "two")
    broker.agenda.release()
    assert peer.took() == ["a", "c"]


def test_it_goes_as_soon_as_it_is_the_first(peer: Peer, tick: Tick) -> None:
    peer.declare("q")
    peer.send("q", "live")
    peer.send("q", "dead", expiration="10")
    peer.send("q", "later", expiration="30")
    tick(20)
    got = peer.session.get("q")
    assert got is not None
    assert got[3] == 1  # left
    tick(10)
    assert peer.ready("q") == 0


def test_the_first_may_become_another_one_that_expires_earlier(peer: Peer, tick: Tick) -> None:
    peer.declare("priorities", x_max_priority=5)
    peer.send("priorities", "late", expiration="1000")
    peer.send("priorities", "early", expiration="10", priority=5)
    peer.declare("short", x_max_length=1)
    peer.send("short", "late", expiration="1000")
    peer.send("short", "early", expiration="10")
    peer.declare("purged")
    peer.send("purged", "late", expiration="1000")
    peer.session.purge_queue("purged")
    peer.send("purged", "early", expiration="10")
    tick(10)
    assert [peer.ready(queue) for queue in ("priorities", "short", "purged")] == [1, 0, 0]


def test_what_has_expired_while_the_broker_was_away_goes_when_it_is_back(disk: Disk, clock: HandClock) -> None:
    before = Peer(Broker(disk, clock=clock).connect())
    before.declare("q", durable=True)
    before.send("q", "a", delivery_mode=2, expiration="10")
    before.send("q", "b", delivery_mode=2, expiration="1000")
    clock.ms += 100
    disk = Disk.after(disk)
    broker = Broker(disk, clock=clock)
    disk.read()
    broker.agenda.settle()
    after = Peer(broker.connect())
    assert after.ready("q") == 1
    clock.ms += 900
    broker.timers.run()
    assert after.ready("q") == 0


# Queues


def test_an_unused_queue_expires(peer: Peer, tick: Tick) -> None:
    peer.declare("q", x_expires=100)
    peer.send("q", "a")  # is no use
    tick(99)
    assert peer.exists("q")
    tick(1)
    assert not peer.exists("q")


def test_declaring_asking_and_getting_are_use(peer: Peer, tick: Tick) -> None:
    peer.declare("q", x_expires=100)
    tick(60)
    peer.declare("q", x_expires=100)
    tick(60)
    peer.session.check_queue("q")
    tick(60)
    peer.get("q")
    tick(60)
    assert peer.exists("q")
    tick(40)
    assert not peer.exists("q")


def test_with_a_consumer_it_is_used_and_without_it_from_then_on_unused(peer: Peer, tick: Tick) -> None:
    peer.declare("q", x_expires=100)
    peer.session.consume("q", "c")
    tick(1000)
    assert peer.exists("q")
    peer.session.cancel("c")
    tick(99)
    assert peer.exists("q")
    tick(1)
    assert not peer.exists("q")
