"""The pages over HTTP: who asks for what, and what becomes of those who leave."""

import gzip
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator

import anyio
import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from starlette.types import Message, Scope

from amqpd.broker.statistics import BrokerStatistics, Tally
from amqpd.metrics import app, metrics_app
from tests.metrics.samples import broker, connection, in_turns, queue, server

pytestmark = pytest.mark.anyio

ORDERS = broker(queues=(queue("orders", ready=3, published=8), queue("bills", ready=2)), gone=Tally({}, published=12))
PAGES = ("/metrics", "/metrics/per-object", "/metrics/detailed")
DETAILED = "/metrics/detailed?family=queue_coarse_metrics&family=queue_metrics&queue=orders"


def client_of(
    survey: Callable[[], Generator[None, None, BrokerStatistics]] = lambda: in_turns(ORDERS),
    not_ready: tuple[str, ...] = (),
    prefix: str = "amqpd",
) -> httpx.AsyncClient:
    sockets = server(connections=(connection("here -> there"),))
    application = metrics_app(survey, lambda: in_turns(sockets), lambda: not_ready, prefix)
    return httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://broker")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of() as client:
        yield client


async def test_a_scrape_shows_all_queues_as_one(client: httpx.AsyncClient) -> None:
    response = await client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "\namqpd_queue_messages_ready 5.0\n" in response.text
    assert "\namqpd_queue_messages_published_total 20.0\n" in response.text
    assert 'amqpd_endpoint="aggregated"' in response.text


async def test_or_each_queue(client: httpx.AsyncClient) -> None:
    page = (await client.get("/metrics/per-object")).text
    assert '\namqpd_queue_messages_ready{queue="orders",vhost="/"} 3.0\n' in page
    assert '\namqpd_queue_messages_ready{queue="bills",vhost="/"} 2.0\n' in page
    assert 'amqpd_endpoint="per-object"' in page


async def test_or_what_is_asked_for(client: httpx.AsyncClient) -> None:
    page = (await client.get(DETAILED)).text
    assert '\namqpd_detailed_queue_messages_ready{queue="orders",vhost="/"} 3.0\n' in page
    assert "bills" not in page
    assert 'amqpd_endpoint="detailed"' in page


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("family=queue_matrix", "There is no family 'queue_matrix': there are auth_attempt_metrics, "),
        ("families=queue_metrics", "There is no parameter 'families': there are family, vhost, queue.\n"),
    ],
)
async def test_what_is_asked_for_and_not_known_is_an_error(client: httpx.AsyncClient, query: str, answer: str) -> None:
    response = await client.get(f"/metrics/detailed?{query}")
    assert response.status_code == 400
    assert response.text.startswith(answer)


async def test_a_vhost_is_given_as_urls_have_it(client: httpx.AsyncClient) -> None:
    response = await client.get("/metrics/detailed?family=queue_coarse_metrics&vhost=%2F")
    assert 'vhost="/"} 3.0' in response.text
    response = await client.get("/metrics/detailed?family=queue_coarse_metrics&vhost=%2Fshop")
    assert "vhost=" not in response.text


async def test_names_can_be_rabbitmqs() -> None:
    async with client_of(prefix="rabbitmq") as client:
        assert "\nrabbitmq_queue_messages_ready 5.0\n" in (await client.get("/metrics")).text


@pytest.mark.parametrize("path", PAGES)
async def test_prometheus_gets_openmetrics_when_it_asks(client: httpx.AsyncClient, path: str) -> None:
    accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.4"
    response = await client.get(path, headers={"accept": accept})
    assert response.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert "amqpd_build_info" in response.text
    families = {family.name for family in text_string_to_metric_families(response.text)}
    assert "amqpd_identity_info" in families


@pytest.mark.parametrize("path", PAGES)
async def test_the_page_is_compressed_when_the_scraper_can_read_it(client: httpx.AsyncClient, path: str) -> None:
    async with client.stream("GET", path, headers={"accept-encoding": "gzip"}) as response:
        raw = b"".join([chunk async for chunk in response.aiter_raw()])
    assert response.headers["content-encoding"] == "gzip"
    assert int(response.headers["content-length"]) == len(raw)
    assert b"\namqpd_identity_info{" in gzip.decompress(raw)


@pytest.mark.parametrize("accepted", ["identity", "gzip;q=0"])
async def test_the_page_is_plain_when_the_scraper_cannot(client: httpx.AsyncClient, accepted: str) -> None:
    response = await client.get("/metrics", headers={"accept-encoding": accepted})
    assert "content-encoding" not in response.headers
    assert int(response.headers["content-length"]) == len(response.content)
    assert "\namqpd_connections 0.0\n" in response.text


@pytest.mark.parametrize("path", [*PAGES, DETAILED])
async def test_head_says_that_there_is_a_page_and_reads_nothing(path: str) -> None:
    def survey() -> Generator[None, None, BrokerStatistics]:
        raise AssertionError("nothing needs to be read")

    async with client_of(survey) as client:
        response = await client.head(path)
    assert response.status_code == 204
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert response.content == b""


