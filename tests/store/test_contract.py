"""What a queue does is the same whatever store it is on: all in memory, or on disk and with room for very little.

Each test runs on the store that keeps nothing, and on the durable one in three ways: a long queue that is written at
once; one that is written and read when a test says so; and one whose disk fails at first.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from amqpd.broker.broker import Broker
from amqpd.broker.queues import ready
from amqpd.broker.statistics import QueueStatistics
from amqpd.store import codec, reading
from amqpd.wire.properties import Properties
from amqpd.wire.tables import FieldValue
from tests.broker.support import PERSISTENT, HandClock, Peer
from tests.store.support import Host

KINDS = ["in memory", "written at once", "written late", "at first failing"]
DURABLE = KINDS[1:]


class Place:
    """A broker, and what has to happen around it."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.kind = kind
        self.host = None if kind == KINDS[0] else Host(directory)
        self.clock = HandClock() if self.host is None else self.host.clock
        self.broker = Broker(clock=self.clock) if self.host is None else self.host.broker

    def join(self) -> Peer:
        return Peer(self.broker.connect())

    def some_time(self) -> None:
        """What is to be written is, or fails once more; and what is waited for is read."""
        if self.host is None:
            return
        if self.kind == "at first failing":
            for writer, file in ((self.host.writer, self.host.main), (self.host.spiller, self.host.spill)):
                file.next("fails")
                assert not writer.write()
                writer.relieve()
        elif self.kind == "written at once":
            self.host.write()
        self.host.read()

    def all_the_time(self) -> None:
        """Everything is written and read."""
        if self.host is not None:
            self.host.write()
            self.host.read()


