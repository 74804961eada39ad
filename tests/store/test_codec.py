"""Octets of keys and values: what is written comes back, and what was not written is found out."""

from contextlib import suppress
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from amqpd.store import codec
from amqpd.store.codec import (
    CHUNK_SIZE,
    PIECE_SIZE,
    Chunk,
    Damaged,
    decode_chunk,
    decode_record,
    decode_returns,
    decode_state,
    encode_chunks,
    encode_record,
    encode_returns,
    encode_state,
    join_chunk,
    join_runs,
    log_id,
    log_name,
    piece_key,
    read_head,
    record_key,
    returns_key,
    split_chunk,
    split_log_id,
    split_piece_key,
    split_returns_key,
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
    st.builds(PolicyRecord, names, names, names, arguments, names, st.integers(-(1 << 31), 1 << 31), flags),
    st.builds(VHostRecord, names),
    st.builds(UserRecord, names, names, names, names),
    st.builds(PermissionRecord, names, names, names, names, names),
    st.builds(TopicPermissionRecord, names, names, names, names, names),
)


def values_of(record: Record) -> list[Any]:
    """With tables as octets, which tell a Short from an int."""
    values = [getattr(record, field.name) for field in fields(record)]
    return [type(record), *(encode_table(value) if isinstance(value, dict) else value for value in values)]


# Keys


@given(ids, ids, st.integers(0, (1 << 32) - 1))
def test_the_key_of_a_piece(queue: int, position: int, piece: int) -> None:
    key = piece_key(queue, position, piece)
    assert split_piece_key(key) == split_piece_key(memoryview(key)) == (queue, position, piece)


@given(st.lists(st.tuples(ids, ids, st.integers(0, 1000))))
def test_pieces_sort_by_queue_and_position(pieces: list[tuple[int, int, int]]) -> None:
    assert sorted(pieces) == [split_piece_key(key) for key in sorted(piece_key(*piece) for piece in pieces)]


@given(st.integers(0, (1 << 56) - 1), st.integers(0, 255))
def test_lanes_have_logs_of_their_own(owner: int, lane: int) -> None:
    assert split_log_id(log_id(owner, lane)) == (owner, lane)
    assert log_id(owner, 0) == owner


def test_logs_have_names_for_people() -> None:
    assert (log_name(7), log_name(log_id(7, 3))) == ("queue id 7", "queue id 7, lane 3")


@given(ids, st.integers(1, 1 << 40))
def test_returns_lie_with_those_of_neighbours(log: int, position: int) -> None:
    found, first = split_returns_key(returns_key(log, position))
    assert found == log
    assert first <= position < first + 256
    assert returns_key(log, position) == returns_key(log, first) == returns_key(log, first + 255)
    assert returns_key(log, position) != returns_key(log, first + 256)


@given(ids)
def test_the_key_of_a_state(queue: int) -> None:
    assert split_state_key(state_key(queue)) == queue


@given(records, records)
def test_records_have_the_same_key_if_they_are_of_the_same_thing(one: Record, other: Record) -> None:
    assert (record_key(one) == record_key(other)) == (_identity(one) == _identity(other))


def _identity(record: Record) -> list[Any]:
    match record:
        case BindingRecord():
            table = encode_table(dict(sorted(record.arguments.items())))
            return [record.vhost, record.source, record.destination_kind, record.destination, record.routing_key, table]
        case VHostRecord() | UserRecord():
            return [type(record), record.name]
        case PermissionRecord():
            return [type(record), record.vhost, record.user]
        case TopicPermissionRecord():
            return [type(record), record.vhost, record.user, record.exchange]
        case PolicyRecord():
            return [type(record), record.vhost, record.name, record.operator]
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
            VHostRecord("/"),
            UserRecord("u", "", ""),
            PermissionRecord("/", "u", "", "", ""),
            TopicPermissionRecord("/", "u", "z", "", ""),
            PolicyRecord("/", "p", "", {}),
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
    assert (values_of(found), found_queue) == (values_of(record), queue)


