"""The durable store as a whole, with a broker on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from amqpd.broker.agenda import Agenda
from amqpd.broker.message import Message, TimedMessage
from amqpd.broker.records import (
    BindingRecord,
    ExchangeRecord,
    PermissionRecord,
    PolicyRecord,
    QueueRecord,
    Record,
    TopicPermissionRecord,
    UserRecord,
    VHostRecord,
)
from amqpd.broker.store import QueueLog
from amqpd.store import journal
from amqpd.store.codec import encode_record, encode_returns, record_key, returns_key
from amqpd.store.directory import MAIN, SPILL
from amqpd.store.environment import CLEAN, FORMAT
from amqpd.store.store import DurableStore
from amqpd.wire.properties import Properties
from tests.broker.support import PERSISTENT, Peer
from tests.store.support import QUEUE, Faulty, Host, persistent, timed, told


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


# What a broker may want of it besides


class Shelf:
    """A store without a broker."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.open()

    def open(self) -> None:
        self.main, self.spill = Faulty(self.directory / MAIN), Faulty(self.directory / SPILL)
        self.store = DurableStore(self.main, self.spill)

    def crash(self) -> None:
        self.main.close()
        self.spill.close()
        self.open()

    def write(self) -> None:
        journal = self.store.main
        while journal.has_changes:
            batch = journal.cut()
            journal.environment.commit(batch)
            journal.is_written(batch, Agenda())


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    shelf = Shelf(tmp_path)
    yield shelf
    shelf.main.close()
    shelf.spill.close()


def append(log: QueueLog, *messages: Message) -> None:
    log.append(log.kept.next, messages, sum(len(message.body) for message in messages), False)


def bodies(log: QueueLog) -> list[str]:
    return [body for _, body in told(log.read_now(1))]


RECORDS: list[Record] = [
    VHostRecord("/"),
    UserRecord("u", "hash", "rabbit_password_hashing_sha256", "administrator,policymaker"),
    PermissionRecord("/", "u", "^a", ".*", ""),
    TopicPermissionRecord("/", "u", "x", ".*", "^a"),
    PolicyRecord("/", "p", "^q", {"max-length": 5, "deep": {"list": [1, None]}}, "queues", -3),
    PolicyRecord("/", "p", "^q", {"max-length": 7}, operator=True),
    ExchangeRecord("/", "x", "direct", durable=True),
    QUEUE,
    BindingRecord("/", "x", "q", "queue"),
]


def test_all_kinds_of_records_are_kept_and_erased(shelf: Shelf) -> None:
    for record in reversed(RECORDS):
        shelf.store.save(record)
    shelf.write()
    shelf.crash()
    kept = list(shelf.store.records())
    assert [type(record) for record in kept] == [type(record) for record in RECORDS]
    assert sorted(map(repr, kept)) == sorted(map(repr, RECORDS))
    for record in RECORDS:
        shelf.store.erase(record)
    shelf.write()
    shelf.crash()
    assert list(shelf.store.records()) == []


def test_a_record_that_is_there_is_replaced(shelf: Shelf) -> None:
    shelf.store.save(PolicyRecord("/", "p", "^a", {}))
    shelf.write()
    shelf.store.save(PolicyRecord("/", "p", "^b", {"expires": 1}, priority=5))
    shelf.write()
    shelf.crash()
    shelf.store.save(PolicyRecord("/", "p", "^c", {}))
    shelf.write()
    shelf.crash()
    assert list(shelf.store.records()) == [PolicyRecord("/", "p", "^c", {})]


def test_a_queue_that_is_saved_again_keeps_its_messages(shelf: Shelf) -> None:
    shelf.store.save(QUEUE)
    append(shelf.store.open_log(QUEUE), *persistent("a"))
    shelf.store.save(QUEUE)
    shelf.write()
    shelf.crash()
    shelf.store.save(QUEUE)
    shelf.write()
    shelf.crash()
    assert bodies(shelf.store.open_log(QUEUE)) == ["a"]


def test_lanes_have_messages_of_their_own(shelf: Shelf) -> None:
    shelf.store.save(QUEUE)
    for lane, body in ((0, "a"), (1, "b"), (255, "c")):
        append(shelf.store.open_log(QUEUE, lane), *persistent(body, body.upper()))
    shelf.write()
    shelf.crash()
    lanes = {lane: shelf.store.open_log(QUEUE, lane) for lane in (255, 1, 0, 7)}
    assert {lane: bodies(log) for lane, log in lanes.items()} == {0: ["a", "A"], 1: ["b", "B"], 255: ["c", "C"], 7: []}
    lanes[1].remove([1])
    lanes[255].note_returns(2, 3)
    for log in lanes.values():
        log.close(2)
    shelf.store.close()
    shelf.write()
    shelf.crash()
    assert shelf.store.was_closed
    kept = {lane: shelf.store.open_log(QUEUE, lane).kept for lane in (0, 1, 255, 7)}
    assert {lane: (each.count, each.delivered, each.returns) for lane, each in kept.items()} == {
        0: (2, 2, {}),
        1: (1, 2, {}),
        255: (2, 2, {2: 3}),
        7: (0, 1, {}),
    }


