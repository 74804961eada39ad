"""What is to be written: collected and cut, and kept when it cannot be."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from amqpd.broker.agenda import Agenda, Work
from amqpd.broker.store import Store
from amqpd.store import journal
from amqpd.store.environment import Batch, Sweep
from amqpd.store.journal import Journal
from amqpd.store.log import Log
from tests.store.support import Faulty, ProcessEnds, Writer, chunks_of, persistent

OVERHEAD = 128


class Marks(Store):
    """Somebody waits for these."""

    def __init__(self) -> None:
        super().__init__()
        self.journal: Journal

    def wait(self, work: Work) -> None:
        super().wait(work)
        self.journal.hurry()


class Silence(Work):
    """Someone who waits, and has nothing to say then."""

    __slots__ = ()

    def perform(self) -> None:
        pass


class Bench:
    """A journal and two queues, which are played by the test."""

    def __init__(self, path: Path) -> None:
        self.file = Faulty(path)
        self.marks = Marks()
        self.journal = self.marks.journal = Journal(self.file, self.marks)
        self.writer = Writer(self.journal, Agenda())
        self.one, self.two = Log(self.journal, 1, True), Log(self.journal, 2, True)

    def chunks(self) -> list[tuple[int, int]]:
        return [(queue, first) for queue, first, _ in self.file.heads()]

    def floor(self, queue: int) -> int | None:
        """Below it, all of a queue is gone, says the disk."""
        states = self.file.states()
        return states[queue][0].floor if queue in states else None


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "file.mdb")
    yield bench
    bench.file.close()


def test_nothing_to_write(bench: Bench) -> None:
    assert not bench.journal.has_changes
    assert not bench.writer.cut()
    assert bench.writer.commit()
    assert bench.writer.wakes == 0


def test_a_batch_has_all_there_is(bench: Bench) -> None:
    bench.one.append(1, persistent("a"), 1, False)
    bench.two.append(1, persistent("b"), 1, False)
    bench.journal.put(b"t1", b"one")
    bench.journal.put(b"t2", b"two")
    bench.journal.put(b"t1", None)
    assert bench.journal.has_changes
    batch = bench.writer.cut()
    assert (batch.messages, batch.octets) == (2, 3 + sum(len(chunk) for _, _, chunk in batch.chunks))
    assert bench.writer.commit()
    assert not bench.journal.has_changes
    assert (bench.file.topology(), bench.chunks()) == ([b"two"], [(1, 1), (2, 1)])


def test_what_is_settled_before_it_is_cut_is_not_among_its_messages(bench: Bench) -> None:
    bench.one.append(1, persistent("a", "b", "c"), 3, False)
    bench.one.remove([2])
    assert bench.writer.cut().messages == 2


def test_what_waits_waits_until_it_is_written(bench: Bench) -> None:
    bench.one.append(1, persistent("a"), 1, False)
    assert bench.journal.octets_waiting == 1 + OVERHEAD
    bench.writer.cut()
    bench.two.append(1, persistent("b", "c"), 2, False)
    assert bench.journal.octets_waiting == 3 + 3 * OVERHEAD
    bench.writer.commit()
    assert bench.journal.octets_waiting == 2 + 2 * OVERHEAD
    bench.writer.write()
    assert bench.journal.octets_waiting == 0


def test_the_watermark_follows_what_was_cut(bench: Bench) -> None:
    bench.journal.put(b"t1", b"one")
    bench.one.append(1, persistent("a", "b"), 2, False)
    assert bench.marks.written == 2
    bench.writer.cut()
    bench.one.append(3, persistent("c"), 1, False)
    bench.one.remove([1])
    assert (bench.marks.written, bench.marks.durable) == (4, 0)
    bench.writer.commit()
    assert bench.marks.durable == 2
    bench.writer.write()
    assert bench.marks.durable == 4


def test_it_wakes_the_writer_once_and_once_more_when_someone_waits(bench: Bench) -> None:
    work = Silence()
    bench.journal.put(b"t1", b"one")
    bench.journal.put(b"t2", b"two")
    bench.one.append(1, persistent("a"), 1, False)
    assert (bench.writer.wakes, bench.journal.hurried) == (1, False)
    for _ in range(2):
        bench.marks.wait(work)
    assert (bench.writer.wakes, bench.journal.hurried) == (2, True)
    bench.writer.cut()
    assert not bench.journal.hurried
    bench.journal.put(b"t3", b"three")
    bench.marks.wait(work)
    assert (bench.writer.wakes, bench.journal.hurried) == (4, True)
    bench.writer.commit()
    assert bench.journal.hurried  # for the next


def test_a_page_that_is_waited_for_wakes_the_reader(bench: Bench) -> None:
    wakes: list[int] = []
    bench.journal.wake_reader = lambda: wakes.append(1)
    bench.one.append(1, persistent("a"), 1, True)
    bench.writer.write()
    assert bench.one.read(1, lambda page: None) is None
    assert (len(wakes), len(bench.journal.readings)) == (1, 1)


# Failures


def test_nothing_is_lost_when_writing_fails_and_nothing_is_there_twice(bench: Bench) -> None:
    bench.one.append(1, persistent("a"), 1, False)
    bench.journal.put(b"t1", b"one")
    bench.file.next("fails", "fails")
    for position in (2, 3):
        wakes = bench.writer.wakes
        assert not bench.writer.write()
        assert bench.writer.wakes == wakes + 1
        assert (bench.marks.durable, bench.chunks(), bench.file.topology()) == (0, [], [])
        bench.one.append(position, persistent("b"), 1, False)
    bench.journal.put(b"t2", b"two")
    assert bench.writer.write()
    assert bench.marks.durable == bench.marks.written == 5
    assert bench.file.topology() == [b"one", b"two"]
    assert [message.body for _, messages in bench.one.read_now(1).runs for message in messages] == [b"a", b"b", b"b"]


def test_what_is_put_while_a_batch_is_on_its_way_is_newer_than_it(bench: Bench) -> None:
    bench.journal.put(b"t1", b"old")
    bench.journal.put(b"t2", b"old")
    bench.writer.cut()
    bench.journal.put(b"t1", b"new")
    bench.journal.put(b"t2", None)
    bench.file.next("fails")
    assert not bench.writer.commit()
    bench.writer.write_all()
    assert bench.file.topology() == [b"new"]


def test_who_waits_is_told_when_it_is_written_after_all(bench: Bench) -> None:
    done: list[tuple[int, int]] = []

    class Confirm(Work):
        __slots__ = ()

        def perform(self) -> None:
            done.append((bench.marks.recorded, bench.marks.durable))
            bench.marks.wait(self)

    bench.one.append(1, persistent("a"), 1, False)
    bench.journal.put(b"t1", b"one")
    bench.marks.wait(Confirm())
    bench.file.next("fails")
    assert not bench.writer.write()
    assert done == []
    assert bench.writer.relieve()
    assert done == [(2, 0)]  # the record is there, the message not
    assert bench.writer.write()
    assert done[1:] == [(2, 2)]


def test_the_process_ends_before_or_after_a_commit(tmp_path: Path) -> None:
    for fault, there in (("ends before", []), ("ends after", [(1, 1)])):
        bench = Bench(tmp_path / f"{fault}.mdb")
        bench.one.append(1, persistent("a"), 1, False)
        bench.file.next(fault)
        bench.writer.cut()
        with pytest.raises(ProcessEnds):
            bench.writer.commit()
        bench.file.close()
        bench = Bench(tmp_path / f"{fault}.mdb")
        assert bench.chunks() == there
        bench.file.close()


# Relief


@pytest.fixture
def full(bench: Bench) -> Bench:
    """A disk that is full: four messages of each queue are there, the next batch is not."""
    for log in (bench.one, bench.two):
        for position in (1, 3):
            log.append(position, persistent("a", "b"), 2, False)
            bench.writer.write()
    bench.one.append(5, persistent("c"), 1, False)
    bench.one.remove([1, 2])
    bench.file.next("fails")
    assert not bench.writer.write()
    assert (bench.floor(1), len(bench.chunks())) == (None, 4)
    return bench


def test_relief_commits_what_is_gone_and_no_messages(full: Bench) -> None:
    durable = full.marks.durable
    assert full.writer.relieve()
    assert (full.floor(1), full.chunks()) == (3, [(1, 3), (2, 1), (2, 3)])
    assert full.marks.durable == durable
    assert full.journal.has_changes
    full.writer.write_all()
    assert full.chunks() == [(1, 3), (1, 5), (2, 1), (2, 3)]
    assert full.marks.durable == full.marks.written


def test_what_was_settled_since_the_batch_stays_settled_when_the_batch_is_written(full: Bench) -> None:
    full.one.remove([3])
    assert full.writer.relieve()
    assert full.floor(1) == 4
    assert full.writer.write()
    assert full.floor(1) == 4


def test_relief_while_more_is_settled(full: Bench) -> None:
    full.writer.cut_relief()
    full.one.remove([3])
    full.two.remove([1])
    full.writer.commit()
    assert (full.floor(1), full.floor(2)) == (3, None)
    full.writer.write_all()
    assert (full.floor(1), full.floor(2)) == (4, 2)


def test_relief_that_fails_loses_nothing(full: Bench) -> None:
    full.journal.put(b"t1", b"one")
    full.file.next("fails")
    assert not full.writer.relieve()
    assert (full.floor(1), len(full.chunks())) == (None, 4)
    full.journal.put(b"t2", b"two")
    full.writer.write_all()
    assert (full.floor(1), full.chunks()) == (3, [(1, 3), (1, 5), (2, 1), (2, 3)])
    assert full.file.topology() == [b"one", b"two"]


def test_a_queue_that_is_deleted_goes_with_its_record_or_not_at_all(full: Bench) -> None:
    full.journal.put(b"tq", b"record")
    full.writer.write()
    full.one.append(6, persistent("d"), 1, False)
    full.file.next("fails")
    assert not full.writer.write()
    full.journal.put(b"tq", None)
    full.one.drop()
    assert full.writer.relieve()
    assert (full.file.topology(), full.floor(1), full.chunks()) == ([], None, [(2, 1), (2, 3)])
    full.writer.write_all()
    assert (full.file.topology(), full.floor(1), full.chunks()) == ([], None, [(2, 1), (2, 3)])


def test_a_deleted_queue_has_no_state_left_of_a_batch_that_failed(full: Bench) -> None:
    full.one.drop()
    assert full.writer.relieve()
    full.writer.write_all()
    assert full.file.states() == {}


# Sweeps


def test_batches_that_someone_waits_for_seldom_sweep(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SWEEP_EVERY", 3)
    bench.one.append(1, persistent("a"), 1, False)
    bench.writer.write()  # nobody waits for this one
    bench.one.remove([1])
    for _ in range(2):
        bench.journal.hurry()
        bench.writer.write()
        assert bench.chunks() == [(1, 1)]
        assert bench.journal.has_changes
    bench.journal.hurry()
    bench.writer.write()
    assert (bench.chunks(), bench.journal.has_changes) == ([], False)


def test_what_is_left_of_a_sweep_goes_on_and_wakes_the_writer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SWEEP_MAX", 1)
    for position in (1, 2, 3):
        bench.one.append(position, persistent("a"), 1, False)
        bench.writer.write()
    bench.one.remove(range(1, 4))
    wakes = bench.writer.wakes
    for left in ([(1, 2), (1, 3)], [(1, 3)], []):
        assert bench.writer.write()
        assert bench.chunks() == left
    assert bench.writer.wakes > wakes
    bench.writer.write_all()
    assert not bench.journal.has_changes


def test_a_sweep_that_reaches_further_is_not_forgotten_for_one_that_is_unfinished(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SWEEP_MAX", 1)
    for position in range(1, 7):
        bench.one.append(position, persistent("a"), 1, False)
        bench.writer.write()
    bench.one.remove(range(1, 5))
    bench.writer.write()  # one chunk of four
    bench.one.remove(range(5, 7))
    bench.writer.write_all()
    assert bench.chunks() == []


def test_a_sweep_that_failed_is_done_later(bench: Bench) -> None:
    bench.one.append(1, persistent("a"), 1, False)
    bench.writer.write()
    bench.one.remove([1])
    bench.file.next("fails", "fails")
    assert not bench.writer.write()
    assert not bench.writer.relieve()
    assert bench.chunks() == [(1, 1)]
    bench.writer.write_all()
    assert bench.chunks() == []


def test_a_sweep_for_its_own_sake(bench: Bench) -> None:
    bench.journal.sweep(9, 0, 5)
    assert bench.writer.wakes == 1
    assert bench.writer.cut().sweeps == [Sweep(9, 0, 5)]


def test_a_sweep_for_its_own_sake_that_failed_is_done_later(bench: Bench) -> None:
    """As one for a queue that was deleted before a restart: nobody asks for it again."""
    bench.file.commit(Batch(chunks=chunks_of(9, 1, persistent("a"))))
    bench.journal.sweep(9, 0, 5)
    bench.file.next("fails", "fails")
    assert not bench.writer.write()
    assert not bench.writer.relieve()
    assert bench.chunks() == [(9, 1)]
    bench.writer.write_all()
    assert bench.chunks() == []


# Pressure


@pytest.fixture
def presses(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What the journal has said, if four small messages are too much."""
    monkeypatch.setattr(journal, "OCTETS_MAX", 4 * OVERHEAD)
    said: list[bool] = []
    bench.journal.press = lambda: said.append(bench.journal.pressed)
    return said


