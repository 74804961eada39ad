"""One LMDB file: the only module that knows LMDB.

It writes a batch as one transaction, all of it or nothing, and reads chunks back. LMDB copies on write: a commit writes
new pages, syncs them, and then switches over with one page of its own, so that after a crash or a power cut there is
the state before or after, and nothing to repair.

Commits and readings may run in two threads beside the event loop. Each call into LMDB gives Python's lock away and has
to win it back from a busy event loop, which costs up to the interpreter's switch interval: so there are few calls, and
batches are prepared before they come here.
"""

import errno
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import lmdb

from amqpd.store.codec import (
    CHUNKS,
    META,
    RETURNS,
    STATES,
    TOPOLOGY,
    Chunk,
    ChunkHead,
    Damaged,
    decode_returns,
    decode_state,
    join_chunk,
    piece_key,
    read_head,
    split_chunk,
    split_piece_key,
    split_state_key,
)
from amqpd.store.gone import Gone
from amqpd.store.pages import is_whole

MAP_SIZE_MIN = 1 << 28
"""Octets of address space to begin with. It costs nothing until it is used, and grows by doubling."""

BEHIND_CHUNKS = bytes([CHUNKS[0] + 1])
"""A key behind those of all chunks, and before all others."""

RESERVE = 4 << 20
"""Octets of its file that messages are not let into. LMDB deletes by writing: new versions of the pages that have
changed, and a list of those that are free now. So when a disk is full, deletions must have room, or it stays full."""

END = (1 << 64) - 1
"""A position behind all others."""

FORMAT = META + b"format"
"""The key of the version of the format, in digits."""

CLEAN = META + b"clean"
"""A key that is there when the broker has stopped in an orderly way: then the states say what was handed out."""


class StoreUnusable(Exception):
    """A data directory cannot be used. The text names it, says why, and what to do."""


class WriteFailed(Exception):
    """A batch could not be written; nothing of it was. The text is the reason."""


class ReadFailed(Exception):
    """What is there could not be read now. The text is the reason."""


@dataclass(slots=True)
class Sweep:
    """Chunks of a log that hold nothing any more: those from position ``start`` on that end before ``stop``."""

    log: int
    start: int
    stop: int


@dataclass(slots=True)
class Batch:
    """What is written at once: values to be put or, where they are None, deleted; chunks of messages, each with its
    log and the position of its first; and sweeps, which delete ``sweep_max`` pieces or so: what is left of them is
    there after the commit. ``messages`` is how many the chunks have.
    """

    changes: dict[bytes, bytes | None] = field(default_factory=dict)
    chunks: list[tuple[int, int, bytes]] = field(default_factory=list)
    sweeps: list[Sweep] = field(default_factory=list)
    sweep_max: int = END
    messages: int = 0

    def __bool__(self) -> bool:
        return bool(self.changes or self.chunks or self.sweeps)

    @property
    def octets(self) -> int:
        """Of the values and the chunks."""
        values = sum(len(value) for value in self.changes.values() if value is not None)
        return values + sum(len(chunk) for _, _, chunk in self.chunks)