def test_lanes_of_a_queue_that_does_not_survive(shelf: Shelf) -> None:
    queue = QueueRecord("/", "q")
    lanes = [shelf.store.open_log(queue, lane) for lane in (0, 1)]
    for log, body in zip(lanes, "ab", strict=True):
        log.append(1, persistent(body), 1, True)
    assert [bodies(log) for log in lanes] == [["a"], ["b"]]


def test_a_deleted_queue_goes_with_lanes_that_nobody_has_opened(shelf: Shelf) -> None:
    shelf.store.save(QUEUE)
    for lane in (0, 1, 2):
        log = shelf.store.open_log(QUEUE, lane)
        append(log, *persistent("a", "b", "c"))
        log.remove([2])
        log.note_returns(3, 1)
    shelf.write()
    shelf.crash()
    opened = shelf.store.open_log(QUEUE, 1)
    shelf.store.erase(QUEUE)
    opened.drop()
    shelf.write()
    assert (list(shelf.main.heads()), shelf.main.states(), list(shelf.main.returns())) == ([], {}, [])


def test_a_queue_and_an_exchange_of_one_name_do_not_meet(shelf: Shelf) -> None:
    exchange = ExchangeRecord("/", "q", "x-delayed-message", durable=True)
    for record, body in ((QUEUE, "a"), (exchange, "b")):
        shelf.store.save(record)
        append(shelf.store.open_log(record), *timed(5000, body))
    shelf.write()
    shelf.crash()
    assert bodies(shelf.store.open_log(exchange)) == ["b"]
    shelf.store.erase(exchange)
    shelf.write()
    shelf.crash()
    log = shelf.store.open_log(QUEUE)
    assert (bodies(log), log.kept.timed) == (["a"], True)


def test_an_exchange_from_before_exchanges_had_messages_gets_an_id_when_it_is_declared_anew(shelf: Shelf) -> None:
    exchange = ExchangeRecord("/", "x", "direct", durable=True)
    shelf.store.main.put(record_key(exchange), encode_record(exchange, 0))
    shelf.write()
    shelf.crash()
    assert list(shelf.store.records()) == [exchange]
    shelf.store.erase(exchange)
    shelf.store.save(exchange)
    append(shelf.store.open_log(exchange), *persistent("a"))
    shelf.write()
    assert [(log, first) for log, first, _ in shelf.main.heads()] == [(1, 1)]


def test_returns_of_messages_that_are_not_there_are_forgotten_at_the_start(shelf: Shelf) -> None:
    shelf.store.main.put(returns_key(9, 1), encode_returns({1: 1}))
    shelf.write()
    shelf.crash()
    assert list(shelf.main.returns()) == []


# Features that the broker builds on it


def test_priorities_survive(host: Host) -> None:
    peer = host.join()
    peer.session.declare_queue("q", durable=True, arguments={"x-max-priority": 5})
    for priority, body in ((0, "a"), (5, "b"), (2, "c"), (9, "d"), (0, "e")):
        peer.session.publish("", "q", body.encode(), Properties(delivery_mode=2, priority=priority))
    host.write()
    assert host.crash().empty("q") == ["b*", "d*", "c*", "a*", "e*"]
    host.write()
    assert host.chunks() == []


def test_deadlines_survive(host: Host) -> None:
    peer = host.join()
    peer.session.declare_queue("q", durable=True, arguments={"x-message-ttl": 5000})
    publish(peer, "a")
    host.write()
    got = host.crash().session.get("q")
    assert got is not None
    assert isinstance(got[2], TimedMessage)
    assert got[2].deadline == host.broker.timers.now() + 5000


def test_how_often_a_message_came_back_survives(host: Host) -> None:
    peer = host.join()
    peer.session.declare_queue("q", durable=True, arguments={"x-delivery-limit": 2})
    publish(peer, "a", "b")
    for tag, again in ((1, host.crash), (1, host.restart)):
        assert peer.get("q") in ("a", "a*")
        peer.session.requeue(tag)
        host.write()
        peer = again()
    assert peer.get("q") == "a*"
    peer.session.requeue(1)  # once too often
    assert peer.empty("q") == ["b*"]
    host.write()
    assert (host.chunks(), list(host.main.returns())) == ([], [])


def test_a_dead_letter_is_in_one_queue_or_the_other(host: Host) -> None:
    peer = host.join()
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    peer.session.declare_queue("q", durable=True, arguments=arguments)
    peer.session.declare_queue("dead", durable=True)
    publish(peer, "a", "b")
    host.write()
    peer.get("q")
    peer.session.discard(1)
    peer = host.crash()
    assert (peer.get("q"), peer.get("dead")) == ("a*", None)
    peer.session.discard(1)
    host.main.next("fails")
    assert not host.writer.write()
    assert host.writer.relieve()
    peer = host.crash()
    assert (peer.get("q"), peer.get("dead")) == ("a*", None)
    peer.session.discard(1)
    host.writer.write()
    peer = host.crash()
    assert (peer.empty("q"), peer.empty("dead")) == (["b*"], ["a*"])
