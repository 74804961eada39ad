"""The hot half of the codec, written by hand: frames and methods that come with every message.

``grammar`` and ``methods`` declare the same layouts; the tests hold the two against each other in both directions.

Strategy: decoders read a whole read buffer in place, from ``start`` to ``stop``, the ends of a frame's payload, and
make no object for a frame. Encoders make whole frames. A consumer's encoder keeps what repeats from one delivery to the
next, so a run of deliveries is one joining of bytes.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Final, Protocol, TypeAlias

from amqpd.errors import MalformedArguments
from amqpd.wire.constants import (
    CLASS_BASIC,
    FRAME_BODY,
    FRAME_END,
    FRAME_HEAD_SIZE,
    FRAME_HEADER,
    FRAME_METHOD,
    FRAME_OVERHEAD,
)

Chunk: TypeAlias = bytes | memoryview
"""What an outbox holds: frames, or a stretch of a large body, not copied before it is sent."""

PUBLISH = b"\x00\x3c\x00\x28"  # basic.publish: class 60, method 40
ACK = b"\x00\x3c\x00\x50"  # basic.ack: method 80
REJECT = b"\x00\x3c\x00\x5a"  # basic.reject: method 90
NACK = b"\x00\x3c\x00\x78"  # basic.nack: method 120
_DELIVER = b"\x00\x3c\x00\x3c"  # basic.deliver: method 60

_ADDRESS_AT = 6  # behind the ids of class and method, and the ticket, which is reserved
_ACK_SIZE = 13  # the ids, a delivery tag, an octet of bits; nack and reject have the same
_END = bytes((FRAME_END,))
_ONE_AND_END = b"\x00\xce"  # the last octets of a basic.ack that is not "multiple"

unpack_frame_head: Final = Struct(">BHI").unpack_from
"""Frame type, channel and payload size, from a buffer and an offset."""

unpack_content_head: Final = Struct(">HHQ").unpack_from
"""Class, weight and body size, from the payload of a content header of at least twelve octets."""

_SMALLEST_HEADER: Final = 14
_SMALLEST_HEADER_FRAME: Final = FRAME_OVERHEAD + _SMALLEST_HEADER
_SMALLEST_CONTENT: Final = 17 + _SMALLEST_HEADER_FRAME  # a basic.publish with two empty names
_PUBLISH_IDS: Final = CLASS_BASIC << 16 | 40
_NO_CONTENT: Final = 0, 0, 0, 0
_unpack_method_head: Final = Struct(">BHII").unpack_from  # of a frame, and the ids of class and method
_unpack_header_head: Final = Struct(">BHIIQ").unpack_from  # of a frame, class and weight, and the body's size

_pack_frame_head: Final = Struct(">BHI").pack
_pack_seam: Final = Struct(">BBHI").pack  # the end of one frame and the head of the next
_pack_tag_and_bits: Final = Struct(">QB").pack
_unpack_tag_and_bits: Final = Struct(">4xQB").unpack_from  # behind the ids
_pack_get_ok: Final = Struct(">HHQB").pack
_pack_count: Final = Struct(">L").pack
_pack_return: Final = Struct(">HHH").pack
_pack_ack: Final = Struct(">BHIHHQBB").pack


class Content(Protocol):
    """A message as the wire has it: exchange and routing key, content header payload, body."""

    address: bytes
    header: bytes
    body: bytes


# Into the broker ------------------------------------------------------------------------------------------------------


def decode_publish(data: bytes, start: int, stop: int) -> tuple[bytes, bool, bool]:
    """basic.publish: its address (exchange and routing key, as they stand), mandatory, immediate.

    Raises MalformedArguments, as all decoders do. Bits without a name may be anything.
    """
    address_at = start + _ADDRESS_AT
    if address_at < stop:
        key_at = address_at + 1 + data[address_at]
        if key_at < stop:
            bits_at = key_at + 1 + data[key_at]
            if bits_at + 1 == stop:
                bits = data[bits_at]
                return data[address_at:bits_at], bits & 1 != 0, bits & 2 != 0
    raise MalformedArguments("cannot decode basic.publish: its names do not end where it ends", CLASS_BASIC, 40)


def decode_ack(data: bytes, start: int, stop: int) -> tuple[int, bool]:
    """basic.ack: delivery tag, multiple."""
    if stop - start != _ACK_SIZE:
        raise _no_tag_and_bits("basic.ack", 80)
    tag, bits = _unpack_tag_and_bits(data, start)
    return tag, bits & 1 != 0


def find_acks(data: bytes, offset: int, channel: int) -> tuple[list[int], int]:
    """The delivery tags of the frames at ``offset`` that acknowledge one message each, on this channel and without
    anything in between; and the offset behind them."""
    tags: list[int] = []
    head = b"%b%b" % (_pack_frame_head(FRAME_METHOD, channel, _ACK_SIZE), ACK)
    while data.startswith(head, offset) and data[offset + 19 : offset + 21] == _ONE_AND_END:
        tags.append(int.from_bytes(data[offset + 11 : offset + 19], "big"))
        offset += 21
    return tags, offset


def decode_nack(data: bytes, start: int, stop: int) -> tuple[int, bool, bool]:
    """basic.nack: delivery tag, multiple, requeue."""
    if stop - start != _ACK_SIZE:
        raise _no_tag_and_bits("basic.nack", 120)
    tag, bits = _unpack_tag_and_bits(data, start)
    return tag, bits & 1 != 0, bits & 2 != 0


def decode_reject(data: bytes, start: int, stop: int) -> tuple[int, bool]:
    """basic.reject: delivery tag, requeue."""
    if stop - start != _ACK_SIZE:
        raise _no_tag_and_bits("basic.reject", 90)
    tag, bits = _unpack_tag_and_bits(data, start)
    return tag, bits & 1 != 0


def _no_tag_and_bits(name: str, method_id: int) -> MalformedArguments:
    text = f"cannot decode {name}: it is not a delivery tag and an octet of bits"
    return MalformedArguments(text, CLASS_BASIC, method_id)


def find_content(data: bytes, offset: int, channel: int, payload_max: int) -> tuple[int, int, int, int]:
    """Where the parts of a content lie that begins at ``offset``: a basic.publish, a content header, and a body in one
    frame or an empty one, on this channel and with nothing in between.

    Returns the ends of the payloads of method and header, the size of the body, and the offset behind the last frame;
    all are 0 if there is something else, if it does not lie whole in the buffer, or if any frame's form is wrong.
    """
    if len(data) - offset < _SMALLEST_CONTENT:
        return _NO_CONTENT
    kind, number, method_size, ids = _unpack_method_head(data, offset)
    method_stop = offset + FRAME_HEAD_SIZE + method_size
    if (
        ids != _PUBLISH_IDS
        or number != channel
        or kind != FRAME_METHOD
        or method_stop + _SMALLEST_HEADER_FRAME >= len(data)
        or data[method_stop] != FRAME_END
    ):
        return _NO_CONTENT
    kind, number, header_size, class_and_weight, size = _unpack_header_head(data, method_stop + 1)
    header_stop = method_stop + FRAME_OVERHEAD + header_size
    last = header_stop + FRAME_OVERHEAD + size if size else header_stop
    if (
        kind != FRAME_HEADER
        or number != channel
        or class_and_weight != CLASS_BASIC << 16
        or last >= len(data)
        or data[header_stop] != FRAME_END
        or data[last] != FRAME_END
        or method_size > payload_max
        or header_size > payload_max
        or header_size < _SMALLEST_HEADER
        or size > payload_max
    ):
        return _NO_CONTENT
    if size and unpack_frame_head(data, header_stop + 1) != (FRAME_BODY, channel, size):
        return _NO_CONTENT
    return method_stop, header_stop, size, last + 1


def body_size(header: bytes) -> int:
    """What a content header's payload says of the body; the payload has been checked to be a content header."""
    size: int = unpack_content_head(header)[2]
    return size


