"""A peer that speaks AMQP frames itself, for what no client library does: exact orders, silence, and nonsense.

pika's codec turns methods into bytes and back; this module adds a blocking socket and the opening handshake, and no
behaviour at all. What a test sends is all that is sent, heartbeats included; what arrives is seen frame by frame.
"""

import socket
from typing import Any, TypeVar

import pika.frame
from pika import spec

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
TIMEOUT_S = 20.0  # for one read or write; a broker that takes longer is not answering
CAPABILITIES = {"authentication_failure_close": True, "basic.nack": True, "consumer_cancel_notify": True}

M = TypeVar("M")
Received = Any  # pika's Method, Header, Body, Heartbeat or ProtocolHeader


def method(channel: int, value: Any) -> bytes:
    """The frame of a method."""
    return bytes(pika.frame.Method(channel, value).marshal())


def content(channel: int, body: bytes, properties: spec.BasicProperties | None = None) -> bytes:
    """The header frame and body frame of a message (no body frame if it is empty)."""
    header = pika.frame.Header(channel, len(body), properties or spec.BasicProperties()).marshal()
    return bytes(header + (pika.frame.Body(channel, body).marshal() if body else b""))


def frame(frame_type: int, channel: int, payload: bytes, end: bytes = b"\xce") -> bytes:
    """A frame of any type, well-formed or not."""
    return frame_type.to_bytes(1, "big") + channel.to_bytes(2, "big") + len(payload).to_bytes(4, "big") + payload + end


class Peer:
    """A TCP connection to the broker. ``open`` shakes hands; without it, nothing has been sent yet.

    ``receive_buffer`` (bytes) bounds what the kernel takes in while the test does not read.
    """

    def __init__(self, address: tuple[str, int], receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(TIMEOUT_S)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(address)
        self.tune: Any = None  # the broker's connection.tune, once open
        self._unread = b""

    def send(self, *pieces: bytes) -> None:
        self.socket.sendall(b"".join(pieces))

    def receive(self) -> Received:
        """The next frame, heartbeats too; None when the broker has closed the connection."""
        while True:
            size, received = pika.frame.decode_frame(self._unread)
            if received is not None:
                self._unread = self._unread[size:]
                return received
            data = self._read()
            if not data:
                return None
            self._unread += data

    def expect(self, wanted: type[M]) -> M:
        """The next frame, which must be of this frame class, or carry this method class; heartbeats are passed over."""
        received = self.receive()
        while isinstance(received, pika.frame.Heartbeat):
            received = self.receive()
        value = received.method if isinstance(received, pika.frame.Method) else received
        assert isinstance(value, wanted), f"expected {wanted.__name__}, got {value}"
        return value

    def expect_message(self, announced_by: type[M]) -> tuple[M, bytes]:
        """A delivery, get-ok or return with its content: the method, and the body put together."""
        announcement = self.expect(announced_by)
        header = self.expect(pika.frame.Header)
        body = b""
        while len(body) < header.body_size:
            body += self.expect(pika.frame.Body).fragment
        return announcement, body

    def expect_closed(self) -> None:
        """The broker closes the connection without another frame, heartbeats apart."""
        received = self.receive()
        while isinstance(received, pika.frame.Heartbeat):
            received = self.receive()
        assert received is None, received

    def receive_to_the_end(self) -> bytes:
        """All that comes before the broker closes the connection, as it came."""
        received = self._unread
        while data := self._read():
            received += data
        return received

    def _read(self) -> bytes:
        """What has come, waited for; empty at the end, whether the broker closed with FIN or with RST."""
        try:
            return self.socket.recv(1 << 18)
        except ConnectionResetError:
            return b""

    def start(
        self, response: bytes = b"\0guest\0guest", mechanism: str = "PLAIN", **capabilities: bool
    ) -> spec.Connection.Start:
        """Protocol header, the broker's start (returned), and the answer to it."""
        self.send(PROTOCOL_HEADER)
        start = self.expect(spec.Connection.Start)
        properties = {"product": "interop", "capabilities": CAPABILITIES | capabilities}
        self.send(method(0, spec.Connection.StartOk(properties, mechanism, response, "en_US")))
        return start

    def open(
        self, vhost: str = "/", *, channel_max: int = 2047, frame_max: int = 131072, heartbeat: int = 0, **start: Any
    ) -> "Peer":
        """The whole handshake, with what this peer tunes down to; returns itself."""
        self.start(**start)
        self.tune = self.expect(spec.Connection.Tune)
        self.send(method(0, spec.Connection.TuneOk(channel_max, frame_max, heartbeat)))
        self.send(method(0, spec.Connection.Open(vhost)))
        self.expect(spec.Connection.OpenOk)
        return self

    def call(self, channel: int, request: Any, answer: type[M]) -> M:
        self.send(method(channel, request))
        return self.expect(answer)

    def open_channel(self, channel: int = 1) -> None:
        self.call(channel, spec.Channel.Open(), spec.Channel.OpenOk)

    def declare_queue(self, name: str = "", channel: int = 1, **flags: Any) -> str:
        return str(self.call(channel, spec.Queue.Declare(queue=name, **flags), spec.Queue.DeclareOk).queue)

    def publish(self, routing_key: str, body: bytes, *, exchange: str = "", channel: int = 1, **flags: bool) -> None:
        announcement = spec.Basic.Publish(exchange=exchange, routing_key=routing_key, **flags)
        self.send(method(channel, announcement), content(channel, body))

    def close(self) -> None:
        self.socket.close()
