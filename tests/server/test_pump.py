import asyncio
import gc
import socket
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup

from amqpd.amqp.channel import Channel
from amqpd.amqp.connection import Connection
from amqpd.amqp.handlers import HANDLERS
from amqpd.amqp.limits import Limits
from amqpd.broker.broker import Broker
from amqpd.server.listening import shown
from amqpd.server.pump import WRITE_BUFFER_MAX, Pump, Pumps
from amqpd.wire import methods
from amqpd.wire.constants import PROTOCOL_HEADER
from amqpd.wire.methods import (
    BasicAck,
    BasicConsume,
    BasicGet,
    BasicPublish,
    BasicReject,
    ChannelFlow,
    ChannelFlowOk,
    ConfirmSelect,
    ConfirmSelectOk,
    ConnectionClose,
    ConnectionCloseOk,
    QueueDeclare,
)
from tests.amqp.transcript import HEARTBEAT, octets
from tests.living import living
from tests.server.support import END, Peer, Works, pumping, until

pytestmark = pytest.mark.anyio

KIB, MIB = 1 << 10, 1 << 20
SMALL = Limits(outbound_high_water=64 * KIB, outbound_limit=256 * KIB, close_timeout_s=10)
FRAMES = 1 * KIB
"""More than what the frames around a body of some 100 KiB take."""


# From a socket to the protocol and back -------------------------------------------------------------------------------


async def test_a_conversation() -> None:
    async with pumping() as works:
        peer = await works.visit()
        await peer.opens()
        await peer.declares("q")
        await peer.publishes("q", b"hello")
        await peer.says((1, BasicGet(queue="q", no_ack=True)))
        assert await peer.hear_bodies(1) == [b"hello"]
        await peer.says((0, ConnectionClose(200, "bye")))
        await peer.hears((0, ConnectionCloseOk()), END)


async def test_small_writes_do_not_wait_for_each_other() -> None:
    async with pumping() as works:
        connected = works.pump_of(await works.connect())._transport.get_extra_info("socket")
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


class Transport(asyncio.Transport):
    """A transport that notes what it is told."""

    def __init__(self, peername: Any = ("127.0.0.1", 40000)) -> None:
        super().__init__({"peername": peername, "sockname": ("127.0.0.1", 5672)})
        self.writes: list[bytes] = []
        self.reading = True
        self.closing = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def write(self, data: Any) -> None:
        self.writes.append(data)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True


HANDSHAKE = PROTOCOL_HEADER + b"".join(
    octets(item)
    for item in (
        (0, methods.ConnectionStartOk(mechanism="PLAIN", response=b"\0guest\0guest")),
        (0, methods.ConnectionTuneOk(2047, 131072, 0)),
        (0, methods.ConnectionOpen()),
        (1, methods.ChannelOpen()),
    )
)


def plugged_in(pumps: Pumps, *said: Any) -> tuple[Pump, Transport]:
    """A pump between a connection that is open and a transport that is not real."""
    pump, transport = Pump(pumps), Transport()
    pump.connection_made(transport)
    pump.data_received(HANDSHAKE + b"".join(map(octets, said)))
    transport.writes.clear()
    return pump, transport


async def test_what_one_read_causes_is_written_once_to_each() -> None:
    pumps = Pumps(Broker(), Limits())
    publisher, to_publisher = plugged_in(pumps, (1, QueueDeclare(queue="q")), (1, ConfirmSelect()))
    _, to_consumer = plugged_in(pumps, (1, BasicConsume(queue="q", no_ack=True)))
    publisher.data_received(octets((1, BasicPublish(routing_key="q"), b"message")) * 100)
    assert len(to_consumer.writes) == 1
    assert to_consumer.writes[0].count(b"message") == 100
    assert to_publisher.writes == [octets((1, BasicAck(100, multiple=True)))]


async def test_who_connects_while_the_broker_stops_is_let_go() -> None:
    pumps = Pumps(Broker(), Limits())
    await pumps.shut_down("shutdown")
    pump, transport = Pump(pumps), Transport()
    pump.connection_made(transport)
    assert transport.closing


