"""Looks at everything in a data directory, and tells what is not as it was written. Changes nothing.

What a broker looks at when it starts are the heads of chunks; here it is every octet: LMDB's own pages, all checksums,
all messages, and whether what refers to something else finds it there. It is all of one moment, so a broker may be
running beside it.

LMDB trusts its file. One that is damaged badly can make it end the process, so it is read in a process of its own,
whose end is one more finding.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from amqpd.broker.broker import Broker
from amqpd.broker.records import BindingRecord, ExchangeRecord
from amqpd.store.codec import (
    CHUNKS,
    META,
    STATES,
    TOPOLOGY,
    Chunk,
    ChunkHead,
    Damaged,
    decode_chunk,
    decode_record,
    decode_state,
    join_chunk,
    read_head,
    record_key,
    split_piece_key,
    split_state_key,
)
from amqpd.store.directory import MAIN, open_to_read
from amqpd.store.environment import CLEAN, FORMAT, Environment, StoreUnusable, WriteFailed
from amqpd.store.gone import Gone, Interval, left_of

Tell = Callable[[str], None]
"""Takes a line of what was found."""


def check(directory: Path, tell: Tell) -> bool:
    """Whether a data directory is sound. Tells what is in it, and each problem, a line each."""
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_check, args=(directory, sender))
    process.start()
    sender.close()
    with receiver, suppress(EOFError):
        while True:
            tell(receiver.recv_bytes().decode("utf-8"))
    process.join()
    if process.exitcode is not None and process.exitcode < 0:
        name = signal.Signals(-process.exitcode).name
        tell(f"problem: {MAIN} cannot be read any further: it has ended the process that did ({name})")
    return process.exitcode == 0


def _check(directory: Path, sender: Connection) -> None:
    """The process that reads. Its exit code is 0 when there was no problem."""
    inspection = Inspection(lambda line: sender.send_bytes(line.encode("utf-8", "backslashreplace")))
    try:
        with open_to_read(directory) as environment:
            inspection.inspect(environment, directory / MAIN)
    except StoreUnusable as error:
        inspection.found(str(error))
    raise SystemExit(inspection.problems > 0)


@dataclass(slots=True)
class _Contents:
    """Of one queue, or of all: messages that a broker would have after a start, and octets of chunks that are gone."""

    messages: int = 0
    octets: int = 0
    dead: int = 0

    def count(self, octets: int) -> None:
        """One more message."""
        self.messages += 1
        self.octets += octets

    def add(self, other: "_Contents") -> None:
        self.messages += other.messages
        self.octets += other.octets
        self.dead += other.dead

    def __str__(self) -> str:
        return f"{counted(self.messages, 'message')} with {self.octets:,} octets"


class Inspection:
    """One walk through a store."""

    def __init__(self, tell: Tell) -> None:
        self.problems = 0
        self._tell = tell
        self._clean = False
        self._exchanges = {(vhost.name, name) for vhost in Broker().vhosts.values() for name in vhost.exchanges}
        self._predeclared = len(self._exchanges)
        self._queues: dict[int, tuple[str, str]] = {}
        self._bindings: list[BindingRecord] = []
        self._gone: dict[int, Gone] = {}
        self._contents: dict[int, _Contents] = {}
        # The chunk whose pieces are coming.
        self._chunk = (0, 0)
        self._pieces: dict[int, bytes] = {}
        self._last = 0

    def found(self, problem: str) -> None:
        self.problems += 1
        self._tell(f"problem: {problem}")

    def inspect(self, environment: Environment, path: Path) -> None:
        """Look at all of it, and tell."""
        size, in_use = path.stat().st_size, environment.octets_in_use
        self._tell(f"{path}: {size:,} octets, of which {in_use:,} are in use")
        try:
            for key, value in environment.walk():
                self._look(key, value)
            with open(os.devnull, "wb") as nowhere:
                environment.copy(nowhere.fileno())  # which counts the pages, free ones too
        except (Damaged, WriteFailed) as error:
            self.found(f"LMDB: {error}")
        self._end_chunk()
        self._check_references()
        self._summarize()

    def _look(self, key: bytes, value: bytes) -> None:
        with self._telling(f"key {key.hex()}"):
            _KINDS[key[:1]](self, key, value)

    @contextmanager
    def _telling(self, where: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever comes from octets that nobody wrote
            reason = error if isinstance(error, Damaged) else f"cannot be read: {error!r}"
            self.found(f"{where}: {reason}")

    # What there is

    def _look_at_meta(self, key: bytes, value: bytes) -> None:
        if key not in (FORMAT, CLEAN):
            raise Damaged("unknown")
        self._clean = self._clean or key == CLEAN

    def _look_at_state(self, key: bytes, value: bytes) -> None:
        queue = split_state_key(key)
        gone, _ = decode_state(value)
        end = gone.floor
        for start, stop in gone.intervals:
            if not end < start < stop:
                raise Damaged(f"what is gone of queue id {queue} overlaps at position {start}")
            end = stop
        self._gone[queue] = gone

    def _look_at_record(self, key: bytes, value: bytes) -> None:
        record, queue = decode_record(value)
        if key != record_key(record):
            raise Damaged(f"belongs to something else than what is there: {record}")
        if isinstance(record, BindingRecord):
            self._bindings.append(record)
        elif isinstance(record, ExchangeRecord):
            self._exchanges.add((record.vhost, record.name))
        elif queue in self._queues:
            raise Damaged(f"queue '{record.name}' has the id of {self._name(queue)}")
        else:
            self._queues[queue] = record.vhost, record.name
            self._contents[queue] = _Contents()

    def _look_at_piece(self, key: bytes, value: bytes) -> None:
        queue, first, number = split_piece_key(key)
        if (queue, first) != self._chunk:
            self._end_chunk()
            self._last = self._last if queue == self._chunk[0] else 0
            self._chunk = queue, first
        self._pieces[number] = value

    def _end_chunk(self) -> None:
        """All pieces of a chunk have come."""
        pieces, self._pieces = self._pieces, {}
        if not pieces:
            return
        queue, first = self._chunk
        with self._telling(f"{self._name(queue)}, position {first}"):
            missing = set(range(len(pieces))) - pieces.keys()
            if missing:
                raise Damaged(f"piece {min(missing)} is missing")
            self._look_at_chunk(queue, join_chunk(queue, first, list(pieces.values())), read_head(pieces[0]))

    def _look_at_chunk(self, queue: int, chunk: Chunk, head: ChunkHead) -> None:
        if chunk.first <= self._last:
            self.found(f"{self._name(queue)}, position {chunk.first}: overlaps what comes before it")
        self._last = chunk.last
        persistent = _Contents()
        before = chunk.first - 1
        left = list(self._left_of(queue, chunk))
        contents = self._contents.setdefault(queue, _Contents())
        for position, message in decode_chunk(chunk):
            if position <= before:
                raise Damaged(f"positions do not ascend: {position} after {before}")
            before = position
            if message.persistent:
                size = len(message.body)
                persistent.count(size)
                if any(start <= position < stop for start, stop in left):
                    contents.count(size)
        if head != (before, persistent.messages, persistent.octets):
            raise Damaged(f"its head does not say what is in it: {head}")
        if not left:
            contents.dead += len(chunk.octets)

    def _left_of(self, queue: int, chunk: Chunk) -> Iterator[Interval]:
        """The positions in a chunk that are not gone; none if its queue is."""
        if queue not in self._queues:
            return iter(())
        gone = self._gone.get(queue, Gone())
        return left_of(max(chunk.first, gone.floor), chunk.last + 1, gone.intervals)

    # What it means

    def _check_references(self) -> None:
        """Chunks of a queue that was deleted may still be there, to be deleted later; nothing else of it."""
        for queue in self._gone.keys() - self._queues.keys():
            self.found(f"{self._name(queue)}: there is no record of it, and yet of what is gone of it")
        queues = set(self._queues.values())
        for binding in self._bindings:
            ends = {"queue": queues, "exchange": self._exchanges}
            for kind, name in (("exchange", binding.source), (binding.destination_kind, binding.destination)):
                if (binding.vhost, name) not in ends[kind]:
                    self.found(
                        f"binding from '{binding.source}' to '{binding.destination}' in vhost '{binding.vhost}': "
                        f"there is no {kind} '{name}'"
                    )

    def _summarize(self) -> None:
        if self._clean:
            self._tell("the broker has stopped in an orderly way")
        else:
            self._tell("a broker is running, or the last one has not stopped in an orderly way")
        whole = _Contents()
        for queue, contents in self._contents.items():
            whole.add(contents)
            if queue in self._queues:
                self._tell(f"{self._name(queue)}: {contents}")
        exchanges = len(self._exchanges) - self._predeclared
        numbers = (len(self._queues), "queue"), (exchanges, "exchange"), (len(self._bindings), "binding")
        self._tell(", ".join([*(counted(*number) for number in numbers), str(whole)]))
        if whole.dead:
            self._tell(f"{whole.dead:,} octets of chunks that are settled, and will be deleted")
        self._tell(counted(self.problems, "problem") if self.problems else "no problems")

    def _name(self, queue: int) -> str:
        if queue not in self._queues:
            return f"queue id {queue}"
        vhost, name = self._queues[queue]
        return f"queue '{name}' in vhost '{vhost}'"


def counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


_KINDS: dict[bytes, Callable[[Inspection, bytes, bytes], None]] = {
    META: Inspection._look_at_meta,
    STATES: Inspection._look_at_state,
    TOPOLOGY: Inspection._look_at_record,
    CHUNKS: Inspection._look_at_piece,
}
