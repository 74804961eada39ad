"""What the load generator sends and counts, held against the codec of the broker."""

import struct

import pytest

from amqpd.bench.frames import Confirms, Deliveries, NotCounted, make_blocks, method_frame, publish_frames
from amqpd.wire.constants import FRAME_BODY, FRAME_HEADER, FRAME_METHOD
from amqpd.wire.fast import encode_ack, encode_frame, encode_nack, unpack_frame_head
from amqpd.wire.methods import (
    BasicCancel,
    BasicDeliver,
    BasicPublish,
    ChannelClose,
    ConnectionClose,
    decode_method,
)
from amqpd.wire.properties import Properties, decode_properties, encode_header


def frames_of(octets: bytes | bytearray) -> list[tuple[int, bytes]]:
    """The type and the payload of each frame."""
    frames, at = [], 0
    while at < len(octets):
        kind, channel, size = unpack_frame_head(octets, at)
        assert channel == 1
        assert octets[at + 7 + size] == 0xCE
        frames.append((kind, bytes(octets[at + 7 : at + 7 + size])))
        at += size + 8
    return frames


def delivery(tag: int, body: bytes = b"x" * 20, frame_max: int = 4096) -> bytes:
    octets = method_frame(BasicDeliver("c00001", tag, False, "exchange", "key"))
    octets += encode_frame(FRAME_HEADER, 1, encode_header(len(body), Properties()))
    for start in range(0, len(body), frame_max - 8):
        octets += encode_frame(FRAME_BODY, 1, body[start : start + frame_max - 8])
    return octets


def stamped(time_ns: int, size: int = 20) -> bytes:
    return struct.pack(">BQ", 1, time_ns).ljust(size, b"\0")


def feed_in_pieces(deliveries: Deliveries, octets: bytes, size: int) -> list[int]:
    """Give it these octets as reads of a size would bring them; the stamps that came."""
    buffer = bytearray(size)
    stamps = []
    for start in range(0, len(octets), size):
        piece = octets[start : start + size]
        buffer[: len(piece)] = piece
        stamps += deliveries.feed(buffer, len(piece))
    return stamps


# Messages -------------------------------------------------------------------------------------------------------------


def test_a_message_is_what_the_codec_reads() -> None:
    properties = Properties(delivery_mode=2, message_id="7")
    method, header, body = frames_of(publish_frames("x", "key", properties, 100, 4096))
    assert method[0] == FRAME_METHOD
    assert decode_method(method[1]) == BasicPublish(exchange="x", routing_key="key")
    assert decode_properties(header[1]) == properties
    assert body == (FRAME_BODY, bytes(100))


def test_an_empty_body_has_no_frame() -> None:
    assert len(frames_of(publish_frames("", "q", Properties(), 0, 4096))) == 2


def test_a_large_body_has_frames_of_the_agreed_size() -> None:
    frames = frames_of(publish_frames("", "q", Properties(), 10_000, 4096))
    assert [len(payload) for kind, payload in frames if kind == FRAME_BODY] == [4088, 4088, 1824]