def test_a_record_has_arguments_as_deep_as_a_client_can_send_them() -> None:
    table: dict[str, Any] = {}
    for _ in range(TABLE_DEPTH_MAX - 1):
        table = {"in": table}
    record = QueueRecord("/", "q", arguments=table)
    assert decode_record(encode_record(record)) == (record, 0)


@given(strategies.nearly(records.map(encode_record)))
def test_octets_that_are_nearly_a_record_are_one_or_are_damaged(octets: bytes) -> None:
    with suppress(Damaged):
        assert isinstance(decode_record(octets)[0], Record)


@given(st.lists(st.integers(1, 1 << 62), min_size=1, unique=True).map(sorted), ids)
def test_a_state_comes_back(edges: list[int], delivered: int) -> None:
    gone = Gone(edges[0], zip(edges[1::2], edges[2::2], strict=False))
    found, found_delivered = decode_state(encode_state(gone, delivered))
    assert (found.floor, found.intervals, found_delivered) == (gone.floor, gone.intervals, delivered)


@pytest.mark.parametrize("size", [0, 15, 17, 31, 33])
def test_a_state_of_a_wrong_size_is_damaged(size: int) -> None:
    with pytest.raises(Damaged, match=r"^wrong checksum: a queue's state$"):
        decode_state(bytes(size))


@given(st.dictionaries(ids, st.integers(1, (1 << 32) - 1)))
def test_returns_come_back(returns: dict[int, int]) -> None:
    assert decode_returns(encode_returns(returns)) == returns


def test_returns_that_were_not_written_are_damaged() -> None:
    with pytest.raises(Damaged, match=r"^wrong checksum: how often messages were given back$"):
        decode_returns(encode_returns({1: 2})[:-1])


OLD_RECORDS: list[tuple[Record, str, str]] = [
    (
        ExchangeRecord("/", "x", "topic", durable=True, arguments={"alternate-exchange": "y"}),
        "74659561a557d1cc9ca5b7be3cb4c15971eb51490f48bd88ca59",
        (
            "a73cbcd9000000950576686f737453000000012f046e616d6553000000017804747970655300000005746f706963076475726162"
            "6c6574010b6175746f5f64656c657465740008696e7465726e616c740009617267756d656e7473780000001d0000001912616c74"
            "65726e6174652d65786368616e6765530000000179046b696e64530000000e45786368616e67655265636f726402696449000000"
            "07"
        ),
    ),
    (
        QueueRecord("/", "q", durable=True, arguments={"x-max-length": 5}),
        "74717f946e8fd2cb2d1f3f7b8611c26650d6b0a8bcc693369dbc",
        (
            "2079c42e0000007d0576686f737453000000012f046e616d655300000001710764757261626c657401096578636c757369766574"
            "000b6175746f5f64656c657465740009617267756d656e74737800000016000000120c782d6d61782d6c656e6774684900000005"
            "046b696e64530000000b51756575655265636f72640269644900000007"
        ),
    ),
    (
        BindingRecord("/", "x", "q", "queue", "a.#", {"b": 1, "a": True}),
        "747406fb242c3bee612df91a88bae54e8d26dbdae0aa23bf8149",
        (
            "2eac85be000000970576686f737453000000012f06736f757263655300000001780b64657374696e6174696f6e53000000017110"
            "64657374696e6174696f6e5f6b696e64530000000571756575650b726f7574696e675f6b65795300000003612e2309617267756d"
            "656e7473780000000f0000000b0162490000000101617401046b696e64530000000d42696e64696e675265636f72640269644900"
            "000007"
        ),
    ),
]


@pytest.mark.parametrize(("record", "key", "value"), OLD_RECORDS, ids=["exchange", "queue", "binding"])
def test_records_of_format_1_as_they_always_were(record: Record, key: str, value: str) -> None:
    assert (record_key(record).hex(), encode_record(record, 7).hex()) == (key, value)
    assert decode_record(bytes.fromhex(value)) == (record, 7)


