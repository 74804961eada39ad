"""What producers send and consumers count, as octets.

Pure: no socket, no clock. Everything goes over channel 1.

A body begins with a stamp where there is room: an octet that is 1 where a time follows and 0 where none does, and the
time as eight octets. Producers write it into the first message of each block; consumers look for the octet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct

from amqpd.bench.workload import STAMP_SIZE
from amqpd.wire.constants import FRAME_BODY, FRAME_HEAD_SIZE, FRAME_HEADER, FRAME_METHOD, FRAME_OVERHEAD
from amqpd.wire.fast import body_size, encode_frame, unpack_frame_head
from amqpd.wire.methods import BasicDeliver, BasicPublish, Method, encode_method
from amqpd.wire.properties import Properties, encode_header

CHANNEL = 1
BLOCK_MESSAGES = 64  # messages of one send
BLOCK_SIZE = 1 << 18  # octets of one send, unless one message alone is larger

_IDS = Struct(">HH")
_STAMP = Struct(">BQ")
_METHOD_HEAD = FRAME_HEAD_SIZE + 4  # of a method frame, with the ids
_ACK_HEAD = b"\x01\x00\x01\x00\x00\x00\x0d\x00\x3c\x00\x50"  # of a frame that is basic.ack on channel 1
_ACK_FRAME = Struct(">11sQBx")


class NotCounted(Exception):
    """Something else came than what was counted on; ``rest`` begins with the frame that did."""

    def __init__(self, rest: bytes) -> None:
        super().__init__(f"{rest[:_METHOD_HEAD]!r}...")
        self.rest = rest


def method_frame(method: Method, channel: int = CHANNEL) -> bytes:
    return encode_frame(FRAME_METHOD, channel, encode_method(method))


def ids_of(method: type[Method]) -> bytes:
    """The four octets that this method's payload begins with."""
    return _IDS.pack(method.class_id, method.method_id)


def publish_frames(exchange: str, routing_key: str, properties: Properties, size: int, frame_max: int) -> bytes:
    """A message, from basic.publish to the last body frame. Its body is ``size`` zeros."""
    frames = method_frame(BasicPublish(exchange=exchange, routing_key=routing_key))
    frames += encode_frame(FRAME_HEADER, CHANNEL, encode_header(size, properties))
    payload_max = frame_max - FRAME_OVERHEAD
    for start in range(0, size, payload_max):
        frames += encode_frame(FRAME_BODY, CHANNEL, bytes(min(payload_max, size - start)))
    return frames


@dataclass(frozen=True, slots=True)
class Block:
    """Messages that are sent at once, all of one size."""

    octets: bytearray
    count: int
    stamp_at: int  # where the first message's body begins; -1 if it has no room for a stamp

    def stamp(self, time_ns: int) -> None:
        """Say that this block was sent now."""
        if self.stamp_at >= 0:
            _STAMP.pack_into(self.octets, self.stamp_at, 1, time_ns)


