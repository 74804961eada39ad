"""What a server knows of itself for its metrics."""

import time
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from amqpd.amqp.limits import Limits
from amqpd.broker.alarms import Resource
from amqpd.broker.receiver import Mailbox
from amqpd.metrics.statistics import ConnectionStatistics, ServerStatistics
from amqpd.server import observation
from amqpd.server.observation import Observation, observing
from amqpd.server.persister import Persister, Worker
from amqpd.store import DurableStore, WriteFailed, open_store
from amqpd.wire.methods import (
    BasicAck,
    BasicGet,
    BasicPublish,
    ConfirmSelect,
    ConfirmSelectOk,
    ConnectionClose,
    ConnectionCloseOk,
    QueueDeclare,
    QueueDeclareOk,
)
from amqpd.wire.properties import Properties
from tests.server.support import END, Peer, Works, pumping, until

pytestmark = pytest.mark.anyio

PERSISTENT = Properties(delivery_mode=2)


@asynccontextmanager
async def observed(limits: Limits | None = None) -> AsyncIterator[tuple[Works, Observation]]:
    async with pumping(limits) as works:
        with observing("amqpd@here", "all of us", works.pumps, ()) as found:
            yield works, found


def taken(steps: Generator[None, None, ServerStatistics]) -> tuple[ServerStatistics, int]:
    """The snapshot, and how often others had their turn before it."""
    turns = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value, turns
        turns += 1


def look(found: Observation) -> ServerStatistics:
    return taken(found.observe())[0]


def of_peer(found: Observation, peer: Peer) -> ConnectionStatistics:
    port = peer.socket.getsockname()[1]
    [one] = [one for one in look(found).connections if one.name.startswith(f"127.0.0.1:{port} -> ")]
    return one


async def test_who_it_is_and_for_how_long() -> None:
    async with observed() as (works, found):
        first = look(found)
        await (await works.connect()).is_in_step()
        second = look(found)
    assert (first.node, first.cluster) == ("amqpd@here", "all of us")
    assert 0 <= first.uptime_s <= second.uptime_s < 60
    assert (first.journals, first.connections, first.not_ready) == ((), (), ())


async def test_lag_and_pauses_are_measured_as_long_as_somebody_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amqpd.server.measures.LAG_INTERVAL_S", 0.001)
    async with observed() as (_, found):
        await until(lambda: look(found).loop_lag.count > 0)


# Connections ----------------------------------------------------------------------------------------------------------


async def test_a_connection_from_its_first_octet_on() -> None:
    async with observed() as (works, found):
        peer = await works.visit()
        await until(lambda: len(works.pumps.open) == 1)
        new = of_peer(found, peer)
        assert new.name == f"127.0.0.1:{peer.socket.getsockname()[1]} -> 127.0.0.1:{works.address[1]}"
        assert (new.user, new.vhost, new.channels, new.octets_in, new.reads) == ("", "", 0, 0, 0)
        await peer.opens(channels=2)
        opened = of_peer(found, peer)
        assert (opened.user, opened.vhost, opened.channels, opened.blocked) == ("guest", "/", 2, False)
        assert (opened.octets_in > 100, opened.octets_out > 100, opened.pending) == (True, True, 0)
        assert 3 <= opened.writes <= opened.reads + 1


async def test_what_went_through_its_socket() -> None:
    async with observed() as (works, found):
        peer = await works.connect()
        await peer.declares("q")
        before = of_peer(found, peer)
        await peer.publishes("q", bytes(1000))
        await peer.says((1, BasicGet(queue="q", no_ack=True)))
        assert await peer.hear_bodies(1) == [bytes(1000)]
        after = of_peer(found, peer)
        assert 1000 < after.octets_in - before.octets_in < 1200
        assert 1000 < after.octets_out - before.octets_out < 1200
        assert 1 <= after.reads - before.reads <= 2
        assert after.writes - before.writes == 1