class Environment:
    """A file of the store, open. ``sync`` False leaves it to the system when it reaches the disk.

    Raises lmdb.Error when it cannot be opened.
    """

    def __init__(self, path: Path, sync: bool = True, readonly: bool = False) -> None:
        self.path = path
        size = path.stat().st_size if path.exists() else 0
        self._map_lock = threading.Lock()  # LMDB's map must not change while something is read
        self._sync = sync
        self._readonly = readonly
        self._map_size = max(MAP_SIZE_MIN, 2 * size)
        self._given_up = False
        self._env = self._open()
        self._in_use_max = size  # no more octets of the file hold something
        self._descriptor = os.open(path, (os.O_RDONLY if readonly else os.O_RDWR) | os.O_CLOEXEC)

    def _open(self) -> lmdb.Environment:
        return lmdb.open(
            str(self.path),
            map_size=self._map_size,
            subdir=False,
            readonly=self._readonly,
            sync=self._sync,
            metasync=self._sync,
            meminit=False,
            create=not self._readonly,
            mode=0o600,
        )

    def close(self) -> None:
        os.close(self._descriptor)
        self._env.close()

    @property
    def octets(self) -> int:
        """The size of the file, up to the last page in use."""
        return int((self._env.info()["last_pgno"] + 1) * self._env.stat()["psize"])

    @property
    def octets_in_file(self) -> int:
        """The size of the file, with what is kept in reserve. Asks the system only, and may be asked at any time."""
        return os.fstat(self._descriptor).st_size

    @property
    def octets_in_use(self) -> int:
        """Octets of pages that hold something; LMDB's list of free pages and its two first pages are not among them."""
        pages = self._env.stat()
        return (pages["branch_pages"] + pages["leaf_pages"] + pages["overflow_pages"]) * pages["psize"]

    @property
    def is_whole(self) -> bool:
        """Whether no page is missing. False: reading may end the process."""
        with self._begin():  # pages that are in use now are not written anew meanwhile
            return self.octets <= self.path.stat().st_size or is_whole(self.path)

    # Writing

    def commit(self, batch: Batch) -> None:
        """Write a batch; when this returns, it is on the disk. WriteFailed: nothing of it is."""
        try:
            with self._map_lock:
                self._take_up()
            self._make_room(batch)
            while True:
                try:
                    self._commit(batch)
                    return
                except lmdb.MapFullError:
                    self._grow()
        except lmdb.PanicError as error:
            with self._map_lock:
                self._give_up()
            raise WriteFailed(str(error)) from error
        except lmdb.Error as error:
            raise WriteFailed(str(error)) from error
        except OSError as error:
            raise WriteFailed(f"{self.path}: {error.strerror}") from error

    def _make_room(self, batch: Batch) -> None:
        """See to it that messages leave the reserve as it is. They take twice their size at most, in pages that are
        half empty."""
        octets = 2 * sum(len(chunk) for _, _, chunk in batch.chunks)
        if not octets:
            return
        size = os.fstat(self._descriptor).st_size
        self._in_use_max += octets
        if self._in_use_max + RESERVE > size:
            self._in_use_max = self.octets_in_use + octets  # asked seldom: LMDB takes as long as for a read
        wanted = self._in_use_max + RESERVE
        if wanted > size:
            _allocate(self._descriptor, size, wanted + RESERVE - size)

    def _commit(self, batch: Batch) -> None:
        with self._env.begin(write=True, buffers=True) as transaction:
            for key, value in batch.changes.items():
                if value is None:
                    transaction.delete(key)
                else:
                    transaction.put(key, value)
            with transaction.cursor() as cursor:
                for chunk in batch.chunks:
                    cursor.putmulti(split_chunk(*chunk))
                left = _sweep_all(cursor, batch.sweeps, batch.sweep_max)
        batch.sweeps[:] = left  # not before the transaction is through, or what a failed one had deleted would stay

    def _grow(self) -> None:
        self._env.reader_check()  # a tool that was killed while it read would keep its pages from being used again
        with self._map_lock:
            self._map_size *= 2
            try:
                self._env.set_mapsize(self._map_size)
            except lmdb.Error:
                self._give_up()
                raise

    def _give_up(self) -> None:
        """LMDB is of no more use when its map could not grow, or the last page of a commit not be written: then it is
        opened anew before it is used again."""
        self._env.close()
        self._given_up = True

    def _take_up(self) -> None:
        if self._given_up:
            self._map_size = max(MAP_SIZE_MIN, 2 * self.path.stat().st_size)
            self._env = self._open()
            self._given_up = False

    # Reading

    def read(self, log: int, start: int, stop: int, octets: int) -> tuple[list[Chunk], list[Damaged]]:
        """The chunks of a log with messages from position ``start`` up to ``stop``, at least one if there is one, and
        none after they have that many octets; and what is wrong with those that are not what was written.

        ReadFailed: it cannot be said what is there.
        """
        chunks: list[Chunk] = []
        damages: list[Damaged] = []
        try:
            with self._map_lock, self._begin() as transaction:
                cursor = transaction.cursor()
                found = _seek(cursor, log, start)
                while found and octets > 0 and _is_piece(cursor):
                    found_log, first, _ = split_piece_key(cursor.key())
                    if found_log != log or first >= stop:
                        break
                    pieces, found = _read_pieces(cursor)
                    try:
                        chunk = join_chunk(log, first, pieces)
                    except Damaged as damage:
                        damages.append(damage)
                        continue
                    if chunk.last >= start:
                        chunks.append(chunk)
                        octets -= len(chunk.octets)
        except lmdb.Error as error:
            raise ReadFailed(f"{self.path}: {error}") from error
        return chunks, damages

    def heads(self) -> Iterator[tuple[int, int, ChunkHead]]:
        """Of every chunk: its log, the position of its first message, and its head."""
        chunk = CHUNKS[0]
        with self._env.begin(buffers=True) as transaction:
            cursor = transaction.cursor()
            if not cursor.set_range(CHUNKS):
                return
            for key, value in cursor.iternext():
                if key[0] != chunk:
                    return
                log, first, piece = split_piece_key(key)
                if not piece:
                    yield log, first, read_head(value)

    def read_chunk(self, log: int, first: int) -> Chunk:
        """One chunk. Damaged: it is not what was written."""
        with self._begin() as transaction:
            cursor = transaction.cursor()
            pieces = _read_pieces(cursor)[0] if cursor.set_key(piece_key(log, first)) else []
            return join_chunk(log, first, pieces)

    def get(self, key: bytes) -> bytes | None:
        with self._begin() as transaction:
            value = transaction.get(key)
            return None if value is None else bytes(value)

    def topology(self) -> list[bytes]:
        """The records, in the order of their keys: so they can be applied."""
        return [value for _, value in self._all(TOPOLOGY)]

    def states(self) -> dict[int, tuple[Gone, int]]:
        """Of each log of which something is gone: what, and below which position messages were handed out."""
        return {split_state_key(key): decode_state(value) for key, value in self._all(STATES)}

    def returns(self) -> Iterator[tuple[bytes, dict[int, int]]]:
        """How often messages were given back, by position, a value at a time, with its key."""
        for key, value in self._all(RETURNS):
            yield key, decode_returns(value)

    def walk(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys and values of one moment, chunks last. Damaged: LMDB cannot go on, or goes in circles."""
        try:
            with self._begin() as transaction, transaction.cursor() as cursor:
                for start, stop in ((BEHIND_CHUNKS, b"\xff"), (b"\0", BEHIND_CHUNKS)):
                    key = b""
                    found = cursor.set_range(start)
                    while found and cursor.key() < stop:
                        if cursor.key() <= key:
                            raise Damaged(f"keys do not ascend: {cursor.key().hex()} after {key.hex()}")
                        key, value = cursor.item()
                        yield key, value
                        found = cursor.next()
        except lmdb.Error as error:
            raise Damaged(str(error)) from error

    def copy(self, descriptor: int) -> None:
        """Write what there is at one moment to an open file, as a file of LMDB without free pages.

        WriteFailed: the file does not take it. Damaged: the pages in use and the free ones are not all there are.
        """
        try:
            self._env.copyfd(descriptor, compact=True)
        except (lmdb.IncompatibleError, lmdb.CorruptedError, lmdb.PageNotFoundError) as error:
            raise Damaged(f"pages are lost, or in use twice ({error})") from error
        except lmdb.Error as error:
            raise WriteFailed(str(error)) from error

    def _begin(self) -> "lmdb.Transaction[bytes]":
        self._take_up()
        try:
            return self._env.begin()
        except lmdb.MapResizedError:  # we only read, and the broker beside us has made the file larger than our map
            self._env.set_mapsize(0)
            return self._env.begin()

    def _all(self, kind: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of one kind."""
        with self._begin() as transaction:
            cursor = transaction.cursor()
            found = cursor.set_range(kind)
            while found and bytes(cursor.key()).startswith(kind):
                yield bytes(cursor.key()), bytes(cursor.value())
                found = cursor.next()


def _allocate(descriptor: int, start: int, octets: int) -> None:
    """Have room for so much of a file, where system and file system can do that. OSError: there is none."""
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, start, octets)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise


def _is_piece(cursor: lmdb.Cursor) -> bool:
    return cursor.key()[:1] == CHUNKS


def _sweep_all(cursor: lmdb.Cursor, sweeps: Iterable[Sweep], budget: int) -> list[Sweep]:
    """Delete what the sweeps are for, up to ``budget`` pieces or so. Returns what is left of them."""
    left: list[Sweep] = []
    for sweep in sweeps:
        start = sweep.start
        if budget > 0:
            start, budget = _sweep(cursor, sweep, budget)
        if start < sweep.stop:
            left.append(Sweep(sweep.log, start, sweep.stop))
    return left


def _sweep(cursor: lmdb.Cursor, sweep: Sweep, budget: int) -> tuple[int, int]:
    """Delete for one of them, whole chunks. Returns where it would go on, and what is left of ``budget``."""
    found = cursor.set_range(piece_key(sweep.log, sweep.start))
    while found and _is_piece(cursor):
        log, first, piece = split_piece_key(cursor.key())
        if log != sweep.log or first >= sweep.stop:
            break
        if not piece:
            if read_head(cursor.value()).last >= sweep.stop:
                break
            if budget <= 0:
                return first, budget
        found = cursor.delete() and bool(cursor.key())
        budget -= 1
    return sweep.stop, budget


def _seek(cursor: lmdb.Cursor, log: int, start: int) -> bool:
    """Go to the chunk that has position ``start``, or else to the next chunk there is. False: there is none."""
    found = cursor.set_range(piece_key(log, start))
    if found and cursor.key() == piece_key(log, start):
        return True
    before = cursor.prev() if found else cursor.last()
    if before and _is_piece(cursor):
        found_log, first, _ = split_piece_key(cursor.key())
        if found_log == log:
            return bool(cursor.set_range(piece_key(log, first)))  # its first piece, unless that is lost
    return bool(cursor.set_range(piece_key(log, start)))


def _read_pieces(cursor: lmdb.Cursor) -> tuple[list[bytes], bool]:
    """The pieces of the chunk at the cursor, and whether there is another chunk behind it.

    Of a chunk without its first piece there are none.
    """
    log, first, piece = split_piece_key(cursor.key())
    is_whole = piece == 0
    pieces: list[bytes] = []
    found = True
    while found and cursor.key() == piece_key(log, first, piece):
        if is_whole:
            pieces.append(bytes(cursor.value()))
        piece += 1
        found = cursor.next()
    return pieces, found