@pytest.mark.parametrize(
    ("peername", "loopback"),
    [
        (("127.0.0.1", 40000), True),
        (("127.9.9.9", 40000), True),
        (("::1", 40000, 0, 0), True),
        (("::ffff:127.0.0.1", 40000, 0, 0), True),
        (("192.168.0.7", 40000), False),
        (("fe80::1%eth0", 40000, 0, 2), False),
        (None, False),  # gone before it could be asked
    ],
)
async def test_guest_is_let_in_from_this_machine(peername: Any, loopback: bool) -> None:
    pumps = Pumps(Broker(), Limits())
    pump, transport = Pump(pumps), Transport(peername)
    pump.connection_made(transport)
    pump.data_received(HANDSHAKE)
    assert (len(pumps.broker.clients) == 1) == loopback


# When a peer is gone --------------------------------------------------------------------------------------------------


async def is_cut(peer: Peer) -> None:
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.socket.close()


async def is_closed(peer: Peer) -> None:
    peer.socket.close()


async def says_no_more(peer: Peer) -> None:
    peer.socket.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("leave", [is_cut, is_closed, says_no_more])
async def test_what_it_had_unacked_goes_to_another_consumer(leave: Any) -> None:
    async with pumping() as works:
        one = await works.connect()
        await (await one.declares("q")).consumes("q")
        await one.publishes("q", b"a", b"b")
        assert await one.hear_bodies(2) == [b"a", b"b"]
        two = await works.connect()
        await two.consumes("q")
        await leave(one)
        assert await two.hear_bodies(2) == [b"a", b"b"]
        await until(lambda: len(works.pumps.open) == 1)


async def test_a_peer_that_leaves_without_reading_holds_nothing() -> None:
    async with pumping() as works:
        sleeper = await works.connect(receive_buffer=4 * KIB)
        await (await sleeper.declares("q")).consumes("q")
        publisher = await works.connect()
        await publisher.publishes("q", *[bytes(100 * KIB)] * 100)
        await publisher.is_in_step()
        assert works.unsent(sleeper) > 0
        await says_no_more(sleeper)
        await until(lambda: works.queue("q").ready == 100)
        works.pass_time(works.pumps.limits.close_timeout_s)
        await until(lambda: len(works.pumps.open) == 1)


async def test_a_connection_that_is_over_leaves_nothing_to_the_garbage_collector() -> None:
    kinds = (Pump, Connection, Channel)
    gc.collect()
    before = len(living(*kinds))
    async with pumping() as works:
        peer = await works.connect(channels=2)
        await (await peer.declares("q")).consumes("q")
        await peer.says((1, ConfirmSelect()))
        await peer.hears((1, ConfirmSelectOk()))
        await peer.publishes("q", b"a", b"a", b"a", b"a")
        await peer.says((2, methods.TxSelect()), (2, QueueDeclare(queue="q", passive=True, no_wait=True)))
        await peer.says((2, BasicReject(7)))  # an error, and the channel waits for its close-ok
        await until(lambda: bool(works.events("channel_error")))
        gc.disable()
        try:
            assert len(living(*kinds)) == before + 4
            peer.socket.close()
            await until(lambda: not works.pumps.open)
            await until(lambda: len(living(*kinds)) == before)
        finally:
            gc.enable()


# Peers that do not read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [Limits(), SMALL], ids=["default limits", "small limits"])
async def test_a_consumer_that_does_not_read_costs_its_queue(limits: Limits) -> None:
    count, size = 500, 100 * KIB
    bodies = [number.to_bytes(4, "big") + bytes(size - 4) for number in range(count)]
    async with pumping(limits) as works:
        sleeper = await works.connect(receive_buffer=16 * KIB)
        await (await sleeper.declares("slow")).consumes("slow", no_ack=True)
        other = await works.connect()
        await (await other.declares("quick")).consumes("quick", no_ack=True)
        publisher = await works.connect()
        for start in range(0, count, 50):
            await publisher.publishes("slow", *bodies[start : start + 50])
            assert works.unsent(sleeper) <= limits.outbound_high_water + WRITE_BUFFER_MAX + size + FRAMES
        await publisher.publishes("quick", b"meanwhile")
        assert await other.hear_bodies(1) == [b"meanwhile"]
        assert works.queue("slow").ready * size > 30 * MIB
        assert await sleeper.hear_bodies(count) == bodies
        assert works.unsent(sleeper) == 0
        assert works.queue("slow").ready == 0


