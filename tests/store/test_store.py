"""The durable store as a whole, with a broker on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from amqpd.broker.records import BindingRecord, ExchangeRecord, QueueRecord
from amqpd.store import journal
from amqpd.store.environment import CLEAN, FORMAT
from tests.broker.support import PERSISTENT, Peer
from tests.store.support import Host


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    host.end()


def publish(peer: Peer, *bodies: str, to: str = "q") -> None:
    for body in bodies:
        peer.session.publish("", to, body.encode(), PERSISTENT)


def test_topology_survives(host: Host) -> None:
    peer = host.join()
    session = peer.session
    session.declare_exchange("x", "topic", durable=True, internal=True, arguments={"alternate-exchange": "amq.fanout"})
    session.declare_exchange("y", "fanout", durable=True, auto_delete=True)
    session.declare_exchange("passing", "fanout")
    session.declare_queue("q", durable=True, arguments={"x-max-length": 10, "deep": {"list": [1, None, b"\0"]}})
    session.declare_queue("passing")
    session.declare_queue("mine", durable=True, exclusive=True)
    session.bind("q", "x", "a.#", {"x": 1})
    session.bind("x", "y", destination_kind="exchange")
    session.bind("q", "passing")
    session.bind("passing", "x")
    host.write()
    for again in (host.crash, host.restart):
        vhost = again().session.vhost
        assert vhost.exchange("x").record == ExchangeRecord(
            "/", "x", "topic", True, internal=True, arguments={"alternate-exchange": "amq.fanout"}
        )
        assert vhost.exchange("y").record == ExchangeRecord("/", "y", "fanout", True, auto_delete=True)
        arguments = {"x-max-length": 10, "deep": {"list": [1, None, b"\0"]}}
        assert [queue.record for queue in vhost.queues.values()] == [QueueRecord("/", "q", True, arguments=arguments)]
        bindings = [binding.record for name in "xy" for binding in vhost.exchange(name).bindings.values()]
        assert bindings == [
            BindingRecord("/", "x", "q", "queue", "a.#", {"x": 1}),
            BindingRecord("/", "y", "x", "exchange"),
        ]
        assert "passing" not in vhost.exchanges


def test_what_was_deleted_or_unbound_does_not_come_back(host: Host) -> None:
    peer = host.join()
    for name in ("q", "r"):
        peer.session.declare_queue(name, durable=True)
        peer.session.bind(name, "amq.fanout")
    peer.session.declare_exchange("x", "fanout", durable=True)
    host.write()
    peer.session.delete_queue("q")
    peer.session.unbind("r", "amq.fanout")
    peer.session.delete_exchange("x")
    host.write()
    vhost = host.crash().session.vhost
    assert (list(vhost.queues), vhost.exchange("amq.fanout").bindings) == (["r"], {})
    assert "x" not in vhost.exchanges


def test_names_that_are_no_utf_8_survive(host: Host) -> None:
    key = b"\xff\xfe".decode("utf-8", "surrogateescape")
    peer = host.join()
    peer.session.declare_queue("q", durable=True)
    peer.session.bind("q", "amq.direct", key, {key: key})
    peer.session.publish("amq.direct", key, b"m", PERSISTENT)
    host.write()
    peer = host.crash()
    peer.session.publish("amq.direct", key, b"n")
    got = peer.session.get("q", no_ack=True)
    assert got is not None
    assert got[2].routing_key == key
    assert peer.empty("q") == ["n"]


def test_a_queue_that_was_deleted_and_declared_anew_has_only_what_is_new(host: Host) -> None:
    peer = host.join()
    for body in ("old", "new"):
        peer.session.declare_queue("q", durable=True)
        publish(peer, body)
        host.writer.write()
        if body == "old":
            peer.session.delete_queue("q")
    peer = host.crash()
    assert peer.empty("q") == ["new*"]
    host.write()
    assert host.chunks() == []


def test_ids_of_queues_are_not_used_again_while_something_of_them_lies_there(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = host.join()
    for name in ("q", "r"):
        peer.session.declare_queue(name, durable=True)
        publish(peer, name, to=name)
    host.write()
    peer.session.delete_queue("r")
    with monkeypatch.context() as patched:
        patched.setattr(journal, "SWEEP_MAX", 0)
        host.writer.write()
    assert len(host.chunks()) == 2
    peer = host.crash()
    peer.session.declare_queue("s", durable=True)
    publish(peer, "s", to="s")
    host.write()
    assert len(host.chunks()) == 2
    peer = host.crash()
    assert (peer.empty("q"), peer.empty("s"), peer.exists("r")) == (["q*"], ["s*"], False)


def test_whether_the_end_was_an_orderly_one_is_said_once(host: Host) -> None:
    peer = host.join()
    peer.session.declare_queue("q", durable=True)
    publish(peer, "a", "b", "c")
    peer.session.get("q")
    peer = host.restart()
    assert host.main.get(CLEAN) is None
    assert peer.get("q") == "a*"
    assert peer.get("q") == "b"
    peer = host.crash()
    assert peer.empty("q") == ["a*", "b*", "c*"]


def test_an_orderly_end_that_could_not_be_written_is_a_crash(host: Host) -> None:
    peer = host.join()
    peer.session.declare_queue("q", durable=True)
    publish(peer, "a")
    host.write()
    host.broker.close()
    host.store.close()
    host.main.next("fails")
    assert not host.writer.write()
    assert host.crash().empty("q") == ["a*"]


def test_an_answer_waits_for_what_was_handed_over_before_it(host: Host) -> None:
    peer = host.join()
    peer.session.declare_queue("q", durable=True)
    assert host.store.written > host.store.durable
    host.write()
    assert host.store.written == host.store.durable
    peer.session.select_confirms()
    publish(peer, "a")
    assert peer.confirms == []
    assert host.store.main.hurried
    host.write()
    assert peer.confirms == [(1, False)]


def test_queues_that_do_not_survive_are_none_of_the_main_files_business(host: Host) -> None:
    host.writer.write_all()
    peer = host.join()
    peer.session.declare_queue("q")
    publish(peer, "a")
    peer.session.get("q", no_ack=True)
    peer.session.delete_queue("q")
    assert not host.store.main.has_changes
    assert host.store.written == 0


def test_one_record_lies_under_one_key(host: Host) -> None:
    peer = host.join()
    for _ in range(3):
        peer.session.declare_queue("q", durable=True)
        peer.session.bind("q", "amq.fanout")
    host.write()
    assert len(host.main.topology()) == 2
    assert host.main.get(FORMAT) is None  # that is the directory's business
