"""How things lie in the store: octets of keys and values, to and from what they mean. No reading, no writing.

The first letter of a key says what it is: ``c`` a piece of a chunk of messages, ``m`` something about the store itself,
``r`` how often messages were given back, ``s`` the state of a log, ``t`` a record. One key space, since each further
one of LMDB's is a page more to write with every commit.

A queue, or an exchange that holds messages, has an id, and a *log* for each of its lanes: the id, and in its highest
octet the number of the lane. So a log's id is what its keys begin with, and that of the first lane is the queue's own.

Messages lie in *chunks*: what one commit brings for one log, in order, up to ``CHUNK_SIZE``. So a message costs the
store a few octets and no operation of its own, and a page is read back by a few. A chunk's key has the log's id
and the position of its first message::

    last position (8) | persistent messages (4), octets of their bodies (8) | record, record, ...

    record: positions after the one before (4) | sizes of address (2), header (4), body (4) | address, header, body

Publishers repeat themselves: where address or header are those of the record before, their size is ``SAME`` and they
are left out, on the disk and, when they are read back, in memory.

A deadline (8) stands before the address, whose size has its highest bit set then, and holds as long as the address
does. So it costs a message that has none nothing. In a chunk with deadlines, the highest bit of the number of messages
is set.

A chunk lies in *pieces* of at most ``PIECE_SIZE``, each a value of its own, with its number at the end of the key. Only
a chunk with one large message has more than one. All pieces but a chunk's last have the same size, so the pages that
one leaves behind fit the next: a store that large messages stream through does not grow.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from hashlib import blake2b
from struct import Struct
from typing import Any, NamedTuple
from zlib import crc32

from amqpd.broker.message import Message, TimedMessage
from amqpd.broker.records import (
    BindingRecord,
    ExchangeRecord,
    PermissionRecord,
    PolicyRecord,
    QueueRecord,
    Record,
    TopicPermissionRecord,
    UserRecord,
    VHostRecord,
)
from amqpd.store.gone import Gone, Interval
from amqpd.wire.tables import FieldValue, Table, decode_table, encode_table

CHUNK_SIZE = 65_536
"""Octets of messages after which a chunk ends: what is kept until the last of them is settled, and the least that is
read at a time."""

PIECE_SIZE = 64 * 4096 - 16 - 4
"""Octets of a chunk in one value: with the CRC, and LMDB's 16 octets before a value of that size, 64 pages."""

LANES = 256
"""A queue has at most so many."""

RETURNS_TOGETHER = 256
"""Positions whose returns are one value: who gives back a thousand messages that followed on each other has them
written as a few values, not a thousand, each with a call into LMDB."""

Run = tuple[int, Sequence[Message]]
"""The position of a message, and it and those that follow on it. All have the same deadline, or none has one."""

CHUNKS = b"c"
META = b"m"
RETURNS = b"r"
STATES = b"s"
TOPOLOGY = b"t"

_PIECE_KEY = Struct(">cQQI")
_RETURNS_KEY = Struct(">cQQ")
_STATE_KEY = Struct(">cQ")
_CRC = Struct(">I")
_CHUNK_HEAD = Struct(">QIQ")
_RECORD_HEAD = Struct(">IHII")
_DEADLINE = Struct(">Q")
_STATE_HEAD = Struct(">QQ")
_INTERVAL = Struct(">QQ")
_RETURNED = Struct(">QI")
_LANE_SHIFT = 56
_SAME_ADDRESS = 0xFFFF  # an address has at most 512 octets
_SAME_HEADER = 0xFFFFFFFF
_TIMED_ADDRESS = 0x8000
_TIMED_CHUNK = 0x80000000


class Damaged(Exception):
    """Something in the store is not what was written there. The text says what and where."""


class ChunkHead(NamedTuple):
    """What a chunk holds, without looking at its messages. Counts and octets are those of persistent ones.

    ``timed``: there are messages with a deadline.
    """

    last: int
    messages: int
    octets: int
    timed: bool = False


class Chunk(NamedTuple):
    """A chunk that was read: the positions of its first and its last message, and its octets."""

    first: int
    last: int
    octets: bytes


# Keys


def log_id(owner: int, lane: int) -> int:
    """The log of one lane of the queue, or the exchange, that has this id."""
    return owner | lane << _LANE_SHIFT


def split_log_id(log: int) -> tuple[int, int]:
    """The id of the queue or exchange, and the number of the lane."""
    return log & (1 << _LANE_SHIFT) - 1, log >> _LANE_SHIFT


def log_name(log: int) -> str:
    """For people."""
    owner, lane = split_log_id(log)
    return f"queue id {owner}, lane {lane}" if lane else f"queue id {owner}"


def piece_key(log: int, position: int, piece: int = 0) -> bytes:
    return _PIECE_KEY.pack(CHUNKS, log, position, piece)