async def test_one_that_reads_late_gets_the_messages_of_all_its_queues() -> None:
    async with pumping(SMALL) as works:
        sleeper = await works.connect(receive_buffer=4 * KIB)
        for queue in ("a", "b", "c"):
            await (await sleeper.declares(queue)).consumes(queue, no_ack=True)
        publisher = await works.connect()
        for _ in range(100):
            for queue in (b"a", b"b", b"c"):
                await publisher.publishes(queue.decode(), queue * 100 * KIB)
        await publisher.is_in_step()
        assert works.queue("c").ready > 0
        heard = await sleeper.hear_bodies(300)
        assert [heard.count(queue * 100 * KIB) for queue in (b"a", b"b", b"c")] == [100, 100, 100]


async def test_one_who_asks_for_much_in_few_octets_and_does_not_read_waits_for_the_answers() -> None:
    count, size = 300, MIB
    async with pumping(SMALL) as works:
        peer = await works.connect(receive_buffer=16 * KIB)
        await (await peer.declares("q")).publishes("q", bytes(size))
        # One read, and answers of 300 MiB: the same message again and again.
        asks = [item for tag in range(1, count + 1) for item in ((1, BasicGet(queue="q")), (1, BasicReject(tag)))]
        await peer.says(*asks, (1, ChannelFlow(active=True)))
        await until(lambda: works.unsent(peer) > 0)
        for _ in range(3):
            await anyio.sleep(0)
            assert works.unsent(peer) <= SMALL.outbound_limit + size + FRAMES
        assert await peer.hear_bodies(count) == [bytes(size)] * count
        await peer.hears((1, ChannelFlowOk(active=True)))


async def test_one_that_sends_and_does_not_read_is_not_read() -> None:
    async with pumping(SMALL) as works:
        peer = await works.connect(receive_buffer=16 * KIB)
        async with anyio.create_task_group() as tasks:
            await sends_until_it_is_not_read(works, peer, tasks)
            published = works.broker.totals.messages_published
            assert works.unsent(peer) < SMALL.outbound_limit + MIB  # and what one read causes
            await (await works.connect()).is_in_step()
            assert works.broker.totals.messages_published == published < RETURNS
            assert await peer.hear_bodies(RETURNS) == [bytes(KIB)] * RETURNS
        await peer.is_in_step()


async def test_one_that_is_not_read_lives_as_long_as_it_takes_octets() -> None:
    async with pumping() as works:
        peer = await works.connect(heartbeat=10, receive_buffer=16 * KIB)
        async with anyio.create_task_group() as tasks:
            pump = await sends_until_it_is_not_read(works, peer, tasks)
            for _ in range(2):
                unsent = works.unsent(peer)
                while works.unsent(peer) == unsent:
                    await peer.hear()
                assert pump._choked
                works.pass_time(15)
            works.pass_time(15)
            assert not pump.connection.finished
            works.pass_time(15)
            assert pump.connection.finished
            tasks.cancel_scope.cancel()
        assert len(works.events("heartbeat_missed")) == 1


async def test_a_close_ok_that_was_left_is_found_when_the_peer_has_read() -> None:
    async with pumping(SMALL) as works:
        peer = await works.connect(receive_buffer=16 * KIB)
        await (await peer.declares("q")).publishes("q", bytes(MIB))
        asks = [item for tag in range(1, 51) for item in ((1, BasicGet(queue="q")), (1, BasicReject(tag)))]
        await peer.says(*asks, (0, ConnectionCloseOk()))
        await until(lambda: works.pump_of(peer)._choked)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(works.pumps.shut_down, "shutdown")
            while len(heard := await peer.hear()) == 3:
                pass
            assert heard[1].reply_code == 320
            await peer.hears(END)


RETURNS = 40_000


async def sends_until_it_is_not_read(works: Works, peer: Peer, tasks: TaskGroup) -> Pump:
    """The peer sends 40 MiB of what comes back, and does not read. Returns the pump that has had enough."""
    tasks.start_soon(peer.says, *[(1, BasicPublish(routing_key="nowhere", mandatory=True), bytes(KIB))] * RETURNS)
    pump = works.pump_of(peer)
    await until(lambda: pump._choked)
    return pump


