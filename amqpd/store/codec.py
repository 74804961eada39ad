"""How things lie in the store: octets of keys and values, to and from what they mean. No reading, no writing.

The first letter of a key says what it is: ``c`` a piece of a chunk of messages, ``m`` something about the store itself,
``s`` the state of a queue, ``t`` a record of the topology. One key space, since each further one of LMDB's is a page
more to write with every commit.

Messages lie in *chunks*: what one commit brings for one queue, in order, up to ``CHUNK_SIZE``. So a message costs the
store a few octets and no operation of its own, and a page is read back by a few. A chunk's key has the queue's id
and the position of its first message::

    last position (8) | persistent messages (4), octets of their bodies (8) | record, record, ...

    record: positions after the one before (4) | sizes of address (2), header (4), body (4) | address, header, body

Publishers repeat themselves: where address or header are those of the record before, their size is ``SAME`` and they
are left out, on the disk and, when they are read back, in memory.

A chunk lies in *pieces* of at most ``PIECE_SIZE``, each a value of its own, with its number at the end of the key. Only
a chunk with one large message has more than one. All pieces but a chunk's last have the same size, so the pages that
one leaves behind fit the next: a store that large messages stream through does not grow.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from struct import Struct
from typing import Any, NamedTuple
from zlib import crc32

from amqpd.broker.message import Message
from amqpd.broker.records import BindingRecord, ExchangeRecord, QueueRecord, Record
from amqpd.store.gone import Gone, Interval
from amqpd.wire.tables import Table, decode_table, encode_table

CHUNK_SIZE = 65_536
"""Octets of messages after which a chunk ends: what is kept until the last of them is settled, and the least that is
read at a time."""

PIECE_SIZE = 64 * 4096 - 16 - 4
"""Octets of a chunk in one value: with the CRC, and LMDB's 16 octets before a value of that size, 64 pages."""

Run = tuple[int, Sequence[Message]]
"""The position of a message, and it and those that follow on it."""

CHUNKS = b"c"
META = b"m"
STATES = b"s"
TOPOLOGY = b"t"

_PIECE_KEY = Struct(">cQQI")
_STATE_KEY = Struct(">cQ")
_CRC = Struct(">I")
_CHUNK_HEAD = Struct(">QIQ")
_RECORD_HEAD = Struct(">IHII")
_STATE_HEAD = Struct(">QQ")
_INTERVAL = Struct(">QQ")
_SAME_ADDRESS = 0xFFFF  # an address has at most 512 octets
_SAME_HEADER = 0xFFFFFFFF


class Damaged(Exception):
    """Something in the store is not what was written there. The text says what and where."""


class ChunkHead(NamedTuple):
    """What a chunk holds, without looking at its messages. Counts and octets are those of persistent ones."""

    last: int
    messages: int
    octets: int


class Chunk(NamedTuple):
    """A chunk that was read: the positions of its first and its last message, and its octets."""

    first: int
    last: int
    octets: bytes


# Keys


def piece_key(queue: int, position: int, piece: int = 0) -> bytes:
    return _PIECE_KEY.pack(CHUNKS, queue, position, piece)


def split_piece_key(key: bytes | memoryview) -> tuple[int, int, int]:
    """Queue, position of the chunk's first message, and number of the piece."""
    _, queue, position, piece = _PIECE_KEY.unpack(key)
    return queue, position, piece


def state_key(queue: int) -> bytes:
    return _STATE_KEY.pack(STATES, queue)


def split_state_key(key: bytes) -> int:
    """The queue's id."""
    return int(_STATE_KEY.unpack(key)[1])


def record_key(record: Record) -> bytes:
    """Names can be longer than a key of LMDB (511 octets), so a digest stands for them. The kinds sort in the order in
    which records can be applied."""
    if isinstance(record, BindingRecord):
        kind = b"t"
        arguments = encode_table(dict(sorted(record.arguments.items()))).hex()
        names = [record.source, record.destination_kind, record.destination, record.routing_key, arguments]
    else:
        kind = b"e" if isinstance(record, ExchangeRecord) else b"q"
        names = [record.name]
    digest = blake2b(digest_size=24)
    for name in (record.vhost, *names):
        octets = name.encode("utf-8", "surrogateescape")
        digest.update(b"%d:%b" % (len(octets), octets))
    return TOPOLOGY + kind + digest.digest()


