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
from amqpd.broker.message import TimedMessage
from amqpd.broker.records import BindingRecord, ExchangeRecord, QueueRecord
from amqpd.store.codec import (
    CHUNKS,
    META,
    RETURNS,
    RETURNS_TOGETHER,
    STATES,
    TOPOLOGY,
    Chunk,
    ChunkHead,
    Damaged,
    decode_chunk,
    decode_record,
    decode_returns,
    decode_state,
    join_chunk,
    log_name,
    read_head,
    record_key,
    split_log_id,
    split_piece_key,
    split_returns_key,
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
    """Of one log, or of all: messages that a broker would have after a start, and octets of chunks that are gone."""

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
        self._predeclared = {name for vhost in Broker().vhosts.values() for name in vhost.exchanges}
        self._exchanges: set[tuple[str, str]] = set()
        self._queues: set[tuple[str, str]] = set()
        self._bindings: list[BindingRecord] = []
        self._owners: dict[int, QueueRecord | ExchangeRecord] = {}  # what can have messages, by its id
        # By logs.
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
        log = split_state_key(key)
        gone, _ = decode_state(value)
        end = gone.floor
        for start, stop in gone.intervals:
            if not end < start < stop:
                raise Damaged(f"what is gone of {log_name(log)} overlaps at position {start}")
            end = stop
        self._gone[log] = gone

    def _look_at_returns(self, key: bytes, value: bytes) -> None:
        log, first = split_returns_key(key)
        for position in decode_returns(value):
            if not first <= position < first + RETURNS_TOGETHER:
                raise Damaged(f"returns of {log_name(log)} at position {position} lie with those from {first} on")

    def _look_at_record(self, key: bytes, value: bytes) -> None:
        record, owner = decode_record(value)
        if key != record_key(record):
            raise Damaged("belongs to something else than what is there")
        match record:
            case BindingRecord():
                self._bindings.append(record)
            case ExchangeRecord():
                self._exchanges.add((record.vhost, record.name))
            case QueueRecord():
                self._queues.add((record.vhost, record.name))
                self._contents.setdefault(owner, _Contents())
        if isinstance(record, (ExchangeRecord, QueueRecord)) and owner:
            if owner in self._owners:
                raise Damaged(f"{_described(record)} has the id of {_described(self._owners[owner])}")
            self._owners[owner] = record

    def _look_at_piece(self, key: bytes, value: bytes) -> None:
        log, first, number = split_piece_key(key)
        if (log, first) != self._chunk:
            self._end_chunk()
            self._last = self._last if log == self._chunk[0] else 0
            self._chunk = log, first
        self._pieces[number] = value

    def _end_chunk(self) -> None:
        """All pieces of a chunk have come."""
        pieces, self._pieces = self._pieces, {}
        if not pieces:
            return
        log, first = self._chunk
        with self._telling(f"{self._name(log)}, position {first}"):
            missing = set(range(len(pieces))) - pieces.keys()
            if missing:
                raise Damaged(f"piece {min(missing)} is missing")
            self._look_at_chunk(log, join_chunk(log, first, list(pieces.values())), read_head(pieces[0]))

    def _look_at_chunk(self, log: int, chunk: Chunk, head: ChunkHead) -> None:
        if chunk.first <= self._last:
            self.found(f"{self._name(log)}, position {chunk.first}: overlaps what comes before it")
        self._last = chunk.last
        persistent = _Contents()
        before = chunk.first - 1
        timed = False
        left = list(self._left_of(log, chunk))
        contents = self._contents.setdefault(log, _Contents())
        for position, message in decode_chunk(chunk):
            if position <= before:
                raise Damaged(f"positions do not ascend: {position} after {before}")
            before = position
            timed = timed or isinstance(message, TimedMessage)
            if message.persistent:
                size = len(message.body)
                persistent.count(size)
                if any(start <= position < stop for start, stop in left):
                    contents.count(size)
        if head != ChunkHead(before, persistent.messages, persistent.octets, timed):
            raise Damaged(f"its head does not say what is in it: {head}")
        if not left:
            contents.dead += len(chunk.octets)

    def _left_of(self, log: int, chunk: Chunk) -> Iterator[Interval]:
        """The positions in a chunk that are not gone; none if its queue is."""
        if split_log_id(log)[0] not in self._owners:
            return iter(())
        gone = self._gone.get(log, Gone())
        return left_of(max(chunk.first, gone.floor), chunk.last + 1, gone.intervals)

    # What it means

    def _check_references(self) -> None:
        """Chunks of a queue that was deleted may still be there, to be deleted later; nothing else of it."""
        for log in self._gone:
            if split_log_id(log)[0] not in self._owners:
                self.found(f"{self._name(log)}: there is no record of it, and yet of what is gone of it")
        for binding in self._bindings:
            ends = {"queue": self._queues, "exchange": self._exchanges}
            for kind, name in (("exchange", binding.source), (binding.destination_kind, binding.destination)):
                is_predeclared = kind == "exchange" and name in self._predeclared
                if (binding.vhost, name) not in ends[kind] and not is_predeclared:
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
        for log, contents in self._contents.items():
            whole.add(contents)
            if split_log_id(log)[0] in self._owners:
                self._tell(f"{self._name(log)}: {contents}")
        numbers = (len(self._queues), "queue"), (len(self._exchanges), "exchange"), (len(self._bindings), "binding")
        self._tell(", ".join([*(counted(*number) for number in numbers), str(whole)]))
        if whole.dead:
            self._tell(f"{whole.dead:,} octets of chunks that are settled, and will be deleted")
        self._tell(counted(self.problems, "problem") if self.problems else "no problems")

    def _name(self, log: int) -> str:
        owner, lane = split_log_id(log)
        if owner not in self._owners:
            return log_name(log)
        return _described(self._owners[owner]) + f", lane {lane}" * (lane > 0)


def _described(record: QueueRecord | ExchangeRecord) -> str:
    kind = "queue" if isinstance(record, QueueRecord) else "exchange"
    return f"{kind} '{record.name}' in vhost '{record.vhost}'"


def counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


_KINDS: dict[bytes, Callable[[Inspection, bytes, bytes], None]] = {
    META: Inspection._look_at_meta,
    RETURNS: Inspection._look_at_returns,
    STATES: Inspection._look_at_state,
    TOPOLOGY: Inspection._look_at_record,
    CHUNKS: Inspection._look_at_piece,
}