# Out of the broker ----------------------------------------------------------------------------------------------------


def encode_frame(kind: int, channel: int, payload: bytes) -> bytes:
    return b"%b%b\xce" % (_pack_frame_head(kind, channel, len(payload)), payload)


def encode_ack(channel: int, delivery_tag: int, multiple: bool) -> bytes:
    """The frame of basic.ack, a publisher's confirm."""
    return _pack_ack(FRAME_METHOD, channel, 13, CLASS_BASIC, 80, delivery_tag, multiple, FRAME_END)


def encode_nack(channel: int, delivery_tag: int, multiple: bool) -> bytes:
    """The frame of basic.nack, a publish that was refused. Its bit "requeue" says nothing then; RabbitMQ sets it."""
    return _pack_ack(FRAME_METHOD, channel, 13, CLASS_BASIC, 120, delivery_tag, multiple | 2, FRAME_END)


def encode_get_ok(channel: int, delivery_tag: int, redelivered: bool, address: bytes, message_count: int) -> bytes:
    """The method frame of basic.get-ok."""
    payload = _pack_get_ok(CLASS_BASIC, 71, delivery_tag, redelivered) + address + _pack_count(message_count)
    return encode_frame(FRAME_METHOD, channel, payload)


def encode_return(channel: int, code: int, text: str, address: bytes) -> bytes:
    """The method frame of basic.return."""
    reason = text.encode()
    return encode_frame(
        FRAME_METHOD, channel, b"%b%c%b%b" % (_pack_return(CLASS_BASIC, 50, code), len(reason), reason, address)
    )


