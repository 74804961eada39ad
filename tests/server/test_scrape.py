import os
import select
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx
import pytest

from amqpd.server import scrape as scraping
from amqpd.wire.methods import BasicAck, BasicPublish, ConfirmSelect, ConfirmSelectOk, QueueDeclare, QueueDeclareOk
from amqpd.wire.properties import Properties
from tests.amqp.transcript import connection_close
from tests.server.support import END, Daemon, serving, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("garbage_collection_put_back")]


async def ask(daemon: Daemon, path: str) -> httpx.Response:
    async with httpx.AsyncClient() as http:
        return await http.get(daemon.metrics.removesuffix("/metrics") + path)


async def scrape(daemon: Daemon, path: str = "/metrics") -> dict[str, float]:
    """The numbers of a scrape by their names and labels."""
    response = await ask(daemon, path)
    assert response.status_code == 200
    lines = (line for line in response.text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


async def test_a_scrape_while_clients_are_connected() -> None:
    async with serving() as daemon:
        publisher, consumer = await daemon.connect(channels=2), await daemon.connect()
        await consumer.declares("q")
        await publisher.publishes("q", b"a", b"b", b"c")
        await publisher.is_in_step()
        await consumer.consumes("q")
        assert await consumer.hear_bodies(3) == [b"a", b"b", b"c"]
        await consumer.says((1, BasicAck(2, multiple=True)))
        await consumer.is_in_step()
        await publisher.declares("other")
        await publisher.publishes("other", b"d")
        await publisher.is_in_step()
        numbers = await scrape(daemon)
        assert numbers["amqpd_connections"] == 2
        assert numbers["amqpd_channels"] == 3
        assert numbers["amqpd_consumers"] == 1
        assert numbers["amqpd_queues"] == 2
        assert numbers["amqpd_queue_messages_ready"] == 1
        assert numbers["amqpd_queue_messages_unacked"] == 1
        assert numbers["amqpd_connection_incoming_bytes_total"] > 500
        numbers = await scrape(daemon, "/metrics/per-object")
        q, other = '{queue="q",vhost="/"}', '{queue="other",vhost="/"}'
        assert numbers[f"amqpd_queue_messages_ready{q}"] == 0
        assert numbers[f"amqpd_queue_messages_unacked{q}"] == 1
        assert numbers[f"amqpd_queue_messages_published_total{q}"] == 3
        assert numbers[f"amqpd_queue_messages_delivered_ack_total{q}"] == 3
        assert numbers[f"amqpd_queue_messages_acked_total{q}"] == 2
        assert numbers[f"amqpd_queue_messages_ready{other}"] == 1


async def test_the_next_scrape_knows_who_has_left() -> None:
    async with serving() as daemon:
        peer = await daemon.connect()
        before = await scrape(daemon)
        assert before["amqpd_connections"] == 1
        peer.socket.close()
        await daemon.event("connection_closed")
        after = await scrape(daemon)
        assert after["amqpd_connections"] == 0
        assert after["amqpd_connections_closed_total"] == 1
        for name in ("incoming_bytes", "outgoing_bytes", "incoming_packets", "outgoing_packets"):
            assert after[f"amqpd_connection_{name}_total"] >= before[f"amqpd_connection_{name}_total"] > 0


async def test_a_scrape_is_not_logged() -> None:
    async with serving() as daemon:
        said = len(daemon.log)
        await scrape(daemon)
        assert daemon.log[said:] == []


async def test_names_are_those_that_the_settings_say() -> None:
    async with serving(metrics_prefix="rabbitmq", node_name="rabbit@one", cluster_name="all") as daemon:
        numbers = await scrape(daemon)
        [identity] = [name for name in numbers if name.startswith("rabbitmq_identity_info")]
        assert 'rabbitmq_node="rabbit@one"' in identity
        assert 'rabbitmq_cluster="all"' in identity


async def test_a_cluster_of_one_is_called_like_its_node() -> None:
    async with serving(node_name="one") as daemon:
        [identity] = [name for name in await scrape(daemon) if name.startswith("amqpd_identity_info")]
        assert 'amqpd_cluster="one"' in identity


async def waits(daemon: Daemon) -> float:
    """How many messages were measured that went through a queue."""
    peer = await daemon.connect()
    await (await peer.declares("q")).publishes("q", b"a")
    await peer.consumes("q", no_ack=True)
    assert await peer.hear_bodies(1) == [b"a"]
    return (await scrape(daemon))["amqpd_queue_message_wait_seconds_count"]


@pytest.mark.parametrize(("message_times", "count"), [(True, 1), (False, 0)])
async def test_how_long_messages_wait_is_measured_or_not(message_times: bool, count: int) -> None:
    async with serving(message_times=message_times) as daemon:
        assert await waits(daemon) == count


async def test_the_store_has_metrics(tmp_path: Path) -> None:
    async with serving(in_memory=False, data_dir=str(tmp_path)) as daemon:
        peer = await daemon.connect()
        await peer.says((1, QueueDeclare(queue="q", durable=True)), (1, ConfirmSelect()))
        await peer.hears((1, QueueDeclareOk("q", 0, 0)), (1, ConfirmSelectOk()))
        await peer.says((1, BasicPublish(routing_key="q"), b"a", Properties(delivery_mode=2)))
        await peer.hears((1, BasicAck(1)))
        numbers = await scrape(daemon)
        assert numbers['amqpd_store_commit_seconds_count{file="store.mdb"}'] >= 2
        assert numbers['amqpd_store_commit_seconds_count{file="spill.mdb"}'] == 0
        assert numbers['amqpd_store_file_bytes{file="store.mdb"}'] > 0


# Clients of all kinds -------------------------------------------------------------------------------------------------

WHOLE = b"GET /health/live HTTP/1.1\r\nHost: broker\r\n\r\n"
HALF = b"GET /health/live HTTP/1.1\r\nHost:"


@asynccontextmanager
async def connected(daemon: Daemon) -> AsyncIterator[anyio.abc.SocketStream]:
    """A client that says what a test tells, which need not be HTTP."""
    url = urlsplit(daemon.metrics)
    async with await anyio.connect_tcp(str(url.hostname), url.port or 0) as client:
        with anyio.fail_after(20):
            yield client


async def asks(client: anyio.abc.SocketStream) -> None:
    """It gets its answer, in as many pieces as it comes."""
    await client.send(WHOLE)
    answer = b""
    while not answer.endswith(b"\r\n\r\nok\n"):
        answer += await client.receive()


async def is_hung_up_on(client: anyio.abc.SocketStream) -> None:
    with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
        await client.receive()


@pytest.mark.parametrize("said", [b"\0", b"AMQP\0\0\x09\x01", WHOLE.replace(b"Host", b"H\0st")])
async def test_what_is_not_http_is_refused_and_not_logged(said: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as daemon, connected(daemon) as client:
        await client.send(said + b"\r\n\r\n")
        assert (await client.receive()).startswith(b"HTTP/1.1 400 ")
        assert caplog.messages == []


async def test_there_are_no_websockets_and_that_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    upgrade = b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"
    async with serving() as daemon, connected(daemon) as client:
        await client.send(WHOLE.replace(b"\r\n\r\n", upgrade))
        assert (await client.receive()).startswith(b"HTTP/1.1 200 ")
        assert caplog.messages == []


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scraping, "TICK_S", 0.01)
    monkeypatch.setattr(scraping, "REQUEST_S", 0.1)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("said", [b"", b"G", HALF])
async def test_who_asks_for_nothing_is_not_waited_for(said: bytes) -> None:
    async with serving() as daemon, connected(daemon) as client:
        if said:
            await client.send(said)
        await is_hung_up_on(client)


@pytest.mark.usefixtures("impatient")
async def test_nor_who_has_had_an_answer_and_begins_another_request() -> None:
    async with serving() as daemon, connected(daemon) as client:
        await asks(client)
        await client.send(HALF)
        await is_hung_up_on(client)


@pytest.mark.usefixtures("impatient")
async def test_who_asks_again_and_again_may_stay() -> None:
    async with serving() as daemon, connected(daemon) as client:
        deadline = anyio.current_time() + 5 * scraping.REQUEST_S
        while anyio.current_time() < deadline:
            await asks(client)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other ideas of a backlog")
async def test_only_some_clients_are_accepted_in_one_go() -> None:
    async with serving() as daemon, AsyncExitStack() as stack:
        url = urlsplit(daemon.metrics)
        clients = [stack.enter_context(socket.socket()) for _ in range(3 * scraping.BACKLOG)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex((url.hostname, url.port))
        _, waiting, _ = select.select([], clients, [], 0)
        assert 0 < len(waiting) <= scraping.BACKLOG + 1  # Linux takes one more
        assert (await ask(daemon, "/health/live")).status_code == 200


# Health ---------------------------------------------------------------------------------------------------------------


async def readiness(daemon: Daemon) -> tuple[int, list[str]]:
    response = await ask(daemon, "/health/ready")
    return response.status_code, response.json()["reasons"]


async def test_a_broker_is_live_and_ready() -> None:
    async with serving() as daemon:
        assert (await ask(daemon, "/health/live")).status_code == 200
        assert await readiness(daemon) == (200, [])
        assert (await scrape(daemon))["amqpd_ready"] == 1


async def test_a_broker_that_blocks_publishers_is_live_and_not_ready() -> None:
    async with serving(memory_high_watermark=0) as daemon:
        await until(lambda: bool(daemon.events("alarm_set")))
        assert (await ask(daemon, "/health/live")).status_code == 200
        assert await readiness(daemon) == (503, ["memory"])
        assert (await scrape(daemon))["amqpd_ready"] == 0


async def test_a_broker_that_drains_goes_on_answering_and_is_not_ready() -> None:
    forced = connection_close(320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'", None)
    async with serving(close_timeout_s=3600) as daemon:
        mute = await daemon.connect()
        os.kill(os.getpid(), signal.SIGTERM)
        await mute.hears(forced)
        with anyio.fail_after(5):
            assert (await ask(daemon, "/health/live")).status_code == 200
            assert await readiness(daemon) == (503, ["draining"])
            assert (await scrape(daemon))["amqpd_ready"] == 0
        os.kill(os.getpid(), signal.SIGTERM)
        await mute.hears(END)
        await daemon.ends()
