"""The role that consumes: one or more connections, whose deliveries are counted by octets (``frames.Deliveries``).

Many connections may share a process: what it has to do for each is little, and a thousand processes would be a load of
their own.
"""

import selectors
import time
from collections.abc import Iterator

from amqpd.bench.client import LOOK_S
from amqpd.bench.frames import CHANNEL, Deliveries, NotCounted
from amqpd.bench.roles import Desk, Phase, raise_file_limit
from amqpd.bench.workload import Workload, share
from amqpd.wire import methods as m
from amqpd.wire.fast import encode_ack

PROCESSES_MAX = 2  # each can count ten million messages a second, and each is one more for the scheduler

_BUFFER = bytearray(1 << 18)  # of all reads of this process


def consume(desk: Desk) -> None:
    workload = desk.workload
    mine = range(desk.role.number, workload.consumers, desk.role.of)
    raise_file_limit(len(mine))
    consumers = [_Consumer(desk, number) for number in mine]
    desk.ready()
    turns = iter(lambda: consumers, None) if len(consumers) == 1 else _with_something_to_read(consumers)
    for turn in turns:
        for consumer in turn:
            consumer.read()
        if desk.look() == Phase.OVER:
            break
    for consumer in consumers:
        consumer.connection.socket.close()


def _with_something_to_read(consumers: list["_Consumer"]) -> Iterator[list["_Consumer"]]:
    """Those whose sockets have something, again and again."""
    with selectors.DefaultSelector() as selector:
        for consumer in consumers:
            selector.register(consumer.connection.socket, selectors.EVENT_READ, consumer)
        while True:
            yield [key.data for key, _ in selector.select(LOOK_S)]


class _Consumer:
    """One connection that consumes."""

    def __init__(self, desk: Desk, number: int) -> None:
        workload = desk.workload
        self.connection = desk.connect()
        self._desk = desk
        self._deliveries = Deliveries(workload.stamped)
        self._ack_after = _ack_after(workload) if workload.ack else 0
        self._acked = 0
        if workload.ack:
            self.connection.call(m.BasicQos(prefetch_count=workload.prefetch), m.BasicQosOk)
        queues = share(workload.queues, workload.consumers, number)
        for queue in queues:
            name = desk.role.topology.queue(queue)
            consume = m.BasicConsume(queue=name, consumer_tag=f"c{queue:05}", no_ack=not workload.ack)
            self.connection.call(consume, m.BasicConsumeOk)

    def read(self) -> None:
        """Take what there is, or wait ``LOOK_S`` for something."""
        try:
            got = self.connection.read_into(_BUFFER)
        except BlockingIOError:
            return
        deliveries = self._deliveries
        before = deliveries.count
        try:
            stamps = deliveries.feed(_BUFFER, got)
        except NotCounted as other:
            raise self.connection.unexpected(other.rest) from None
        if self._desk.measuring and stamps:
            now = time.monotonic_ns()
            self._desk.latencies.extend([now - stamp for stamp in stamps])
        if deliveries.count > before:
            self._desk.add(deliveries.count - before)
            if self._ack_after and deliveries.count - self._acked >= self._ack_after:
                self._acknowledge(deliveries.count)

    def _acknowledge(self, count: int) -> None:
        if self._ack_after == 1:
            acks = b"".join([encode_ack(CHANNEL, tag, False) for tag in range(self._acked + 1, count + 1)])
        else:
            acks = encode_ack(CHANNEL, count, True)
        self._acked = count
        self.connection.send(acks)


def _ack_after(workload: Workload) -> int:
    return workload.ack_every or max(1, workload.prefetch // 4)
