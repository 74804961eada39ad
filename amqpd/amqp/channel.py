"""One channel: contents and acknowledgements in, deliveries out, and the session between them.

What is published on it is ``contents``'s. Acknowledgements come one by one or in runs: a client that acknowledges each
message singly sends many of them at a time when it is busy.

The other way, the channel is the session's receiver: it encodes and appends to the connection's outbox, nothing more.
"""

from collections.abc import Callable, Sequence

from amqpd.amqp.contents import Contents
from amqpd.amqp.limits import Limits
from amqpd.amqp.outbox import Outbox
from amqpd.amqp.states import ChannelState
from amqpd.broker.message import Message
from amqpd.broker.receiver import Receiver
from amqpd.broker.session import Session
from amqpd.errors import AMQPError, PreconditionFailed
from amqpd.wire import fast
from amqpd.wire.constants import FRAME_METHOD
from amqpd.wire.methods import BasicCancel, Method, encode_method

Report = Callable[..., None]
"""``report(event, **fields)``: something an operator wants to know has happened."""


Fail = Callable[["Channel", AMQPError], None]
"""``fail(channel, error)``: something that the peer has not asked for ends the channel."""


def ignore(*_: object, **__: object) -> None:
    """What is called when nobody is there any more who wants to know."""


class Channel(Receiver):
    """A channel that is open, or whose channel.close waits for its close-ok.

    ``payload_max`` is the largest payload of a frame to this peer, ``notify_cancel`` whether it wants to hear that the
    broker ended a consumer. ``last_queue`` is the queue that was declared last, which an empty queue name stands for.
    """

    def __init__(self, number: int, outbox: Outbox, limits: Limits, payload_max: int, report: Report) -> None:
        self.number = number
        self.report = report
        self.fail: Fail = ignore
        self.state = ChannelState.CLOSED
        self.last_queue = ""
        self.notify_cancel = False
        self.limits = limits
        self.session: Session
        self.contents: Contents
        self._outbox = outbox
        self._payload_max = payload_max
        self._encoders: dict[str, fast.DeliverEncoder] = {}

    def leave(self) -> None:
        """Nothing comes in here any more.

        What leads back to here is let go: a channel that is over shall be gone at once, and not wait for a garbage
        collector that is told to look at old things seldom. The session does the same.
        """
        self.report, self.fail = ignore, ignore
        self.contents.leave()

    # Acknowledgements in

    def receive_acks(self, data: bytes, start: int, stop: int) -> int:
        """A basic.ack whose payload is ``data[start:stop]``; if it is of one message, it is taken with those like it
        that follow. Returns the offset behind what was taken."""
        self.contents.check_complete()
        tag, multiple = fast.decode_ack(data, start, stop)
        offset = stop + 1
        if multiple or offset == len(data):
            self.session.complete(tag, multiple)
            return offset
        tags, offset = fast.find_acks(data, offset, self.number)
        self.session.complete_each([tag, *tags])
        return offset

    def receive_nack(self, data: bytes, start: int, stop: int) -> None:
        self.contents.check_complete()
        tag, multiple, requeue = fast.decode_nack(data, start, stop)
        self._refuse(tag, multiple, requeue)

    def receive_reject(self, data: bytes, start: int, stop: int) -> None:
        self.contents.check_complete()
        tag, requeue = fast.decode_reject(data, start, stop)
        self._refuse(tag, False, requeue)

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
