"""What was never handed out: in memory as far as there is room, and with the log, which is a list here."""

from collections.abc import Sequence

import pytest

from amqpd.broker.message import Message
from amqpd.broker.queues import ready
from amqpd.broker.queues.ready import MESSAGE_OVERHEAD, Ready, Windows
from amqpd.broker.store import Kept
from tests.broker.support import Disk, DiskLog, message

ROOM = 1 << 40


class Shelf:
    """Something that is ready. ``arrivals`` counts the pages that were waited for."""

    def __init__(self, log: DiskLog | None = None, durable: bool = False, windows: Windows | None = None) -> None:
        self.log = log
        self.windows = windows or Windows()
        self.arrivals = 0
        self.ready = Ready(log, durable, self.windows, self._arrived)

    def _arrived(self) -> None:
        self.arrivals += 1

    def put(self, *bodies: str, persistent: bool = False) -> None:
        messages = [message(body, persistent=persistent) for body in bodies]
        self.ready.extend(messages, sum(map(len, bodies)))

    def take(self, limit: int = 1 << 30, room: int = ROOM) -> str:
        """Bodies, with a star behind if they may have been handed out before; and their positions."""
        positions, messages, redelivered = self.ready.take(limit, room)
        return f"{bodies(messages)}{'*' * redelivered} {positions.start}-{positions.stop - 1}"

    def take_all(self) -> list[str]:
        taken: list[str] = []
        while self.ready.in_memory:
            taken.append(self.take())
        return taken

    @property
    def in_memory(self) -> str:
        return bodies(self.ready.in_memory)


def bodies(messages: Sequence[Message]) -> str:
    return "".join(message.body.decode() for message in messages)


def short(log_pages_of: int = 3) -> Shelf:
    """With a log, and room for three messages of one octet or so."""
    return Shelf(DiskLog(Disk(), "q", log_pages_of))


@pytest.fixture(autouse=True)
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "WINDOW_MIN", 2 * MESSAGE_OVERHEAD)
    monkeypatch.setattr(ready, "WINDOWS_MAX", 2 * MESSAGE_OVERHEAD)
    monkeypatch.setattr(ready, "READ_AHEAD_BELOW", 2 * MESSAGE_OVERHEAD)


# In memory


def test_without_a_log_all_stays_in_memory() -> None:
    shelf = Shelf()
    shelf.put(*"abcdefghij")
    assert (shelf.in_memory, len(shelf.ready), shelf.ready.octets, shelf.ready.paged) == ("abcdefghij", 10, 10, 0)
    assert (shelf.take(4), shelf.take()) == ("abcd 1-4", "efghij 5-10")
    assert (len(shelf.ready), shelf.ready.octets, shelf.windows.octets) == (0, 0, 0)


def test_taking_ends_with_the_message_that_exhausts_the_room() -> None:
    shelf = Shelf()
    shelf.put("a", "bbb", "c", "d")
    one = MESSAGE_OVERHEAD + 1
    assert shelf.take(room=1) == "a 1-1"
    assert shelf.take(room=one + 2) == "bbb 2-2"
    assert shelf.take(room=one + 1) == "cd 3-4"
    assert (shelf.ready.octets, shelf.windows.octets) == (0, 0)


def test_a_durable_queue_logs_what_it_keeps_in_memory() -> None:
    shelf = Shelf(DiskLog(Disk(), "q"), durable=True)
    shelf.put("a", persistent=True)
    shelf.put("b")
    assert shelf.log is not None
    assert (shelf.in_memory, shelf.log.kept_bodies) == ("ab", {1: "a"})


def test_a_short_queue_that_is_not_durable_has_nothing_with_the_log() -> None:
    shelf = short()
    shelf.put("a", "b", persistent=True)
    assert shelf.log is not None
    assert (shelf.in_memory, shelf.log.kept_bodies) == ("ab", {})


# Paged


def long() -> Shelf:
    """``abc`` in memory, and ``defghijk`` with the log."""
    shelf = short()
    shelf.put(*"abc")
    shelf.put(*"defg")
    shelf.put(*"hijk")
    return shelf