@pytest.mark.parametrize("path", [*PAGES, "/health/live", "/health/ready"])
async def test_a_slash_at_the_end_is_the_same(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(f"{path}/")
    assert response.status_code == 200
    assert response.text[:20] == (await client.get(path)).text[:20]


@pytest.mark.parametrize("path", ["/", "/favicon.ico", "/metrics/memory-breakdown", "/health", "/metrics//"])
async def test_any_other_path_says_what_there_is(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert response.status_code == 404
    assert all(page in response.text for page in (*PAGES, "/health/live", "/health/ready"))


@pytest.mark.parametrize("path", [*PAGES, "/health/live", "/health/ready"])
async def test_nothing_can_be_written(client: httpx.AsyncClient, path: str) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert (await client.request(method, path)).status_code == 405


async def test_the_server_lives(client: httpx.AsyncClient) -> None:
    response = await client.get("/health/live")
    assert (response.status_code, response.text) == (200, "ok\n")
    assert (await client.head("/health/live")).status_code == 200


async def test_the_server_is_ready(client: httpx.AsyncClient) -> None:
    response = await client.get("/health/ready")
    assert (response.status_code, response.json()) == (200, {"status": "ready", "reasons": []})


async def test_or_says_why_it_is_not() -> None:
    async with client_of(not_ready=("draining", "memory")) as client:
        response = await client.get("/health/ready")
    assert (response.status_code, response.json()) == (503, {"status": "not ready", "reasons": ["draining", "memory"]})


async def test_health_is_told_at_once_whatever_is_going_on() -> None:
    """In the midst of as many scrapes as there may be, of which one more is refused."""
    going_on, go_on = anyio.Event(), anyio.Event()
    answers: list[int] = []

    def survey() -> Generator[None, None, BrokerStatistics]:
        going_on.set()
        while not go_on.is_set():
            yield
        return ORDERS

    async def scrape(client: httpx.AsyncClient) -> None:
        answers.append((await client.get("/metrics")).status_code)

    async with client_of(survey) as client:
        async with anyio.create_task_group() as tasks:
            for _ in range(app.SCRAPES_MAX):
                tasks.start_soon(scrape, client)
            await going_on.wait()
            assert (await client.get("/health/live")).status_code == 200
            assert (await client.get("/health/ready")).status_code == 200
            response = await client.get("/metrics")
            assert (response.status_code, response.text) == (503, f"There are {app.SCRAPES_MAX} scrapes already.\n")
            assert answers == []
            go_on.set()
        assert answers == [200] * app.SCRAPES_MAX
        assert (await client.get("/metrics")).status_code == 200


async def test_who_goes_while_the_page_is_made_is_no_harm(client: httpx.AsyncClient) -> None:
    """Again and again, and then somebody who stays."""
    for _ in range(2 * app.SCRAPES_MAX):
        with anyio.move_on_after(0):
            await client.get("/metrics")
    assert (await client.get("/metrics")).status_code == 200


GET: Scope = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "method": "GET",
    "path": "/metrics",
    "query_string": b"",
    "headers": [],
}


async def never() -> Message:
    await anyio.sleep_forever()
    raise AssertionError("unreachable")


async def gone() -> Message:
    return {"type": "http.disconnect"}


async def not_taken(_message: Message) -> None:
    await anyio.sleep_forever()


async def test_messages_go_on_while_a_page_is_sent() -> None:
    many = broker(queues=tuple(queue(f"queue-{number}") for number in range(200)))
    application = metrics_app(lambda: in_turns(many), lambda: in_turns(server()), tuple)
    events: list[str] = []

    async def send(message: Message) -> None:
        if message.get("body"):
            events.append("piece")
            tasks.start_soon(messages)

    async def messages() -> None:
        events.append("message")

    async with anyio.create_task_group() as tasks:
        await application({**GET, "path": "/metrics/per-object"}, never, send)
    assert events == ["piece", "message"] * (len(events) // 2)
    assert len(events) > 4


@pytest.mark.parametrize("receive", [never, gone])
async def test_who_does_not_take_the_page_is_given_up(
    receive: Callable[[], Awaitable[Message]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "SENDING_S", 0.01 if receive is never else 60.0)
    application = metrics_app(lambda: in_turns(ORDERS), lambda: in_turns(server()), tuple)
    for _ in range(2 * app.SCRAPES_MAX):
        await application(GET, receive, not_taken)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://broker") as client:
        assert (await client.get("/metrics")).status_code == 200


async def test_a_client_that_leaves_in_the_middle_of_a_page_leaves_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    piece = bytes(1000)

    async def scrape(*_: object) -> list[bytes]:
        return [piece] * 100

    async def listen() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            leaving.cancel()
            await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(app.Scraper, "scrape", scrape)
    application = metrics_app(lambda: in_turns(ORDERS), lambda: in_turns(server()), tuple)
    scope: Scope = {"type": "http", "method": "GET", "path": "/metrics", "query_string": b"", "headers": []}
    scope |= {"http_version": "1.1", "root_path": "", "scheme": "http", "server": None, "client": None}
    before = sys.getrefcount(piece)
    with anyio.CancelScope() as leaving:
        await application(scope, listen, send)
    assert leaving.cancelled_caught
    assert sys.getrefcount(piece) - before < 10
