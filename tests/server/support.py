"""Who takes part in the tests of the server: brokers on real sockets, and peers that say and hear what a test tells.

    await peer.says((1, QueueDeclare(queue="q")))
    await peer.hears((1, QueueDeclareOk(queue="q")))

What is said and heard is written as in ``tests.amqp.transcript``. A peer is a bare socket: nothing is read that the
test does not ask for, and nothing sent, heartbeats neither.

:func:`pumping` is a broker without its daemon: nobody passes the time, so that a test can do it (``Pumps.tick``).
:func:`serving` is the whole daemon, in the test's event loop.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio
import structlog
from structlog.typing import EventDict

from amqpd.amqp.limits import Limits
from amqpd.broker.broker import Broker
from amqpd.broker.statistics import QueueStatistics
from amqpd.broker.store import Store
from amqpd.config import Settings
from amqpd.server.daemon import serve
from amqpd.server.listening import shown
from amqpd.server.pump import Pump, Pumps
from amqpd.wire import fast, methods
from amqpd.wire.constants import (
    FRAME_BODY,
    FRAME_HEAD_SIZE,
    FRAME_HEADER,
    FRAME_METHOD,
    FRAME_OVERHEAD,
    PROTOCOL_HEADER,
)
from amqpd.wire.methods import Method, decode_method
from tests.amqp.transcript import Frame, Item, octets, start_ok

PATIENCE_S = 20.0
"""For one thing to be said or heard, or to come true: a broker that takes longer does not do it."""

END = "the end: the broker has closed the socket"

M = TypeVar("M", bound=Method)


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop run until this is so. For what no peer can hear."""
    with anyio.fail_after(PATIENCE_S):
        while not condition():
            await anyio.sleep(0.001)


class Peer:
    """The other end of a connection."""

    def __init__(self, connected: socket.socket, frame_max: int = 131072) -> None:
        self.socket = connected
        self.frame_max = frame_max
        self._loop = asyncio.get_running_loop()
        self._octets = b""
        self._offset = 0

    async def says(self, *items: Item) -> "Peer":
        """Send this, all in one go."""
        data = b"".join(octets(item, self.frame_max) for item in items)
        with anyio.fail_after(PATIENCE_S):
            await self._loop.sock_sendall(self.socket, data)
        return self

    async def hears(self, *items: Item) -> "Peer":
        """This comes next."""
        for item in items:
            heard = await self.hear()
            assert heard == item
        return self

    async def hear(self) -> Item:
        """What comes next, a method with its content as one."""
        frame = await self._hear_frame()
        if not isinstance(frame, Frame) or frame.kind != FRAME_METHOD:
            return frame
        method = decode_method(frame.payload)
        if not isinstance(method, methods.BasicDeliver | methods.BasicGetOk | methods.BasicReturn):
            return frame.channel, method
        header = await self._hear_frame()
        assert isinstance(header, Frame)
        assert header.kind == FRAME_HEADER
        body = b""
        while len(body) < fast.body_size(header.payload):
            part = await self._hear_frame()
            assert isinstance(part, Frame)
            assert part.kind == FRAME_BODY
            body += part.payload
        return frame.channel, method, body

    async def hear_method(self, expected: type[M]) -> M:
        """What comes next is a method of this kind, without content."""
        heard = await self.hear()
        assert isinstance(heard, tuple), heard
        _, method = heard
        assert isinstance(method, expected)
        return method

    async def hear_bodies(self, count: int) -> list[bytes]:
        """The bodies of the next so many deliveries, answers to basic.get, or returns."""
        bodies: list[bytes] = []
        while len(bodies) < count:
            heard = await self.hear()
            assert len(heard) == 3, heard
            bodies.append(heard[2])  # type: ignore[arg-type]
        return bodies

    async def logs_in(self, user: str = "guest", password: str = "guest", **capabilities: bool) -> "Peer":
        """From the protocol header to the answer to connection.start-ok, which is still to come."""
        await self.says(PROTOCOL_HEADER)
        await self.hear_method(methods.ConnectionStart)
        return await self.says((0, start_ok(user, password, **capabilities)))

    async def opens(self, channels: int = 1, heartbeat: int = 0, **capabilities: bool) -> "Peer":
        """Log in, and open the connection and channels 1, 2..."""
        await self.logs_in(authentication_failure_close=True, **capabilities)
        await self.hear_method(methods.ConnectionTune)
        await self.says(
            (0, methods.ConnectionTuneOk(2047, self.frame_max, heartbeat)),
            (0, methods.ConnectionOpen()),
            *((number, methods.ChannelOpen()) for number in range(1, channels + 1)),
        )
        await self.hears((0, methods.ConnectionOpenOk()))
        await self.hears(*((number, methods.ChannelOpenOk()) for number in range(1, channels + 1)))
        return self

    async def declares(self, queue: str) -> "Peer":
        await self.says((1, methods.QueueDeclare(queue=queue)))
        await self.hear_method(methods.QueueDeclareOk)
        return self

    async def consumes(self, queue: str, no_ack: bool = False) -> "Peer":
        await self.says((1, methods.BasicConsume(queue=queue, consumer_tag=queue, no_ack=no_ack)))
        await self.hears((1, methods.BasicConsumeOk(consumer_tag=queue)))
        return self

    async def publishes(self, queue: str, *bodies: bytes) -> "Peer":
        return await self.says(*((1, methods.BasicPublish(routing_key=queue), body) for body in bodies))

    async def is_in_step(self) -> "Peer":
        """All that was said before is done: the broker answers to what is said after it."""
        await self.says((1, methods.ChannelFlow(active=True)))
        return await self.hears((1, methods.ChannelFlowOk(active=True)))

    async def _hear_frame(self) -> Frame | bytes | str:
        while (end := self._offset + _frame_size(self._octets, self._offset)) > len(self._octets):
            with anyio.fail_after(PATIENCE_S):
                try:
                    data = await self._loop.sock_recv(self.socket, 1 << 20)
                except ConnectionResetError:
                    data = b""
            if not data:
                assert self._offset == len(self._octets), "the broker closed the socket in the middle of a frame"
                return END
            self._octets = self._octets[self._offset :] + data
            self._offset = 0
        taken = self._octets[self._offset : end]
        self._offset = end
        if taken == PROTOCOL_HEADER:
            return taken
        return Frame(taken[0], int.from_bytes(taken[1:3], "big"), taken[FRAME_HEAD_SIZE:-1])


