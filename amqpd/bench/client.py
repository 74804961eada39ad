"""A blocking AMQP client, as small as a load generator needs it: one socket, one channel.

Must not do anything by itself: no thread, no heartbeat (none is agreed on), no reconnecting. Every wait ends: a system
call returns after ``LOOK_S``, so that the roles can look about, and nothing is waited for longer than
``ANSWER_TIMEOUT_S``. The timeouts are the kernel's (SO_RCVTIMEO): those of Python's sockets cost a poll before each
call.
"""

import socket
import struct
import time
from collections.abc import Callable, Iterable
from typing import Self, TypeVar

from amqpd import __version__
from amqpd.bench.errors import BenchError
from amqpd.bench.frames import ids_of, method_frame
from amqpd.bench.url import BrokerURL
from amqpd.errors import AMQPError
from amqpd.wire import methods as m
from amqpd.wire.constants import FRAME_HEAD_SIZE, FRAME_HEARTBEAT, FRAME_METHOD, FRAME_OVERHEAD, PROTOCOL_HEADER
from amqpd.wire.fast import unpack_frame_head
from amqpd.wire.methods import Method, decode_method
from amqpd.wire.tables import FieldValue

CONNECT_TIMEOUT_S = 10.0
LOOK_S = 0.1  # a read or a write that cannot begin raises BlockingIOError after so long
ANSWER_TIMEOUT_S = 60.0  # deleting a queue of millions takes some brokers many seconds
PIPELINE_MAX = 500  # calls under way at one time: their answers fit any socket buffer, so neither side blocks
FRAME_MAX = 131_072  # as most clients propose

CAPABILITIES: dict[str, FieldValue] = {
    "authentication_failure_close": True,
    "basic.nack": True,
    "consumer_cancel_notify": True,
    "publisher_confirms": True,
}

_SCRATCH = bytearray(65536)  # of all connections of a process, since 10,000 at rest would want much with one each

M = TypeVar("M", bound=Method)


class Connection:
    """A connection over TCP, which ``open`` makes one of AMQP with channel 1 open. What goes wrong is a BenchError."""

    def __init__(self, broker: BrokerURL) -> None:
        self.socket = _dial(broker)
        self.unread = bytearray()
        self.server_properties: dict[str, FieldValue] = {}
        self.channel_max = 0
        self.frame_max = 0
        self._broker = broker

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def open(self) -> Self:
        try:
            self._shake_hands()
        except BenchError:
            self.socket.close()
            raise
        return self

    def _shake_hands(self) -> None:
        self.send(PROTOCOL_HEADER)
        self.server_properties = self.answer(m.ConnectionStart).server_properties
        self.send(method_frame(start_ok(self._broker), 0))
        tune = self.answer(m.ConnectionTune)
        self.channel_max, self.frame_max = tune.channel_max, min(tune.frame_max or FRAME_MAX, FRAME_MAX)
        self.send(method_frame(self.tune_ok(), 0))
        self.send(method_frame(m.ConnectionOpen(virtual_host=self._broker.vhost), 0))
        self.answer(m.ConnectionOpenOk)
        self.call(m.ChannelOpen(), m.ChannelOpenOk)

    def tune_ok(self) -> Method:
        return m.ConnectionTuneOk(self.channel_max, self.frame_max, heartbeat=0)

    def send(self, data: bytes | memoryview, patient: Callable[[], bool] = lambda: False) -> None:
        """All of it. Raises BenchError when the broker stops reading, unless it is waited for just now: ``patient``."""
        rest = memoryview(data)
        end = 0.0
        while rest:
            try:
                rest = rest[self.socket.send(rest) :]
            except BlockingIOError:
                if not patient():
                    end = end or time.monotonic() + ANSWER_TIMEOUT_S
                    if time.monotonic() > end:
                        raise BenchError("the broker has stopped reading") from None
            except OSError as error:
                raise self.lost(error) from error

    def read_into(self, buffer: bytearray) -> int:
        """What has come, as far as there is room; how many octets. Raises BlockingIOError after ``LOOK_S`` of nothing.

        What came unasked in the course of a call comes first.
        """
        if self.unread:
            got = len(self.unread)
            buffer[:got] = self.unread
            self.unread.clear()
            return got
        return receive_into(self.socket, buffer)

    def call(self, method: Method, answer: type[M]) -> M:
        self.send(method_frame(method))
        return self.answer(answer)

    def call_all(self, calls: Iterable[Method], answer: type[Method]) -> None:
        """Many calls of one kind: sent in runs, then answered."""
        frames = [method_frame(call) for call in calls]
        for first in range(0, len(frames), PIPELINE_MAX):
            run = frames[first : first + PIPELINE_MAX]
            self.send(b"".join(run))
            for _ in run:
                self.expect(answer)

    def answer(self, wanted: type[M]) -> M:
        """The next method, which must be of this kind."""
        method = decode_method(self.expect(wanted))
        assert isinstance(method, wanted)
        return method

    def expect(self, wanted: type[Method]) -> bytes:
        """The payload of the next method, not decoded if it is the wanted one."""
        kind, payload = self.receive()
        while kind == FRAME_HEARTBEAT:
            kind, payload = self.receive()
        if kind != FRAME_METHOD or not payload.startswith(ids_of(wanted)):
            raise unexpected(kind, payload, f"instead of {wanted.name}")
        return payload

    def receive(self) -> tuple[int, bytes]:
        """The type and the payload of the next frame."""
        end = time.monotonic() + ANSWER_TIMEOUT_S
        while True:
            if len(self.unread) >= FRAME_HEAD_SIZE:
                if self.unread.startswith(b"AMQP"):
                    raise BenchError("the broker speaks another version of AMQP")
                kind, _, size = unpack_frame_head(self.unread)
                if len(self.unread) >= size + FRAME_OVERHEAD:
                    payload = bytes(self.unread[FRAME_HEAD_SIZE : FRAME_HEAD_SIZE + size])
                    del self.unread[: size + FRAME_OVERHEAD]
                    return kind, payload
            try:
                got = receive_into(self.socket, _SCRATCH)
            except BlockingIOError:
                if time.monotonic() > end:
                    raise not_answered() from None
            else:
                self.unread += memoryview(_SCRATCH)[:got]

    def unexpected(self, data: bytes | bytearray) -> BenchError:
        """What came instead of what was counted on, as an error; ``data`` begins with its frame."""
        self.unread[:] = data
        kind, payload = self.receive()
        return unexpected(kind, payload, "in the midst of the run")

    def lost(self, error: OSError) -> BenchError:
        """Why nothing can be sent any more. The broker's reason may lie in the socket still."""
        try:
            while True:
                kind, payload = self.receive()
                if kind == FRAME_METHOD:
                    return unexpected(kind, payload, "")
        except BenchError:
            return BenchError(f"the connection broke: {error.strerror}")

    def close(self) -> None:
        """Ends in order: when this returns, the broker has read all there was. What still comes in is passed over."""
        self.send(method_frame(m.ConnectionClose(reply_code=200, reply_text="Goodbye"), 0))
        kind, payload = self.receive()
        while kind != FRAME_METHOD or not payload.startswith(ids_of(m.ConnectionCloseOk)):
            kind, payload = self.receive()