def test_too_much_on_its_way_is_told_once_until_half_of_it_is_written(bench: Bench, presses: list[bool]) -> None:
    for position in range(1, 9):
        bench.one.append(position, persistent(""), 0, False)
        assert presses == [True] * (position > 4)
    bench.writer.cut()
    for position in (9, 10):
        bench.one.append(position, persistent(""), 0, False)
    bench.writer.commit()
    assert presses == [True]  # what is left is half of it
    bench.writer.write()
    assert presses == [True, False]


def test_what_fails_is_still_on_its_way(bench: Bench, presses: list[bool]) -> None:
    bench.one.append(1, persistent(*[""] * 5), 0, False)
    bench.file.next("fails", "fails")
    for _ in range(2):
        assert not bench.writer.write()
    assert presses == [True]
    assert bench.writer.relieve()
    assert presses == [True]
    assert bench.writer.write()
    assert presses == [True, False]
    assert bench.journal._octets == 0


def test_the_writer_is_woken_by_what_comes_after_a_batch_that_sweeps(bench: Bench) -> None:
    bench.one.append(1, persistent("a"), 1, False)
    bench.writer.write_all()
    bench.one.remove(range(1, 2))
    bench.writer.write_all()
    assert not bench.journal.has_changes
    wakes = bench.writer.wakes
    bench.one.append(2, persistent("b"), 1, False)
    assert bench.writer.wakes == wakes + 1
