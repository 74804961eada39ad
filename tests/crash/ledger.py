"""What the clients of a broker know about its messages, and what must therefore be so when the broker has crashed.

Each copy of a message in a queue has an entry. Clients note what they are about to do *before* they send it, and what
they have heard when it has come, so at any moment the ledger is exact about what is certain and what is open:

- published: it may be there. Confirmed (or tx.commit-ok): it is there until it is settled, exactly once.
- settled: it may be gone, or come back after a crash. Settled, and something that waits for the disk was answered
  behind it on the same connection (a confirm, tx.commit-ok, exchange.declare-ok of a durable one): it is gone for good.
- handed out: when it comes again, it is marked as redelivered. What nobody can have got is not marked.
- there after a crash: then it was on the disk, and is as good as confirmed.
- in one life of the broker, nothing is handed out again unless it was requeued.
- transient: gone with the broker.

What contradicts this is noted in ``wrong``.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from threading import Lock

Key = tuple[str, int]
"""A message: who published it, and its number there. Publishers number from 1, all their life."""

Copy = tuple[str, Key]
"""A message in a queue."""


class Settled(Enum):
    NOT = "not settled"
    MAYBE = "settled, and perhaps that is on the disk"
    SAFE = "settled for good"


@dataclass(slots=True)
class Entry:
    """``born``: the life of the broker it was published in. ``marked``: it may be marked without having been seen."""

    born: int
    persistent: bool
    safe: bool = False
    settled: Settled = Settled.NOT
    settled_in: int = 0
    held: bool = False
    seen: bool = False
    marked: bool = False


def make_body(key: Key, size: int) -> bytes:
    """A message of ``size`` octets or a few more, which says what it is."""
    publisher, number = key
    head = b"%s %d %d " % (publisher.encode(), number, size)
    return head + bytes([number % 251]) * (size - len(head))


def read_body(body: bytes) -> Key | None:
    """None: it is not as it was published."""
    publisher, number, size = body.split(b" ", 3)[:3]
    key = publisher.decode(), int(number)
    return key if body == make_body(key, int(size)) else None


class Ledger:
    """All entries, by queue. To be used by many threads."""

    def __init__(self, queues: Iterable[str]) -> None:
        self.wrong: list[str] = []
        self.life = 1
        self._queues: dict[str, dict[Key, Entry]] = {queue: {} for queue in queues}
        self._lock = Lock()
        self._stopping = False

    # What clients do and hear

    def publishes(self, copies: Iterable[Copy], persistent: bool) -> None:
        with self._lock:
            for queue, key in copies:
                self._queues[queue][key] = Entry(self.life, persistent)

    def confirmed(self, copies: Iterable[Copy]) -> None:
        with self._lock:
            for queue, key in copies:
                self._queues[queue][key].safe = True

    def delivered(self, queue: str, body: bytes, redelivered: bool) -> Key:
        """A client has got it."""
        key = read_body(body)
        with self._lock:
            entry = self._queues[queue].get(key) if key else None
            if key is None or entry is None:
                self.wrong.append(f"{queue} has {body[:60]!r}, {len(body)} octets, which was never published there")
                return "", 0
            entry.safe = entry.safe or entry.born < self.life
            if self._stopping and entry.seen:
                # One of two may have got it before the other, and hear of it later: nobody can say who is to settle it.
                self._settle(entry)
                return key
            for complaint in self._complaints(entry, redelivered):
                self.wrong.append(f"{key} in {queue}, in life {self.life}: {complaint}; {entry}")
            entry.settled = Settled.NOT
            entry.held = entry.seen = True
        return key

    def _complaints(self, entry: Entry, redelivered: bool) -> Iterable[str]:
        if entry.settled is Settled.SAFE:
            yield "has come back"
        if entry.settled is Settled.MAYBE and entry.settled_in == self.life:
            yield "delivered again, in the life in which it was settled"
        if entry.held:
            yield "delivered twice"
        if entry.seen and not redelivered:
            yield "not marked as redelivered"
        if redelivered and not (entry.seen or entry.marked or self._stopping):
            yield "marked as redelivered"

    def requeues(self, copies: Iterable[Copy]) -> None:
        with self._lock:
            for queue, key in copies:
                self._queues[queue][key].held = False

    def settles(self, copies: Iterable[Copy]) -> None:
        with self._lock:
            for queue, key in copies:
                self._settle(self._queues[queue][key])

    def _settle(self, entry: Entry) -> None:
        entry.held = False
        if entry.settled is not Settled.SAFE:
            entry.settled = Settled.MAYBE
            entry.settled_in = self.life

    def settled(self, copies: Iterable[Copy]) -> None:
        """For good: something was answered behind it that waits for the disk."""
        with self._lock:
            for queue, key in copies:
                self._queues[queue][key].settled = Settled.SAFE

    def unsettled(self, queue: str) -> list[Copy]:
        """What may be in a queue."""
        with self._lock:
            return [(queue, key) for key, entry in self._queues[queue].items() if entry.settled is not Settled.SAFE]

    # The broker's lives

    def stops(self) -> None:
        """The broker is going to be stopped in an orderly way.

        It closes one connection after the other, and what the first have not settled, others get.
        """
        self._stopping = True

    def ends(self) -> None:
        """The broker has ended, and all clients have heard what there was to be heard."""
        crashed = not self._stopping
        self._stopping = False
        self.life += 1
        for entry in self._entries():
            entry.held = False
            entry.marked = entry.marked or crashed  # after a crash, nobody knows what was handed out
            if not entry.persistent:
                entry.settled = Settled.SAFE

    def expected(self, queue: str) -> tuple[int, int]:
        """How many messages a queue must have at least, and can have at most, after a start."""
        states = Counter((entry.settled, entry.safe) for entry in self._queues[queue].values())
        least = states[Settled.NOT, True]
        return least, least + states[Settled.NOT, False] + states[Settled.MAYBE, True] + states[Settled.MAYBE, False]

    def drained(self) -> None:
        """All queues were emptied into clients: what must be there has come."""
        for queue, entries in self._queues.items():
            for key, entry in entries.items():
                if entry.safe and entry.settled is Settled.NOT and not entry.held:
                    self.wrong.append(f"{key} in {queue}: lost; {entry}")

    def summary(self) -> str:
        """For people: what all this was about."""
        entries = list(self._entries())
        safe = sum(entry.safe for entry in entries)
        settled = Counter(entry.settled for entry in entries)
        return (
            f"{len(entries):,} messages, {safe:,} of them promised; {settled[Settled.SAFE]:,} settled for good, "
            f"{settled[Settled.MAYBE]:,} perhaps"
        )

    def _entries(self) -> Iterable[Entry]:
        for entries in self._queues.values():
            yield from entries.values()
