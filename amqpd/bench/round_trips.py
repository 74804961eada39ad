"""The role of kind rpc: both ends of a conversation, the client that asks and the server that answers, in turn.

Requests go through one queue and replies through another, so a round trip is two messages; replies come in the order
of the requests. One process is both ends: with one round trip in flight nothing ever happens at either end while the
other has something to do, and a process for each would add a switch between them to every latency. With several in
flight an end whose turn it is takes all that has come; something always is on the way to it.
"""

import time
from collections import deque

from amqpd.bench.client import Connection
from amqpd.bench.frames import Deliveries, NotCounted, publish_frames
from amqpd.bench.roles import Desk, Phase
from amqpd.wire import methods as m
from amqpd.wire.properties import Properties

REQUESTS = 0  # the numbers of the queues
REPLIES = 1

_READ_SIZE = 1 << 18


def converse(desk: Desk) -> None:
    with desk.connect() as asking, desk.connect() as answering:
        client, server = _End(desk, asking, REPLIES, REQUESTS), _End(desk, answering, REQUESTS, REPLIES)
        desk.ready()
        in_flight = desk.workload.in_flight
        sent = deque([time.monotonic_ns()] * in_flight)
        client.send(in_flight)
        while desk.look() < Phase.DRAINING:
            server.send(server.receive())
            count = client.receive()
            now = time.monotonic_ns()
            times = [now - sent.popleft() for _ in range(count)]
            if desk.measuring:
                desk.latencies.extend(times)
            desk.add(count)
            sent.extend([now] * count)
            client.send(count)


class _End:
    """Consumes from one queue, without acks, and publishes to another."""

    def __init__(self, desk: Desk, connection: Connection, source: int, destination: int) -> None:
        topology, workload = desk.role.topology, desk.workload
        self._desk = desk
        self._connection = connection
        properties = Properties(delivery_mode=2 if workload.persistent else None)
        message = publish_frames("", topology.queue(destination), properties, workload.size, connection.frame_max)
        self._size = len(message)
        self._messages = memoryview(message * workload.in_flight)
        self._deliveries = Deliveries(stamped=False)
        self._buffer = bytearray(_READ_SIZE)
        consume = m.BasicConsume(queue=topology.queue(source), consumer_tag="c", no_ack=True)
        connection.call(consume, m.BasicConsumeOk)

    def send(self, count: int) -> None:
        self._connection.send(self._messages[: count * self._size])

    def receive(self) -> int:
        """How many messages have come: at least one, but none when the run is over."""
        deliveries = self._deliveries
        before = deliveries.count
        while deliveries.count == before:
            try:
                deliveries.feed(self._buffer, self._connection.read_into(self._buffer))
            except BlockingIOError:
                if self._desk.look() >= Phase.DRAINING:
                    break
            except NotCounted as other:
                raise self._connection.unexpected(other.rest) from None
        return deliveries.count - before