async def test_the_smallest_limits_make_nobody_wait_for_ever() -> None:
    limits = Limits(outbound_high_water=4096, outbound_limit=4096)
    async with pumping(limits) as works:
        peer = await works.connect(receive_buffer=4 * KIB)
        await peer.declares("q")
        returned = [(1, BasicPublish(routing_key="nowhere", mandatory=True), bytes(10 * KIB))] * 2000
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(peer.says, *returned)
            await until(lambda: works.pump_of(peer)._choked)
            assert await peer.hear_bodies(2000) == [bytes(10 * KIB)] * 2000
        await peer.consumes("q", no_ack=True)
        await peer.publishes("q", *[bytes(10 * KIB)] * 100)
        assert await peer.hear_bodies(100) == [bytes(10 * KIB)] * 100


# Time -----------------------------------------------------------------------------------------------------------------


async def test_heartbeats_are_sent_and_silence_is_noticed() -> None:
    async with pumping() as works:
        one, two = await works.connect(heartbeat=10), await works.connect()
        await (await one.declares("q")).consumes("q")
        await one.publishes("q", b"a")
        assert await one.hear_bodies(1) == [b"a"]
        await two.consumes("q")
        works.pass_time(5)
        await one.hears(HEARTBEAT)
        works.pass_time(15)
        await one.hears(HEARTBEAT)
        works.pass_time(6)  # more than two heartbeats after the tick that found something to have been heard
        assert await two.hear_bodies(1) == [b"a"]
        await one.hears(END)
        assert works.events("heartbeat_missed") == [
            {
                "event": "heartbeat_missed",
                "log_level": "warning",
                "connection": f"{shown(one.socket.getsockname())} -> {shown(works.address)}",
                "user": "guest",
                "vhost": "/",
                "heartbeat_s": 10,
            }
        ]


async def test_a_silent_consumer_that_does_not_read_is_dropped_too_and_holds_nothing() -> None:
    async with pumping(SMALL) as works:
        sleeper = await works.connect(heartbeat=10, receive_buffer=4 * KIB)
        await (await sleeper.declares("q")).consumes("q")
        publisher = await works.connect()
        await publisher.publishes("q", *[bytes(100 * KIB)] * 100)
        await publisher.is_in_step()
        works.pass_time(1)
        works.pass_time(21)
        assert works.queue("q").ready == 100
        works.pass_time(SMALL.close_timeout_s)
        await until(lambda: len(works.pumps.open) == 1)


async def test_who_says_nothing_is_cut_off() -> None:
    async with pumping() as works:
        peer = await works.visit()
        await until(lambda: bool(works.pumps.open))
        works.pass_time(works.pumps.limits.handshake_timeout_s)
        await peer.hears(END)


async def closing_with_much_unsent(works: Works) -> Peer:
    """A peer that has asked for 7 MiB, has closed the connection, and has read nothing yet."""
    peer = await works.connect(receive_buffer=4 * KIB)
    await (await peer.declares("q")).publishes("q", bytes(7 * MIB))
    await peer.says((1, BasicGet(queue="q")), (0, ConnectionClose(200, "bye")))
    pump = works.pump_of(peer)
    await until(lambda: pump.connection.finished)
    assert works.unsent(peer) > MIB
    return peer


async def test_one_that_closes_and_does_not_read_is_cut_off() -> None:
    async with pumping() as works:
        await closing_with_much_unsent(works)
        works.pass_time(works.pumps.limits.close_timeout_s - 1)
        await anyio.sleep(0)
        assert works.pumps.open
        works.pass_time(1)
        await until(lambda: not works.pumps.open)


async def test_one_that_closes_and_reads_late_but_in_time_gets_it_all() -> None:
    async with pumping() as works:
        peer = await closing_with_much_unsent(works)
        works.pass_time(works.pumps.limits.close_timeout_s - 1)
        assert await peer.hear_bodies(1) == [bytes(7 * MIB)]
        await peer.hears((0, ConnectionCloseOk()), END)


async def says_something(_: Works, peer: Peer) -> None:
    await peer.is_in_step()


