"""Octets of keys and values: what is written comes back, and what was not written is found out."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.message import Message
from amqpd.broker.records import BindingRecord, ExchangeRecord, QueueRecord, Record
from amqpd.store import codec
from amqpd.store.codec import (
    CHUNK_SIZE,
    PIECE_SIZE,
    Chunk,
    Damaged,
    decode_chunk,
    decode_record,
    decode_state,
    encode_chunks,
    encode_record,
    encode_state,
    join_chunk,
    join_runs,
    piece_key,
    read_head,
    record_key,
    split_chunk,
    split_piece_key,
    split_state_key,
    state_key,
)
from amqpd.store.gone import Gone
from amqpd.wire.tables import TABLE_DEPTH_MAX, encode_table
from tests.store.support import persistent, transient
from tests.wire import strategies

ids = st.integers(0, (1 << 64) - 1)
flags = st.booleans()
names = strategies.any_short_strings
arguments = strategies.field_tables
records: st.SearchStrategy[Record] = st.one_of(
    st.builds(ExchangeRecord, names, names, names, flags, flags, flags, arguments),
    st.builds(QueueRecord, names, names, flags, flags, flags, arguments),
    st.builds(BindingRecord, names, names, names, st.sampled_from(["queue", "exchange"]), names, arguments),
)


def fields(record: Record) -> list[Any]:
    """With arguments as octets, which tell a Short from an int."""
    values = {name: getattr(record, name) for name in record.__slots__}
    return [type(record), values | {"arguments": encode_table(record.arguments)}]


# Keys


@given(ids, ids, st.integers(0, (1 << 32) - 1))
def test_the_key_of_a_piece(queue: int, position: int, piece: int) -> None:
    key = piece_key(queue, position, piece)
    assert split_piece_key(key) == split_piece_key(memoryview(key)) == (queue, position, piece)


@given(st.lists(st.tuples(ids, ids, st.integers(0, 1000))))
def test_pieces_sort_by_queue_and_position(pieces: list[tuple[int, int, int]]) -> None:
    assert sorted(pieces) == [split_piece_key(key) for key in sorted(piece_key(*piece) for piece in pieces)]


@given(ids)
def test_the_key_of_a_state(queue: int) -> None:
    assert split_state_key(state_key(queue)) == queue


@given(records, records)
def test_records_have_the_same_key_if_they_are_of_the_same_thing(one: Record, other: Record) -> None:
    assert (record_key(one) == record_key(other)) == (_identity(one) == _identity(other))


def _identity(record: Record) -> list[Any]:
    if isinstance(record, BindingRecord):
        table = encode_table(dict(sorted(record.arguments.items())))
        return [record.vhost, record.source, record.destination_kind, record.destination, record.routing_key, table]
    return [type(record), record.vhost, record.name]


def test_names_of_a_key_do_not_run_together() -> None:
    one = BindingRecord("/", "ab", "c", "queue")
    other = BindingRecord("/", "a", "bc", "queue")
    assert record_key(one) != record_key(other)
    assert record_key(QueueRecord("/", "x")) != record_key(ExchangeRecord("/", "x", "direct"))


def test_a_binding_is_the_same_in_whatever_order_its_arguments_come() -> None:
    one = BindingRecord("/", "x", "q", "queue", "", {"a": 1, "b": 2})
    other = BindingRecord("/", "x", "q", "queue", "", {"b": 2, "a": 1})
    assert record_key(one) == record_key(other)


def test_records_sort_as_they_can_be_applied() -> None:
    keys = [
        record_key(record)
        for record in (
            ExchangeRecord("/", "z", "direct"),
            QueueRecord("/", "q"),
            BindingRecord("/", "z", "q", "queue"),
        )
    ]
    assert keys == sorted(keys)
    assert all(len(key) <= 511 for key in keys)  # LMDB's limit


# Records and states


@given(records, ids.map(lambda number: number >> 1))
def test_a_record_comes_back(record: Record, queue: int) -> None:
    found, found_queue = decode_record(encode_record(record, queue))
    assert (fields(found), found_queue) == (fields(record), queue)


def test_a_record_has_arguments_as_deep_as_a_client_can_send_them() -> None:
    table: dict[str, Any] = {}
    for _ in range(TABLE_DEPTH_MAX - 1):
        table = {"in": table}
    record = QueueRecord("/", "q", arguments=table)
    assert decode_record(encode_record(record)) == (record, 0)


@given(strategies.nearly(records.map(encode_record)))
def test_octets_that_are_nearly_a_record_are_one_or_are_damaged(octets: bytes) -> None:
    with suppress(Damaged):
        assert isinstance(decode_record(octets)[0], (ExchangeRecord, QueueRecord, BindingRecord))


@given(st.lists(st.integers(1, 1 << 62), min_size=1, unique=True).map(sorted), ids)
def test_a_state_comes_back(edges: list[int], delivered: int) -> None:
    gone = Gone(edges[0], zip(edges[1::2], edges[2::2], strict=False))
    found, found_delivered = decode_state(encode_state(gone, delivered))
    assert (found.floor, found.intervals, found_delivered) == (gone.floor, gone.intervals, delivered)


@pytest.mark.parametrize("size", [0, 15, 17, 31, 33])
def test_a_state_of_a_wrong_size_is_damaged(size: int) -> None:
    with pytest.raises(Damaged, match=r"^wrong checksum: a queue's state$"):
        decode_state(bytes(size))


# Chunks


bodies = st.binary(max_size=300)
addresses = st.binary(max_size=40)
headers = st.sampled_from([message.header for message in (*persistent("a"), *transient("a"), *persistent("bb"))])
messages = st.lists(st.builds(Message, addresses, headers, bodies), min_size=1, max_size=8)


@st.composite
def runs(draw: st.DrawFn) -> list[tuple[int, list[Message]]]:
    """Runs in order. Messages share addresses and headers, or have equal ones that are other objects."""
    position = draw(st.integers(1, 1 << 40))
    found: list[tuple[int, list[Message]]] = []
    for run in draw(st.lists(messages, min_size=1, max_size=5)):
        for index in range(1, len(run)):
            if draw(st.booleans()):
                run[index] = Message(run[index - 1].address, run[index - 1].header, run[index].body)
        found.append((position, run))
        position += len(run) + draw(st.integers(1, 1000))
    return found


def octets_of(messages: list[Message]) -> list[tuple[bytes, bytes, bytes]]:
    return [(message.address, message.header, message.body) for message in messages]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few messages are a chunk, and a chunk has several pieces."""
    monkeypatch.setattr(codec, "CHUNK_SIZE", 500)
    monkeypatch.setattr(codec, "PIECE_SIZE", 64)