def split_piece_key(key: bytes | memoryview) -> tuple[int, int, int]:
    """Log, position of the chunk's first message, and number of the piece."""
    _, log, position, piece = _PIECE_KEY.unpack(key)
    return log, position, piece


def returns_key(log: int, position: int) -> bytes:
    """The key of the value that has the returns of the message at this position, and others."""
    return _RETURNS_KEY.pack(RETURNS, log, position - position % RETURNS_TOGETHER)


def split_returns_key(key: bytes) -> tuple[int, int]:
    """The log, and the first position that the value is for."""
    _, log, position = _RETURNS_KEY.unpack(key)
    return log, position


def state_key(log: int) -> bytes:
    return _STATE_KEY.pack(STATES, log)


def split_state_key(key: bytes) -> int:
    """The log's id."""
    return int(_STATE_KEY.unpack(key)[1])


def record_key(record: Record) -> bytes:
    """The key of the record that is kept of this thing: a newer one has the same.

    Names can be longer than a key of LMDB (511 octets), so a digest stands for them. The kinds sort in the order in
    which records can be applied.
    """
    kind, names = _KEYS[type(record)]
    digest = blake2b(digest_size=24)
    for name in names:
        octets = _name_octets(getattr(record, name))
        digest.update(b"%d:%b" % (len(octets), octets))
    return TOPOLOGY + kind + digest.digest()


def _name_octets(value: FieldValue) -> bytes:
    if isinstance(value, dict):
        return encode_table(dict(sorted(value.items()))).hex().encode()
    return str(value).encode("utf-8", "surrogateescape")


# What is stored of records, states and messages begins with the CRC-32 of the rest.


def _sealed(octets: bytes) -> bytes:
    return _CRC.pack(crc32(octets)) + octets


def _opened(value: bytes, what: str) -> bytes:
    """The rest. Damaged: it is not what was written."""
    octets = value[_CRC.size :]
    if len(value) < _CRC.size or _CRC.unpack_from(value)[0] != crc32(octets):
        raise Damaged(f"wrong checksum: {what}")
    return octets


# Records


def encode_record(record: Record, owner: int = 0) -> bytes:
    """A record as a field table, AMQP's own format for such things; ``owner`` is the id of what can have messages.

    Tables in it are octets: they may be nested as deep as a table can be.
    """
    table: Table = {}
    for field in fields(record):
        value = getattr(record, field.name)
        table[field.name] = encode_table(value) if isinstance(value, dict) else value
    return _sealed(encode_table(table | {"kind": type(record).__name__, "id": owner}))


def decode_record(value: bytes) -> tuple[Record, int]:
    """The record, and the id of what can have messages. Damaged: it is not what was written."""
    table: dict[str, Any] = decode_table(_opened(value, "a record"))[0]
    kind, owner = table.pop("kind"), table.pop("id")
    for name in _TABLES & table.keys():
        table[name] = decode_table(table[name])[0]
    return _RECORDS[kind](**table), owner


# What is gone of a log, and what has come back


def encode_state(gone: Gone, delivered: int) -> bytes:
    """What is gone, and the position below which messages may have been handed out."""
    intervals = b"".join(_INTERVAL.pack(*one) for one in gone.intervals)
    return _sealed(_STATE_HEAD.pack(gone.floor, delivered) + intervals)


def decode_state(value: bytes) -> tuple[Gone, int]:
    """The inverse. Damaged: it is not what was written."""
    octets = _opened(value, "a queue's state")
    floor, delivered = _STATE_HEAD.unpack_from(octets)
    intervals: Iterator[Interval] = _INTERVAL.iter_unpack(octets[_STATE_HEAD.size :])
    return Gone(floor, intervals), delivered


def encode_returns(returns: Mapping[int, int]) -> bytes:
    """How often messages were given back, by position."""
    return _sealed(b"".join(_RETURNED.pack(*one) for one in returns.items()))


def decode_returns(value: bytes) -> dict[int, int]:
    """The inverse. Damaged: it is not what was written."""
    return dict(_RETURNED.iter_unpack(_opened(value, "how often messages were given back")))


# Messages


def encode_chunks(runs: Iterable[Run]) -> Iterator[tuple[int, bytes]]:
    """Chunks of messages, each with its first position. Runs come in order, and none is empty."""
    records: list[bytes] = []
    first = last = size = count = octets = timed = 0
    address: bytes | None = None
    deadline: int | None = None
    header = b""
    persistent = False
    for position, messages in runs:
        message = messages[0]
        of_run = message.deadline if type(message) is TimedMessage else None
        if of_run != deadline:
            deadline = of_run
            address = None  # it is given anew, and the deadline with it
        for message in messages:
            body = message.body
            if records and size + len(body) > CHUNK_SIZE:
                yield first, _CHUNK_HEAD.pack(last, count | timed, octets) + b"".join(records)
                records = []
            if not records:
                first = last = position
                size = count = octets = timed = 0
                address, header = None, b""
            if message.address is address:
                address_size, given_address = _SAME_ADDRESS, b""
            else:
                address = given_address = message.address
                address_size = len(address)
                if deadline is not None:
                    given_address = _DEADLINE.pack(deadline) + address
                    address_size |= _TIMED_ADDRESS
                    timed = _TIMED_CHUNK
            if message.header is header:
                header_size, given_header = _SAME_HEADER, b""
            else:
                header = given_header = message.header
                header_size = len(header)
                persistent = message.persistent
            head = _RECORD_HEAD.pack(position - last, address_size, header_size, len(body))
            records += (head, given_address, given_header, body)
            size += len(head) + len(given_address) + len(given_header) + len(body)
            if persistent:
                count += 1
                octets += len(body)
            last = position
            position += 1
    if records:
        yield first, _CHUNK_HEAD.pack(last, count | timed, octets) + b"".join(records)