async def leaves(_: Works, peer: Peer) -> None:
    peer.socket.close()


async def goes_on(works: Works, peer: Peer) -> None:
    works.pump_of(peer)._go_on()


async def resumes(works: Works, peer: Peer) -> None:
    works.pump_of(peer)._resume()


async def is_ticked(works: Works, _: Peer) -> None:
    works.pass_time(1)


async def is_told_to_leave(works: Works, peer: Peer) -> None:
    with anyio.move_on_after(0):
        await works.pumps.shut_down("shutdown")


@pytest.mark.parametrize("happens", [says_something, leaves, goes_on, resumes, is_ticked, is_told_to_leave])
async def test_the_broker_is_told_the_time_with_whatever_reaches_it(happens: Callable[[Works, Peer], Any]) -> None:
    async with pumping() as works:
        peer = await works.connect()
        agenda = works.broker.agenda
        agenda.moment = 0.0
        await happens(works, peer)
        await until(lambda: agenda.moment > 0)
        assert agenda.moment <= asyncio.get_running_loop().time()


# Bugs -----------------------------------------------------------------------------------------------------------------


def fail(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("a bug")


def no_encoder_for(pump: Pump, consumer_tag: str) -> None:
    """What should encode the deliveries to a consumer can't."""
    pump.connection.channels[1]._encoders[consumer_tag] = object()  # type: ignore[assignment]


async def test_a_bug_costs_the_connection_that_met_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with pumping() as works:
        other = await works.connect()
        await (await other.declares("q")).consumes("q", no_ack=True)
        peer = await works.connect()
        monkeypatch.setitem(HANDLERS, QueueDeclare, fail)
        await peer.publishes("q", b"before")
        await peer.says((1, QueueDeclare()))
        text = "INTERNAL_ERROR - the broker failed; its log says where"
        await peer.hears((0, ConnectionClose(541, text, 0, 0)))
        assert await other.hear_bodies(1) == [b"before"]
        await other.is_in_step()
        error = await works.event("internal_error")
        assert error["log_level"] == "error"
        assert isinstance(error["exc_info"], ZeroDivisionError)
        assert f"{shown(peer.socket.getsockname())} -> " in error["connection"]


async def test_a_bug_in_a_delivery_does_not_keep_others_from_theirs() -> None:
    async with pumping() as works:
        consumers = [await works.connect() for _ in range(3)]
        for number, consumer in enumerate(consumers):
            await (await consumer.declares(f"q{number}")).consumes(f"q{number}")
        no_encoder_for(works.pump_of(consumers[1]), "q1")
        publisher = await works.connect()
        await publisher.says(*((1, BasicPublish(routing_key=f"q{number}"), b"x") for number in range(3)))
        assert await consumers[0].hear_bodies(1) == [b"x"]
        assert await consumers[2].hear_bodies(1) == [b"x"]
        assert (await publisher.hear_method(ConnectionClose)).reply_code == 541
        assert len(works.events("internal_error")) == 1


async def test_a_bug_when_a_peer_has_read_costs_that_peer() -> None:
    async with pumping(SMALL) as works:
        sleeper = await works.connect(receive_buffer=4 * KIB)
        await (await sleeper.declares("q")).consumes("q", no_ack=True)
        publisher = await works.connect()
        await publisher.publishes("q", *[bytes(100 * KIB)] * 100)
        await publisher.is_in_step()
        no_encoder_for(works.pump_of(sleeper), "q")
        while len(heard := await sleeper.hear()) == 3:
            pass
        assert heard[1].reply_code == 541
        await publisher.is_in_step()


async def test_a_bug_in_one_tick_stops_neither_the_ticker_nor_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async with pumping() as works:
        peers = [await works.connect(heartbeat=10) for _ in range(3)]
        monkeypatch.setattr(works.pump_of(peers[1]).connection.outbox, "wake", fail)  # by a heartbeat
        works.pass_time(5)
        await peers[0].hears(HEARTBEAT)
        await peers[1].hears(END)
        await peers[2].hears(HEARTBEAT)
        assert isinstance(works.events("internal_error")[0]["exc_info"], ZeroDivisionError)
        assert (await works.event("connection_closed"))["reason"] == "internal error: see internal_error"