def read_back(queue: int, first: int, octets: bytes) -> Chunk:
    """Through pieces and back."""
    pieces = list(split_chunk(queue, first, octets))
    assert [split_piece_key(key) for key, _ in pieces] == [(queue, first, number) for number in range(len(pieces))]
    assert read_head(pieces[0][1]) == read_head(memoryview(pieces[0][1]))
    return join_chunk(queue, first, [value for _, value in pieces])


@given(runs())
@pytest.mark.usefixtures("tiny")
def test_messages_come_back_as_runs(written: list[tuple[int, list[Message]]]) -> None:
    found: list[tuple[int, Message]] = []
    count = octets = 0
    for first, chunk in encode_chunks(written):
        back = read_back(7, first, chunk)
        head = read_head(bytes(4) + chunk)
        inside = list(decode_chunk(back))
        assert (inside[0][0], inside[-1][0]) == (first, back.last) == (back.first, head.last)
        assert head.messages == sum(message.persistent for _, message in inside)
        assert head.octets == sum(len(message.body) for _, message in inside if message.persistent)
        count += head.messages
        octets += head.octets
        found += inside
    assert [(position, octets_of(run)) for position, run in join_runs(found)] == [
        (position, octets_of(run)) for position, run in written
    ]
    everything = [message for _, run in written for message in run if message.persistent]
    assert (count, octets) == (len(everything), sum(len(message.body) for message in everything))


