"""The threads beside the event loop in which the store's files are written and read.

A batch is cut in the event loop and committed in a thread, and what waited for it goes on in the event loop; meanwhile
the next batch collects. When someone waits (for a confirm, or the answer to a declaration), a batch is cut as soon as
the last one is written. When nobody does, it collects for ``LAZY_S``: acknowledgements and unconfirmed publishes need
no sync of their own.

Plain threads and callbacks, since a confirm waits for the way there and back: 25 us, where anyio's worker threads take
50, and waking a task some more.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from queue import SimpleQueue
from types import TracebackType

import structlog

from amqpd.broker.agenda import Agenda
from amqpd.broker.alarms import Alarms
from amqpd.metrics.statistics import JournalStatistics
from amqpd.server.measures import FileCounts
from amqpd.store.environment import Batch, ReadFailed, WriteFailed
from amqpd.store.journal import Journal
from amqpd.store.reading import Reading

LAZY_S = 0.02
"""How long what nobody waits for may collect: fifty syncs a second are little to a disk."""

RETRY_S = 0.5
"""How soon writing or reading is tried again when it has failed."""

SWITCH_INTERVAL_S = 0.0002
"""How long a thread that wants Python's lock waits for it, if the event loop is busy. A commit wants it back after each
of its half a dozen calls into LMDB: with the interpreter's own 5 ms it would take 30."""

log = structlog.get_logger()

Job = Callable[[], None]
Done = Callable[[Exception | None], None]