def test_what_comes_to_a_long_queue_is_left_with_the_log() -> None:
    shelf = long()
    assert shelf.log is not None
    assert (shelf.in_memory, bodies(list(shelf.log.messages.values()))) == ("abc", "defghijk")
    assert (len(shelf.ready), shelf.ready.paged, shelf.ready.octets) == (11, 8, 11)


def test_any_queue_may_have_a_little_and_all_together_have_a_limit() -> None:
    windows = Windows()
    one, other = (Shelf(DiskLog(Disk(), "q"), windows=windows) for _ in range(2))
    one.put(*"abc")
    other.put(*"d")
    other.put(*"ef")  # all have too much by now, but this one has not
    other.put(*"g")
    assert (other.in_memory, other.ready.paged) == ("def", 1)
    one.take()
    one.put(*"hij")
    assert one.in_memory == "hij"
    assert windows.octets == 6 * (MESSAGE_OVERHEAD + 1)


def test_a_queue_alone_may_have_more_than_its_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "WINDOWS_MAX", 1 << 30)
    assert long().in_memory == "abcdefghijk"


def test_pages_are_read_before_they_are_needed_and_in_order() -> None:
    shelf = long()
    assert shelf.log is not None
    disk = shelf.log.disk
    assert shelf.take(1) == "a 1-1"
    assert disk.readings == []  # there is enough
    assert shelf.take(1) == "b 2-2"
    assert len(disk.readings) == 1
    assert shelf.take(1) == "c 3-3"
    assert (len(disk.readings), shelf.in_memory, len(shelf.ready)) == (1, "", 8)
    disk.read()
    assert (shelf.arrivals, shelf.in_memory) == (1, "def")
    assert shelf.take() == "def 4-6"
    disk.read()
    assert shelf.take() == "ghi 7-9"
    disk.read()
    assert shelf.take() == "jk 10-11"
    assert (len(shelf.ready), shelf.ready.octets, shelf.windows.octets, disk.readings) == (0, 0, 0, [])


def test_when_all_has_been_read_back_what_comes_stays_in_memory_again() -> None:
    shelf = long()
    assert shelf.log is not None
    while shelf.ready.in_memory:
        shelf.take()
        shelf.log.disk.read()
    shelf.put(*"lm")
    assert (shelf.in_memory, shelf.ready.paged) == ("lm", 0)
    assert shelf.take() == "lm 12-13"


def test_what_comes_while_a_page_is_on_its_way_comes_behind_it() -> None:
    shelf = long()
    assert shelf.log is not None
    shelf.take()
    shelf.put("l")
    assert shelf.in_memory == ""
    taken = ""
    while len(shelf.ready):
        shelf.log.disk.read()
        taken += bodies(shelf.ready.take(1 << 30, ROOM)[1])
    assert taken == "defghijkl"


def test_who_cannot_wait_reads_now_and_the_page_on_its_way_comes_to_nothing() -> None:
    shelf = long()
    assert shelf.log is not None
    shelf.take()
    assert shelf.arrivals == 0
    shelf.ready.read_now()
    assert shelf.in_memory == "def"
    shelf.ready.read_now()
    assert shelf.in_memory == "def"  # there is something
    shelf.log.disk.read()
    assert shelf.in_memory == "def"
    assert shelf.arrivals == 1  # someone else waited for it, and there is more than one was taken
    assert shelf.take() == "def 4-6"
    shelf.log.disk.read()
    assert shelf.in_memory == "ghi"


def test_clearing_a_long_queue() -> None:
    shelf = long()
    assert shelf.log is not None
    shelf.take(2)
    assert shelf.ready.clear() == (3, 12)
    assert (len(shelf.ready), shelf.ready.octets, shelf.windows.octets) == (0, 0, 0)
    shelf.put("l")
    shelf.log.disk.read()  # which was asked for before
    assert shelf.take() == "l 12-12"
    assert shelf.ready.clear() == (13, 13)


def test_clearing_when_nothing_is_in_memory() -> None:
    shelf = long()
    shelf.take()
    assert shelf.ready.clear() == (4, 12)


