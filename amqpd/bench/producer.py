"""The role that publishes: blocks of messages that were encoded before the start, sent one after the other.

The only work for each block is the time stamp, one system call, and where there are confirms, counting them.
"""

import time
from itertools import cycle

from amqpd.bench.client import LOOK_S, Connection
from amqpd.bench.errors import BenchError
from amqpd.bench.frames import BLOCK_MESSAGES, Block, Confirms, NotCounted, make_blocks, publish_frames
from amqpd.bench.roles import Desk, Phase
from amqpd.bench.topology import Topology
from amqpd.bench.workload import Workload, share
from amqpd.wire import methods as m
from amqpd.wire.properties import Properties

MIXED_MESSAGES = 10_000  # at least so many different ones, where all are to be different
BLOCKS_A_SECOND = 1000  # of a producer with a rate, while blocks have more than one message
END_TIMEOUT_S = 30.0  # for the broker to read and confirm what it was sent

_READ_SIZE = 1 << 18


def produce(desk: Desk) -> None:
    workload = desk.workload
    with desk.connect() as connection:
        if workload.confirm:
            connection.call(m.ConfirmSelect(), m.ConfirmSelectOk)
        publisher = _Publisher(desk, connection)
        desk.ready()
        publisher.run()


def encode_messages(topology: Topology, number: int, of: int, frame_max: int) -> list[bytes]:
    """The different messages that one of the producers publishes in turn."""
    workload = topology.workload
    count = max(workload.keys, MIXED_MESSAGES if workload.mixed else 1)
    return [
        publish_frames(
            topology.exchange,
            topology.routing_key(k % workload.keys),
            properties_of(topology, k),
            workload.size,
            frame_max,
        )
        for k in share(count, of, number)
    ]


def properties_of(topology: Topology, k: int) -> Properties:
    """The properties of message k. Those of all messages of a run take the same room."""
    workload = topology.workload
    properties = Properties(delivery_mode=2 if workload.persistent else None)
    headers = topology.headers(k)
    if workload.mixed:
        headers |= {"tenant": f"t{k % 97:05}", "trace": f"{k * 2_654_435_761 % (1 << 32):08x}", "attempt": k}
        properties.content_type = "application/json"
        properties.correlation_id = f"correlation-{k:05}"
        properties.message_id = f"message-{k:05}"
        properties.timestamp = 1_700_000_000 + k
        properties.type = f"type-{k % 7:05}"
        properties.app_id = f"app-{k % 13:05}"
    properties.headers = headers or None
    return properties


def _block_max(workload: Workload) -> int:
    """A window takes two blocks, so that one can be under way while another is confirmed; a rate is kept smoothly."""
    count = BLOCK_MESSAGES
    if workload.confirm:
        count = min(count, workload.confirm // 2)
    if workload.rate:
        count = min(count, int(workload.rate / workload.producers / BLOCKS_A_SECOND))
    return max(1, count)


class _Publisher:
    def __init__(self, desk: Desk, connection: Connection) -> None:
        workload = desk.workload
        messages = encode_messages(desk.role.topology, desk.role.number, desk.role.of, connection.frame_max)
        self._blocks = make_blocks(messages, workload.size, _block_max(workload))
        self._message_size = len(messages[0])
        self._desk = desk
        self._connection = connection
        self._window = workload.confirm
        self._rate = workload.rate / desk.role.of
        self._limit = len(share(workload.messages, desk.role.of, desk.role.number))
        self._limit = self._limit if workload.kind == "backlog" else 0
        self._confirms = Confirms()
        self._buffer = bytearray(_READ_SIZE)
        self._sent = 0

    def run(self) -> None:
        started = time.monotonic()
        for block in cycle(self._blocks):
            if self._desk.look() >= Phase.DRAINING or (self._limit and self._sent >= self._limit):
                break
            if self._rate:
                self._await(started + self._sent / self._rate)
            if self._window and not self._make_room(block.count):
                break
            self._publish(block)
        end = time.monotonic() + END_TIMEOUT_S
        while self._window and self._confirms.count < self._sent:
            if time.monotonic() > end:
                raise BenchError(f"{self._sent - self._confirms.count:,} messages were not confirmed")
            self._hear()
        self._connection.close()

    def _await(self, due: float) -> None:
        while (left := due - time.monotonic()) > 0 and self._desk.look() < Phase.DRAINING:
            time.sleep(min(left, LOOK_S))

    def _make_room(self, count: int) -> bool:
        """Wait until so many more may be unconfirmed. False when the run ends before."""
        while self._sent - self._confirms.count + count > self._window:
            if self._desk.look() >= Phase.DRAINING:
                return False
            self._hear()
        return True

    def _publish(self, block: Block) -> None:
        count = min(block.count, self._limit - self._sent) if self._limit else block.count
        block.stamp(time.monotonic_ns())
        self._connection.send(memoryview(block.octets)[: count * self._message_size], self._may_block)
        self._sent += count
        if not self._window:
            self._desk.add(count)

    def _may_block(self) -> bool:
        """Half a message would be the end of the connection: while the run lasts, the broker may block publishers."""
        return self._desk.look() < Phase.DRAINING

    def _hear(self) -> None:
        """Take what confirms there are, or wait a little for some."""
        before = self._confirms.count
        try:
            got = self._connection.read_into(self._buffer)
            self._confirms.feed(self._buffer[:got])
        except BlockingIOError:
            return
        except NotCounted as other:
            raise self._connection.unexpected(other.rest) from None
        self._desk.add(self._confirms.count - before)