def make_blocks(messages: Sequence[bytes], body_size: int, count_max: int) -> list[Block]:
    """Blocks that together have all the messages, one after the other; sent in turn, they repeat evenly.

    ``messages`` are of one size; each has a body of ``body_size`` octets. ``count_max`` bounds the messages of a block.
    """
    size = len(messages[0])
    count = max(1, min(count_max, BLOCK_MESSAGES, BLOCK_SIZE // size))
    if len(messages) <= count:
        messages = [*messages] * (count // len(messages))
    stamp_at = _find_body(messages[0]) if body_size >= STAMP_SIZE else -1
    runs = [messages[first : first + count] for first in range(0, len(messages), count)]
    return [Block(bytearray(b"".join(run)), len(run), stamp_at) for run in runs]


def _find_body(message: bytes | bytearray) -> int:
    """Where a message's first body octet is: behind its method frame, its header frame and the head of a third."""
    at = 0
    for _ in range(2):
        at += unpack_frame_head(message, at)[2] + FRAME_OVERHEAD
    return at + FRAME_HEAD_SIZE


class Deliveries:
    """Counts the deliveries in what a consumer's socket brings, without looking at each.

    All must have one size, that of the first, which is parsed. After it, of each read only the octets where a delivery
    must begin are looked at, and in bodies that are ``stamped`` the first.
    """

    def __init__(self, stamped: bool) -> None:
        self.count = 0  # whole deliveries
        self._received = 0  # octets
        self._size = 0  # of a delivery; 0: the first has not come yet
        self._body_at = 0  # in a delivery
        self._stamped = stamped
        self._head = b""  # how each delivery begins
        self._first = bytearray()
        self._awaited: tuple[int, int] | None = None  # a stamp whose delivery has not come whole, and where it ends

    def feed(self, data: bytearray, got: int) -> list[int]:
        """Take the first ``got`` octets of ``data``; the stamps of the deliveries that came whole with them.

        Raises NotCounted where something else than deliveries comes.
        """
        if not self._size:
            self._first += data[:got]
            if not self._measure():
                return []
            data, got = self._first, len(self._first)
        size = self._size
        before = self._received
        start = -before % size
        if start + _METHOD_HEAD <= got and not data.startswith(self._head, start):
            raise NotCounted(bytes(data[start:got]))
        self._received = before + got
        self.count = self._received // size
        return self._stamps(data, before, start, got) if self._stamped else []

    def _measure(self) -> bool:
        """Learn from the first delivery what all look like, once it is whole."""
        first = self._first
        if len(first) >= _METHOD_HEAD and not first.startswith(ids_of(BasicDeliver), FRAME_HEAD_SIZE):
            raise NotCounted(bytes(first))
        at, frames, left = 0, 0, 1
        while left > 0:
            if len(first) < at + FRAME_HEAD_SIZE:
                return False
            size: int = unpack_frame_head(first, at)[2]
            if len(first) < at + size + FRAME_OVERHEAD:
                return False
            if frames == 1:
                left = body_size(bytes(first[at + FRAME_HEAD_SIZE : at + FRAME_HEAD_SIZE + size]))
            elif frames > 1:
                left -= size
            at += size + FRAME_OVERHEAD
            frames += 1
        self._size = at
        self._body_at = _find_body(first)
        self._head = bytes(first[:_METHOD_HEAD])
        return True

    def _stamps(self, data: bytearray, before: int, start: int, got: int) -> list[int]:
        """The stamps in this read, found by stepping over it once; one of a delivery that is not whole waits."""
        stamps = []
        if self._awaited is not None and self._awaited[1] <= self._received:
            stamps.append(self._awaited[0])
            self._awaited = None
        first = start + self._body_at
        marks = data[first : got - STAMP_SIZE + 1 : self._size]
        found = marks.find(1)
        while found >= 0:
            _, stamp = _STAMP.unpack_from(data, first + found * self._size)
            end = before + start + (found + 1) * self._size
            if end <= self._received:
                stamps.append(stamp)
            else:
                self._awaited = stamp, end
            found = marks.find(1, found + 1)
        return stamps


class Confirms:
    """Counts a producer's confirms exactly, whether they come one by one, for many at once, or in any order."""

    def __init__(self) -> None:
        self._floor = 0  # all up to this tag are confirmed
        self._beyond: set[int] = set()  # and these
        self._part = b""

    @property
    def count(self) -> int:
        return self._floor + len(self._beyond)

    def feed(self, data: bytes | bytearray) -> None:
        """Raises NotCounted where something else than basic.ack comes."""
        data = self._part + data
        whole = len(data) - len(data) % _ACK_FRAME.size
        for number, (head, tag, multiple) in enumerate(_ACK_FRAME.iter_unpack(data[:whole])):
            if head != _ACK_HEAD:
                raise NotCounted(data[number * _ACK_FRAME.size :])
            self._confirm(tag, multiple != 0)
        self._part = data[whole:]
        if self._part and not _ACK_HEAD.startswith(self._part[: len(_ACK_HEAD)]):
            raise NotCounted(self._part)

    def _confirm(self, tag: int, multiple: bool) -> None:
        if multiple:
            self._floor = max(self._floor, tag)
            if self._beyond:
                self._beyond = {each for each in self._beyond if each > tag}
        elif tag == self._floor + 1:
            self._floor = tag
        else:
            self._beyond.add(tag)
        while self._floor + 1 in self._beyond:
            self._floor += 1
            self._beyond.remove(self._floor)