# What is stored of records, states and messages begins with the CRC-32 of the rest.


def _sealed(octets: bytes) -> bytes:
    return _CRC.pack(crc32(octets)) + octets


def _opened(value: bytes, what: str) -> bytes:
    """The rest. Damaged: it is not what was written."""
    octets = value[_CRC.size :]
    if len(value) < _CRC.size or _CRC.unpack_from(value)[0] != crc32(octets):
        raise Damaged(f"wrong checksum: {what}")
    return octets


# Records of the topology


def encode_record(record: Record, queue: int = 0) -> bytes:
    """A record as a field table, AMQP's own format for such things; ``queue`` is the id of a queue's messages.

    Its arguments are octets in that table: they may be nested as deep as a table can be.
    """
    table: Table = {name: getattr(record, name) for name in record.__slots__}
    table |= {"kind": type(record).__name__, "id": queue, "arguments": encode_table(record.arguments)}
    return _sealed(encode_table(table))


def decode_record(value: bytes) -> tuple[Record, int]:
    """The record, and the id of a queue's messages. Damaged: it is not what was written."""
    fields: dict[str, Any] = decode_table(_opened(value, f"a record: {value!r}"))[0]
    kind, queue, arguments = fields.pop("kind"), fields.pop("id"), decode_table(fields.pop("arguments"))[0]
    return _RECORDS[kind](**fields, arguments=arguments), queue


# What is gone of a queue


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


# Messages


def encode_chunks(runs: Iterable[Run]) -> Iterator[tuple[int, bytes]]:
    """Chunks of messages, each with its first position. Runs come in order."""
    records: list[bytes] = []
    first = last = size = count = octets = 0
    address = header = b""
    persistent = False
    for position, messages in runs:
        for message in messages:
            body = message.body
            if records and size + len(body) > CHUNK_SIZE:
                yield first, _CHUNK_HEAD.pack(last, count, octets) + b"".join(records)
                records = []
            if not records:
                first = last = position
                size = count = octets = 0
                address = header = b""
            if message.address is address:
                address_size, given_address = _SAME_ADDRESS, b""
            else:
                address = given_address = message.address
                address_size = len(address)
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
        yield first, _CHUNK_HEAD.pack(last, count, octets) + b"".join(records)


def split_chunk(queue: int, first: int, chunk: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a chunk's pieces."""
    for piece, start in enumerate(range(0, len(chunk), PIECE_SIZE)):
        yield piece_key(queue, first, piece), _sealed(chunk[start : start + PIECE_SIZE])


def read_head(value: bytes | memoryview) -> ChunkHead:
    """The head of a chunk, from its first piece, whose CRC is not looked at. Damaged: it is too short."""
    if len(value) < _CRC.size + _CHUNK_HEAD.size:
        raise Damaged(f"a chunk without a head, in a piece of {len(value)} octets")
    return ChunkHead(*_CHUNK_HEAD.unpack_from(value, _CRC.size))


def join_chunk(queue: int, first: int, pieces: Sequence[bytes]) -> Chunk:
    """A chunk from the values of its pieces. Damaged: one of them is not what was written, or the first is missing."""
    where = f"queue id {queue}, position {first}"
    octets = b"".join(_opened(value, f"{where}, piece {number}") for number, value in enumerate(pieces))
    if len(octets) < _CHUNK_HEAD.size:
        raise Damaged(f"a chunk without a head: {where}")
    return Chunk(first, _CHUNK_HEAD.unpack_from(octets)[0], octets)


def decode_chunk(chunk: Chunk) -> Iterator[tuple[int, Message]]:
    """The messages of a chunk with their positions. Damaged: it is none, though its CRC is right."""
    first, last, octets = chunk
    offset, end, position = _CHUNK_HEAD.size, len(octets), first
    address = header = b""
    unpack, head_size = _RECORD_HEAD.unpack_from, _RECORD_HEAD.size
    while offset < end:
        if offset + head_size > end:
            raise Damaged(f"a chunk that ends in a record's head, at position {position}")
        ahead, address_size, header_size, body_size = unpack(octets, offset)
        offset += head_size
        if address_size != _SAME_ADDRESS:
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
        yield position, Message(address, header, body)
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


_RECORDS: dict[str, type[Record]] = {kind.__name__: kind for kind in (ExchangeRecord, QueueRecord, BindingRecord)}