def test_messages_of_format_1_as_they_always_were() -> None:
    """Two at positions 4 and 6, from one publisher to exchange x with routing key k."""
    chunk = bytes.fromhex(
        "0000000000000006 00000002 0000000000000006 "
        "00000000 0004 0000000f 00000003 0178016b 003c00000000000000000003100002 6f6e65 "
        "00000002 ffff ffffffff 00000003 74776f"
    )
    one, two = decode_chunk(Chunk(4, 6, chunk))
    assert [(at, type(message), message.address, message.body) for at, message in (one, two)] == [
        (4, Message, b"\1x\1k", b"one"),
        (6, Message, b"\1x\1k", b"two"),
    ]
    assert list(encode_chunks([(4, [one[1]]), (6, [two[1]])])) == [(4, chunk)]


# Chunks


bodies = st.binary(max_size=300)
addresses = st.binary(max_size=40)
headers = st.sampled_from([message.header for message in (*persistent("a"), *transient("a"), *persistent("bb"))])
messages = st.lists(st.builds(Message, addresses, headers, bodies), min_size=1, max_size=8)
deadlines = st.sampled_from([None, None, 0, 1, 1_700_000_000_000, (1 << 64) - 1])


@st.composite
def runs(draw: st.DrawFn) -> list[tuple[int, list[Message]]]:
    """Runs in order, some with a deadline. Messages share addresses and headers, or have equal ones that are other
    objects."""
    position = draw(st.integers(1, 1 << 40))
    found: list[tuple[int, list[Message]]] = []
    for run in draw(st.lists(messages, min_size=1, max_size=5)):
        for index in range(1, len(run)):
            if draw(st.booleans()):
                run[index] = Message(run[index - 1].address, run[index - 1].header, run[index].body)
        deadline = draw(deadlines)
        if deadline is not None:
            run[:] = timed(deadline, *run)
        found.append((position, run))
        position += len(run) + draw(st.integers(1, 1000))
    return found


def timed(deadline: int, *messages: Message) -> list[Message]:
    return [TimedMessage(message.address, message.header, message.body, deadline) for message in messages]


def octets_of(messages: list[Message]) -> list[tuple[bytes, bytes, bytes, int | None]]:
    """And the deadline."""
    return [(message.address, message.header, message.body, getattr(message, "deadline", None)) for message in messages]


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
        assert head.timed == any(isinstance(message, TimedMessage) for _, message in inside)
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


def test_a_deadline_costs_those_that_have_one_a_few_octets_and_the_others_none() -> None:
    plain = persistent(*"abcd", key="a long routing key")
    ((_, without),) = encode_chunks([(1, plain)])
    ((_, one_for_all),) = encode_chunks([(1, timed(5, *plain))])
    ((first, mixed),) = encode_chunks([(1, plain[:1]), (2, timed(5, *plain[1:3])), (4, plain[3:])])
    assert len(one_for_all) == len(without) + 8
    assert mixed.count(b"a long routing key") == 3
    found = [message for _, message in decode_chunk(read_back(1, first, mixed))]
    assert [getattr(message, "deadline", None) for message in found] == [None, 5, 5, None]
    assert found[1].address is found[2].address


def test_every_chunk_can_be_read_alone() -> None:
    body = "x" * (CHUNK_SIZE // 3)
    chunks = list(encode_chunks([(1, persistent(*[body] * 5))]))
    assert [first for first, _ in chunks] == [1, 3, 5]
    for first, chunk in chunks:
        assert all(message.routing_key == "q" for _, message in decode_chunk(read_back(1, first, chunk)))
    for first, chunk in encode_chunks([(1, timed(5, *persistent(*[body] * 5)))]):
        assert all(message.deadline == 5 for _, message in decode_chunk(read_back(1, first, chunk)))


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