def test_what_publishers_repeat_is_there_once_on_the_disk_and_in_memory() -> None:
    ((first, chunk),) = encode_chunks([(1, persistent(*"abc", key="a long routing key"))])
    assert chunk.count(b"a long routing key") == 1
    a, b, c = (message for _, message in decode_chunk(read_back(1, first, chunk)))
    assert a.address is b.address is c.address
    assert a.header is b.header is c.header
    more = len(next(encode_chunks([(1, persistent(*"abcd", key="a long routing key"))]))[1]) - len(chunk)
    assert more == 15  # a record's head and one octet


def test_every_chunk_can_be_read_alone() -> None:
    body = "x" * (CHUNK_SIZE // 3)
    chunks = list(encode_chunks([(1, persistent(*[body] * 5))]))
    assert [first for first, _ in chunks] == [1, 3, 5]
    for first, chunk in chunks:
        assert all(message.routing_key == "q" for _, message in decode_chunk(read_back(1, first, chunk)))


def test_a_large_message_has_a_chunk_of_its_own_in_pieces_of_one_size() -> None:
    large = b"0123456789" * (PIECE_SIZE // 4)
    chunks = dict(encode_chunks([(1, [*persistent("a"), *persistent(large), *persistent("b")])]))
    assert list(chunks) == [1, 2, 3]
    sizes = [len(value) for _, value in split_chunk(1, 2, chunks[2])]
    assert sizes == [PIECE_SIZE + 4, PIECE_SIZE + 4, sizes[-1]]
    assert (PIECE_SIZE + 4 + 16) % 4096 == 0  # with LMDB's head of such a value, whole pages
    ((_, message),) = decode_chunk(read_back(1, 2, chunks[2]))
    assert message.body == large


def test_empty_bodies_and_empty_runs() -> None:
    assert list(encode_chunks([])) == []
    ((first, chunk),) = encode_chunks([(5, persistent("", ""))])
    assert [position for position, _ in decode_chunk(read_back(1, first, chunk))] == [5, 6]


@given(st.data())
@pytest.mark.usefixtures("tiny")
def test_a_damaged_piece_is_found_out(data: st.DataObject) -> None:
    ((first, chunk),) = encode_chunks([(3, persistent("a", "b" * 300))])
    pieces = [value for _, value in split_chunk(1, first, chunk)]
    index = data.draw(st.integers(0, len(pieces) - 1))
    damaged = data.draw(strategies.nearly(st.just(pieces[index])).filter(lambda piece: piece != pieces[index]))
    with pytest.raises(Damaged, match=f"queue id 1, position 3, piece {index}"):
        join_chunk(1, first, [*pieces[:index], damaged, *pieces[index + 1 :]])


@given(st.data())
@pytest.mark.usefixtures("tiny")
def test_a_chunk_without_some_of_its_pieces_is_found_out(data: st.DataObject) -> None:
    run = persistent(*"abcdefgh", "x" * 250)
    ((first, chunk),) = encode_chunks([(3, run)])
    pieces = [value for _, value in split_chunk(1, first, chunk)]
    there = data.draw(st.integers(1, len(pieces) - 1))
    with pytest.raises(Damaged, match="a chunk that ends"):
        list(decode_chunk(join_chunk(1, first, pieces[:there])))


def test_a_chunk_without_any_piece_or_head_is_found_out() -> None:
    with pytest.raises(Damaged, match="a chunk without a head: queue id 1, position 3"):
        join_chunk(1, 3, [])
    with pytest.raises(Damaged, match="a chunk without a head, in a piece of 23 octets"):
        read_head(bytes(23))


@given(st.binary(max_size=60), st.integers(0, 100))
def test_whatever_a_chunk_holds_is_messages_or_damage(octets: bytes, last: int) -> None:
    chunk = Chunk(1, last, bytes(20) + octets)
    try:
        found = list(decode_chunk(chunk))
    except Damaged:
        return
    assert (found[-1][0] if found else 1) == last