def split_chunk(log: int, first: int, chunk: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a chunk's pieces."""
    for piece, start in enumerate(range(0, len(chunk), PIECE_SIZE)):
        yield piece_key(log, first, piece), _sealed(chunk[start : start + PIECE_SIZE])


def read_head(value: bytes | memoryview) -> ChunkHead:
    """The head of a chunk, from its first piece, whose CRC is not looked at. Damaged: it is too short."""
    if len(value) < _CRC.size + _CHUNK_HEAD.size:
        raise Damaged(f"a chunk without a head, in a piece of {len(value)} octets")
    last, count, octets = _CHUNK_HEAD.unpack_from(value, _CRC.size)
    return ChunkHead(last, count & ~_TIMED_CHUNK, octets, count >= _TIMED_CHUNK)


def join_chunk(log: int, first: int, pieces: Sequence[bytes]) -> Chunk:
    """A chunk from the values of its pieces. Damaged: one of them is not what was written, or the first is missing."""
    where = f"{log_name(log)}, position {first}"
    octets = b"".join(_opened(value, f"{where}, piece {number}") for number, value in enumerate(pieces))
    if len(octets) < _CHUNK_HEAD.size:
        raise Damaged(f"a chunk without a head: {where}")
    return Chunk(first, _CHUNK_HEAD.unpack_from(octets)[0], octets)


def decode_chunk(chunk: Chunk) -> Iterator[tuple[int, Message]]:
    """The messages of a chunk with their positions. Damaged: it is none, though its CRC is right."""
    first, last, octets = chunk
    offset, end, position = _CHUNK_HEAD.size, len(octets), first
    address = header = b""
    make: Callable[[bytes, bytes, bytes], Message] = Message
    unpack, head_size = _RECORD_HEAD.unpack_from, _RECORD_HEAD.size
    while offset < end:
        if offset + head_size > end:
            raise Damaged(f"a chunk that ends in a record's head, at position {position}")
        ahead, address_size, header_size, body_size = unpack(octets, offset)
        offset += head_size
        if address_size != _SAME_ADDRESS:
            make = Message
            if address_size & _TIMED_ADDRESS:
                address_size ^= _TIMED_ADDRESS
                make = partial(TimedMessage, deadline=int.from_bytes(octets[offset : offset + _DEADLINE.size]))
                offset += _DEADLINE.size
            address = octets[offset : offset + address_size]
            offset += address_size
        if header_size != _SAME_HEADER:
            header = octets[offset : offset + header_size]
            offset += header_size
        body = octets[offset : offset + body_size]
        offset += body_size
        if offset > end:
            raise Damaged(f"a chunk that ends in a record, at position {position}")
        position += ahead
        yield position, make(address, header, body)
    if position != last:
        raise Damaged(f"a chunk that ends at position {position}, and should at {last}")


def join_runs(messages: Iterable[tuple[int, Message]]) -> list[tuple[int, list[Message]]]:
    """Messages with positions as runs of consecutive ones."""
    runs: list[tuple[int, list[Message]]] = []
    expected = -1
    run: list[Message] = []
    for position, message in messages:
        if position != expected:
            run = []
            runs.append((position, run))
        run.append(message)
        expected = position + 1
    return runs


_KEYS: dict[type[Record], tuple[bytes, tuple[str, ...]]] = {
    VHostRecord: (b"0", ("name",)),
    UserRecord: (b"1", ("name",)),
    PermissionRecord: (b"2", ("vhost", "user")),
    TopicPermissionRecord: (b"3", ("vhost", "user", "exchange")),
    PolicyRecord: (b"4", ("vhost", "name", "operator")),
    ExchangeRecord: (b"e", ("vhost", "name")),
    QueueRecord: (b"q", ("vhost", "name")),
    BindingRecord: (b"t", ("vhost", "source", "destination_kind", "destination", "routing_key", "arguments")),
}
"""What is kept: its letter, and what names it."""

_RECORDS: dict[str, type[Record]] = {kind.__name__: kind for kind in _KEYS}
_TABLES = {"arguments", "definition"}
