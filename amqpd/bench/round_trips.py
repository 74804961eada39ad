"""The roles of kind rpc: a client that sends requests, and a server that answers each.

Requests go through one queue and replies through another, so a round trip is two messages. The client measures every
one; with several in flight it sends the next as soon as a reply is there. Replies come in the order of the requests.
"""

import time
from collections import deque

from amqpd.bench.frames import Deliveries, NotCounted, publish_frames
from amqpd.bench.roles import Desk, Phase
from amqpd.wire import methods as m
from amqpd.wire.properties import Properties

REQUESTS = 0  # the numbers of the queues
REPLIES = 1

_READ_SIZE = 1 << 18


def ask(desk: Desk) -> None:
    """The client."""
    with _End(desk, REPLIES, REQUESTS) as end:
        desk.ready()
        in_flight = desk.workload.in_flight
        end.send(in_flight)
        sent = deque([time.monotonic_ns()] * in_flight)
        while desk.look() < Phase.DRAINING:
            count = end.receive()
            if not count:
                continue
            now = time.monotonic_ns()
            times = [now - sent.popleft() for _ in range(count)]
            if desk.measuring:
                desk.latencies.extend(times)
            desk.add(count)
            sent.extend([now] * count)
            end.send(count)


def answer(desk: Desk) -> None:
    """The server."""
    with _End(desk, REQUESTS, REPLIES) as end:
        desk.ready()
        while desk.look() < Phase.OVER:
            if count := end.receive():
                end.send(count)


class _End:
    """A connection that consumes from one queue, without acks, and publishes to another."""

    def __init__(self, desk: Desk, source: int, destination: int) -> None:
        topology, workload = desk.role.topology, desk.workload
        self._connection = desk.connect()
        properties = Properties(delivery_mode=2 if workload.persistent else None)
        message = publish_frames("", topology.queue(destination), properties, workload.size, self._connection.frame_max)
        self._size = len(message)
        self._messages = memoryview(message * workload.in_flight)
        self._deliveries = Deliveries()
        self._buffer = bytearray(_READ_SIZE)
        consume = m.BasicConsume(queue=topology.queue(source), consumer_tag="c", no_ack=True)
        self._connection.call(consume, m.BasicConsumeOk)

    def __enter__(self) -> "_End":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.socket.close()

    def send(self, count: int) -> None:
        self._connection.send(self._messages[: count * self._size])

    def receive(self) -> int:
        """How many messages have come; 0 when none has for a while."""
        before = self._deliveries.count
        try:
            got = self._connection.read_into(self._buffer)
            self._deliveries.feed(self._buffer, got)
        except BlockingIOError:
            return 0
        except NotCounted as other:
            raise self._connection.unexpected(other.rest) from None
        return self._deliveries.count - before
