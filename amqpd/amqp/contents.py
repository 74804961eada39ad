"""The contents that come in on one channel: from frames to messages, and on to the session.

Strategy: three ways in, the fastest first.

- A publisher that sends the like again and again: when the method and header frames of a publish repeat the last ones
  octet for octet, the connection's :class:`Repeat` has what the next such publish must begin with, and
  ``receive_repeats`` takes whole runs of them out of the read buffer.
- Whole contents, each a method, a header and at most one body frame that lie in the buffer: ``receive_publish`` takes
  as many as there are, without a state in between, and gathers those that go to the same queues.
- Frame by frame, for all that is cut by the end of a read, is large, or is wrong: what is wrong with a frame is known
  to this way alone, so the other two leave off before anything that they do not expect.
"""

from typing import Final

from amqpd.amqp.frames import bad_frame
from amqpd.amqp.limits import Limits
from amqpd.amqp.states import (
    BODY_FRAME,
    EMPTY_HEADER_FRAME,
    HEADER_FRAME,
    LAST_BODY_FRAME,
    ContentState,
    content_after,
    out_of_sequence,
)
from amqpd.broker.admission import concerns_broker, has_copies
from amqpd.broker.message import Message
from amqpd.broker.session import Session
from amqpd.broker.topology.routing import Route
from amqpd.errors import (
    FrameError,
    MalformedArguments,
    NotImplementedByServer,
    PreconditionFailed,
    UnexpectedFrame,
)
from amqpd.wire import fast
from amqpd.wire.constants import CLASS_BASIC, FRAME_END, FRAME_HEAD_SIZE, FRAME_HEADER
from amqpd.wire.properties import check_header

_PUBLISH: Final = (CLASS_BASIC, 40)
_CONTENT_HEADER_SIZE: Final = 12  # class, weight and body size, before the properties
_EMPTY_HEADER: Final = b"\x00\x3c" + bytes(12)  # of a content without properties and body

_LARGE_PART: Final = 4096
"""Octets of a part of a body from which on it stays where it was read: a smaller one is better copied."""

_METHOD: Final = ContentState.METHOD


class Repeat:
    """What a publish begins with that repeats the last one of a connection: its octets up to the body.

    ``head`` is the method frame, the header frame, and the head of the one body frame; None: there is nothing to
    repeat.
    """

    __slots__ = ("contents", "copies", "head", "header", "mandatory", "route", "size")

    def __init__(self) -> None:
        self.head: bytes | None = None
        self.contents: Contents
        self.route: Route
        self.header: bytes
        self.size: int
        self.mandatory: bool
        self.copies: bool