async def test_what_a_peer_does_not_take_is_pending() -> None:
    async with observed() as (works, found):
        peer = await works.connect(receive_buffer=4096)
        await (await peer.declares("q")).publishes("q", bytes(7_000_000))
        await peer.says((1, BasicGet(queue="q", no_ack=True)))
        await until(lambda: of_peer(found, peer).pending > 1_000_000)
        assert of_peer(found, peer).pending == works.unsent(peer)


async def test_what_has_gone_through_is_not_forgotten_with_the_connection() -> None:
    async with observed() as (works, found):
        stays, leaves = await works.connect(), await works.connect()
        await leaves.is_in_step()
        before = look(found)
        assert before.octets_in == sum(one.octets_in for one in before.connections) > 0
        await leaves.says((0, ConnectionClose(200, "bye")))
        await leaves.hears((0, ConnectionCloseOk()), END)
        await until(lambda: len(works.pumps.open) == 1)
        after = look(found)
        assert [one.name for one in after.connections] == [of_peer(found, stays).name]
        assert (after.octets_in > before.octets_in, after.octets_out > before.octets_out) == (True, True)
        assert (after.reads > before.reads, after.writes > before.writes) == (True, True)


async def test_who_leaves_while_it_is_looked_is_there_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observation, "AT_A_TIME", 1)
    async with observed() as (works, found):
        peers = [await works.connect() for _ in range(3)]
        before = look(found)
        steps = found.observe()
        next(steps)
        for peer in peers:
            peer.socket.close()
        await until(lambda: not works.pumps.open)
        meanwhile, turns = taken(steps)
        assert turns == 2
        assert len(meanwhile.connections) == 3
        assert before.octets_in <= meanwhile.octets_in == look(found).octets_in


async def test_many_connections_are_looked_at_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observation, "AT_A_TIME", 2)
    async with observed() as (works, found):
        for _ in range(5):
            await works.visit()
        await until(lambda: len(works.pumps.open) == 5)
        statistics, turns = taken(found.observe())
        assert (len(statistics.connections), turns) == (5, 2)


# Health ---------------------------------------------------------------------------------------------------------------


async def test_alarms_that_block_publishers_are_reasons_and_flow_control_is_none() -> None:
    alarms: list[Resource] = ["store", "memory", "disk"]
    reasons = []
    async with observed() as (works, found):
        for resource in alarms:
            works.broker.alarms.set(resource, "test")
            reasons.append(found.not_ready())
            assert look(found).not_ready == reasons[-1]
        for resource in alarms:
            works.broker.alarms.clear(resource, "test")
        assert reasons == [(), ("memory",), ("disk", "memory")]
        assert found.not_ready() == ()


async def test_draining_is_the_first_reason() -> None:
    async with observed() as (works, found):
        works.broker.alarms.set("memory", "test")
        await works.pumps.shut_down("shutdown")
        assert found.not_ready() == ("draining", "memory")


async def test_a_blocked_connection() -> None:
    async with observed() as (works, found):
        peer = await works.connect()
        works.broker.alarms.set("memory", "test")
        await peer.publishes("q", b"a")
        await until(lambda: of_peer(found, peer).blocked)
        works.broker.alarms.clear("memory", "test")
        await until(lambda: not of_peer(found, peer).blocked)


async def test_who_waits_for_the_disk_is_not_blocked() -> None:
    async with observed() as (works, found):
        peer = await works.connect()
        works.broker.alarms.set("store", "test")
        await peer.publishes("q", b"a")
        await until(lambda: any(pump.connection.blocked for pump in works.pumps.open))
        assert not of_peer(found, peer).blocked
        works.broker.alarms.set("memory", "test")
        assert of_peer(found, peer).blocked


# The store ------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def persisting(directory: Path, busy_s: float = 0.0) -> AsyncIterator[tuple[Works, Observation, DurableStore]]:
    """A broker on a data directory, of which one file is written and read: by a thread that is busy at first."""
    with open_store(directory) as store, Worker("both") as both:
        both.do(partial(time.sleep, busy_s), lambda _error: None)
        async with pumping(store=store) as works:
            agenda, alarms = works.broker.agenda, works.broker.alarms
            pumps = works.pumps
            persister = Persister(
                "store.mdb", store.main, agenda, alarms, both, both, look=pumps.look, go_on=pumps.write
            )
            with observing("node", "cluster", works.pumps, [persister]) as found:
                yield works, found, store
            persister.stop()