@pytest.fixture(autouse=True)
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three messages are a long queue, and two a page."""
    monkeypatch.setattr(ready, "WINDOW_MIN", 3 * ready.MESSAGE_OVERHEAD)
    monkeypatch.setattr(ready, "WINDOWS_MAX", 3 * ready.MESSAGE_OVERHEAD)
    monkeypatch.setattr(ready, "READ_AHEAD_BELOW", 2 * ready.MESSAGE_OVERHEAD)
    monkeypatch.setattr(codec, "CHUNK_SIZE", 60)
    monkeypatch.setattr(reading, "PAGE_SIZE", 120)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    place = Place(request.param, tmp_path)
    yield place
    if place.host is not None:
        place.all_the_time()
        assert not place.host.store.main.has_changes
        place.host.end()


everywhere = pytest.mark.parametrize("place", KINDS, indirect=True)
on_disk = pytest.mark.parametrize("place", DURABLE, indirect=True)
both = pytest.mark.parametrize("durable", [True, False], ids=["durable", "transient"])

TWENTY = [f"{number:02}" for number in range(20)]


def declare(peer: Peer, durable: bool, *queues: str, **arguments: FieldValue) -> None:
    table = {name.replace("_", "-"): value for name, value in arguments.items()}
    for queue in queues or ("q",):
        peer.session.declare_queue(queue, durable=durable, arguments=table)


def publish(peer: Peer, *bodies: str, to: tuple[str, str] = ("", "q"), every: int = 1) -> None:
    """Every so manieth is persistent."""
    for number, body in enumerate(bodies):
        peer.session.publish(*to, body.encode(), None if number % every else PERSISTENT)


def queue_statistics(place: Place, name: str = "q") -> QueueStatistics:
    (found,) = [queue for queue in place.broker.statistics().queues if queue.name == name]
    return found


def counts(place: Place, name: str = "q") -> tuple[int, int, int]:
    found = queue_statistics(place, name)
    return found.ready, found.ready_bytes, found.unacked


def drained(place: Place, peer: Peer, queue: str = "q") -> list[str]:
    """What a consumer gets that takes all there is."""
    peer.took()
    tag = peer.session.consume(queue, no_ack=True)
    place.all_the_time()
    peer.session.cancel(tag)
    return peer.took()


@everywhere
@both
@pytest.mark.parametrize("every", [1, 2, 3, 100])
def test_order_and_counts(place: Place, durable: bool, every: int) -> None:
    peer = place.join()
    declare(peer, durable)
    for number, body in enumerate(TWENTY, 1):
        publish(peer, body, every=1 if number % every == 0 else 2)
        assert counts(place) == (number, 2 * number, 0)
        if number % 4 == 0:
            place.some_time()
    assert drained(place, peer) == TWENTY
    assert counts(place) == (0, 0, 0)


@everywhere
@both
def test_a_batch_of_both_kinds_keeps_its_order(place: Place, durable: bool) -> None:
    peer = place.join()
    declare(peer, durable)
    publish(peer, *TWENTY, every=3)
    place.some_time()
    assert drained(place, peer) == TWENTY


@everywhere
@both
def test_one_at_a_time_from_a_long_queue(place: Place, durable: bool) -> None:
    peer = place.join()
    declare(peer, durable)
    publish(peer, *TWENTY, every=2)
    for number, body in enumerate(TWENTY, 1):
        assert peer.get("q", no_ack=True) == body
        assert counts(place) == (20 - number, 40 - 2 * number, 0)
        if number % 7 == 0:
            place.some_time()
    assert peer.get("q") is None


@everywhere
@both
def test_get_while_a_page_is_on_its_way_leaves_nothing_lying(place: Place, durable: bool) -> None:
    peer, other = place.join(), place.join()
    declare(peer, durable)
    publish(peer, *TWENTY[:8])
    place.some_time()
    peer.session.qos(3)
    peer.session.consume("q")
    took = peer.took()
    took_out = other.get("q")
    place.all_the_time()
    peer.session.complete(0, multiple=True)
    place.all_the_time()
    peer.session.complete(0, multiple=True)
    place.all_the_time()
    assert [*took, took_out, *peer.took()] == TWENTY[:8]


@everywhere
@both
def test_what_comes_back_goes_first_and_is_a_redelivery(place: Place, durable: bool) -> None:
    peer = place.join()
    declare(peer, durable)
    publish(peer, *TWENTY, every=2)
    place.some_time()
    for _ in range(10):
        peer.get("q")
    assert counts(place) == (10, 20, 10)
    for tag in (9, 2, 4):
        peer.session.requeue(tag)
    place.some_time()
    assert counts(place) == (13, 26, 7)
    peer.session.complete(1)
    peer.session.discard(3)
    assert [peer.get("q", no_ack=True) for _ in range(4)] == ["01*", "03*", "08*", "10"]
    peer.session.recover()
    assert drained(place, peer) == ["04*", "05*", "06*", "07*", "09*", *TWENTY[11:]]


@everywhere
@both
def test_a_client_that_leaves_gives_everything_back(place: Place, durable: bool) -> None:
    peer, other = place.join(), place.join()
    declare(peer, durable)
    publish(peer, *TWENTY)
    place.some_time()
    peer.session.qos(7)
    peer.session.consume("q")
    place.all_the_time()
    assert peer.took() == TWENTY[:7]
    peer.leave()
    assert counts(place) == (20, 40, 0)
    assert drained(place, other) == [f"{body}*" for body in TWENTY[:7]] + TWENTY[7:]
    assert queue_statistics(place).redelivered == 7


@everywhere
@both
def test_a_purge_of_a_long_queue(place: Place, durable: bool) -> None:
    peer = place.join()
    declare(peer, durable)
    publish(peer, *TWENTY, every=2)
    place.some_time()
    peer.get("q")
    peer.get("q")
    peer.session.requeue(2)
    assert peer.session.purge_queue("q") == 19
    assert counts(place) == (0, 0, 1)
    publish(peer, *TWENTY[:6])
    place.some_time()
    assert counts(place) == (6, 12, 1)
    peer.session.requeue(1)
    assert drained(place, peer) == ["00*", *TWENTY[:6]]


@everywhere
@both
def test_a_purge_while_a_page_is_on_its_way(place: Place, durable: bool) -> None:
    peer, other = place.join(), place.join()
    declare(peer, durable)
    publish(peer, *TWENTY)
    place.some_time()
    peer.session.qos(4)
    peer.session.consume("q")
    other.session.purge_queue("q")
    publish(other, "new", "newer")
    took = peer.took()
    place.all_the_time()
    peer.session.complete(0, multiple=True)
    place.all_the_time()
    assert (took + peer.took())[-2:] == ["new", "newer"]
    assert counts(place)[0] == 0


@everywhere
@both
def test_a_long_queue_is_deleted_and_declared_anew(place: Place, durable: bool) -> None:
    peer, other = place.join(), place.join()
    declare(peer, durable)
    publish(peer, *TWENTY, every=2)
    place.some_time()
    peer.session.qos(1)
    peer.session.consume("q")
    for _ in range(3):
        other.get("q")
    assert other.session.delete_queue("q") in (16, 17)
    declare(peer, durable)
    publish(peer, "new")
    for tag in (1, 2, 3):
        other.session.requeue(tag)
    place.some_time()
    assert counts(place) == (1, 3, 0)
    assert drained(place, peer) == ["new"]


@everywhere
@both
def test_one_message_in_several_queues_is_settled_in_each(place: Place, durable: bool) -> None:
    peer = place.join()
    declare(peer, durable, "q", "r")
    declare(peer, not durable, "s")
    for queue in "qrs":
        peer.session.bind(queue, "amq.fanout")
    publish(peer, *TWENTY, to=("amq.fanout", ""), every=2)
    place.some_time()
    for _ in range(10):
        peer.get("q", no_ack=True)
    assert peer.session.purge_queue("r") == 20
    place.some_time()
    assert drained(place, peer, "q") == TWENTY[10:]
    assert drained(place, peer, "s") == TWENTY
    assert drained(place, peer, "r") == []


@everywhere
@both
def test_a_queue_becomes_long_and_short_again(place: Place, durable: bool) -> None:
    peer = place.join()
    declare(peer, durable)
    for _ in range(4):
        publish(peer, *TWENTY, every=2)
        place.some_time()
        publish(peer, "last")
        assert drained(place, peer) == [*TWENTY, "last"]
        assert place.broker.windows.octets == 0


@everywhere
@both
def test_consumers_take_turns_at_a_long_queue(place: Place, durable: bool) -> None:
    peers = [place.join() for _ in range(3)]
    declare(peers[0], durable)
    publish(peers[0], *TWENTY)
    place.some_time()
    for peer in peers:
        peer.session.qos(2)
        peer.session.consume("q")
    taken: list[str] = []
    for _ in range(10):
        place.all_the_time()
        for peer in peers:
            taken += peer.took()
            peer.session.complete(0, multiple=True)
    assert sorted(taken) == TWENTY
    assert counts(place) == (0, 0, 0)


@everywhere
@both
def test_a_consumer_without_room_gets_nothing_until_it_has_some(place: Place, durable: bool) -> None:
    peer = Peer(place.broker.connect(), room_octets=0)
    declare(peer, durable)
    publish(peer, *TWENTY)
    place.some_time()
    peer.session.consume("q", no_ack=True)
    place.all_the_time()
    assert (peer.took(), counts(place)) == ([], (20, 40, 0))
    peer.room_octets = 1 << 30
    peer.session.resume()
    place.all_the_time()
    assert peer.took() == TWENTY


@everywhere
@both
def test_statistics_of_a_long_queue(place: Place, durable: bool) -> None:
    peer = place.join()
    declare(peer, durable)
    publish(peer, *TWENTY)
    place.some_time()
    for _ in range(3):
        peer.get("q")
    peer.session.complete(1)
    peer.session.requeue(2)
    peer.get("q", no_ack=True)
    found = queue_statistics(place)
    assert (found.ready, found.ready_bytes, found.unacked, found.durable) == (17, 34, 1, durable)
    assert (found.published, found.delivered, found.redelivered, found.acked) == (20, 4, 1, 1)


@everywhere
@both
def test_priorities_of_a_long_queue(place: Place, durable: bool) -> None:
    peer = place.join()
    declare(peer, durable, x_max_priority=3)
    for number, body in enumerate(TWENTY):
        properties = Properties(delivery_mode=1 + number % 2, priority=number % 4)
        peer.session.publish("", "q", body.encode(), properties)
    place.some_time()
    assert peer.get("q") == "03"
    peer.session.requeue(1)
    place.some_time()
    assert counts(place) == (20, 40, 0)
    expected = sorted(TWENTY, key=lambda body: -(int(body) % 4))
    assert drained(place, peer) == ["03*", *expected[1:]]


@everywhere
@both
def test_messages_of_a_long_queue_expire(place: Place, durable: bool) -> None:
    """Those that nobody has taken, each at its time."""
    peer = place.join()
    declare(peer, durable, x_message_ttl=1000)
    publish(peer, *TWENTY[:10], every=2)
    place.some_time()
    place.clock.ms += 600
    publish(peer, *TWENTY[10:], every=2)
    peer.get("q")
    place.clock.ms += 400
    place.broker.timers.run()
    place.all_the_time()
    place.broker.timers.run()
    assert counts(place) == (10, 20, 1)
    peer.session.requeue(1)
    assert drained(place, peer) == TWENTY[10:]


@everywhere
@both
def test_what_is_too_much_goes_to_another_queue(place: Place, durable: bool) -> None:
    peer = place.join()
    declare(peer, durable, x_max_length=5, x_dead_letter_exchange="", x_dead_letter_routing_key="dead")
    declare(peer, durable, "dead")
    publish(peer, *TWENTY[:9])
    place.some_time()
    publish(peer, *TWENTY[9:])
    place.some_time()
    assert (counts(place), counts(place, "dead")) == ((5, 10, 0), (15, 30, 0))
    assert drained(place, peer) == TWENTY[15:]
    assert drained(place, peer, "dead") == TWENTY[:15]


@everywhere
@both
def test_what_comes_back_too_often_goes_to_another_queue(place: Place, durable: bool) -> None:
    peer = place.join()
    declare(peer, durable, x_delivery_limit=2, x_dead_letter_exchange="", x_dead_letter_routing_key="dead")
    declare(peer, durable, "dead")
    publish(peer, *TWENTY[:6])
    place.some_time()
    for tag in (1, 2, 3):
        assert peer.get("q") == ("00*" if tag > 1 else "00")
        peer.session.requeue(tag)
        place.some_time()
    assert drained(place, peer, "dead") == ["00"]
    assert drained(place, peer) == TWENTY[1:6]


@everywhere
def test_a_transaction_publishes_to_a_long_queue(place: Place) -> None:
    peer, other = place.join(), place.join()
    declare(peer, True)
    publish(other, *TWENTY[:8])
    peer.session.select_transaction()
    peer.get("q")
    peer.session.complete(1)
    publish(peer, *TWENTY[8:14])
    place.some_time()
    assert counts(place) == (7, 14, 1)
    peer.session.rollback()
    publish(peer, *TWENTY[14:])
    peer.session.complete(1)
    peer.session.commit()
    place.some_time()
    assert counts(place) == (13, 26, 0)
    assert drained(place, other) == TWENTY[1:8] + TWENTY[14:]


@everywhere
@both
def test_confirms_come_in_order_and_all_come(place: Place, durable: bool) -> None:
    peer = place.join()
    declare(peer, durable)
    peer.session.select_confirms()
    for number in range(0, 20, 5):
        publish(peer, *TWENTY[number : number + 5], every=2)
        place.some_time()
    place.all_the_time()
    tags = [tag for tag, _ in peer.confirms]
    assert tags == sorted(tags)
    assert tags[-1] == 20


# What only a disk can do


@on_disk
def test_nothing_is_confirmed_before_it_is_on_the_disk(place: Place) -> None:
    assert place.host is not None
    peer = place.join()
    declare(peer, True, "q", "r")
    peer.session.select_confirms()
    for queue in "qr":
        peer.session.bind(queue, "amq.fanout")
    place.all_the_time()
    publish(peer, "a", to=("amq.fanout", ""))
    place.host.writer.cut()
    publish(peer, "b", to=("amq.fanout", ""))
    assert peer.confirms == []
    place.host.writer.commit()
    assert peer.confirms == [(1, False)]
    place.host.main.next("fails")
    assert not place.host.writer.write()
    assert peer.confirms == [(1, False)]
    place.all_the_time()
    assert peer.confirms == [(1, False), (2, False)]


@on_disk
def test_a_consumer_does_not_wait_for_the_disk(place: Place) -> None:
    peer = place.join()
    declare(peer, True)
    peer.session.consume("q")
    publish(peer, "a")
    assert peer.took() == ["a"]
    peer.session.complete(1)
    place.all_the_time()
    assert place.host is not None
    assert place.host.chunks() == []


@on_disk
@both
def test_a_long_queue_is_not_in_memory(place: Place, durable: bool) -> None:
    peer = place.join()
    declare(peer, durable)
    publish(peer, *TWENTY * 10)
    assert place.broker.windows.octets <= 5 * (ready.MESSAGE_OVERHEAD + 2)
    assert place.host is not None
    place.all_the_time()
    log = peer.session.vhost.queues["q"]._backlog._log
    assert (log._waiting, log._leaving) == ([], [])


@on_disk
@both
def test_an_empty_queue_leaves_nothing_on_the_disk(place: Place, durable: bool) -> None:
    peer = place.join()
    declare(peer, durable)
    publish(peer, *TWENTY, every=3)
    place.some_time()
    drained(place, peer)
    place.all_the_time()
    assert place.host is not None
    assert (place.host.chunks(), place.host.chunks(place.host.spill)) == ([], [])


Ending = Callable[[Host], Peer]
endings = pytest.mark.parametrize("again", [Host.crash, Host.restart], ids=["crash", "restart"])


@on_disk
@endings
def test_a_long_queue_after_the_end(place: Place, again: Ending) -> None:
    host = place.host
    assert host is not None
    peer = place.join()
    declare(peer, True)
    publish(peer, *TWENTY, every=2)
    for _ in range(4):
        peer.get("q")
    peer.session.complete(1)
    peer.session.complete(3)
    place.all_the_time()
    mark = "*" if again is Host.crash else ""
    peer = again(host)
    place.broker = host.broker
    left = [body + mark for body in TWENTY[4::2]]
    assert counts(place) == (8, 16, 0)
    assert peer.get("q") == left[0]
    publish(peer, "new", "newer")
    assert drained(place, peer) == [*left[1:], "new", "newer"]


@on_disk
@endings
def test_what_was_handed_out_and_came_back_before_the_end(place: Place, again: Ending) -> None:
    host = place.host
    assert host is not None
    peer = place.join()
    declare(peer, True)
    publish(peer, *TWENTY[:6])
    for _ in range(3):
        peer.get("q")
    peer.session.requeue(1)
    place.all_the_time()
    peer = again(host)
    place.broker = host.broker
    expected = ["00*", "01*", "02*", "03", "04", "05"]
    assert peer.empty("q") == ([f"{body[:2]}*" for body in expected] if again is Host.crash else expected)


@on_disk
@endings
def test_purged_and_deleted_before_the_end(place: Place, again: Ending) -> None:
    host = place.host
    assert host is not None
    peer = place.join()
    declare(peer, True, "q", "r")
    for queue in "qr":
        publish(peer, *TWENTY, to=("", queue))
    place.all_the_time()
    peer.session.purge_queue("q")
    publish(peer, "new")
    peer.session.delete_queue("r")
    place.all_the_time()
    peer = again(host)
    place.broker = host.broker
    assert not peer.exists("r")
    assert peer.empty("q") == ["new*" if again is Host.crash else "new"]
    host.write()
    assert host.chunks() == []


@on_disk
def test_a_transaction_is_there_whole_or_not_at_all(place: Place) -> None:
    host = place.host
    assert host is not None
    peer = place.join()
    declare(peer, True, "q", "r")
    publish(peer, "old")
    place.all_the_time()
    peer.session.select_transaction()
    peer.get("q")
    peer.session.complete(1)
    for queue in "qr":
        publish(peer, "new", to=("", queue))
    peer.session.commit()
    peer = host.crash()
    assert (peer.get("q"), peer.get("r")) == ("old*", None)
    peer.session.select_transaction()
    peer.session.complete(1)
    for queue in "qr":
        publish(peer, "new", to=("", queue))
    peer.session.commit()
    host.writer.write()
    peer = host.crash()
    assert (peer.empty("q"), peer.empty("r")) == (["new*"], ["new*"])
