"""What is found when the broker starts: written by hand, as a broker would have left it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from amqpd.broker.message import Message
from amqpd.broker.records import (
    BindingRecord,
    ExchangeRecord,
    PolicyRecord,
    QueueRecord,
    Record,
    UserRecord,
    VHostRecord,
)
from amqpd.broker.store import Kept
from amqpd.store.codec import (
    Damaged,
    encode_record,
    encode_returns,
    encode_state,
    log_id,
    piece_key,
    record_key,
    returns_key,
    state_key,
)
from amqpd.store.environment import CLEAN, END, Batch
from amqpd.store.gone import Gone, Interval
from amqpd.store.recovery import Recovered, recover
from tests.store.support import Faulty, chunks_of, persistent, timed, transient

QUEUE = QueueRecord("/", "q", durable=True)


class Left:
    """A file as it was left behind. Queue 1 is ``q``."""

    def __init__(self, path: Path) -> None:
        self.file = Faulty(path)
        self.record(QUEUE, 1)

    def record(self, record: Record, owner: int = 0) -> None:
        self.file.commit(Batch({record_key(record): encode_record(record, owner)}))

    def messages(self, first: int, *messages: Message, log: int = 1) -> None:
        """One chunk."""
        self.file.commit(Batch(chunks=chunks_of(log, first, messages)))

    def gone(self, floor: int, *intervals: Interval, delivered: int = END, log: int = 1) -> None:
        self.file.commit(Batch({state_key(log): encode_state(Gone(floor, intervals), delivered)}))

    def returns(self, returns: dict[int, int], log: int = 1) -> None:
        self.file.commit(Batch({returns_key(log, min(returns)): encode_returns(returns)}))

    def cleanly(self) -> None:
        self.file.commit(Batch({CLEAN: b""}))

    def found(self) -> Recovered:
        return recover(self.file)

    def kept(self, log: int = 1) -> Kept:
        return self.found().logs[log].kept


@pytest.fixture
def left(tmp_path: Path) -> Iterator[Left]:
    left = Left(tmp_path / "file.mdb")
    yield left
    left.file.close()


def test_a_new_file(tmp_path: Path) -> None:
    file = Faulty(tmp_path / "new.mdb")
    assert recover(file) == Recovered()
    file.close()


def test_records_come_in_an_order_in_which_they_can_be_applied(left: Left) -> None:
    exchanges = [ExchangeRecord("/", name, "fanout", durable=True) for name in "zyx"]
    bindings = [BindingRecord("/", "z", "q", "queue", key) for key in "ab"]
    others = [VHostRecord("/"), UserRecord("u", "", "", "administrator"), PolicyRecord("/", "p", ".*", {"expires": 1})]
    for record in (*bindings, *exchanges, *reversed(others)):
        left.record(record)
    found = left.found().records
    kinds = [type(record) for record in found]
    assert kinds == [VHostRecord, UserRecord, PolicyRecord, *[ExchangeRecord] * 3, QueueRecord, *[BindingRecord] * 2]
    assert set(map(repr, found)) == set(map(repr, [*others, *exchanges, QUEUE, *bindings]))


def test_a_queue_without_messages(left: Left) -> None:
    found = left.found()
    assert (found.ids, found.logs) == ({record_key(QUEUE): 1}, {})


def test_messages_are_counted_and_may_all_have_been_handed_out(left: Left) -> None:
    left.messages(1, *persistent("aa", "b"))
    left.messages(5, *persistent("ccc"), *transient("dddd"))
    assert left.kept() == Kept(3, 6, 7, 7)


@pytest.mark.parametrize("delivered", [1, 4, 6])
def test_after_an_orderly_end_it_is_known_what_was_handed_out(left: Left, delivered: int) -> None:
    left.messages(1, *persistent(*"abcde"))
    left.gone(1, delivered=delivered)
    assert left.kept() == Kept(5, 5, 6, 6)
    left.cleanly()
    assert left.kept() == Kept(5, 5, 6, delivered)


def test_an_orderly_end_that_says_nothing_of_a_queue(left: Left) -> None:
    left.messages(1, *persistent(*"abc"))
    left.cleanly()
    assert left.kept() == Kept(3, 3, 4, 4)


def test_what_is_gone_is_not_counted(left: Left) -> None:
    left.messages(1, *persistent("aa", "b"))
    left.messages(3, *persistent("cccc", "d"), *transient("eeeee"))
    left.messages(6, *persistent("f"))
    for gone, kept in (
        ((2,), Kept(4, 7, 7, 7)),
        ((3,), Kept(3, 6, 7, 7)),
        ((4,), Kept(2, 2, 7, 7)),
        ((1, (2, 4)), Kept(3, 4, 7, 7)),
        ((1, (2, 3), (4, 6)), Kept(3, 7, 7, 7)),
        ((6,), Kept(1, 1, 7, 7)),
        ((1, (6, 12)), Kept(4, 8, 12, 12)),  # positions are never used twice
        ((9,), Kept(0, 0, 9, 9)),
    ):
        left.gone(*gone)
        assert left.kept() == kept


def test_of_what_is_left_nothing_is_gone_that_is_there(left: Left) -> None:
    left.messages(1, *persistent(*"abcd"))
    left.gone(2, (3, 4))
    _, gone = left.found().logs[1]
    assert (gone.floor, gone.intervals) == (2, [(3, 4)])


def test_a_queue_that_has_nothing_left_begins_behind_what_it_had(left: Left) -> None:
    left.messages(1, *transient(*"abc"))
    left.messages(4, *persistent("d"), *transient("e"))
    left.gone(1, (4, 5))
    found = left.found()
    kept, gone = found.logs[1]
    assert (kept, gone.floor, gone.intervals) == (Kept(0, 0, 6, 6), 6, [])
    assert found.dead == [(1, 1, 6)]


def test_chunks_that_hold_nothing_any_more_are_dead_and_neighbours_together(left: Left) -> None:
    for first in (1, 3, 5, 7, 9, 11):
        left.messages(first, *persistent("a", "b"))
    left.gone(5, (7, 8), (9, 13))
    assert left.found().dead == [(1, 1, 5), (1, 9, 13)]


def test_messages_of_a_deleted_queue_are_dead_and_its_id_is_not_used_again(left: Left) -> None:
    left.messages(1, *persistent("a"))
    for first in (1, 2):
        left.messages(first, *persistent("a"), log=7)
    left.messages(1, *persistent("a"), log=9)
    left.gone(5, log=11)
    found = left.found()
    assert found.dead == [(7, 1, 3), (9, 1, 2)]
    assert found.last_id == 11
    assert list(found.logs) == [1]


def test_queues_are_told_apart(left: Left) -> None:
    left.record(QueueRecord("other", "q", durable=True), 2)
    left.record(QueueRecord("/", "p", durable=True), 3)
    left.messages(1, *persistent("a"), log=2)
    left.messages(4, *persistent("b", "c"), log=3)
    left.gone(5, log=3)
    found = left.found()
    assert {log: kept.count for log, (kept, _) in found.logs.items()} == {2: 1, 3: 1}
    assert sorted(found.ids.values()) == [1, 2, 3]
    assert found.last_id == 3


def test_lanes_are_found_by_themselves(left: Left) -> None:
    for lane, bodies in ((0, "a"), (2, "bcd"), (255, "ef")):
        left.messages(1, *persistent(*bodies), log=log_id(1, lane))
    left.gone(2, (3, 4), delivered=4, log=log_id(1, 2))
    left.gone(7, log=log_id(1, 4))
    left.cleanly()
    found = left.found()
    assert {log: kept for log, (kept, _) in found.logs.items()} == {
        1: Kept(1, 1, 2, 2),
        log_id(1, 2): Kept(1, 1, 4, 4),
        log_id(1, 4): Kept(0, 0, 7, 7),
        log_id(1, 255): Kept(2, 2, 3, 3),
    }
    assert found.last_id == 1


def test_lanes_of_a_deleted_queue_are_dead(left: Left) -> None:
    for lane in (0, 3):
        left.messages(1, *persistent("a"), log=log_id(7, lane))
    found = left.found()
    assert found.dead == [(7, 1, 2), (log_id(7, 3), 1, 2)]
    assert found.last_id == 7


def test_exchanges_can_have_messages_too(left: Left) -> None:
    exchange, old = ExchangeRecord("/", "q", "x-delayed-message"), ExchangeRecord("/", "old", "direct")
    left.record(exchange, 2)
    left.record(old)
    left.messages(1, *timed(5000, "a", "b"), log=2)
    found = left.found()
    assert found.ids == {record_key(QUEUE): 1, record_key(exchange): 2}
    assert {log: kept for log, (kept, _) in found.logs.items()} == {2: Kept(2, 2, 3, 3, timed=True)}


def test_it_is_known_whether_something_may_expire(left: Left) -> None:
    left.messages(1, *persistent("a"))
    assert not left.kept().timed
    left.messages(2, *timed(5000, "b", "c"))
    assert left.kept() == Kept(3, 3, 4, 4, timed=True)
    left.gone(4)
    assert not left.kept().timed


def test_how_often_messages_were_given_back(left: Left) -> None:
    left.messages(1, *persistent(*"abcdef"))
    left.returns({2: 1, 5: 3})
    assert left.kept().returns == {2: 1, 5: 3}
    assert left.found().changes == {}


def test_returns_of_what_is_not_there_are_to_be_forgotten(left: Left) -> None:
    """Position 7 was transient, and will be used anew."""
    left.messages(1, *persistent(*"abcdef"))
    left.gone(2, (3, 5))
    left.returns({1: 1, 3: 1, 5: 1, 7: 1})
    left.returns({300: 1})
    left.returns({1: 1}, log=9)
    found = left.found()
    assert found.logs[1].kept.returns == {5: 1}
    assert found.changes == {
        returns_key(1, 1): encode_returns({5: 1}),
        returns_key(1, 300): None,
        returns_key(9, 1): None,
    }


@pytest.mark.parametrize(
    ("key", "value", "damage"),
    [
        (returns_key(1, 1), b"short", "wrong checksum: how often messages were given back"),
        (record_key(QUEUE), b"nonsense", "wrong checksum: a record"),
        (state_key(1), b"short", "wrong checksum: a queue's state"),
        (piece_key(1, 1), b"short", "a chunk without a head"),
        (piece_key(1, 1), bytes(4) + (5).to_bytes(8, "big") + bytes(50), "wrong checksum: queue id 1, position 1"),
    ],
)
def test_damage_is_found(left: Left, key: bytes, value: bytes, damage: str) -> None:
    left.messages(1, *persistent(*"abc"))
    left.gone(1, (2, 3))
    left.file.commit(Batch({key: value}))
    with pytest.raises(Damaged, match=damage):
        left.found()
