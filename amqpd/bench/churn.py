"""The role of kind churn: connect, open a channel, declare an exclusive queue, publish to it, close; again and again.

As a client does that uses the broker for one message: it waits for every answer. But what it sends was encoded before
the start, and of an answer it looks at the head alone, so that it is the broker that is measured.
"""

import socket
import struct
import time
from collections.abc import Iterator

from amqpd.bench.client import (
    ANSWER_TIMEOUT_S,
    FRAME_MAX,
    Connection,
    not_answered,
    receive_into,
    set_timeout,
    start_ok,
    unexpected,
)
from amqpd.bench.frames import ids_of, method_frame, publish_frames
from amqpd.bench.roles import Desk, Phase
from amqpd.wire import methods as m
from amqpd.wire.constants import FRAME_HEAD_SIZE, FRAME_OVERHEAD, PROTOCOL_HEADER
from amqpd.wire.fast import unpack_frame_head
from amqpd.wire.properties import Properties

_NUMBER = b"<number>"  # stands where each connection's queue has its number, of as many digits
_RESET = struct.pack("ii", 1, 0)  # as SO_LINGER: close at once


def churn(desk: Desk) -> None:
    visitor = _Visitor(desk)
    desk.ready()
    number = 0
    while desk.look() < Phase.DRAINING:
        started = time.monotonic_ns()
        visitor.visit(b"%08d" % number)
        if desk.measuring:
            desk.latencies.append(time.monotonic_ns() - started)
        desk.add(1)
        number += 1


def _steps(desk: Desk, first: Connection) -> Iterator[tuple[bytes, bytes]]:
    """What is sent in turn, and how the method begins that answers it. ``first`` agreed on the limits for them all."""
    queue = f"{desk.role.topology.prefix}-{desk.role.number:03}-{_NUMBER.decode()}"
    message = publish_frames("", queue, Properties(), desk.workload.size, first.frame_max)
    opening = m.ConnectionOpen(virtual_host=desk.role.broker.vhost)
    closing = m.ConnectionClose(reply_code=200, reply_text="Goodbye")
    yield PROTOCOL_HEADER, ids_of(m.ConnectionStart)
    yield method_frame(start_ok(desk.role.broker), 0), ids_of(m.ConnectionTune)
    yield method_frame(first.tune_ok(), 0) + method_frame(opening, 0), ids_of(m.ConnectionOpenOk)
    yield method_frame(m.ChannelOpen()), ids_of(m.ChannelOpenOk)
    yield method_frame(m.QueueDeclare(queue=queue, exclusive=True)), ids_of(m.QueueDeclareOk)
    yield message + method_frame(closing, 0), ids_of(m.ConnectionCloseOk)


class _Visitor:
    """Goes through the steps on a bare socket: a ``Connection`` would do more than the broker is asked for."""

    def __init__(self, desk: Desk) -> None:
        with desk.connect() as first:
            self._family = first.socket.family
            self._address = first.socket.getpeername()  # whose name need not be looked up any more
            self._steps = [*_steps(desk, first)]
        self._buffer = memoryview(bytearray(FRAME_MAX))

    def visit(self, number: bytes) -> None:
        with socket.socket(self._family) as visit:
            set_timeout(visit, ANSWER_TIMEOUT_S)
            # The reset spares a minute of TIME_WAIT: a few thousand of these a second would use up the ports.
            visit.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            try:
                visit.connect(self._address)
                for octets, answer in self._steps:
                    visit.sendall(octets.replace(_NUMBER, number))
                    self._await(visit, answer)
            except BlockingIOError:
                raise not_answered() from None

    def _await(self, visit: socket.socket, answer: bytes) -> None:
        """Read one frame, which must begin like the answer."""
        got = 0
        while got < FRAME_HEAD_SIZE or got < unpack_frame_head(self._buffer)[2] + FRAME_OVERHEAD:
            got += receive_into(visit, self._buffer[got:])
        if self._buffer[FRAME_HEAD_SIZE : FRAME_HEAD_SIZE + len(answer)] != answer:
            kind, _, size = unpack_frame_head(self._buffer)
            payload = bytes(self._buffer[FRAME_HEAD_SIZE : FRAME_HEAD_SIZE + size])
            raise unexpected(kind, payload, "instead of an answer")
