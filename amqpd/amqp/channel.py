"""One channel: contents in, deliveries out, and the session between them.

Frames of a content come one by one through ``receive_publish``, ``receive_header`` and ``receive_body``. A publisher
that sends the like again and again is spared that: when a publish's method and header frames repeat the last ones octet
for octet, the channel leaves in the connection's :class:`Repeat` what the next such publish must begin with, and
``receive_repeats`` takes whole runs of them out of the read buffer. What it takes begins and ends between contents, so
the content's state does not move.

The other way, the channel is the session's receiver: it encodes and appends to the connection's outbox, nothing more.
"""

from collections.abc import Callable, Sequence

from amqpd.amqp.frames import bad_frame
from amqpd.amqp.limits import Limits
from amqpd.amqp.outbox import Outbox
from amqpd.amqp.states import (
    BODY_FRAME,
    EMPTY_HEADER_FRAME,
    HEADER_FRAME,
    LAST_BODY_FRAME,
    ChannelState,
    ContentState,
    content_after,
    out_of_sequence,
)
from amqpd.broker.admission import concerns_broker, has_copies
from amqpd.broker.message import Message
from amqpd.broker.receiver import Receiver
from amqpd.broker.session import Session
from amqpd.broker.topology.routing import Route
from amqpd.errors import (
    AMQPError,
    FrameError,
    MalformedArguments,
    NotImplementedByServer,
    PreconditionFailed,
    UnexpectedFrame,
)
from amqpd.wire import fast
from amqpd.wire.constants import CLASS_BASIC, FRAME_END, FRAME_HEAD_SIZE, FRAME_HEADER, FRAME_METHOD
from amqpd.wire.methods import BasicCancel, Method, encode_method
from amqpd.wire.properties import check_header

_PUBLISH = (CLASS_BASIC, 40)
_CONTENT_HEADER_SIZE = 12  # class, weight and body size, before the properties
_EMPTY_HEADER = b"\x00\x3c" + bytes(12)  # of a content without properties and body


Report = Callable[..., None]
"""``report(event, **fields)``: something an operator wants to know has happened."""


Fail = Callable[["Channel", AMQPError], None]
"""``fail(channel, error)``: something that the peer has not asked for ends the channel."""


def ignore(*_: object, **__: object) -> None:
    """What is called when nobody is there any more who wants to know."""


class Repeat:
    """What a publish begins with that repeats the last one of a connection: its octets up to the body.

    ``head`` is the method frame, the header frame, and the head of the one body frame; None: there is nothing to
    repeat.
    """

    __slots__ = ("channel", "copies", "head", "header", "mandatory", "route", "size")

    def __init__(self) -> None:
        self.head: bytes | None = None
        self.channel: Channel
        self.route: Route
        self.header: bytes
        self.size: int
        self.mandatory: bool
        self.copies: bool


