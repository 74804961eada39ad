import httpx
import pytest

from amqpd.wire.methods import BasicAck
from tests.server.support import Daemon, serving

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("garbage_collection_put_back")]


async def scrape(daemon: Daemon) -> dict[str, float]:
    """The numbers of a scrape by their names and labels."""
    async with httpx.AsyncClient() as http:
        response = await http.get(daemon.metrics)
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
        q, other = '{queue="q",vhost="/"}', '{queue="other",vhost="/"}'
        assert numbers[f"amqpd_queue_messages_ready{q}"] == 0
        assert numbers[f"amqpd_queue_messages_unacked{q}"] == 1
        assert numbers[f"amqpd_queue_messages_published_total{q}"] == 3
        assert numbers[f"amqpd_queue_messages_delivered_total{q}"] == 3
        assert numbers[f"amqpd_queue_messages_acked_total{q}"] == 2
        assert numbers[f"amqpd_queue_messages_ready{other}"] == 1


async def test_the_next_scrape_knows_who_has_left() -> None:
    async with serving() as daemon:
        peer = await daemon.connect()
        assert (await scrape(daemon))["amqpd_connections"] == 1
        peer.socket.close()
        await daemon.event("connection_closed")
        numbers = await scrape(daemon)
        assert numbers["amqpd_connections"] == 0
        assert numbers["amqpd_connections_closed_total"] == 1


async def test_a_scrape_is_not_logged() -> None:
    async with serving() as daemon:
        said = len(daemon.log)
        await scrape(daemon)
        assert daemon.log[said:] == []
