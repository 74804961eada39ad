"""The broker on the durable store against the naive model, with a disk that stalls and fails, and crashes.

What is new to the model is what the disk has: of each durable queue, the messages that a restart would bring back. That
is all there was when the last batch that was written was cut; so the model takes a note at each cut. Everything is
tiny, so that a few messages are a long queue, a chunk, a page.

After a crash, exactly that must be there, once and in order, and all of it redelivered; after an orderly end, what was
not settled, and of that redelivered what was handed out.

Some messages have a deadline, which is far away, and it is counted how often they come back: neither is forgotten.

``HYPOTHESIS_PROFILE=long`` looks further here too.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar, Literal
from unittest.mock import patch

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from amqpd.broker.broker import Broker
from amqpd.broker.message import Message, TimedMessage
from amqpd.broker.queues import ready
from amqpd.broker.queues.queue import Queue
from amqpd.broker.queues.ready import MESSAGE_OVERHEAD
from amqpd.store import codec, journal, log, reading
from amqpd.store.codec import decode_chunk
from amqpd.store.reading import Reading
from tests.broker.letters import Letter, letter_of
from tests.broker.lines import Line
from tests.broker.model import EVERYWHERE, LONG, SETTINGS, Model, WatchedQueue, settlements, which
from tests.store.support import Fault, Host, ProcessEnds, Writer

TINY = (
    (ready, "WINDOW_MIN", 600),
    (ready, "WINDOWS_MAX", 1500),
    (ready, "READ_AHEAD_BELOW", 500),
    (reading, "PAGE_SIZE", 600),
    (codec, "CHUNK_SIZE", 500),
    (codec, "PIECE_SIZE", 128),
    (log, "SWEPT_FROM", 3),
    (journal, "SWEEP_MAX", 3),
    (journal, "SWEEP_EVERY", 2),
)

DEADLINE = 1 << 60

Kept = dict[Line, list[Letter]]
"""What the disk has: persistent messages of durable queues, in order."""

pytestmark = pytest.mark.timeout(3600 if LONG else 60)

faults: st.SearchStrategy[Fault | None] = st.sampled_from([None, None, None, "fails"])


def has_deadline(message: Message) -> bool:
    return letter_of(message).number // 16 % 2 == 1


class TimedQueue(Queue):
    """What comes in is as if some messages had an expiration."""

    __slots__ = ()

    def enqueue(self, messages: Sequence[Message], octets: int) -> int:
        for timed, part in groupby(messages, has_deadline):
            run = list(part)
            if timed:
                run = [TimedMessage(each.address, each.header, each.body, DEADLINE) for each in run]
            super().enqueue(run, sum(len(message.body) for message in run))
        return 0


class WatchedTimedQueue(WatchedQueue, TimedQueue):
    __slots__ = ()


class DurableModel(Model):
    DURABLE: ClassVar = {"durable", "one"}
    QUEUE: ClassVar = WatchedTimedQueue

    def __init__(self) -> None:
        self.patches = ExitStack()
        for module, name, value in TINY:
            self.patches.enter_context(patch.object(module, name, value))
        self.directory = Path(self.patches.enter_context(TemporaryDirectory()))
        self.on_disk: Kept = {}
        self.leaving: Kept = {}  # what the disk will have when the batch on its way has arrived
        self.reached = self.cut_at = 0  # the last message that was published before the batch was cut
        self.found: list[Reading] = []  # and not handed over yet
        self.age = 0  # steps since the broker's start
        super().__init__()

    def teardown(self) -> None:
        self.host.end()
        self.patches.close()

    def make_broker(self) -> Broker:
        self.host = Host(self.directory)
        return self.host.broker

    def ask_for(self, line: Line) -> tuple[str, int, int]:
        """With a limit that is never reached, so that it is noted how often messages come back."""
        return self.actors[0].session.declare_queue(line.name, line.durable, arguments={"x-delivery-limit": 1000})

    @property
    def writers(self) -> tuple[Writer, Writer]:
        return self.host.writer, self.host.spiller

    def safe(self) -> int:
        return self.reached

    def safe_at(self, count: int, persistent: bool) -> tuple[int, int]:
        return self.published if persistent else 0, self.published

    # Writing

    def needed(self) -> Kept:
        """What a restart would need by now."""
        return {line: sorted(line.logged, key=line.place.__getitem__) for line in self.lines.values() if line.durable}

    @precondition(lambda self: self.host.writer.batch is None)
    @rule()
    def cut(self) -> None:
        self.leaving, self.cut_at = self.needed(), self.published
        self.host.writer.cut()

    @precondition(lambda self: self.host.writer.batch is None)
    @rule()
    def cut_relief(self) -> None:
        """Of what the disk has, what is gone is taken away; nothing new comes, but queues."""
        self.leaving, self.cut_at = self.needed(), self.reached
        for line, letters in self.leaving.items():
            letters[:] = [letter for letter in self.on_disk.get(line, []) if letter in line.logged]
        self.host.writer.cut_relief()

    @precondition(lambda self: self.host.writer.batch is not None)
    @rule(fault=faults)
    def commit(self, fault: Fault | None) -> None:
        if fault:
            self.host.main.next(fault)
        else:
            self.on_disk, self.reached = self.leaving, self.cut_at
        assert self.host.writer.commit() == (not fault)

    @rule(relieve=st.booleans(), fault=faults)
    def spill(self, relieve: bool, fault: Fault | None) -> None:
        spiller = self.host.spiller
        if fault:
            self.host.spill.next(fault)
        assert (spiller.relieve() if relieve else spiller.write()) == (not fault)

    @rule()
    def write_all(self) -> None:
        """And then there is nothing of a queue that is empty."""
        if self.host.writer.batch is not None:
            self.commit(None)
        while self.host.writer.journal.has_changes:
            self.cut()
            self.commit(None)
        self.host.spiller.write_all()
        chunks = {queue for file in (self.host.main, self.host.spill) for queue, _, _ in self.host.chunks(file)}
        queues = self.broker.vhosts["/"].queues
        for line in self.lines.values():
            kept = queues[line.name]._backlog._log
            if not line.ready and not line.unacked:
                assert kept.id not in chunks
                assert (kept._gone.intervals, kept._waiting) == ([], [])
        assert chunks <= {queue._backlog._log.id for queue in queues.values()}

    @rule(late=st.integers(0, 3))
    def some_time(self, late: int = 0) -> None:
        """What a disk does that is in order; ``late`` messages are published while a batch is on its way."""
        if self.host.writer.batch is None:
            self.cut()
        if late:
            self.publish(0, EVERYWHERE, late, True)
        self.commit(None)
        self.host.spiller.write()
        self.find()
        self.hand_over()

    @precondition(lambda self: self.lines)
    @rule(number=which, queue=which, rounds=st.integers(1, 4), how=settlements, late=st.integers(0, 1))
    def work(self, number: int, queue: int, rounds: int, how: str, late: int) -> None:
        """A consumer takes one page after the other."""
        self.consume(number, queue, False, False)
        for _ in range(rounds):
            self.some_time(late)
            self.settle_all(number, how)

    # Reading

    @rule()
    def find(self) -> None:
        """The pages that are waited for are read; they are handed over later."""
        for writer in self.writers:
            readings, writer.journal.readings = writer.journal.readings, []
            for each in readings:
                each.run()
                assert each.damages == []
                self.found.append(each)

    @rule()
    def hand_over(self) -> None:
        found, self.found = self.found, []
        for each in found:
            each.finish()
        self.broker.agenda.settle()

    def is_reading(self, name: str) -> bool:
        queue = self.broker.vhosts["/"].queues[name]
        waited_for = [each for writer in self.writers for each in writer.journal.readings]
        return any(each._log == queue._backlog._log.id for each in [*self.found, *waited_for])

    # The end

    @precondition(lambda self: self.age >= 12)
    @rule(how=st.sampled_from(["restart", "ends before", "ends after"]))
    def end(self, how: Literal["restart", "ends before", "ends after"]) -> None:
        """Not too soon: there must be something to lose."""
        if how == "restart":
            self.restart()
        else:
            self.crash(how)

    def restart(self) -> None:
        while self.holders:
            self.release()
        if self.host.writer.batch is not None:
            self.commit(None)
        for client in self.clients:
            leaving = [actor for actor in self.actors if actor.client is client]
            self.actors = [actor for actor in self.actors if actor.client is not client]
            for actor in leaving:
                actor.end()
            self.broker.disconnect(client)
        kept = self.needed()
        returns = {line.name: dict(self.broker.vhosts["/"].queues[line.name]._returns) for line in kept}
        self.host.stop()
        self.start_with(kept, {line: line.out_before for line in kept})
        for name, before in returns.items():
            after = self.broker.vhosts["/"].queues[name]._returns
            positions = before.keys() & self.positions(name)
            assert {position: after.get(position) for position in positions} == {
                position: before[position] for position in positions
            }

    def positions(self, name: str) -> set[int]:
        """Where a queue's persistent messages are on the disk, those that are gone too."""
        id = self.broker.vhosts["/"].queues[name]._backlog._log.id
        chunks = [self.host.main.read_chunk(of, first) for of, first, _ in self.host.chunks() if of == id]
        return {position for chunk in chunks for position, message in decode_chunk(chunk) if message.persistent}

    def crash(self, fault: Fault) -> None:
        """At any moment, and maybe before it is known that the last batch is written."""
        if self.host.writer.batch is not None:
            self.host.main.next(fault)
            with pytest.raises(ProcessEnds):
                self.host.writer.commit()
            if fault == "ends after":
                self.on_disk = self.leaving
        self.host.end()
        self.start_with(self.on_disk, {line: set(numbers) for line, numbers in self.on_disk.items()})

    def start_with(self, kept: Kept, out_before: dict[Line, set[Letter]]) -> None:
        """This is there, and of it this has been out before."""
        lines = {
            line.name: Line(
                line.name,
                durable=True,
                ready=list(letters),
                place={letter: place for place, letter in enumerate(letters)},
                out_before=out_before[line] & set(letters),
                logged=set(letters),
            )
            for line, letters in kept.items()
        }
        self.found.clear()
        self.age = 0
        self.host.start()
        self.start(self.host.broker, lines)
        self.on_disk = self.needed()
        self.reached = self.published
        self.host.write()
        for of, first, _ in self.host.chunks():
            names = [name for name, each in self.broker.vhosts["/"].queues.items() if each._backlog._log.id == of]
            letters = {letter_of(message) for _, message in decode_chunk(self.host.main.read_chunk(of, first))}
            assert letters & self.lines[names[0]].logged
        self.open_session(0, False)
        self.open_session(1, True)

    # What holds after every step

    @invariant()
    def one_step_more(self) -> None:
        self.age += 1

    @invariant()
    def who_waits_for_a_page_gets_one(self) -> None:
        for name in self.lines:
            assert self.is_reading(name) or not self.broker.vhosts["/"].queues[name]._backlog.ready._reading

    @invariant()
    def no_message_has_lost_its_deadline(self) -> None:
        for name in self.lines:
            in_memory = self.broker.vhosts["/"].queues[name]._backlog.ready.in_memory
            deadlines = [message.deadline if isinstance(message, TimedMessage) else None for message in in_memory]
            assert deadlines == [DEADLINE if has_deadline(message) else None for message in in_memory]

    @invariant()
    def what_lies_in_memory_is_counted(self) -> None:
        resident = 0
        for name in self.lines:
            queue = self.broker.vhosts["/"].queues[name]._backlog.ready
            octets = sum(len(message.body) + MESSAGE_OVERHEAD for message in queue.in_memory)
            assert queue._resident == octets
            resident += octets
        assert self.broker.windows.octets == resident


TestModel = DurableModel.TestCase
TestModel.settings = SETTINGS