def test_what_the_log_cannot_give_back_is_not_there() -> None:
    shelf = long()
    assert shelf.log is not None
    for position in (5, 6, 11):
        del shelf.log.messages[position]
    shelf.take()
    taken: list[str] = []
    while len(shelf.ready):
        shelf.log.disk.read()
        taken += shelf.take_all()
    assert taken == ["d 4-4", "gh 7-8", "ij 9-10"]
    assert (shelf.ready.octets, shelf.windows.octets) == (0, 0)


# After a restart


def kept(delivered: int, *positions: int, following: int, pages_of: int = 100) -> Shelf:
    """Messages are kept at these positions; from ``delivered`` on, none was handed out."""
    log = DiskLog(Disk(), "q", pages_of)
    log.messages = {position: message("abcdefghijklmnopqrstuvwxyz"[position]) for position in positions}
    log.kept = Kept(len(positions), len(positions), following, delivered)
    return Shelf(log, durable=True)


def test_nothing_is_in_memory_at_first_and_yet_it_is_counted() -> None:
    shelf = kept(1, 3, 4, 5, following=9)
    assert (shelf.in_memory, len(shelf.ready), shelf.ready.octets, shelf.ready.next) == ("", 3, 3, 9)
    shelf.ready.read_ahead()
    assert shelf.log is not None
    shelf.log.disk.read()
    assert shelf.take() == "def 3-5"
    shelf.put("x")
    assert shelf.take() == "x 9-9"


def test_gaps_between_positions() -> None:
    shelf = kept(1, 2, 3, 5, 8, 9, following=12)
    shelf.put("x", persistent=True)
    shelf.ready.read_now()
    assert shelf.take(1) == "c 2-2"
    assert shelf.take_all() == ["d 3-3", "f 5-5", "ij 8-9", "x 12-12"]


@pytest.mark.parametrize("pages_of", [1, 2, 3])
def test_gaps_between_pages(pages_of: int) -> None:
    shelf = kept(1, 2, 3, 5, 8, 9, following=10, pages_of=pages_of)
    taken = ""
    while len(shelf.ready):
        shelf.ready.read_now()
        while shelf.ready.in_memory:
            positions, messages, _ = shelf.ready.take(1, ROOM)
            taken += f"{bodies(messages)}{positions.start} "
    assert taken == "c2 d3 f5 i8 j9 "


def test_a_gap_that_is_cleared_is_forgotten() -> None:
    shelf = kept(1, 2, 5, following=6)
    shelf.ready.read_now()
    assert shelf.ready.clear() == (2, 6)
    shelf.put(*"xyz")
    assert shelf.take_all() == ["xyz 6-8"]


@pytest.mark.parametrize(
    ("delivered", "taken"),
    [
        (1, ["cd 2-3", "fx 5-6"]),
        (3, ["c* 2-2", "d 3-3", "fx 5-6"]),
        (4, ["cd* 2-3", "fx 5-6"]),
        (6, ["cd* 2-3", "f* 5-5", "x 6-6"]),
    ],
)
def test_what_may_have_been_handed_out_before_is_a_redelivery(delivered: int, taken: list[str]) -> None:
    shelf = kept(delivered, 2, 3, 5, following=6)
    shelf.put("x")
    shelf.ready.read_now()
    assert shelf.take_all() == taken


def test_from_where_on_nothing_was_ever_handed_out() -> None:
    shelf = kept(4, 2, 3, 5, following=6)
    assert shelf.ready.delivered == 4
    shelf.ready.read_now()
    shelf.take(1)
    assert shelf.ready.delivered == 4
    shelf.take()
    assert shelf.ready.delivered == 5
    shelf.take()
    shelf.put("x")
    assert shelf.ready.delivered == 6
    shelf.take()
    assert shelf.ready.delivered == 7


def test_the_first_of_a_long_queue_that_has_nothing_in_memory() -> None:
    shelf = long()
    shelf.take()
    assert (shelf.ready.first, shelf.ready.delivered) == (4, 4)
