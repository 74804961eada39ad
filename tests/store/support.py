"""A broker on a durable store whose disk is the test's: it says when something is written and read, and what fails.

A :class:`Host` is a data directory and the broker on it, which is stopped, crashes, and starts again. A
:class:`Writer` stands where the daemon has its threads: a batch is ``cut``, then ``commit`` tells what became of it,
and between the two the test does what it likes, which is a disk that stalls. :class:`Faulty` is a file that fails, or
with which the process ends, at the commit that the test picks.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Literal

import lmdb

from amqpd.broker.agenda import Agenda
from amqpd.broker.broker import Broker
from amqpd.broker.message import Message, TimedMessage, make_message
from amqpd.broker.records import QueueRecord
from amqpd.broker.store import Page
from amqpd.store.codec import encode_chunks
from amqpd.store.directory import MAIN, SPILL
from amqpd.store.environment import Batch, Environment, WriteFailed
from amqpd.store.journal import Journal
from amqpd.store.store import DurableStore
from tests.broker.support import PERSISTENT, HandClock, Peer

QUEUE = QueueRecord("/", "q", durable=True)

Fault = Literal["fails", "ends before", "ends after"]


class ProcessEnds(Exception):
    """The process ends here. A test goes on with :meth:`Host.crash`."""


class Faulty(Environment):
    """A file of the store with which ``faults`` happen, each at the commit of that number, counted from 1.

    What ``fails`` has done all its work in LMDB, and then cannot be committed: so it is with a disk that is full.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, sync=False)
        self.commits = 0
        self.faults: dict[int, Fault] = {}
        self._real = self._env
        self._env: Any = self

    def next(self, *faults: Fault) -> None:
        """These happen with the next commits."""
        self.faults |= dict(enumerate(faults, self.commits + 1))

    def commit(self, batch: Batch) -> None:
        self.commits += 1
        fault = self.faults.get(self.commits)
        if fault == "ends before":
            raise ProcessEnds
        super().commit(batch)
        if fault == "ends after":
            raise ProcessEnds

    # In place of LMDB's environment

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    @contextmanager
    def begin(self, **options: bool) -> Iterator[lmdb.Transaction]:
        with self._real.begin(**options) as transaction:
            yield transaction
            if options.get("write") and self.faults.get(self.commits) == "fails":
                raise lmdb.DiskError("No space left on device")

    def close(self) -> None:
        self._env = self._real
        super().close()


class Writer:
    """Writes what a journal has collected, and reads what it was asked for, as the test says.

    ``waking`` counts how often the journal wanted something to be written.
    """

    def __init__(self, journal: Journal, agenda: Agenda) -> None:
        self.journal = journal
        self.agenda = agenda
        self.batch: Batch | None = None
        self.relieves = False  # the batch is one of relief
        self.wakes = 0
        journal.wake = self._wake

    def _wake(self) -> None:
        self.wakes += 1

    def cut(self) -> Batch:
        """A batch is on its way."""
        assert self.batch is None
        self.batch = self.journal.cut()
        self.relieves = False
        return self.batch

    def cut_relief(self) -> Batch:
        """One of relief is: what the daemon does when a batch has failed."""
        assert self.batch is None
        self.batch = self.journal.cut_relief()
        self.relieves = True
        return self.batch

    def commit(self) -> bool:
        """It arrives, or not."""
        assert self.batch is not None
        batch, self.batch = self.batch, None
        journal = self.journal
        try:
            journal.environment.commit(batch)
        except WriteFailed:
            (journal.has_no_relief if self.relieves else journal.has_failed)(batch)
            return False
        (journal.is_relieved if self.relieves else journal.is_written)(batch, self.agenda)
        self.agenda.settle()
        return True

    def write(self) -> bool:
        """One batch."""
        self.cut()
        return self.commit()

    def write_all(self) -> None:
        """Until there is no more, chunks that are dead neither."""
        while self.journal.has_changes:
            assert self.write()

    def relieve(self) -> bool:
        self.cut_relief()
        return self.commit()

    def read(self) -> None:
        """All pages that are waited for, and those that are waited for then."""
        while self.journal.readings:
            readings, self.journal.readings = self.journal.readings, []
            for reading in readings:
                reading.run()
                assert reading.damages == []
                reading.finish()
            self.agenda.settle()


class Host:
    """A data directory, and the broker on it as long as it runs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = HandClock()
        self.start()

    def start(self) -> None:
        self.main = Faulty(self.directory / MAIN)
        self.spill = Faulty(self.directory / SPILL)
        self.store = DurableStore(self.main, self.spill)
        tokens = count(1)
        self.broker = Broker(self.store, make_token=lambda: str(next(tokens)), clock=self.clock)
        self.writer = Writer(self.store.main, self.broker.agenda)
        self.spiller = Writer(self.store.spill, self.broker.agenda)

    def join(self) -> Peer:
        """One more application, on a connection of its own."""
        return Peer(self.broker.connect())

    def write(self) -> None:
        """All there is, to both files."""
        self.writer.write_all()
        self.spiller.write_all()

    def read(self) -> None:
        while self.store.main.readings or self.store.spill.readings:
            self.writer.read()
            self.spiller.read()

    def stop(self) -> None:
        """An orderly end: all have left, and all is said."""
        for client in list(self.broker.clients):
            self.broker.disconnect(client)
        if self.writer.batch is not None:
            self.writer.commit()
        self.broker.close()
        self.store.close()
        self.writer.write_all()
        self.end()

    def end(self) -> None:
        """The end, of whatever kind: what was committed is there, and nothing else."""
        self.main.close()
        self.spill.close()
        for name in (SPILL, f"{SPILL}-lock"):
            (self.directory / name).unlink()

    def restart(self) -> Peer:
        """In an orderly way."""
        self.stop()
        self.start()
        return self.join()

    def crash(self) -> Peer:
        """And start again."""
        self.end()
        self.start()
        return self.join()

    def chunks(self, environment: Environment | None = None) -> list[tuple[int, int, int]]:
        """What lies in a file, the main one unless told: queue ids, and the positions of first and last messages."""
        return [(queue, first, head.last) for queue, first, head in (environment or self.main).heads()]


def persistent(*bodies: str | bytes, key: str = "q") -> list[Message]:
    """Persistent messages of one publisher: they share what a repeat shares."""
    return _messages(bodies, key, True)


def transient(*bodies: str | bytes, key: str = "q") -> list[Message]:
    return _messages(bodies, key, False)


def timed(deadline: int, *bodies: str | bytes, key: str = "q") -> list[Message]:
    """Persistent ones that expire then."""
    messages = persistent(*bodies, key=key)
    return [TimedMessage(message.address, message.header, message.body, deadline) for message in messages]


def _messages(bodies: Sequence[str | bytes], key: str, is_persistent: bool) -> list[Message]:
    messages: list[Message] = []
    for body in bodies:
        octets = body.encode() if isinstance(body, str) else body
        message = make_message("", key, octets, PERSISTENT if is_persistent else None)
        for other in messages[-1:]:
            header = other.header if other.header == message.header else message.header
            message = Message(other.address, header, octets)
        messages.append(message)
    return messages


def chunks_of(queue: int, first: int, messages: Sequence[Message]) -> list[tuple[int, int, bytes]]:
    """What a batch has of a run of messages, all with the same deadline or all without."""
    return [(queue, position, chunk) for position, chunk in encode_chunks([(first, messages)])]


def told(page: Page) -> list[tuple[int, str]]:
    """Positions and bodies."""
    return [
        (position, message.body.decode())
        for first, messages in page.runs
        for position, message in enumerate(messages, first)
    ]
