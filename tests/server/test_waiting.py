"""When a peer is not read: publishers while something is low, and replies that wait for the disk."""

from typing import Any

import anyio
import pytest

from amqpd.amqp.connection import WAITING_INPUT
from amqpd.amqp.limits import Limits
from amqpd.broker.broker import Broker
from amqpd.server.pump import LARGE_READ, TCP_INFO, Pumps
from amqpd.wire import methods
from amqpd.wire.methods import (
    BasicPublish,
    ChannelFlow,
    ChannelFlowOk,
    ConnectionClose,
    ConnectionCloseOk,
    QueueDeclare,
    QueueDeclareOk,
)
from tests.amqp.transcript import HEARTBEAT, octets
from tests.broker.support import Disk
from tests.server.support import END, Peer, Works, pumping, until
from tests.server.test_pump import KIB, MIB, is_closed, is_cut, plugged_in, says_no_more

pytestmark = pytest.mark.anyio


# Publishers while something is low ------------------------------------------------------------------------------------


BLOCKED = (0, methods.ConnectionBlocked("low on memory"))
UNBLOCKED = (0, methods.ConnectionUnblocked())
CAPABLE = {"connection.blocked": True}


async def blocked_publisher(works: Works, **connection: Any) -> Peer:
    """Someone who has published to the queue q while memory was low."""
    publisher = await works.connect(**connection, **CAPABLE)
    await publisher.declares("q")
    works.broker.alarms.set("memory", "test")
    await publisher.publishes("q", b"first")
    await publisher.hears(BLOCKED)
    return publisher


async def test_a_blocked_publisher_is_not_read_and_the_others_are() -> None:
    async with pumping() as works:
        consumer = await (await (await works.connect()).declares("q")).consumes("q", no_ack=True)
        publisher = await blocked_publisher(works)
        assert await consumer.hear_bodies(1) == [b"first"]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(publisher.publishes, "q", *[bytes(100 * KIB)] * 200)  # more than the kernel takes
            for _ in range(3):
                await (await works.connect()).is_in_step()
                await consumer.is_in_step()
            assert works.broker.totals.messages_published == 1
            works.broker.alarms.clear("memory", "test")
            assert await consumer.hear_bodies(200) == [bytes(100 * KIB)] * 200
        await publisher.hears(UNBLOCKED)
        await publisher.is_in_step()


async def test_a_hundred_blocked_publishers_are_set_free() -> None:
    async with pumping() as works:
        publishers = [await works.connect(**CAPABLE) for _ in range(100)]
        await publishers[0].declares("q")
        works.broker.alarms.set("memory", "test")
        for _ in range(2):
            for publisher in publishers:
                await publisher.publishes("q", b"x" * 10)
                await publisher.hears(BLOCKED)
            assert works.broker.statistics().connections_blocked == 100
            works.broker.alarms.clear("memory", "test")
            works.broker.alarms.set("memory", "test")
            works.broker.alarms.clear("memory", "test")
            for publisher in publishers:
                await publisher.hears(UNBLOCKED)
                await publisher.is_in_step()
            assert works.broker.statistics().connections_blocked == 0
            works.broker.alarms.set("memory", "test")
        assert not works.pumps.blocked


async def test_all_reasons_not_to_read_must_be_gone() -> None:
    pumps = Pumps(Broker(), Limits())
    pump, transport = plugged_in(pumps)
    large = octets((1, BasicPublish(routing_key="nowhere"), bytes(LARGE_READ)))
    pump.data_received(large)
    assert not transport.reading
    await anyio.sleep(0)
    assert transport.reading  # after a turn of the loop
    pumps.broker.alarms.set("memory", "test")
    pump.data_received(large)
    await anyio.sleep(0)
    assert not transport.reading
    pump.pause_writing()
    pump.resume_writing()
    assert not transport.reading
    pumps.broker.alarms.clear("memory", "test")
    await anyio.sleep(0)
    assert transport.reading


async def test_alarms_that_come_and_go_let_nobody_be_forgotten() -> None:
    pumps = Pumps(Broker(), Limits())
    pump, transport = plugged_in(pumps)
    alarms = pumps.broker.alarms
    for _ in range(3):
        alarms.set("store", "test")
        pump.data_received(octets((1, BasicPublish(routing_key="nowhere"), b"x")))
        assert not transport.reading
        alarms.set("disk", "test")
        await anyio.sleep(0)
        alarms.clear("disk", "test")
        await anyio.sleep(0)
        alarms.clear("store", "test")
        assert not transport.reading  # yet: the broker may be in the middle of something
        await anyio.sleep(0)
        assert transport.reading


async def test_an_alarm_that_ends_does_not_open_a_socket_that_closes() -> None:
    pumps = Pumps(Broker(), Limits())
    pump, transport = plugged_in(pumps)
    pumps.broker.alarms.set("store", "test")
    pump.data_received(octets((1, BasicPublish(routing_key="nowhere"), b"x")))
    pump.eof_received()
    pumps.broker.alarms.clear("store", "test")
    await anyio.sleep(0)
    assert transport.closing
    assert not transport.reading