def encode_content(channel: int, content: Content, payload_max: int) -> list[Chunk]:
    """The frames of a content: its header, and its body in as many frames as it takes, or none when it is empty."""
    frames: list[Chunk] = [encode_frame(FRAME_HEADER, channel, content.header)]
    frames += _encode_body(channel, content.body, payload_max)
    return frames


def encode_content_head(channel: int, header: bytes, size: int) -> bytes:
    """What stands before a body of ``size`` octets that takes one frame: the header frame, and the head of its own."""
    return encode_frame(FRAME_HEADER, channel, header) + _pack_frame_head(FRAME_BODY, channel, size)


def _encode_body(channel: int, body: bytes, payload_max: int) -> list[Chunk]:
    frames: list[Chunk] = []
    view = memoryview(body)
    for start in range(0, len(body), payload_max):
        part = view[start : start + payload_max]
        frames += (_pack_frame_head(FRAME_BODY, channel, len(part)), part, _END)
    return frames


class DeliverEncoder:
    """Encodes the deliveries of one consumer: basic.deliver, content header and body, in whole frames.

    Deliveries resemble each other. What stands before the delivery tag, and between the redelivered bit and the body,
    is kept from one to the next and made anew only when the address or the header is another object; the broker shares
    both between messages.

    Messages that share a header have bodies of one size, the one it tells. Whoever makes a message sees to that, and it
    is not looked at again here: a body that contradicts its header could not be sent right anyway.
    """

    __slots__ = (
        "_address",
        "_before_body",
        "_before_tag",
        "_body_head",
        "_channel",
        "_header",
        "_header_head",
        "_payload_max",
        "_sizes",
        "_start",
        "_whole",
    )

    def __init__(self, channel: int, consumer_tag: str, payload_max: int) -> None:
        tag = consumer_tag.encode("utf-8", "surrogateescape")
        self._channel = channel
        self._payload_max = payload_max
        self._start = b"%b%c%b" % (_DELIVER, len(tag), tag)
        self._address = b""  # no message's: the shortest address is the lengths of two empty names
        self._header = b""
        self._sizes = 0, 0, -1  # of address, header and body, for which the heads of their frames are
        self._before_tag = b""
        self._header_head = b""
        self._body_head = b""
        self._before_body = b""  # the rest of basic.deliver, the header frame, and the head of the body's
        self._whole = False  # whether a body takes one frame at most

    def encode(self, delivery_tag: int, redelivered: bool, messages: Sequence[Content]) -> list[Chunk]:
        """The frames of some deliveries; the first has ``delivery_tag``, each further one the next."""
        chunks: list[Chunk] = []
        for message in messages:
            if message.header is not self._header or message.address is not self._address:
                self._prepare(message.address, message.header, len(message.body))
            tag_and_bits = _pack_tag_and_bits(delivery_tag, redelivered)
            if self._whole:
                chunks += (self._before_tag, tag_and_bits, self._before_body, message.body, _END)
            else:
                chunks += (self._before_tag, tag_and_bits, self._before_body, _END)
                chunks += _encode_body(self._channel, message.body, self._payload_max)
            delivery_tag += 1
        # Handling many short pieces costs more than a copy of them, and a copy of bodies of many frames costs more than
        # handling their few pieces. The last message stands for its run.
        return [b"".join(chunks)] if self._whole else chunks

    def _prepare(self, address: bytes, header: bytes, size: int) -> None:
        """Make ready for messages of this address and this header, which says that bodies have ``size`` octets."""
        sizes = len(address), len(header), size
        if sizes != self._sizes:
            self._prepare_heads(len(address), len(header), size)
        self._before_body = address + self._header_head + header + self._body_head
        self._address = address
        self._header = header

    def _prepare_heads(self, address_size: int, header_size: int, size: int) -> None:
        """What is the same for messages of the same sizes."""
        channel = self._channel
        payload_size = len(self._start) + 8 + 1 + address_size
        self._before_tag = _pack_frame_head(FRAME_METHOD, channel, payload_size) + self._start
        self._header_head = _pack_seam(FRAME_END, FRAME_HEADER, channel, header_size)
        self._whole = size <= self._payload_max
        # Without the end of the last frame, be it the body's or the header's.
        self._body_head = _pack_seam(FRAME_END, FRAME_BODY, channel, size) if size and self._whole else b""
        self._sizes = address_size, header_size, size