def _frame_size(data: bytes, offset: int) -> int:
    """How many octets the frame at ``offset`` has at least, or the protocol header in its place."""
    if data.startswith(b"AMQP", offset):
        return len(PROTOCOL_HEADER)
    return int.from_bytes(data[offset + 3 : offset + FRAME_HEAD_SIZE], "big") + FRAME_OVERHEAD


class Place:
    """Where peers connect to."""

    def __init__(self, address: tuple[str, int], log: list[EventDict]) -> None:
        self.address = address
        self.log = log
        self.peers: list[Peer] = []

    async def visit(self, receive_buffer: int | None = None) -> Peer:
        """A socket is connected, and nothing said yet. ``receive_buffer``: octets the kernel takes in for the peer."""
        connected = socket.socket(socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET)
        connected.setblocking(False)
        if receive_buffer is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        peer = Peer(connected)
        self.peers.append(peer)
        await asyncio.get_running_loop().sock_connect(connected, self.address)
        return peer

    async def connect(
        self, channels: int = 1, heartbeat: int = 0, receive_buffer: int | None = None, **capabilities: bool
    ) -> Peer:
        """Someone with an open connection and open channels."""
        return await (await self.visit(receive_buffer)).opens(channels, heartbeat, **capabilities)

    def events(self, name: str) -> list[EventDict]:
        """What was logged under this name."""
        return [entry for entry in self.log if entry["event"] == name]

    async def event(self, name: str) -> EventDict:
        """The one event of this name, waited for."""
        await until(lambda: bool(self.events(name)))
        [entry] = self.events(name)
        return entry

    def leave(self) -> None:
        for peer in self.peers:
            peer.socket.close()


class Works(Place):
    """A broker that listens, with its pumps laid open."""

    def __init__(self, pumps: Pumps, address: tuple[str, int], log: list[EventDict]) -> None:
        super().__init__(address, log)
        self.pumps = pumps
        self.broker = pumps.broker
        self.ahead_s = 0.0

    def pump_of(self, peer: Peer) -> Pump:
        name = f"{shown(peer.socket.getsockname())} -> "
        [pump] = [pump for pump in self.pumps.open if pump._name.startswith(name)]
        return pump

    def unsent(self, peer: Peer) -> int:
        """Octets that the broker holds for a peer and its socket has not taken."""
        pump = self.pump_of(peer)
        return pump.connection.outbox.size + pump._transport.get_write_buffer_size()

    def queue(self, name: str) -> QueueStatistics:
        [found] = [queue for queue in self.broker.statistics().queues if queue.name == name]
        return found

    def pass_time(self, seconds: float) -> None:
        """What the ticker does, by a clock that jumps ahead so much."""
        self.ahead_s += seconds
        self.pumps.tick(asyncio.get_running_loop().time() + self.ahead_s)


@asynccontextmanager
async def pumping(limits: Limits | None = None, store: Store | None = None) -> AsyncIterator[Works]:
    """A broker on a free port of this machine, and no daemon around it."""
    loop = asyncio.get_running_loop()
    pumps = Pumps(Broker(store), limits or Limits())
    server = await loop.create_server(lambda: Pump(pumps), "127.0.0.1", 0)
    with structlog.testing.capture_logs() as log:
        works = Works(pumps, server.sockets[0].getsockname(), log)
        try:
            yield works
        finally:
            server.close()
            works.leave()
            pumps.abort("the test is over")
            await until(lambda: not pumps.open)


class Daemon(Place):
    """A daemon that serves, known by its ports and its log. ``stopped`` is set when it has come to its own end."""

    def __init__(self, log: list[EventDict]) -> None:
        [listening] = [entry for entry in log if entry["event"] == "listening"]
        super().__init__((listening["host"], listening["port"]), log)
        self.metrics: str = listening["metrics"]
        self.stopped = anyio.Event()

    async def ends(self) -> None:
        """It comes to its own end."""
        with anyio.fail_after(PATIENCE_S):
            await self.stopped.wait()


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Daemon]:
    """A daemon on free ports of this machine, with these settings."""
    with structlog.testing.capture_logs() as log:
        async with anyio.create_task_group() as tasks:

            async def live(*, task_status: anyio.abc.TaskStatus[int]) -> None:
                await serve(
                    Settings(**{"port": 0, "metrics_port": 0, "in_memory": True, **settings}), task_status=task_status
                )
                daemon.stopped.set()

            await tasks.start(live)
            daemon = Daemon(log)
            try:
                yield daemon
            finally:
                daemon.leave()
                tasks.cancel_scope.cancel()