async def test_a_blocked_publisher_hears_that_the_broker_stops_and_answers() -> None:
    async with pumping() as works:
        publisher = await blocked_publisher(works)
        await publisher.publishes("q", b"unread")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(works.pumps.shut_down, "shutdown")
            assert (await publisher.hear_method(ConnectionClose)).reply_code == 320
            await publisher.says((0, ConnectionCloseOk()))
            await publisher.hears(END)
        assert works.broker.totals.messages_published == 1
        [closed] = works.events("connection_closed")
        assert closed["reason"].startswith("320 ")


async def test_a_blocked_publisher_is_not_silent() -> None:
    async with pumping() as works:
        publisher = await blocked_publisher(works, heartbeat=10)
        for _ in range(5):
            works.pass_time(15)
            await publisher.hears(HEARTBEAT)
        works.broker.alarms.clear("memory", "test")
        await publisher.hears(UNBLOCKED)
        await publisher.is_in_step()


@pytest.mark.skipif(TCP_INFO is None, reason="this system does not tell the state of a connection that is not read")
@pytest.mark.parametrize("leave", [is_cut, is_closed, says_no_more])
async def test_a_blocked_publisher_that_leaves_is_noticed(leave: Any) -> None:
    async with pumping() as works:
        publisher = await works.connect(**CAPABLE)
        await (await publisher.declares("q")).consumes("q")
        works.broker.alarms.set("memory", "test")
        await publisher.publishes("q", b"first")
        await publisher.hears(BLOCKED)
        assert await publisher.hear_bodies(1) == [b"first"]
        other = await (await works.connect()).consumes("q")
        works.pass_time(1)
        assert len(works.pumps.open) == 2
        await leave(publisher)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ticks, works)
            assert await other.hear_bodies(1) == [b"first"]
            tasks.cancel_scope.cancel()
        await until(lambda: len(works.pumps.open) == 1)
        assert works.broker.alarms.blocked == 0
        assert not works.pumps.blocked


async def ticks(works: Works) -> None:
    while True:
        works.pass_time(0)
        await anyio.sleep(0.001)


async def test_what_a_publisher_leaves_behind_in_flow_control_is_taken() -> None:
    """That is over soon, and no reason to lose what has arrived."""
    async with pumping() as works:
        publisher = await works.connect()
        await publisher.declares("q")
        works.broker.alarms.set("store", "test")
        await publisher.publishes("q", b"first")
        await until(lambda: works.queue("q").ready == 1)
        await publisher.publishes("q", b"second")
        await is_closed(publisher)
        for _ in range(3):
            await (await works.connect()).is_in_step()
            works.pass_time(1)
        assert works.queue("q").ready == 1
        works.broker.alarms.clear("store", "test")
        await until(lambda: works.queue("q").ready == 2)


# Replies that wait for the disk ---------------------------------------------------------------------------------------


def sync(works: Works, disk: Disk) -> None:
    """What a persister does when all that was written is on the disk."""
    disk.advance(disk.written, works.broker.agenda)
    works.broker.agenda.settle()
    works.pumps.write()


async def test_a_reply_leaves_when_the_disk_has_it_and_what_waited_behind_it_goes_on() -> None:
    disk = Disk()
    async with pumping(store=disk) as works:
        peer = await works.connect()
        for queue in ("a", "b", "c"):
            await peer.says((1, QueueDeclare(queue=queue, durable=True)), (1, ChannelFlow(active=True)))
            await until(lambda: disk.written > disk.durable)
            await (await works.connect()).is_in_step()
            sync(works, disk)
            await peer.hears((1, QueueDeclareOk(queue)), (1, ChannelFlowOk(active=True)))


async def test_one_that_goes_on_while_its_reply_waits_is_not_read_for_ever() -> None:
    disk = Disk()
    async with pumping(store=disk) as works:
        peer = await works.connect()
        await peer.says((1, QueueDeclare(queue="q", durable=True)))
        await until(lambda: disk.written == 1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(peer.publishes, "q", *[bytes(100 * KIB)] * 200)
            connection = works.pump_of(peer).connection
            await until(lambda: not connection.readable)
            for _ in range(3):
                await (await works.connect()).is_in_step()
                assert connection._inbox.size < WAITING_INPUT + MIB
            sync(works, disk)
            await peer.hears((1, QueueDeclareOk("q")))
        await until(lambda: works.queue("q").ready == 200)


@pytest.mark.parametrize("leave", [is_cut, is_closed, says_no_more])
async def test_one_that_leaves_while_its_reply_waits_is_noticed(leave: Any) -> None:
    disk = Disk()
    async with pumping(store=disk) as works:
        peer = await works.connect()
        await peer.says((1, QueueDeclare(queue="q", durable=True)))
        await until(lambda: disk.written == 1)
        await leave(peer)
        await until(lambda: not works.pumps.open)
        sync(works, disk)
        assert len(works.events("connection_closed")) == 1