class Channel(Receiver):
    """A channel that is open, or whose channel.close waits for its close-ok.

    ``payload_max`` is the largest payload of a frame to this peer, ``notify_cancel`` whether it wants to hear that the
    broker ended a consumer. ``last_queue`` is the queue that was declared last, which an empty queue name stands for.
    """

    def __init__(
        self, number: int, outbox: Outbox, limits: Limits, payload_max: int, repeat: Repeat, report: Report
    ) -> None:
        self.number = number
        self.report = report
        self.fail: Fail = ignore
        self.state = ChannelState.CLOSED
        self.last_queue = ""
        self.notify_cancel = False
        self.limits = limits
        self.session: Session
        self._outbox = outbox
        self._payload_max = payload_max
        self._encoders: dict[str, fast.DeliverEncoder] = {}
        self._content = ContentState.METHOD
        self._method_frame = b""
        self._route: Route
        self._mandatory = False
        self._header = _EMPTY_HEADER  # the last one that was checked
        self._concerns_broker = False  # and whether it says anything to the broker itself
        self._copies = False  # such as further routing keys
        self._missing = 0
        self._body = bytearray()
        self._last_method_frame = b""
        self._last_header = b""
        self._repeat = repeat

    def leave(self) -> None:
        """Nothing comes in here any more.

        What leads back to here is let go: a channel that is over shall be gone at once, and not wait for a garbage
        collector that is told to look at old things seldom. The session does the same.
        """
        self.report, self.fail, self._repeat = ignore, ignore, Repeat()

    # Contents in

    def receive_publish(self, data: bytes, start: int, stop: int) -> None:
        """A basic.publish whose payload is ``data[start:stop]``; its content follows."""
        self._content = content_after(self._content, "basic.publish")
        frame = data[start - FRAME_HEAD_SIZE : stop + 1]
        if frame != self._method_frame or self._route.version != self.session.vhost.router.version:
            address, self._mandatory, immediate = fast.decode_publish(data, start, stop)
            if immediate:
                raise NotImplementedByServer("immediate=true", *_PUBLISH)
            self._route = self.session.route(address)
            self._method_frame = frame

    def receive_header(self, data: bytes, start: int, stop: int) -> None:
        header = data[start:stop]
        if header != self._header:
            mode = self._check_header(header)
            self._copies = has_copies(header)
            self._concerns_broker = self._copies or concerns_broker(header, mode)
            self._header = header
        size = fast.body_size(header)
        self._content = content_after(self._content, HEADER_FRAME if size else EMPTY_HEADER_FRAME)
        self._missing = size
        if not size:
            self._publish(b"")

    def receive_body(self, data: bytes, start: int, stop: int) -> None:
        missing = self._missing - (stop - start)
        last = missing == 0 and self._content is ContentState.BODY
        self._content = content_after(self._content, LAST_BODY_FRAME if last else BODY_FRAME)
        if missing < 0:
            raise FrameError("content body frame exceeds remaining content size", *_PUBLISH)
        self._missing = missing
        if last and not self._body:
            self._publish(data[start:stop])
            return
        self._body += memoryview(data)[start:stop]
        if last:
            body = bytes(self._body)
            self._body.clear()
            self._publish(body)

    def _check_header(self, header: bytes) -> int:
        """What is wrong with a content header, in RabbitMQ's order; it looks into the properties, and no further.

        Returns the delivery mode.
        """
        if len(header) < _CONTENT_HEADER_SIZE:
            raise bad_frame(FRAME_HEADER, header, "unknown_frame")
        class_id, weight = int.from_bytes(header[:2], "big"), int.from_bytes(header[2:4], "big")
        if weight or self._content is not ContentState.HEADER:  # "weight ... is unused and must be zero" (4.2.6.1)
            raise out_of_sequence(self._content)
        if class_id != CLASS_BASIC:
            raise UnexpectedFrame(
                f"expected content header for class 60, got one for class {class_id} instead", *_PUBLISH
            )
        try:
            mode = check_header(header)
        except MalformedArguments as error:
            raise MalformedArguments(error.text, *_PUBLISH) from None
        size, maximum = fast.body_size(header), self.limits.message_size_max
        if size > maximum:
            raise PreconditionFailed(f"message size {size} is larger than configured max size {maximum}", *_PUBLISH)
        return mode

    def _publish(self, body: bytes) -> None:
        route, header = self._route, self._header
        message = Message(route.address, header, body)
        if self._concerns_broker:
            message = self.session.admit(message)
        if header == self._last_header and self._method_frame == self._last_method_frame:
            if 0 < len(body) <= self._payload_max and message.header is header:  # not rewritten for a reply queue
                self._expect_repeat(route, message)
        else:
            self._last_header, self._last_method_frame = header, self._method_frame
        self.session.publish_run(route, (message,), len(body), self._mandatory, self._copies)

    def _expect_repeat(self, route: Route, message: Message) -> None:
        repeat = self._repeat
        head = self._method_frame + fast.encode_content_head(self.number, self._header, len(message.body))
        repeat.head, repeat.channel, repeat.route = head, self, route
        repeat.header, repeat.size = self._header, len(message.body)
        repeat.mandatory, repeat.copies = self._mandatory, self._copies

    def receive_repeats(self, data: bytes, offset: int) -> int:
        """Publish the run of repeats at ``offset`` as far as they lie whole in the buffer; returns the offset behind
        them."""
        repeat = self._repeat
        head, route = repeat.head, repeat.route
        if (
            head is None
            or route.version != self.session.vhost.router.version
            or self._content is not ContentState.METHOD
        ):
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
            self.session.publish_run(route, messages, size * len(messages), repeat.mandatory, repeat.copies)
        return offset

    # Acknowledgements in

    def receive_ack(self, data: bytes, start: int, stop: int) -> None:
        self.check_between_contents()
        tag, multiple = fast.decode_ack(data, start, stop)
        self.session.complete(tag, multiple)

    def receive_nack(self, data: bytes, start: int, stop: int) -> None:
        self.check_between_contents()
        tag, multiple, requeue = fast.decode_nack(data, start, stop)
        self._refuse(tag, multiple, requeue)

    def receive_reject(self, data: bytes, start: int, stop: int) -> None:
        self.check_between_contents()
        tag, requeue = fast.decode_reject(data, start, stop)
        self._refuse(tag, False, requeue)

    def check_between_contents(self) -> None:
        """UnexpectedFrame (505): a content has begun, and not a method but its next frame must come."""
        if self._content is not ContentState.METHOD:
            raise out_of_sequence(self._content)

    def _refuse(self, tag: int, multiple: bool, requeue: bool) -> None:
        if requeue:
            self.session.requeue(tag, multiple)
        else:
            self.session.discard(tag, multiple)

    # Out

    def send(self, method: Method) -> None:
        self._outbox.write(fast.encode_frame(FRAME_METHOD, self.number, encode_method(method)))

    def send_get_ok(self, delivery_tag: int, redelivered: bool, message: Message, message_count: int) -> None:
        """basic.get-ok with its content."""
        self._outbox.write(fast.encode_get_ok(self.number, delivery_tag, redelivered, message.address, message_count))
        self._outbox.write_all(fast.encode_content(self.number, message, self._payload_max))

    def forget_consumer(self, consumer_tag: str) -> None:
        """The consumer is gone; its tag may be used again."""
        self._encoders.pop(consumer_tag, None)

    def room(self) -> int:
        return self._outbox.room()

    def deliver(self, consumer_tag: str, delivery_tag: int, redelivered: bool, messages: Sequence[Message]) -> None:
        encoder = self._encoders.get(consumer_tag)
        if encoder is None:
            encoder = fast.DeliverEncoder(self.number, consumer_tag, self._payload_max)
            self._encoders[consumer_tag] = encoder
        self._outbox.write_all(encoder.encode(delivery_tag, redelivered, messages))

    def returned(self, message: Message, code: int, text: str) -> None:
        self._outbox.write(fast.encode_return(self.number, code, text, message.address))
        self._outbox.write_all(fast.encode_content(self.number, message, self._payload_max))

    def confirmed(self, sequence: int, multiple: bool) -> None:
        self._outbox.write(fast.encode_ack(self.number, sequence, multiple))

    def rejected(self, sequence: int, multiple: bool) -> None:
        self._outbox.write(fast.encode_nack(self.number, sequence, multiple))

    def cancelled(self, consumer_tag: str) -> None:
        self.forget_consumer(consumer_tag)
        if self.notify_cancel:
            self.send(BasicCancel(consumer_tag=consumer_tag, no_wait=True))

    def timed_out(self, consumer_tag: str, delivery_tags: Sequence[int], timeout: int, fatal: bool) -> None:
        if fatal:
            self.fail(
                self,
                PreconditionFailed(
                    f"delivery acknowledgement on channel {self.number} timed out. Timeout value used: {timeout} ms. "
                    "This timeout value can be configured, see consumers doc guide to learn more"
                ),
            )
        else:
            self.report("consumer_timeout", channel=self.number, consumer=consumer_tag, requeued=len(delivery_tags))

    def acknowledged_late(self, delivery_tag: int) -> None:
        self.report("acknowledged_late", channel=self.number, delivery_tag=delivery_tag)
