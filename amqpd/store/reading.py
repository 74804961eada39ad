"""A page of a queue that someone waits for: found on the disk in another thread, handed over in the event loop."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from amqpd.broker.message import Message
from amqpd.broker.store import Page
from amqpd.store.codec import Damaged, decode_chunk, join_runs
from amqpd.store.environment import END, Environment
from amqpd.store.gone import Interval

TakeReading = Callable[["Reading"], None]

PAGE_SIZE = 256 << 10
"""Octets that are read at a time, at least: a thousand and more small messages. Larger pages read no faster, measured,
and every queue with a backlog and a consumer has one or two of them in memory."""


class Reading:
    """What a log has on the disk from ``start`` on and before ``stop``, a page of it.

    What is from before the broker's start, at positions below ``old``, is wanted without what was ``gone`` then and
    without what is transient. ``page`` is what was found, in chunks of so many ``octets``; ``damages`` says what could
    not be read.
    """

    def __init__(
        self,
        environment: Environment,
        log: int,
        start: int,
        stop: int,
        old: int,
        gone: Sequence[Interval],
        take: TakeReading,
    ) -> None:
        self.damages: list[Damaged] = []
        self.octets = 0
        self.start = start
        self.page = Page([], stop)
        self._environment = environment
        self._log = log
        self._stop = stop
        self._old = old
        self._gone = gone
        self._take = take

    def run(self) -> None:
        """Find it; may be called in another thread, and again when it has raised ReadFailed."""
        chunks, self.damages = self._environment.read(self._log, self.start, self._stop, PAGE_SIZE)
        found: list[tuple[int, Message]] = []
        for chunk in chunks:
            try:
                found += decode_chunk(chunk)
            except Damaged as damage:
                self.damages.append(damage)
        self.octets = sum(len(chunk.octets) for chunk in chunks)
        stop = self._stop if self.octets < PAGE_SIZE else chunks[-1].last + 1
        self.page = Page(join_runs(self._wanted(found)), stop)

    def finish(self) -> None:
        self._take(self)

    def _wanted(self, found: Iterable[tuple[int, Message]]) -> Iterator[tuple[int, Message]]:
        gone = iter(self._gone)
        start, stop = next(gone, (END, END))
        for position, message in found:
            if position < self.start:
                continue
            if position < self._old:
                while position >= stop:
                    start, stop = next(gone, (END, END))
                if position >= start or not message.persistent:
                    continue
            yield position, message
