"""One queue's log: what waits, what is on its way, what is on the disk, and what of it is gone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from amqpd.broker.agenda import Agenda
from amqpd.broker.message import Message, TimedMessage
from amqpd.broker.store import Kept, Page, Store
from amqpd.store import codec, log, reading
from amqpd.store.codec import returns_key, state_key
from amqpd.store.gone import Gone
from amqpd.store.journal import Journal
from amqpd.store.log import Log
from tests.store.support import Faulty, Writer, persistent, timed, told, transient

QUEUE = 7


class Bench:
    """A log on a journal of its own, and a queue that is played by the test."""

    def __init__(self, path: Path, durable: bool = True) -> None:
        self.file = Faulty(path)
        self.store = Store()
        self.journal = Journal(self.file, self.store)
        self.writer = Writer(self.journal, Agenda())
        self.log = Log(self.journal, QUEUE, durable)

    def reopen(
        self, count: int, following: int, gone: Gone | None = None, returns: dict[int, int] | None = None
    ) -> None:
        """The same file after a restart, at which recovery found this."""
        kept = Kept(count, 0, following, following, returns=returns or {})
        self.log = Log(self.journal, QUEUE, True, kept, gone or Gone())

    def append(self, position: int, messages: list[Message], paged: bool = False) -> None:
        self.log.append(position, messages, sum(len(message.body) for message in messages), paged)

    def chunks(self) -> list[tuple[int, int]]:
        return [(first, head.last) for queue, first, head in self.file.heads() if queue == QUEUE]

    def read(self, start: int) -> list[tuple[int, str]]:
        """What the queue is given at once, or, if that is nothing, later."""
        pages: list[Page] = []
        page = self.log.read(start, pages.append)
        if page is None:
            assert pages == []
            self.writer.read()
            (page,) = pages
        assert told(self.log.read_now(start)) == told(page)
        assert self.log.read_now(start).stop == page.stop
        return [*told(page), (page.stop, "END")]

    def returns(self) -> dict[int, int]:
        """How often messages were given back, says the disk."""
        return {position: times for _, returns in self.file.returns() for position, times in returns.items()}

    def state(self) -> tuple[int, list[tuple[int, int]], int] | None:
        """What the disk says is gone, and from where on nothing was handed out."""
        states = self.file.states()
        if QUEUE not in states:
            return None
        gone, delivered = states[QUEUE]
        return gone.floor, gone.intervals, delivered


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "file.mdb")
    yield bench
    bench.file.close()


@pytest.fixture
def spill(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "file.mdb", durable=False)
    yield bench
    bench.file.close()


# What is written


def test_persistent_messages_are_written_and_transient_ones_when_the_queue_lets_go_of_them(bench: Bench) -> None:
    bench.append(1, [*persistent("a"), *transient("b", "c"), *persistent("d", "e")])
    bench.append(6, transient("f"))
    bench.append(7, [*transient("g"), *persistent("h"), *transient("i")], paged=True)
    bench.writer.write_all()
    assert bench.read(1) == [(1, "a"), (4, "d"), (5, "e"), (7, "g"), (8, "h"), (9, "i"), (10, "END")]


@pytest.mark.parametrize("mix", ["", "p", "t", "pp", "tt", "pt", "tp", "ptp", "tpt", "pptt", "ttpp", "ptptp"])
def test_the_persistent_ones_of_any_mix(bench: Bench, mix: str) -> None:
    run = [message for kind in mix for message in (persistent("x") if kind == "p" else transient("x"))]
    bench.append(1, run)
    bench.writer.write_all()
    written = [position for position, kind in enumerate(mix, 1) if kind == "p"]
    assert [position for position, _ in told(bench.log.read_now(1))] == written
    assert bench.store.written == bool(written)


def test_what_is_settled_before_it_is_written_never_is(bench: Bench) -> None:
    bench.append(1, persistent(*"abcdef"))
    bench.log.remove(range(1, 3))
    bench.log.remove([4])
    bench.writer.write_all()
    assert bench.chunks() == [(3, 6)]
    assert [body for _, body in told(bench.log.read_now(1))] == ["c", "e", "f"]
    assert bench.state() is None  # nothing of what is gone is on the disk
    bench.append(7, persistent("g"))
    bench.log.clear(1, 8)
    bench.writer.cut()
    assert bench.writer.batch.chunks == []


def test_what_is_gone_is_noted_when_it_may_be_on_the_disk(bench: Bench) -> None:
    bench.append(1, persistent(*"abcdef"))
    bench.writer.write_all()
    bench.log.remove([2, 5])
    bench.writer.write_all()
    assert bench.state() == (1, [(2, 3), (5, 6)], log.END)
    bench.log.remove([1])
    bench.writer.write_all()
    assert bench.state() == (3, [(5, 6)], log.END)
    assert bench.chunks() == [(1, 6)]


def test_what_is_settled_while_it_is_on_its_way(bench: Bench) -> None:
    bench.append(1, persistent(*"abc"))
    bench.writer.cut()
    bench.log.remove([1, 2])
    bench.writer.commit()
    assert (bench.chunks(), bench.state()) == ([(1, 3)], None)
    bench.writer.write_all()
    assert bench.state() == (3, [], log.END)


def test_a_chunk_is_deleted_when_all_of_it_is_settled(bench: Bench) -> None:
    for position in (1, 3, 5):
        bench.append(position, persistent("a", "b"))
        bench.writer.write_all()
    for position, left in ((2, [1, 3, 5]), (3, [1, 3, 5]), (1, [3, 5]), (4, [5])):
        bench.log.remove([position])
        bench.writer.write_all()
        assert [first for first, _ in bench.chunks()] == left


def test_many_that_pass_one_by_are_deleted_though_it_stays(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "SWEPT_FROM", 4)
    for position in range(1, 13, 2):
        bench.append(position, persistent("a", "b"))
        bench.writer.write_all()
    bench.log.remove(range(2, 5))
    bench.writer.write_all()
    assert len(bench.chunks()) == 6
    bench.log.remove(range(5, 12))
    bench.writer.write_all()
    assert bench.chunks() == [(1, 2), (11, 12)]


def test_a_purge(bench: Bench) -> None:
    bench.append(1, persistent(*"abcdef"))
    bench.writer.write_all()
    bench.log.remove([4])
    bench.log.clear(3, 7)
    bench.writer.write_all()
    assert (bench.state(), bench.chunks()) == ((1, [(3, 7)], log.END), [(1, 6)])
    bench.log.remove(range(1, 3))
    bench.writer.write_all()
    assert (bench.state(), bench.chunks()) == ((7, [], log.END), [])


def test_transient_messages_that_nobody_kept_are_no_work(bench: Bench) -> None:
    bench.append(1, transient(*"abc"))
    bench.log.remove([1])
    bench.log.clear(2, 4)
    bench.log.clear(4, 4)
    bench.log.remove([])
    assert not bench.journal.has_changes
    bench.append(4, persistent("d"))  # this is where it begins
    bench.log.remove([4])
    bench.writer.write_all()
    assert bench.log._gone.intervals == []


def test_messages_settled_out_of_order_around_transient_ones(bench: Bench) -> None:
    bench.append(1, [*persistent("a"), *transient("b"), *persistent("c")])
    bench.writer.write_all()
    for position in (3, 1, 2):
        bench.log.remove([position])
    bench.append(4, persistent("d"))
    bench.writer.write_all()
    assert bench.state() == (4, [], log.END)
    assert bench.chunks() == [(4, 4)]


# Deadlines


@pytest.mark.parametrize("paged", [False, True])
def test_messages_come_back_with_their_deadlines(bench: Bench, paged: bool) -> None:
    for position, deadline, bodies in ((1, 0, "a"), (2, 5000, "bc"), (4, None, "d"), (5, 5000, "ef"), (7, 6000, "g")):
        bench.append(position, persistent(*bodies) if deadline is None else timed(deadline, *bodies), paged)
    bench.writer.write_all()
    found = [message for _, run in bench.log.read_now(1).runs for message in run]
    assert [message.body for message in found] == [b"a", b"b", b"c", b"d", b"e", b"f", b"g"]
    deadlines = [message.deadline if isinstance(message, TimedMessage) else None for message in found]
    assert deadlines == [0, 5000, 5000, None, 5000, 5000, 6000]


def test_what_could_not_be_written_keeps_its_deadline(bench: Bench) -> None:
    bench.append(1, timed(5000, *"abc"))
    bench.file.next("fails")
    bench.writer.cut()
    bench.log.remove([2])
    assert not bench.writer.commit()
    bench.writer.write_all()
    ((_, first), (_, last)) = bench.log.read_now(1).runs
    assert [message.deadline for message in (*first, *last) if isinstance(message, TimedMessage)] == [5000, 5000]


# Returns


def test_returns_are_there_as_long_as_the_message_is(bench: Bench) -> None:
    bench.append(1, persistent(*"abcdef"))
    bench.log.note_returns(2, 1)
    bench.log.note_returns(5, 1)
    bench.writer.write_all()
    assert bench.returns() == {2: 1, 5: 1}
    bench.log.note_returns(2, 2)
    bench.writer.write_all()
    assert bench.returns() == {2: 2, 5: 1}
    bench.log.remove([1, 2])
    bench.writer.write_all()
    assert bench.returns() == {5: 1}
    bench.log.clear(3, 7)
    bench.writer.write_all()
    assert bench.returns() == {}
    assert bench.file.get(returns_key(QUEUE, 5)) is None


def test_nobody_waits_for_returns(bench: Bench) -> None:
    bench.append(1, persistent("a"))
    bench.writer.write_all()
    written, wakes = bench.store.written, bench.writer.wakes
    bench.log.note_returns(1, 1)
    assert (bench.store.written, bench.writer.wakes) == (written, wakes + 1)


def test_returns_of_many_are_few_values(bench: Bench) -> None:
    bench.append(1, persistent(*["x"] * 1000))
    for position in range(1, 1001):
        bench.log.note_returns(position, 3)
    assert len([key for key in bench.writer.cut().changes if key.startswith(codec.RETURNS)]) == 4
    bench.writer.commit()
    assert bench.returns() == dict.fromkeys(range(1, 1001), 3)


def test_returns_of_what_is_not_kept_are_not_noted(bench: Bench) -> None:
    bench.append(1, persistent("a"))
    bench.append(2, transient("b"))
    bench.log.remove([1])
    for position in (1, 2):
        bench.log.note_returns(position, 1)
    bench.writer.write_all()
    assert bench.returns() == {}


def test_returns_that_could_not_be_written_are_written_later_but_not_for_relief(bench: Bench) -> None:
    bench.append(1, persistent("a", "b", "c"))
    bench.writer.write_all()
    bench.log.note_returns(1, 1)
    bench.log.note_returns(2, 1)
    bench.file.next("fails")
    bench.writer.cut()
    bench.log.remove([1])
    assert not bench.writer.commit()
    assert bench.writer.relieve()
    assert bench.returns() == {}
    bench.writer.write_all()
    assert bench.returns() == {2: 1}


def test_returns_go_with_the_queue(bench: Bench) -> None:
    bench.append(1, persistent("a", "b"))
    bench.log.note_returns(1, 1)
    bench.writer.write_all()
    bench.log.note_returns(2, 1)
    bench.log.drop()
    bench.log.note_returns(1, 2)
    bench.writer.write_all()
    assert bench.returns() == {}


def test_returns_from_before_a_restart(bench: Bench) -> None:
    bench.append(1, [*persistent("a"), *transient("b"), *persistent("c", "d")])
    for position in (1, 2, 3):
        bench.log.note_returns(position, position)
    bench.writer.write_all()
    bench.reopen(3, 5, returns={1: 1, 2: 2, 3: 3})
    bench.log.remove([1])
    bench.writer.write_all()
    assert bench.returns() == {2: 2, 3: 3}
    assert [position for position, _ in bench.read(1)] == [3, 4, 5]  # so it is seen that 2 is not there any more
    bench.log.note_returns(3, 4)
    bench.writer.write_all()
    assert bench.returns() == {3: 4}


def test_a_queue_that_is_not_durable_has_no_returns(spill: Bench) -> None:
    spill.append(1, persistent("a"), paged=True)
    spill.log.note_returns(1, 1)
    spill.writer.write_all()
    assert spill.returns() == {}


# Failures


def test_what_could_not_be_written_is_written_later_without_what_is_settled_meanwhile(bench: Bench) -> None:
    bench.append(1, persistent(*"abc"))
    bench.file.next("fails")
    bench.writer.cut()
    bench.log.remove([2])
    assert not bench.writer.commit()
    assert bench.read(1) == [(1, "a"), (2, "b"), (3, "c"), (4, "END")]  # the queue has no use for 2, and does not ask
    bench.append(4, persistent("d"))
    assert bench.writer.write()
    assert bench.read(1) == [(1, "a"), (3, "c"), (4, "d"), (5, "END")]


def test_what_is_gone_is_written_later_too(bench: Bench) -> None:
    bench.append(1, persistent(*"abc"))
    bench.writer.write_all()
    bench.log.remove([1])
    bench.file.next("fails")
    assert not bench.writer.write()
    assert bench.state() is None
    assert bench.writer.write()
    assert bench.state() == (2, [], log.END)


# Reading


def test_reading_what_waits_and_what_is_on_its_way_needs_no_disk(bench: Bench) -> None:
    bench.append(1, persistent(*"abc"), paged=True)
    bench.writer.cut()
    bench.append(4, transient(*"de"), paged=True)
    assert bench.read(2) == [(2, "b"), (3, "c"), (4, "d"), (5, "e"), (6, "END")]
    assert bench.read(5) == [(5, "e"), (6, "END")]
    assert bench.read(6) == [(6, "END")]
    bench.writer.commit()
    assert bench.read(2) == [(2, "b"), (3, "c"), (4, "END")]  # the rest is not there yet
    assert bench.read(4) == [(4, "d"), (5, "e"), (6, "END")]


def test_reading_a_page_at_a_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "CHUNK_SIZE", 60)
    bench.append(1, persistent(*["x" * 30] * 6), paged=True)
    bench.writer.write_all()
    assert bench.chunks() == [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6)]
    monkeypatch.setattr(reading, "PAGE_SIZE", len(bench.file.read_chunk(QUEUE, 1).octets) + 1)
    assert [position for position, _ in bench.read(1)] == [1, 2, 3]
    assert [position for position, _ in bench.read(3)] == [3, 4, 5]
    assert [position for position, _ in bench.read(6)] == [6, 7]
    monkeypatch.setattr(reading, "PAGE_SIZE", 1)
    assert [position for position, _ in bench.read(6)] == [6, 7]


def test_what_comes_while_a_page_is_read_is_for_the_next(bench: Bench) -> None:
    bench.append(1, persistent("a"), paged=True)
    bench.writer.write_all()
    pages: list[Page] = []
    assert bench.log.read(1, pages.append) is None
    bench.append(2, persistent("b"), paged=True)
    bench.writer.write_all()
    bench.writer.read()
    assert (told(pages[0]), pages[0].stop) == ([(1, "a")], 2)
    assert bench.read(2) == [(2, "b"), (3, "END")]


# After a restart


def test_what_was_gone_and_what_was_transient_is_not_read_again(bench: Bench) -> None:
    bench.append(1, [*persistent(*"ab"), *transient("c"), *persistent(*"def")], paged=True)
    bench.writer.write_all()
    bench.reopen(3, 7, Gone(2, [(4, 5)]))
    bench.append(7, transient("g"), paged=True)
    bench.writer.write_all()
    assert bench.read(1) == [(2, "b"), (5, "e"), (6, "f"), (7, "g"), (8, "END")]


def test_messages_that_are_missing_are_gone_as_soon_as_that_is_seen(bench: Bench) -> None:
    bench.append(1, [*transient("a"), *persistent("b"), *transient("c"), *persistent("d"), *transient("e")])
    bench.append(6, [*transient("f"), *persistent("g"), *transient("h")], paged=True)
    bench.writer.write_all()
    assert bench.chunks() == [(2, 8)]
    bench.reopen(3, 9)
    assert [position for position, _ in bench.read(1)] == [2, 4, 7, 9]
    for position in (4, 7, 2):
        bench.log.remove([position])
    bench.writer.write_all()
    assert (bench.state(), bench.chunks()) == ((9, [], log.END), [])


def test_a_queue_that_is_purged_before_it_is_read_and_while_it_is(bench: Bench) -> None:
    bench.append(1, [*persistent("a"), *transient("b"), *persistent("c")])
    bench.writer.write_all()
    bench.reopen(2, 4)
    pages: list[Page] = []
    assert bench.log.read(1, pages.append) is None
    bench.log.clear(1, 4)
    bench.writer.read()
    bench.writer.write_all()
    assert (bench.state(), bench.chunks()) == ((4, [], log.END), [])


def test_what_cannot_be_read_is_told_and_stays(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "CHUNK_SIZE", 1)
    bench.append(1, persistent(*"abc"))
    bench.writer.write_all()
    bench.reopen(3, 4)
    key = codec.piece_key(QUEUE, 2)
    octets = bench.file.get(key)
    assert octets is not None
    bench.file.commit(log.Batch({key: octets[:-1] + b"X"}))
    assert bench.log.read(1, lambda page: None) is None
    (waiting,) = bench.journal.readings
    waiting.run()
    waiting.finish()
    assert [str(damage) for damage in waiting.damages] == [f"wrong checksum: queue id {QUEUE}, position 2, piece 0"]
    bench.log.remove([1])
    bench.log.remove([3])
    bench.writer.write_all()
    assert bench.state() == (2, [(3, 4)], log.END)
    assert (2, 2) in bench.chunks()


# The end


def test_an_orderly_end_says_what_was_handed_out(bench: Bench) -> None:
    bench.append(1, persistent(*"abc"))
    bench.log.remove([1])
    bench.log.close(3)
    bench.writer.write_all()
    assert bench.state() == (2, [], 3)


def test_an_orderly_end_has_nothing_to_say_of_a_log_that_was_never_used(bench: Bench) -> None:
    bench.log.close(1)
    assert not bench.journal.has_changes


def test_a_deleted_queue_leaves_nothing(bench: Bench) -> None:
    bench.append(1, persistent(*"abc"))
    bench.writer.write_all()
    bench.log.remove([2])
    bench.append(4, persistent("d"))
    bench.writer.cut()
    bench.append(5, persistent("e"))
    bench.log.drop()
    bench.writer.commit()
    bench.log.remove([1])  # what the queue says afterwards is about nothing
    bench.log.clear(1, 6)
    bench.append(6, persistent("f"))
    bench.writer.write_all()
    assert (bench.state(), bench.chunks()) == (None, [])
    assert bench.file.get(state_key(QUEUE)) is None


def test_a_deleted_queue_whose_last_batch_fails(bench: Bench) -> None:
    bench.append(1, persistent(*"abc"))
    bench.writer.cut()
    bench.log.drop()
    bench.file.next("fails")
    assert not bench.writer.commit()
    bench.writer.write_all()
    assert (bench.state(), bench.chunks()) == (None, [])


# Queues that do not survive


def test_a_queue_that_is_not_durable_has_on_the_disk_what_it_let_go_of_and_no_state(spill: Bench) -> None:
    spill.log.remove(range(1, 3))  # these were never here
    spill.append(3, [*transient("a"), *persistent("b")], paged=True)
    spill.writer.write_all()
    assert spill.read(3) == [(3, "a"), (4, "b"), (5, "END")]
    spill.log.remove([1000])  # later ones that stayed in memory: they are settled here as well
    spill.log.remove([4])
    spill.writer.write_all()
    assert (spill.state(), spill.chunks()) == (None, [(3, 4)])
    spill.log.remove([3])
    spill.writer.write_all()
    assert spill.chunks() == []
    assert spill.store.written == 0


def test_a_queue_that_is_not_durable_is_dropped(spill: Bench) -> None:
    spill.append(1, transient("a"), paged=True)
    spill.writer.write_all()
    spill.log.close(1)
    spill.log.drop()
    spill.writer.write_all()
    assert (spill.state(), spill.chunks()) == (None, [])