class Contents:
    """Makes messages of what comes in on channel ``number``, and publishes them through its session.

    ``payload_max`` is the largest payload of a frame on this connection.
    """

    __slots__ = (
        "_concerns_broker",
        "_copies",
        "_gathered",
        "_gathered_octets",
        "_gathered_route",
        "_header",
        "_last_header",
        "_last_method_frame",
        "_limits",
        "_mandatory",
        "_method_frame",
        "_missing",
        "_number",
        "_parts",
        "_payload_max",
        "_repeat",
        "_route",
        "_router",
        "_session",
        "_state",
    )

    def __init__(self, number: int, session: Session, limits: Limits, payload_max: int, repeat: Repeat) -> None:
        self._number = number
        self._session = session
        self._router = session.vhost.router
        self._limits = limits
        self._payload_max = payload_max
        self._repeat = repeat
        self._state = _METHOD
        self._method_frame = b""
        self._route: Route
        self._mandatory = False
        self._header: bytes = _EMPTY_HEADER  # the last one that was checked
        self._concerns_broker = False  # and whether it says anything to the broker itself
        self._copies = False  # such as further routing keys
        self._missing = 0
        self._parts: list[memoryview | bytearray] = []  # of a body that has begun
        self._last_method_frame = b""
        self._last_header = b""
        self._gathered: list[Message] = []  # to the queues of one route, and with nothing to say to the broker itself
        self._gathered_octets = 0
        self._gathered_route: Route

    def leave(self) -> None:
        """Nothing comes in here any more: as :meth:`Channel.leave`."""
        self._repeat = Repeat()

    def check_complete(self) -> None:
        """UnexpectedFrame (505): a content has begun, and not a method but its next frame must come."""
        if self._state is not _METHOD:
            raise out_of_sequence(self._state)

    # Repeats

    def receive_repeats(self, data: bytes, offset: int) -> int:
        """Publish the run of repeats at ``offset`` as far as they lie whole in the buffer; returns the offset behind
        them."""
        repeat = self._repeat
        head, route = repeat.head, repeat.route
        if head is None or route.version != self._router.version or self._state is not _METHOD:
            repeat.head = None
            return offset
        address, header, size = route.address, repeat.header, repeat.size
        end, head_size = len(data), len(head)
        messages: list[Message] = []
        while data.startswith(head, offset):
            start = offset + head_size
            stop = start + size
            if stop >= end or data[stop] != FRAME_END:
                break
            messages.append(Message(address, header, data[start:stop]))
            offset = stop + 1
        if messages:
            self._session.publish_run(route, messages, size * len(messages), repeat.mandatory, repeat.copies)
        return offset

    def _note_repeat(self, size: int) -> None:
        """A publish with a body of ``size`` octets was taken: if it is what the last one was, so may the next be."""
        if self._header is not self._last_header or self._method_frame is not self._last_method_frame:
            self._last_header, self._last_method_frame = self._header, self._method_frame
            return
        if not 0 < size <= self._payload_max:
            return
        repeat = self._repeat
        repeat.head = self._method_frame + fast.encode_content_head(self._number, self._header, size)
        repeat.contents, repeat.route = self, self._route
        repeat.header, repeat.size = self._header, size
        repeat.mandatory, repeat.copies = self._mandatory, self._copies

    # Whole contents

    def receive_publish(self, data: bytes, start: int, stop: int) -> int:
        """A basic.publish whose payload is ``data[start:stop]``; it is taken with its content, and those behind it are,
        as far as they lie whole in the buffer. Returns the offset behind what was taken."""
        offset = self._receive_whole(data, start - FRAME_HEAD_SIZE) if self._state is _METHOD else 0
        if offset < start:
            self._state = content_after(self._state, "basic.publish")
            self._accept_method(data, start, stop)
            offset = stop + 1
        return offset

    def _receive_whole(self, data: bytes, offset: int) -> int:
        """Publish the contents at ``offset`` that lie whole in the buffer; returns the offset behind them."""
        try:
            while True:
                stop, header_stop, size, following = fast.find_content(data, offset, self._number, self._payload_max)
                if not following:
                    break
                self._accept_method(data, offset + FRAME_HEAD_SIZE, stop)
                self._accept_header(data[stop + 1 + FRAME_HEAD_SIZE : header_stop])
                offset = following
                self._gather(data[following - 1 - size : following - 1])
                head = self._repeat.head
                if head is not None and data.startswith(head, offset):
                    break  # receive_repeats is faster
        finally:
            self._publish_gathered()
        return offset

    def _gather(self, body: bytes) -> None:
        """Publish a message together with those before it that go to the same queues, unless it has more to say than
        where it goes."""
        route = self._route
        if self._concerns_broker or route.per_message or not route.queues:
            self._publish_gathered()
            self._publish(body)
            return
        if self._gathered and route.queues is not self._gathered_route.queues:
            self._publish_gathered()
        self._gathered_route = route
        self._gathered.append(Message(route.address, self._header, body))
        self._gathered_octets += len(body)
        self._note_repeat(len(body))

    def _publish_gathered(self) -> None:
        messages, octets = self._gathered, self._gathered_octets
        if messages:
            self._gathered, self._gathered_octets = [], 0
            self._session.publish_unlike(self._gathered_route, messages, octets)

    # Frame by frame

    def receive_header(self, data: bytes, start: int, stop: int) -> None:
        header = data[start:stop]
        if len(header) < _CONTENT_HEADER_SIZE:
            raise bad_frame(FRAME_HEADER, header, "unknown_frame")
        if self._state is not ContentState.HEADER:
            raise out_of_sequence(self._state)
        self._accept_header(header)
        size = fast.body_size(header)
        self._state = content_after(self._state, HEADER_FRAME if size else EMPTY_HEADER_FRAME)
        self._missing = size
        if not size:
            self._publish(b"")

    def receive_body(self, data: bytes, start: int, stop: int) -> None:
        missing = self._missing - (stop - start)
        last = missing == 0 and self._state is ContentState.BODY
        self._state = content_after(self._state, LAST_BODY_FRAME if last else BODY_FRAME)
        if missing < 0:
            raise FrameError("content body frame exceeds remaining content size", *_PUBLISH)
        self._missing = missing
        if last and not self._parts:
            self._publish(data[start:stop])
            return
        part = memoryview(data)[start:stop]
        if len(part) >= _LARGE_PART:
            self._parts.append(part)  # copied once, when all are there
        elif self._parts and isinstance(self._parts[-1], bytearray):
            self._parts[-1] += part
        else:
            self._parts.append(bytearray(part))
        if last:
            body = b"".join(self._parts)
            self._parts.clear()
            self._publish(body)

    def _publish(self, body: bytes) -> None:
        route, header = self._route, self._header
        message = Message(route.address, header, body)
        if self._concerns_broker:
            message = self._session.admit(message)
        if message.header is header:  # not rewritten for a reply queue
            self._note_repeat(len(body))
        self._session.publish_run(route, (message,), len(body), self._mandatory, self._copies)

    # Their parts

    def _accept_method(self, data: bytes, start: int, stop: int) -> None:
        """A basic.publish tells where a message goes. Any error of a route, of the method's form, and 540."""
        frame = data[start - FRAME_HEAD_SIZE : stop + 1]
        if frame == self._method_frame and self._route.version == self._router.version:
            return
        address, mandatory, immediate = fast.decode_publish(data, start, stop)
        if immediate:
            raise NotImplementedByServer("immediate=true", *_PUBLISH)
        self._route = self._session.route(address)
        self._mandatory = mandatory
        self._method_frame = frame

    def _accept_header(self, header: bytes) -> None:
        if header != self._header:
            mode = self._check_header(header)
            self._copies = has_copies(header)
            self._concerns_broker = self._copies or concerns_broker(header, mode)
            self._header = header

    def _check_header(self, header: bytes) -> int:
        """What is wrong with a content header, in RabbitMQ's order; it looks into the properties, and no further.

        Returns the delivery mode.
        """
        class_id, weight, size = fast.unpack_content_head(header)
        if weight:  # "weight ... is unused and must be zero" (4.2.6.1)
            raise out_of_sequence(ContentState.HEADER)
        if class_id != CLASS_BASIC:
            raise UnexpectedFrame(
                f"expected content header for class 60, got one for class {class_id} instead", *_PUBLISH
            )
        try:
            mode = check_header(header)
        except MalformedArguments as error:
            raise MalformedArguments(error.text, *_PUBLISH) from None
        maximum = self._limits.message_size_max
        if size > maximum:
            raise PreconditionFailed(f"message size {size} is larger than configured max size {maximum}", *_PUBLISH)
        return mode