def _dial(broker: BrokerURL) -> socket.socket:
    """A TCP connection to the broker, blocking, for ``LOOK_S`` at a time. Raises BenchError."""
    try:
        connected = socket.create_connection((broker.host, broker.port), CONNECT_TIMEOUT_S)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BenchError(f"cannot connect to {broker.host}:{broker.port}: {reason}") from error
    connected.settimeout(None)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    set_timeout(connected, LOOK_S)
    return connected


def set_timeout(connected: socket.socket, seconds: float) -> None:
    """Let a call that cannot begin raise BlockingIOError after so long."""
    timeval = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)


def receive_into(connected: socket.socket, buffer: bytearray | memoryview) -> int:
    """How many octets have come. Raises BlockingIOError when none has in time, and BenchError when no more will."""
    try:
        got = connected.recv_into(buffer)
    except BlockingIOError:
        raise
    except OSError as error:
        raise BenchError(f"the connection broke: {error.strerror}") from error
    if not got:
        raise BenchError("the broker closed the connection without a word")
    return got


def start_ok(broker: BrokerURL) -> Method:
    properties: dict[str, FieldValue] = {
        "product": "amqpd bench",
        "version": __version__,
        "capabilities": CAPABILITIES,
    }
    return m.ConnectionStartOk(
        client_properties=properties,
        mechanism="PLAIN",
        response=f"\0{broker.user}\0{broker.password}".encode(),
    )


def not_answered() -> BenchError:
    return BenchError(f"the broker did not answer within {ANSWER_TIMEOUT_S:.0f} s")


def unexpected(kind: int, payload: bytes, when: str) -> BenchError:
    """A frame nobody waited for, as an error: the broker's own words where it has some."""
    if kind != FRAME_METHOD:
        return BenchError(f"the broker sent a frame of type {kind} {when}")
    try:
        method = decode_method(payload)
    except AMQPError as error:
        return BenchError(f"the broker sent what cannot be read: {error}")
    match method:
        case m.ConnectionClose():
            return BenchError(f"the broker closed the connection: {method.reply_code} {method.reply_text}")
        case m.ChannelClose():
            return BenchError(f"the broker closed the channel: {method.reply_code} {method.reply_text}")
        case m.BasicCancel():
            return BenchError("the broker cancelled a consumer; was its queue deleted?")
        case m.BasicNack():
            return BenchError("the broker refused a message (basic.nack)")
    return BenchError(f"the broker sent {method.name} {when}".rstrip())