# Blocks ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("different", "count_max", "counts"),
    [
        (1, 64, [64]),
        (1, 1, [1]),
        (10, 64, [60]),  # a whole number of rounds
        (10, 4, [4, 4, 2]),
        (130, 64, [64, 64, 2]),
    ],
)
def test_blocks_have_all_messages_evenly(different: int, count_max: int, counts: list[int]) -> None:
    messages = [publish_frames("", f"key-{number:03}", Properties(), 20, 4096) for number in range(different)]
    blocks = make_blocks(messages, 20, count_max)
    assert [block.count for block in blocks] == counts
    sent = b"".join(block.octets for block in blocks)
    assert sent == b"".join(messages) * (len(sent) // len(messages[0]) // different)


def test_a_block_of_large_messages_is_one() -> None:
    message = publish_frames("", "q", Properties(), 1 << 20, 131072)
    assert [block.count for block in make_blocks([message], 1 << 20, 64)] == [1]


def test_the_stamp_is_the_beginning_of_the_first_body() -> None:
    (block,) = make_blocks([publish_frames("", "q", Properties(message_id="7"), 20, 4096)], 20, 2)
    block.stamp(123_456_789)
    bodies = [payload for kind, payload in frames_of(block.octets) if kind == FRAME_BODY]
    assert bodies == [stamped(123_456_789), bytes(20)]


def test_a_body_without_room_is_not_stamped() -> None:
    (block,) = make_blocks([publish_frames("", "q", Properties(), 8, 4096)], 8, 1)
    before = bytes(block.octets)
    block.stamp(123_456_789)
    assert block.octets == before


# Deliveries -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 50, 97, 100, 1000, 100_000])
@pytest.mark.parametrize("body_size", [0, 20, 9000])
def test_deliveries_are_counted_however_reads_cut_them(size: int, body_size: int) -> None:
    deliveries = Deliveries(stamped=body_size > 0)
    feed_in_pieces(deliveries, b"".join(delivery(tag, bytes(body_size)) for tag in range(1, 31)), size)
    assert deliveries.count == 30


def test_a_delivery_counts_when_it_is_whole() -> None:
    deliveries = Deliveries(stamped=True)
    octets = bytearray(delivery(1) + delivery(2))
    deliveries.feed(octets[:-1], len(octets) - 1)
    assert deliveries.count == 1
    deliveries.feed(octets[-1:], 1)
    assert deliveries.count == 2


def test_stamps_are_found_wherever_they_are_in_a_read() -> None:
    bodies = [stamped(5), bytes(20), bytes(20), stamped(6), stamped(7)]
    octets = b"".join(delivery(tag, body) for tag, body in enumerate(bodies, 1))
    assert feed_in_pieces(Deliveries(stamped=True), octets, len(octets)) == [5, 6, 7]


def test_the_stamp_of_a_large_message_comes_with_its_last_octet() -> None:
    deliveries = Deliveries(stamped=True)
    first, second = delivery(1, stamped(5, 9000)), delivery(2, stamped(6, 9000))
    assert deliveries.feed(bytearray(first), len(first)) == [5]
    assert deliveries.feed(bytearray(second[:-1]), len(second) - 1) == []
    assert deliveries.feed(bytearray(second[-1:]), 1) == [6]


def test_octets_behind_the_end_of_a_read_are_not_looked_at() -> None:
    deliveries = Deliveries(stamped=True)
    octets = delivery(1, stamped(5)) + delivery(2, stamped(6))
    assert deliveries.feed(bytearray(octets), len(octets) // 2) == [5]
    assert deliveries.count == 1


@pytest.mark.parametrize("method", [ConnectionClose(320, "bye"), ChannelClose(404, "no"), BasicCancel("c00001")])
@pytest.mark.parametrize("before", [0, 3])
def test_what_is_no_delivery_is_handed_back(before: int, method: ConnectionClose) -> None:
    deliveries = Deliveries(stamped=True)
    other = method_frame(method)
    for tag in range(before):
        deliveries.feed(bytearray(delivery(tag)), len(delivery(tag)))
    with pytest.raises(NotCounted) as raised:
        deliveries.feed(bytearray(other), len(other))
    assert raised.value.rest == other


# Confirms -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("acks", "count"),
    [
        ([(1, False)], 1),
        ([(5, True)], 5),
        ([(1, False), (2, False), (3, False)], 3),
        ([(3, False), (2, False)], 2),
        ([(3, False), (2, False), (1, False), (4, False)], 4),
        ([(10, False), (9, True), (11, False)], 11),
        ([(7, False), (9, False), (5, True)], 7),
        ([(5, True), (3, True)], 5),
    ],
)
@pytest.mark.parametrize("size", [1, 20, 21, 50, 1000])
def test_confirms_are_counted_in_any_order(acks: list[tuple[int, bool]], count: int, size: int) -> None:
    octets = b"".join(encode_ack(1, tag, multiple) for tag, multiple in acks)
    confirms = Confirms()
    for start in range(0, len(octets), size):
        confirms.feed(octets[start : start + size])
    assert confirms.count == count


@pytest.mark.parametrize("other", [encode_nack(1, 2, False), method_frame(ConnectionClose(320, "bye"), 0)])
def test_what_is_no_confirm_is_handed_back(other: bytes) -> None:
    confirms = Confirms()
    with pytest.raises(NotCounted) as raised:
        confirms.feed(encode_ack(1, 1, False) + other)
    assert raised.value.rest == other
