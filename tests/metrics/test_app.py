import gzip
import threading
from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from amqpd.broker.statistics import BrokerStatistics
from amqpd.metrics import metrics_app
from tests.metrics.statistics import broker_statistics, queue_statistics

pytestmark = pytest.mark.anyio

ORDERS = broker_statistics(queue_statistics("orders", ready=3, published=8))


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(metrics_app(lambda: ORDERS))
    async with httpx.AsyncClient(transport=transport, base_url="http://broker") as client:
        yield client


async def test_a_scrape_shows_each_queue(client: httpx.AsyncClient) -> None:
    response = await client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'amqpd_queue_messages_ready{queue="orders",vhost="/"} 3.0\n' in response.text
    assert 'amqpd_queue_messages_published_total{queue="orders",vhost="/"} 8.0\n' in response.text


async def test_each_scrape_reads_the_statistics_anew_and_on_the_event_loop() -> None:
    threads: list[threading.Thread] = []

    def read_statistics() -> BrokerStatistics:
        threads.append(threading.current_thread())
        return broker_statistics(connections=len(threads))

    transport = httpx.ASGITransport(metrics_app(read_statistics))
    async with httpx.AsyncClient(transport=transport, base_url="http://broker") as client:
        assert "\namqpd_connections 1.0\n" in (await client.get("/metrics")).text
        assert "\namqpd_connections 2.0\n" in (await client.get("/metrics")).text
    assert threads == [threading.current_thread()] * 2


async def test_prometheus_gets_openmetrics_when_it_asks(client: httpx.AsyncClient) -> None:
    accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.4"
    response = await client.get("/metrics", headers={"accept": accept})
    assert response.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name for family in text_string_to_metric_families(response.text)}
    assert {"amqpd_connections", "amqpd_queue_messages_published"} <= families


async def test_the_page_is_compressed_when_the_scraper_can_read_it(client: httpx.AsyncClient) -> None:
    async with client.stream("GET", "/metrics", headers={"accept-encoding": "gzip"}) as response:
        raw = b"".join([chunk async for chunk in response.aiter_raw()])
    assert response.headers["content-encoding"] == "gzip"
    assert int(response.headers["content-length"]) == len(raw)
    assert b"\namqpd_connections 0.0\n" in gzip.decompress(raw)


async def test_the_page_is_plain_when_the_scraper_cannot(client: httpx.AsyncClient) -> None:
    response = await client.get("/metrics", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in response.headers
    assert "\namqpd_connections 0.0\n" in response.text


async def test_head_is_answered(client: httpx.AsyncClient) -> None:
    assert (await client.head("/metrics")).status_code == 200


@pytest.mark.parametrize("path", ["/", "/favicon.ico", "/metrics/per-object"])
async def test_any_other_path_says_where_the_metrics_are(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert response.status_code == 404
    assert "/metrics" in response.text


async def test_metrics_cannot_be_written(client: httpx.AsyncClient) -> None:
    assert (await client.post("/metrics")).status_code == 405
