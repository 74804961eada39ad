"""What is found when the broker starts: written by hand, as a broker would have left it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from amqpd.broker.message import Message
from amqpd.broker.records import BindingRecord, ExchangeRecord, QueueRecord, Record
from amqpd.broker.store import Kept
from amqpd.store.codec import Damaged, encode_record, encode_state, piece_key, record_key, state_key
from amqpd.store.environment import CLEAN, END, Batch
from amqpd.store.gone import Gone, Interval
from amqpd.store.recovery import KeptQueue, Recovered, recover
from tests.store.support import Faulty, chunks_of, persistent, transient

QUEUE = QueueRecord("/", "q", durable=True)


class Left:
    """A file as it was left behind. Queue 1 is ``q``."""

    def __init__(self, path: Path) -> None:
        self.file = Faulty(path)
        self.record(QUEUE, 1)

    def record(self, record: Record, queue: int = 0) -> None:
        self.file.commit(Batch({record_key(record): encode_record(record, queue)}))

    def messages(self, first: int, *messages: Message, queue: int = 1) -> None:
        """One chunk."""
        self.file.commit(Batch(chunks=chunks_of(queue, first, messages)))

    def gone(self, floor: int, *intervals: Interval, delivered: int = END, queue: int = 1) -> None:
        self.file.commit(Batch({state_key(queue): encode_state(Gone(floor, intervals), delivered)}))

    def cleanly(self) -> None:
        self.file.commit(Batch({CLEAN: b""}))

    def found(self) -> Recovered:
        return recover(self.file)

    def kept(self) -> Kept:
        return self.found().queues["/", "q"].kept


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
    for record in (*bindings, *exchanges):
        left.record(record)
    found = left.found().records
    kinds = [type(record) for record in found]
    assert kinds == [ExchangeRecord] * 3 + [QueueRecord] + [BindingRecord] * 2
    assert set(map(repr, found)) == set(map(repr, [*exchanges, QUEUE, *bindings]))


def test_a_queue_without_messages(left: Left) -> None:
    assert left.kept() == Kept(0, 0, 1, 1)


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
    queue, _, gone = left.found().queues["/", "q"]
    assert (queue, gone.floor, gone.intervals) == (1, 2, [(3, 4)])


def test_a_queue_that_has_nothing_left_begins_behind_what_it_had(left: Left) -> None:
    left.messages(1, *transient(*"abc"))
    left.messages(4, *persistent("d"), *transient("e"))
    left.gone(1, (4, 5))
    found = left.found()
    queue = found.queues["/", "q"]
    assert (queue.kept, queue.gone.floor, queue.gone.intervals) == (Kept(0, 0, 6, 6), 6, [])
    assert found.dead == [(1, 1, 6)]


def test_chunks_that_hold_nothing_any_more_are_dead_and_neighbours_together(left: Left) -> None:
    for first in (1, 3, 5, 7, 9, 11):
        left.messages(first, *persistent("a", "b"))
    left.gone(5, (7, 8), (9, 13))
    assert left.found().dead == [(1, 1, 5), (1, 9, 13)]


def test_messages_of_a_deleted_queue_are_dead_and_its_id_is_not_used_again(left: Left) -> None:
    left.messages(1, *persistent("a"))
    for first in (1, 2):
        left.messages(first, *persistent("a"), queue=7)
    left.messages(1, *persistent("a"), queue=9)
    left.gone(5, queue=11)
    found = left.found()
    assert found.dead == [(7, 1, 3), (9, 1, 2)]
    assert found.last_id == 11
    assert list(found.queues) == [("/", "q")]


def test_queues_are_told_apart(left: Left) -> None:
    left.record(QueueRecord("other", "q", durable=True), 2)
    left.record(QueueRecord("/", "p", durable=True), 3)
    left.messages(1, *persistent("a"), queue=2)
    left.messages(4, *persistent("b", "c"), queue=3)
    left.gone(5, queue=3)
    found = left.found()
    assert {name: queue.kept.count for name, queue in found.queues.items()} == {
        ("/", "q"): 0,
        ("other", "q"): 1,
        ("/", "p"): 1,
    }
    assert isinstance(found.queues["/", "p"], KeptQueue)
    assert found.last_id == 3


@pytest.mark.parametrize(
    ("key", "value", "damage"),
    [
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