async def keeps(works: Works, *bodies: bytes) -> Peer:
    """Someone declares a durable queue, and has messages in it confirmed."""
    peer = await works.connect()
    await peer.says((1, QueueDeclare(queue="q", durable=True)), (1, ConfirmSelect()))
    await peer.hears((1, QueueDeclareOk("q", 0, 0)), (1, ConfirmSelectOk()))
    for number, body in enumerate(bodies, 1):
        await peer.says((1, BasicPublish(routing_key="q"), body, PERSISTENT))
        await peer.hears((1, BasicAck(number)))
    return peer


async def test_what_was_written(tmp_path: Path) -> None:
    async with persisting(tmp_path) as (works, found, store):
        peer = await keeps(works)
        await until(lambda: not store.main.has_changes)
        [before] = look(found).journals
        assert (before.file, before.messages_written, before.waiting) == ("store.mdb", 0, 0)
        assert before.commits.count == before.groups.count >= 1
        assert before.octets_in_file == (tmp_path / "store.mdb").stat().st_size
        await peer.says((1, BasicPublish(routing_key="q"), bytes(5000), PERSISTENT))
        await peer.hears((1, BasicAck(1)))
        [after] = look(found).journals
        assert (after.messages_written, after.waiting) == (1, 0)
        assert 5000 < after.octets_written - before.octets_written < 6000
        assert after.commits.count > before.commits.count
        assert after.groups.total - before.groups.total == 1
        assert 0 < after.commits.total < 60


async def test_what_was_read(tmp_path: Path) -> None:
    async with persisting(tmp_path) as (works, found, _):
        await keeps(works, *[bytes(1000)] * 10)
        [journal] = look(found).journals
        assert (journal.reads, journal.octets_read, journal.messages_read, journal.read_s) == (0, 0, 0, 0)
    async with persisting(tmp_path) as (works, found, _):
        peer = await works.connect()
        await peer.consumes("q")
        assert await peer.hear_bodies(10) == [bytes(1000)] * 10
        [journal] = look(found).journals
        assert (journal.reads, journal.messages_read) == (1, 10)
        assert 10_000 < journal.octets_read < 12_000
        assert 0 < journal.read_s < 60


async def test_waiting_for_the_reader_is_no_reading(tmp_path: Path) -> None:
    async with persisting(tmp_path) as (works, _, _):
        await keeps(works, b"a")
    async with persisting(tmp_path, busy_s=0.5) as (works, found, _):
        await (await works.connect()).consumes("q")
        await until(lambda: look(found).journals[0].reads == 1)
        assert 0 < look(found).journals[0].read_s < 0.4


async def test_what_cannot_be_written_waits_and_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with persisting(tmp_path) as (works, found, store):
        peer = await keeps(works)
        await until(lambda: not store.main.has_changes)
        [before] = look(found).journals

        def fail(_: object) -> None:
            raise WriteFailed("the disk is full")

        monkeypatch.setattr(store.main.environment, "commit", fail)
        await peer.says((1, BasicPublish(routing_key="q"), bytes(5000), PERSISTENT))
        await works.event("writing_failed")
        [meanwhile] = look(found).journals
        assert meanwhile.waiting > 5000
        assert meanwhile.commits == before.commits
        assert found.not_ready() == ("disk",)
        monkeypatch.undo()
        await peer.hears((1, BasicAck(1)))
        [after] = look(found).journals
        assert (after.waiting, found.not_ready()) == (0, ())


async def test_the_broker_is_told_the_time_when_something_is_written(tmp_path: Path) -> None:
    async with persisting(tmp_path) as (works, _, _):
        works.broker.agenda.moment = 0.0
        works.broker.connect().open_session(Mailbox()).declare_queue("q", durable=True)
        await until(lambda: works.broker.agenda.moment > 0)