class Worker:
    """A thread that does one job after the other. What becomes of each is told in the event loop.

    To be used as a context manager; it ends when all jobs are done.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[tuple[Job, Done] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def __enter__(self) -> "Worker":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._jobs.put(None)
        self._thread.join()

    def do(self, job: Job, done: Done) -> None:
        """Have a job done; ``done`` gets what it has raised, or None."""
        self._jobs.put((job, done))

    def _work(self) -> None:
        while (entry := self._jobs.get()) is not None:
            job, done = entry
            failure: Exception | None = None
            try:
                job()
            except Exception as error:  # noqa: BLE001 - it is told
                failure = error
            self._loop.call_soon_threadsafe(done, failure)


class State(StrEnum):
    """What a persister is about."""

    IDLE = "idle"  # nothing is to be written
    COLLECTING = "collecting"  # a batch will be cut
    WRITING = "writing"
    RELIEVING = "relieving"  # writing has failed; all but messages is written, to make room
    PAUSING = "pausing"  # ... and it will be tried again
    STOPPED = "stopped"


class Persister:
    """Writes and reads for one journal, whose name the log and the alarms know.

    ``look`` is called when confirms or pages have come, and ``go_on`` then, to send what follows from them. While
    writing fails, the alarm "disk" is on.
    """

    def __init__(
        self,
        name: str,
        journal: Journal,
        agenda: Agenda,
        alarms: Alarms,
        writer: Worker,
        reader: Worker,
        look: Callable[[], None],
        go_on: Callable[[], None],
    ) -> None:
        self._name = name
        self._journal = journal
        self._agenda = agenda
        self._alarms = alarms
        self._writer = writer
        self._reader = reader
        self._look = look
        self._go_on = go_on
        self._counts = FileCounts()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._state = State.IDLE
        self._failing = False
        journal.wake = self._wake
        journal.wake_reader = self._read
        journal.press = self._press
        self._wake()
        self._read()  # what was asked for when the broker was made

    # Writing

    def _wake(self) -> None:
        """There is something to write, or someone has begun to wait for it. In the other states it will be seen to."""
        hurried = self._journal.hurried
        if (self._state is State.IDLE and (hurried or self._journal.has_changes)) or (
            self._state is State.COLLECTING and hurried
        ):
            self._cut_after(0 if hurried else LAZY_S, State.COLLECTING)

    def _cut_after(self, seconds: float, state: State) -> None:
        self._state = state
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._cut) if seconds else self._loop.call_soon(self._cut)

    def _cut(self) -> None:
        self._timer = None
        start = time.perf_counter()
        try:
            batch = self._journal.cut()
        except Exception as bug:  # noqa: BLE001 - it is reported, and what was not cut is cut again
            self._is_written(Batch(), bug)
            return
        if batch:
            self._commit(batch, start, State.WRITING, self._is_written)
        else:
            self._is_written(batch, None)

    def _commit(
        self, batch: Batch, start: float, state: State, done: Callable[[Batch, Exception | None], None]
    ) -> None:
        """Have a batch written that was cut at ``start``."""

        def tell(error: Exception | None) -> None:
            if error is None:
                self._counts.written(batch, time.perf_counter() - start)
            done(batch, error)

        self._state = state
        self._writer.do(partial(self._journal.environment.commit, batch), tell)

    def _is_written(self, batch: Batch, error: Exception | None) -> None:
        stopped = self._state is State.STOPPED
        if error is not None:
            self._fail(error)
            self._journal.has_failed(batch)
            if not stopped:
                start = time.perf_counter()
                self._commit(self._journal.cut_relief(), start, State.RELIEVING, self._is_relieved)
            return
        self._journal.is_written(batch, self._agenda)
        if self._failing:
            self._failing = False
            log.info("writing_again", file=self._name)
            self._alarms.clear("disk", self._name)
        if not stopped:
            self._state = State.IDLE
        self._send()

    def _is_relieved(self, batch: Batch, error: Exception | None) -> None:
        if error is None:
            self._journal.is_relieved(batch, self._agenda)
        else:
            self._journal.has_no_relief(batch)
        if self._state is not State.STOPPED:
            self._cut_after(RETRY_S, State.PAUSING)
        self._send()

    def _send(self) -> None:
        """Do what had to wait, and send what it says."""
        self._look()
        try:
            self._agenda.settle()
            self._go_on()
        finally:
            self._wake()

    def _fail(self, error: Exception) -> None:
        if self._failing:
            return
        self._failing = True
        bug = None if isinstance(error, WriteFailed) else error
        log.error("writing_failed", file=self._name, reason=str(error), exc_info=bug)
        self._alarms.set("disk", self._name)

    def _press(self) -> None:
        change = self._alarms.set if self._journal.pressed else self._alarms.clear
        change("store", self._name)

    def stop(self) -> None:
        """Begin nothing new."""
        self._state = State.STOPPED
        if self._timer is not None:
            self._timer.cancel()

    def write_the_rest(self) -> None:
        """Write all there is, here and now: for the end, when it has stopped and the workers have ended."""
        journal = self._journal
        while journal.has_changes:
            batch = journal.cut()
            try:
                journal.environment.commit(batch)
            except WriteFailed as error:
                self._fail(error)
                journal.has_failed(batch)
                return
            journal.is_written(batch, self._agenda)

    # Reading

    def _read(self) -> None:
        readings, self._journal.readings = self._journal.readings, []
        for reading in readings:
            self._run(reading)

    def _run(self, reading: Reading) -> None:
        if self._state is State.STOPPED:
            return
        seconds = 0.0

        def run() -> None:
            nonlocal seconds
            start = time.perf_counter()
            reading.run()
            seconds = time.perf_counter() - start

        def tell(error: Exception | None) -> None:
            self._is_read(reading, seconds, error)

        self._reader.do(run, tell)

    def _is_read(self, reading: Reading, seconds: float, error: Exception | None) -> None:
        if error is not None:  # what is there waits, and is not taken for gone
            bug = None if isinstance(error, ReadFailed) else error
            log.error("reading_failed", file=self._name, reason=str(error), exc_info=bug)
            self._loop.call_later(RETRY_S, self._run, reading)
            return
        self._counts.read(reading, seconds)
        for damage in reading.damages:
            log.error("store_damaged", file=self._name, reason=str(damage))
        reading.finish()
        self._send()

    # What it has come to

    def statistics(self) -> JournalStatistics:
        return self._counts.statistics(self._name, self._journal)
