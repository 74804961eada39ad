"""The role of kind churn: connect, open a channel, declare an exclusive queue, publish to it, close; again and again.

As a client does that uses the broker for one message: it waits for every answer. What it sends was encoded before the
start and what it gets is not decoded, so that it is the broker that is measured.
"""

import socket
import struct
import time

from amqpd.bench.client import Connection, start_ok
from amqpd.bench.frames import method_frame, publish_frames
from amqpd.bench.roles import Desk, Phase
from amqpd.wire import methods as m
from amqpd.wire.constants import PROTOCOL_HEADER
from amqpd.wire.methods import Method
from amqpd.wire.properties import Properties

_NUMBER = b"00000000"  # stands where each connection's queue has its number


def churn(desk: Desk) -> None:
    visits = _encode(desk)
    desk.ready()
    number = 0
    while desk.look() < Phase.DRAINING:
        started = time.monotonic_ns()
        _visit(desk, visits, b"%08d" % number)
        if desk.measuring:
            desk.latencies.append(time.monotonic_ns() - started)
        desk.add(1)
        number += 1


def _encode(desk: Desk) -> list[tuple[bytes, type[Method]]]:
    """What is sent in turn, and the answer to each."""
    with desk.connect() as connection:
        tune_ok, frame_max = connection.tune_ok(), connection.frame_max
    name = f"{desk.role.topology.prefix}-{desk.role.number:03}-{_NUMBER.decode()}"
    message = publish_frames("", name, Properties(), desk.workload.size, frame_max)
    open_ = m.ConnectionOpen(virtual_host=desk.role.broker.vhost)
    return [
        (PROTOCOL_HEADER, m.ConnectionStart),
        (method_frame(start_ok(desk.role.broker), 0), m.ConnectionTune),
        (method_frame(tune_ok, 0) + method_frame(open_, 0), m.ConnectionOpenOk),
        (method_frame(m.ChannelOpen()), m.ChannelOpenOk),
        (method_frame(m.QueueDeclare(queue=name, exclusive=True)), m.QueueDeclareOk),
        (message + method_frame(m.ConnectionClose(200, "Goodbye"), 0), m.ConnectionCloseOk),
    ]


def _visit(desk: Desk, visits: list[tuple[bytes, type[Method]]], number: bytes) -> None:
    with Connection(desk.role.broker) as connection:
        for octets, answer in visits:
            connection.send(octets.replace(_NUMBER, number))
            connection.expect(answer)
        # The reset spares a minute of TIME_WAIT: a few thousand of these a second would use up the ports.
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
