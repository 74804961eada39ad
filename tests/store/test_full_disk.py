"""A disk that is full, for real: the process may not let its files grow, and LMDB is told so by the system.

Python ignores SIGXFSZ, so a write beyond the limit fails with EFBIG: for LMDB as good as ENOSPC.
"""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from amqpd.store import environment
from amqpd.store.export import export
from amqpd.wire.tables import Table
from tests.broker.support import PERSISTENT, Peer
from tests.store.support import Host

KIB = b"x" * 1000


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    host.end()


@contextmanager
def full(path: Path, octets: int = 0) -> Iterator[None]:
    """As long as this lasts, a file can grow by so much and no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + octets, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def publish(peer: Peer, numbers: range) -> None:
    for number in numbers:
        peer.session.publish("", "q", b"%d " % number + KIB, PERSISTENT)


def taken(peer: Peer, count: int) -> list[int]:
    """The numbers of so many messages, which are taken for good."""
    numbers: list[int] = []
    for _ in range(count):
        got = peer.session.get("q", no_ack=True)
        assert got is not None
        numbers.append(int(got[2].body.split()[0]))
    return numbers


def fill(host: Host, peer: Peer, start: int = 0) -> int:
    """Publish until it cannot be written. Returns how many messages that makes."""
    for first in range(start, 100_000, 100):
        publish(peer, range(first, first + 100))
        if not host.writer.write():
            return first + 100
    raise AssertionError("the disk is not full")


@pytest.fixture(autouse=True)
def small_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "RESERVE", 1 << 18)


@pytest.fixture
def peer(host: Host) -> Peer:
    peer = host.join()
    peer.session.declare_queue("q", durable=True)
    publish(peer, range(-100, 0))
    host.write()
    assert taken(peer, 100) == list(range(-100, 0))
    host.write()
    return peer


def test_nothing_is_lost_and_it_goes_on_when_there_is_room_again(host: Host, peer: Peer) -> None:
    peer.session.select_confirms()
    with full(host.main.path, 1 << 20):
        count = fill(host, peer)
        confirmed = peer.confirms[-1][0]
        for start in (0, 5, 10):
            assert host.writer.relieve()
            assert not host.writer.write()
            assert taken(peer, 5) == list(range(start, start + 5))
        assert confirmed == peer.confirms[-1][0] == count - 100
    host.write()
    assert peer.confirms[-1][0] == count
    peer = host.crash()
    assert taken(peer, count - 15) == list(range(15, count))
    assert peer.get("q") is None


@pytest.mark.parametrize("mebioctets", [1, 8, 32])
def test_what_is_settled_makes_room_while_the_disk_is_full(host: Host, peer: Peer, mebioctets: int) -> None:
    """However much there is: deletions have the reserve to themselves."""
    with full(host.main.path, mebioctets << 20):
        count = fill(host, peer)
        assert taken(peer, count - 200) == list(range(count - 200))
        assert host.writer.relieve()
        for _ in range(10):
            if host.writer.write():
                break
            assert host.writer.relieve()
        host.write()
        publish(peer, range(count, count + 100))
        host.write()
    peer = host.crash()
    assert taken(peer, 300) == list(range(count - 200, count + 100))
    assert peer.get("q") is None
    host.write()
    assert host.chunks() == []


def test_settlements_during_a_full_disk_survive_a_crash_though_new_messages_do_not(host: Host, peer: Peer) -> None:
    with full(host.main.path, 1 << 20):
        count = fill(host, peer)
        taken(peer, 30)
        assert host.writer.relieve()
    peer = host.crash()
    assert taken(peer, count - 130) == list(range(30, count - 100))
    assert peer.get("q") is None


def test_a_purge_while_the_disk_is_full(host: Host, peer: Peer) -> None:
    with full(host.main.path, 8 << 20):
        fill(host, peer)
        peer.session.purge_queue("q")
        assert host.writer.relieve()
    peer = host.crash()
    assert peer.get("q") is None
    host.write()
    assert host.chunks() == []


def test_a_queue_that_is_deleted_while_the_disk_is_full_is_gone_with_all_it_had_settled(host: Host, peer: Peer) -> None:
    with full(host.main.path, 1 << 20):
        fill(host, peer)
        taken(peer, 10)
        assert host.writer.relieve()
        peer.session.delete_queue("q")
        peer.session.declare_queue("r", durable=True)
        assert host.writer.relieve()
    peer = host.crash()
    assert not peer.exists("q")
    assert peer.exists("r")
    host.write()
    assert host.chunks() == []


def test_dead_letters_while_the_disk_is_full_are_in_one_queue_or_the_other(host: Host, peer: Peer) -> None:
    """Settled messages make room, but those that were refused stay until they have got where they go to."""
    arguments: Table = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q"}
    peer.session.declare_queue("source", durable=True, arguments=arguments)
    for number in range(100):
        peer.session.publish("", "source", b"%d " % number + KIB, PERSISTENT)
    host.write()
    other = host.join()
    for _ in range(50):
        other.session.get("source")
    with full(host.main.path, 1 << 20):
        count = fill(host, peer)
        taken(peer, count)
        for tag in range(1, 51, 2):
            other.session.complete(tag)
            other.session.discard(tag + 1)
        for _ in range(2):
            assert host.writer.relieve()
        assert set(range(1, 50, 2)) <= set(numbers_after_a_crash(host, "source"))
        host.write()
    assert numbers_after_a_crash(host, "source") == list(range(50, 100))
    assert numbers_after_a_crash(host, "q") == list(range(1, 50, 2))


def numbers_after_a_crash(host: Host, queue: str) -> list[int]:
    """Those of the messages that a broker would find in a queue now."""
    lines = [json.loads(line) for line in export(host.main, "/", queue, complain=pytest.fail)]
    return [int(line["body"].split()[0]) for line in lines]


@pytest.mark.parametrize("octets", range(0, 600_000, 50_000))
def test_wherever_the_room_ends(host: Host, peer: Peer, octets: int) -> None:
    publish(peer, range(50))
    host.write()
    taken(peer, 25)
    publish(peer, range(50, 300))
    with full(host.main.path, octets):
        host.writer.write()
        assert host.writer.relieve()
        host.writer.write()
        taken(peer, 25)
        assert host.writer.relieve()
    host.write()
    assert host.main.is_whole
    peer = host.crash()
    assert taken(peer, 250) == list(range(50, 300))
    assert peer.get("q") is None
    host.write()
    assert host.chunks() == []
