"""What the clients of a broker know about its messages, and what must therefore be so when the broker has crashed.

Each copy of a message in a queue has an entry. Queues that dead-letter share theirs with the queue for dead letters: a
message is in one of them, and no more than one. Clients note what they are about to do *before* they send it, and what
they have heard when it has come, so at any moment the ledger is exact about what is certain and what is open:

- published: it may be there. Confirmed (or tx.commit-ok): it is there until it is settled, exactly once.
- settled: it may be gone, or come back after a crash. Settled, and something that waits for the disk was answered
  behind it on the same connection (a confirm, tx.commit-ok, exchange.declare-ok of a durable one): it is gone for good.
- handed out: when it comes again, it is marked as redelivered. What nobody can have got is not marked.
- moved: rejected where there are dead letters, or seen as one. It may be in its source again after a crash. Rejected,
  and something that waits for the disk was answered behind it, or there as a dead letter after a crash: it has left its
  source for good. A dead letter is a message that nobody has got yet.
- there after a crash: then it was on the disk, and is as good as confirmed.
- in one life of the broker, nothing is handed out again unless it was requeued.
- transient: gone with the broker.

What contradicts this is noted in ``wrong``.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from threading import Lock

Key = tuple[str, int]
"""A message: who published it, and its number there. Publishers number from 1, all their life."""

Copy = tuple[str, Key]
"""A message in a queue."""

DEAD = "dead"
"""The queue for dead letters."""


class Done(Enum):
    """Whether something has happened to a message."""

    NOT = "no"
    MAYBE = "perhaps it is on the disk"
    SAFE = "for good"


@dataclass(slots=True)
class Entry:
    """``queue``: where it was published. ``born``: the life of the broker in which that was.

    ``moved``: to the queue for dead letters. ``seen``: the queues it was handed out from. ``marked``: it may be marked
    without having been seen.
    """

    queue: str
    born: int
    persistent: bool
    safe: bool = False
    settled: Done = Done.NOT
    settled_in: int = 0
    moved: Done = Done.NOT
    moved_in: int = 0
    held: bool = False
    seen: set[str] = field(default_factory=set)
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
    """All entries, by queue. To be used by many threads. ``sources``: the queues that dead-letter."""

    def __init__(self, queues: Iterable[str], sources: Iterable[str] = ()) -> None:
        self.wrong: list[str] = []
        self.life = 1
        self.places: list[tuple[str, ...]] = [*((queue,) for queue in queues), (*sources, DEAD)]
        """Queues among which messages move."""
        self._sources = tuple(sources)
        self._queues: dict[str, dict[Key, Entry]] = {}
        for place in self.places:
            entries: dict[Key, Entry] = {}
            for queue in place:
                self._queues[queue] = entries
        self._lock = Lock()
        self._stopping = False

    # What clients do and hear

    def publishes(self, copies: Iterable[Copy], persistent: bool) -> None:
        with self._lock:
            for queue, key in copies:
                self._queues[queue][key] = Entry(queue, self.life, persistent)

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
                entry.seen.add(queue)
                return key
            for complaint in self._complaints(queue, entry, redelivered):
                self.wrong.append(f"{key} in {queue}, in life {self.life}: {complaint}; {entry}")
            entry.settled = Done.NOT
            if queue == entry.queue:
                entry.moved = Done.NOT
            elif redelivered and queue not in entry.seen:  # nobody can have got it but before the crash
                entry.moved = Done.SAFE
            else:
                self._move(entry)
            entry.held = True
            entry.seen.add(queue)
        return key

    def _complaints(self, queue: str, entry: Entry, redelivered: bool) -> Iterable[str]:
        if queue not in (entry.queue, DEAD):
            yield "was never published there"
        if entry.settled is Done.SAFE:
            yield "has come back"
        if entry.settled is Done.MAYBE and entry.settled_in == self.life:
            yield "delivered again, in the life in which it was settled"
        if queue == entry.queue and entry.moved is Done.SAFE:
            yield "has come back to its source"
        if queue == entry.queue and entry.moved is Done.MAYBE and entry.moved_in == self.life:
            yield "delivered from its source, in the life in which it has left it"
        if entry.held:
            yield "delivered twice"
        if queue in entry.seen and not redelivered:
            yield "not marked as redelivered"
        if redelivered and not (queue in entry.seen or entry.marked or self._stopping):
            yield "marked as redelivered"

    def requeues(self, copies: Iterable[Copy]) -> None:
        with self._lock:
            for queue, key in copies:
                self._queues[queue][key].held = False

    def settles(self, copies: Iterable[Copy]) -> None:
        with self._lock:
            for queue, key in copies:
                self._settle(self._queues[queue][key])

    def rejects(self, copies: Iterable[Copy]) -> None:
        """Where there are no dead letters, they are settled by that."""
        with self._lock:
            for queue, key in copies:
                entry = self._queues[queue][key]
                if queue in self._sources:
                    entry.held = False
                    self._move(entry)
                else:
                    self._settle(entry)

    def _settle(self, entry: Entry) -> None:
        entry.held = False
        if entry.settled is not Done.SAFE:
            entry.settled = Done.MAYBE
            entry.settled_in = self.life

    def _move(self, entry: Entry) -> None:
        if entry.moved is not Done.SAFE:
            entry.moved = Done.MAYBE
            entry.moved_in = self.life

    def settled(self, copies: Iterable[Copy]) -> None:
        """Or rejected, for good: something was answered behind it that waits for the disk."""
        with self._lock:
            for queue, key in copies:
                entry = self._queues[queue][key]
                if queue in self._sources and entry.moved is not Done.NOT:
                    entry.moved = Done.SAFE
                else:
                    entry.settled = Done.SAFE

    def unsettled(self, queue: str) -> list[Copy]:
        """What may be in a queue."""
        with self._lock:
            return [(queue, key) for key, entry in self._queues[queue].items() if entry.settled is not Done.SAFE]

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
            if DEAD in entry.seen and entry.queue != DEAD and entry.moved is not Done.SAFE:
                if crashed:  # it may move once more, as if for the first time
                    entry.seen.discard(DEAD)
                else:
                    entry.moved = Done.SAFE
            if not entry.persistent:
                entry.settled = Done.SAFE

    def expected(self, place: tuple[str, ...]) -> tuple[int, int]:
        """How many messages these queues must have at least, and can have at most, after a start."""
        states = Counter((entry.settled, entry.safe) for entry in self._queues[place[0]].values())
        least = states[Done.NOT, True]
        return least, least + states[Done.NOT, False] + states[Done.MAYBE, True] + states[Done.MAYBE, False]

    def drained(self) -> None:
        """All queues were emptied into clients: what must be there has come."""
        for place in self.places:
            for key, entry in self._queues[place[0]].items():
                if entry.safe and entry.settled is Done.NOT and not entry.held:
                    self.wrong.append(f"{key} in {' or '.join(place)}: lost; {entry}")

    def summary(self) -> str:
        """For people: what all this was about."""
        entries = list(self._entries())
        safe = sum(entry.safe for entry in entries)
        settled = Counter(entry.settled for entry in entries)
        moved = Counter(entry.moved for entry in entries)
        return (
            f"{len(entries):,} messages, {safe:,} of them promised; {settled[Done.SAFE]:,} settled for good, "
            f"{settled[Done.MAYBE]:,} perhaps; {moved[Done.SAFE]:,} moved for good, {moved[Done.MAYBE]:,} perhaps"
        )

    def _entries(self) -> Iterable[Entry]:
        for place in self.places:
            yield from self._queues[place[0]].values()
