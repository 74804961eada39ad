"""A message that goes from one queue to another, as a dead letter does, is in one of them after a crash at any moment.

Leaving and arriving are in the same batch, so it is in both or in none. What is more to look at is a disk that is full:
a batch of relief has what is gone, and no messages.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from amqpd.broker.agenda import Agenda
from amqpd.broker.message import Message
from amqpd.broker.records import QueueRecord
from amqpd.broker.store import Store
from amqpd.store import codec, journal, log
from amqpd.store.codec import encode_record, log_id, record_key, split_log_id
from amqpd.store.journal import Journal
from amqpd.store.log import Log
from amqpd.store.recovery import recover
from tests.store.support import Faulty, Writer, persistent, told


class Line:
    """A queue that is played by the test: its log, and what is in it, by position."""

    def __init__(self, desk: "Desk", name: str, id: int) -> None:
        self.desk = desk
        self.id = id
        self.key = record_key(QueueRecord("/", name))
        self.log = Log(desk.journal, id, True)
        self.messages: dict[int, Message] = {}
        self.next = 1
        desk.journal.put(self.key, encode_record(QueueRecord("/", name), id))

    def put(self, *messages: Message) -> None:
        self.log.append(self.next, messages, sum(len(message.body) for message in messages), False)
        self.messages |= dict(enumerate(messages, self.next))
        self.next += len(messages)

    def publish(self, *bodies: str) -> None:
        self.put(*persistent(*bodies))

    def settle(self, *positions: int) -> None:
        self.log.remove(positions)
        for position in positions:
            del self.messages[position]

    def move(self, to: "Line", *positions: int) -> None:
        self.log.remove(positions, moved=True)
        to.put(*(self.messages.pop(position) for position in positions))

    def delete(self) -> None:
        self.desk.journal.put(self.key, None)
        self.log.drop()
        self.messages.clear()

    @property
    def bodies(self) -> list[str]:
        return [message.body.decode() for message in self.messages.values()]


class Desk:
    """A journal, and queues on it."""

    def __init__(self, path: Path) -> None:
        self.file = Faulty(path)
        self.marks = Store()
        self.journal = Journal(self.file, self.marks)
        self.writer = Writer(self.journal, Agenda())
        self.last_id = 0

    def declare(self, name: str) -> Line:
        self.last_id += 1
        return Line(self, name, self.last_id)

    def fail(self) -> None:
        """The disk is full."""
        self.file.next("fails")
        assert not self.writer.write()

    def after_a_crash(self) -> dict[int, list[str]]:
        """What a broker would find now, by the ids of logs, and of queues of which there is a record."""
        found = recover(self.file)
        bodies: dict[int, list[str]] = {owner: [] for owner in found.ids.values()}
        assert {split_log_id(each)[0] for each in self.file.states()} <= bodies.keys()
        for each, (kept, gone) in found.logs.items():
            page = Log(Journal(self.file, Store()), each, True, kept, gone).read_now(1)
            assert len(told(page)) == kept.count
            assert kept.next < 1000
            bodies[each] = [body for _, body in told(page)]
        return bodies


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "file.mdb")
    yield desk
    desk.file.close()


@pytest.fixture
def queues(desk: Desk) -> tuple[Line, Line]:
    """A source with four messages on the disk, and a target."""
    source, target = desk.declare("source"), desk.declare("target")
    source.publish(*"abcd")
    desk.writer.write_all()
    return source, target


def test_it_leaves_and_arrives_with_the_same_batch(desk: Desk, queues: tuple[Line, Line]) -> None:
    source, target = queues
    source.move(target, 1, 3)
    assert desk.after_a_crash() == {1: ["a", "b", "c", "d"], 2: []}
    desk.writer.write()
    assert desk.after_a_crash() == {1: ["b", "d"], 2: ["a", "c"]}


def test_while_the_disk_is_full_it_stays_where_it_was(desk: Desk, queues: tuple[Line, Line]) -> None:
    """Moved before a batch failed, or after; what is settled makes room."""
    source, target = queues
    source.move(target, 1)
    desk.fail()
    source.move(target, 3)
    source.settle(2)
    assert desk.writer.relieve()
    assert desk.after_a_crash() == {1: ["a", "c", "d"], 2: []}
    source.settle(4)
    desk.fail()
    assert desk.writer.relieve()
    assert desk.after_a_crash() == {1: ["a", "c"], 2: []}
    assert desk.writer.write()
    assert desk.after_a_crash() == {1: [], 2: ["a", "c"]}
    desk.writer.write_all()
    assert [each for each, _, _ in desk.file.heads()] == [2]


def test_moved_while_relief_is_on_its_way(desk: Desk, queues: tuple[Line, Line]) -> None:
    source, target = queues
    source.settle(1)
    desk.fail()
    desk.writer.cut_relief()
    source.move(target, 2)
    assert desk.writer.commit()
    assert desk.after_a_crash() == {1: ["b", "c", "d"], 2: []}
    desk.fail()
    assert desk.writer.relieve()
    assert desk.after_a_crash() == {1: ["b", "c", "d"], 2: []}
    desk.writer.write_all()
    assert desk.after_a_crash() == {1: ["c", "d"], 2: ["b"]}


def test_relief_that_fails_forgets_nothing(desk: Desk, queues: tuple[Line, Line]) -> None:
    source, target = queues
    source.move(target, 2)
    for _ in range(2):
        desk.fail()
        desk.file.next("fails")
        assert not desk.writer.relieve()
    assert desk.writer.relieve()
    assert desk.after_a_crash() == {1: ["a", "b", "c", "d"], 2: []}
    desk.writer.write_all()
    assert desk.after_a_crash() == {1: ["a", "c", "d"], 2: ["b"]}


def test_chunks_that_a_failed_batch_would_have_deleted_stay(desk: Desk, queues: tuple[Line, Line]) -> None:
    """Those that hold what was moved, and what lies behind it; the others go."""
    source, target = queues
    for body in "efg":
        source.publish(body)
        desk.writer.write_all()
    source.settle(1, 2, 3, 4, 5)
    source.move(target, 6)
    source.settle(7)
    desk.fail()
    assert desk.writer.relieve()
    assert [(each, first) for each, first, _ in desk.file.heads()] == [(1, 6), (1, 7)]
    assert desk.after_a_crash() == {1: ["f"], 2: []}
    desk.writer.write_all()
    assert [each for each, _, _ in desk.file.heads()] == [2]


def test_many_that_were_moved_past_one_that_stays(
    desk: Desk, queues: tuple[Line, Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "SWEPT_FROM", 2)
    source, target = queues
    for body in "efgh":
        source.publish(body)
        desk.writer.write_all()
    source.move(target, 6)
    source.settle(5, 7, 8)
    desk.fail()
    assert desk.writer.relieve()
    assert [(each, first) for each, first, _ in desk.file.heads()] == [(1, 1), (1, 6)]
    desk.writer.write_all()
    assert [(each, first) for each, first, _ in desk.file.heads()] == [(1, 1), (2, 1)]


def test_it_is_moved_on_before_it_has_arrived(desk: Desk, queues: tuple[Line, Line]) -> None:
    source, target = queues
    further = desk.declare("further")
    desk.writer.write_all()
    source.move(target, 2)
    desk.fail()
    target.move(further, 1)
    assert desk.writer.relieve()
    assert desk.after_a_crash() == {1: ["a", "b", "c", "d"], 2: [], 3: []}
    desk.writer.write_all()
    assert desk.after_a_crash() == {1: ["a", "c", "d"], 2: [], 3: ["b"]}


def test_what_has_arrived_is_held_no_longer(desk: Desk, queues: tuple[Line, Line]) -> None:
    source, target = queues
    source.move(target, 1)
    desk.writer.write_all()
    source.settle(2, 3, 4)
    desk.fail()
    assert desk.writer.relieve()
    assert [each for each, _, _ in desk.file.heads()] == [2]


def test_what_was_never_on_the_disk_goes_to_its_target_only(desk: Desk, queues: tuple[Line, Line]) -> None:
    source, target = queues
    source.publish("new")
    desk.fail()
    source.move(target, 5)
    assert desk.writer.relieve()
    assert desk.after_a_crash() == {1: ["a", "b", "c", "d"], 2: []}
    desk.writer.write_all()
    assert desk.after_a_crash() == {1: ["a", "b", "c", "d"], 2: ["new"]}


def test_a_source_that_is_deleted_stays_with_what_was_moved_until_that_has_arrived(
    desk: Desk, queues: tuple[Line, Line]
) -> None:
    """And since topology hangs together, no other change of it is safe before; but what else was there makes room."""
    source, target = queues
    other = desk.declare("other")
    other.publish("x")
    desk.writer.write_all()
    recorded = desk.marks.recorded
    source.move(target, 2)
    desk.fail()
    source.delete()
    other.delete()
    desk.declare("new").publish("y")
    assert desk.writer.relieve()
    assert desk.marks.recorded == recorded
    assert desk.after_a_crash() == {1: ["b"], 2: [], 3: ["x"]}
    desk.fail()
    assert desk.writer.relieve()
    assert desk.after_a_crash() == {1: ["b"], 2: [], 3: []}  # whose deletion has begun with what the batch would delete
    desk.writer.write_all()
    assert desk.after_a_crash() == {2: ["b"], 4: ["y"]}
    assert desk.marks.recorded == desk.marks.written


def test_deletions_that_must_wait_lose_nothing_of_what_says_that_messages_are_gone(
    desk: Desk, queues: tuple[Line, Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = queues
    target.publish("x", "y")
    desk.writer.write_all()
    target.settle(1)
    desk.writer.write_all()
    source.move(target, 2)
    desk.fail()
    source.delete()
    target.delete()
    monkeypatch.setattr(journal, "SWEEP_MAX", 0)
    assert desk.writer.relieve()
    assert len(list(desk.file.heads())) == 2
    assert desk.after_a_crash() == {1: ["b"], 2: ["y"]}


def test_a_queue_that_is_gone_does_not_come_back_when_another_must_wait(desk: Desk, queues: tuple[Line, Line]) -> None:
    source, target = queues
    other = desk.declare("other")
    other.publish("x")
    desk.writer.write_all()
    other.delete()
    desk.fail()
    assert desk.writer.relieve()
    assert desk.after_a_crash() == {1: ["a", "b", "c", "d"], 2: []}
    source.move(target, 2)
    source.delete()
    desk.fail()
    assert desk.writer.relieve()
    assert desk.after_a_crash() == {1: ["b"], 2: []}


def test_a_source_that_was_deleted_is_declared_anew_meanwhile(desk: Desk, queues: tuple[Line, Line]) -> None:
    source, target = queues
    source.move(target, 2)
    desk.fail()
    source.delete()
    desk.declare("source").publish("new")
    desk.fail()
    assert desk.writer.relieve()
    assert desk.after_a_crash() == {1: ["b"], 2: []}
    desk.writer.write_all()
    assert desk.after_a_crash() == {2: ["b"], 3: ["new"]}


def test_lanes_are_no_different(desk: Desk, queues: tuple[Line, Line]) -> None:
    source, target = queues
    lane = Log(desk.journal, log_id(1, 5), True)
    lane.append(1, persistent("x"), 1, False)
    desk.writer.write_all()
    lane.remove([1], moved=True)
    target.publish("x")
    desk.fail()
    source.delete()
    lane.drop()
    assert desk.writer.relieve()
    assert desk.after_a_crash() == {1: ["a", "b", "c", "d"], log_id(1, 5): ["x"], 2: []}
    desk.writer.write_all()
    assert desk.after_a_crash() == {2: ["x"]}


# At random ------------------------------------------------------------------------------------------------------------


class Chance:
    """Some queues, among which messages move, on a disk that fails now and then. What is there after a crash is looked
    at after every commit."""

    def __init__(self, path: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.desk = Desk(path)
        self.lines = [self.desk.declare(name) for name in "abc"]
        self.published = 0
        self.written: set[str] = set()  # once in a batch that was written

    def alive(self) -> set[str]:
        return {body for line in self.lines for body in line.bodies}

    def some(self, line: Line) -> Sequence[int]:
        there = list(line.messages)
        return self.chance.sample(there, self.chance.randint(0, min(3, len(there))))

    def act(self) -> None:
        chance = self.chance
        line, other = chance.choice(self.lines), chance.choice(self.lines)
        match chance.randrange(20):
            case 0:
                line.delete()
                index = self.lines.index(line)
                self.lines[index] = self.desk.declare("abc"[index])
            case 1:
                line.log.clear(1, line.next)
                line.messages.clear()
            case 2 | 3 | 4 | 5:
                line.settle(*self.some(line))
            case 6 | 7 | 8 | 9 | 10:
                line.move(other, *self.some(line))
            case _:
                for _ in range(chance.randint(1, 4)):
                    self.published += 1
                    line.publish(str(self.published))

    def commit(self) -> None:
        """A batch, with things that are done while it is on its way. If it fails, maybe relief, as the daemon does."""
        batch_of = self.desk.writer.cut
        for kind in ("all", "relief"):
            inside = self.alive()
            exactly = {line.id: line.bodies for line in self.lines}
            batch_of()
            for _ in range(self.chance.randint(0, 2)):
                self.act()
            if self.chance.random() < 0.5:
                self.desk.file.next("fails")
            if self.desk.writer.commit():
                if kind == "all":
                    self.written |= inside
                    assert self.desk.after_a_crash() == exactly
                break
            batch_of = self.desk.writer.cut_relief
        self.check()

    def check(self) -> None:
        """Nothing is lost that was safe and is still there for the clients."""
        found = [body for bodies in self.desk.after_a_crash().values() for body in bodies]
        assert self.alive() & self.written <= set(found)


@pytest.mark.parametrize("seed", range(40))
def test_wherever_it_crashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(codec, "CHUNK_SIZE", 100)
    monkeypatch.setattr(log, "SWEPT_FROM", 3)
    monkeypatch.setattr(journal, "SWEEP_MAX", 2)
    monkeypatch.setattr(journal, "SWEEP_EVERY", 2)
    chance = Chance(tmp_path / "file.mdb", seed)
    for _ in range(40):
        for _ in range(chance.chance.randint(1, 4)):
            chance.act()
        if chance.chance.random() < 0.5:
            chance.desk.journal.hurry()
        chance.commit()
    chance.desk.writer.write_all()
    assert chance.desk.after_a_crash() == {line.id: line.bodies for line in chance.lines}
    chance.desk.file.close()
