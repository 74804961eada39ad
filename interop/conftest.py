"""Which broker the tests speak to, and the clients they speak to it with.

``AMQP_URL`` names a running broker, RabbitMQ for instance. Without it, one amqpd is started for the whole run and ended
after it, and how it ended is part of the result. Every test makes its queues and exchanges under names of its own
(``unique``), which are deleted after it, so the tests neither meet each other nor leave anything behind.
"""

import os
import resource
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError

from interop.broker_process import BrokerProcess
from interop.clients import CLIENTS, Client
from interop.raw import Peer

OPEN_FILES = 8192  # 1,000 connections want 1,000 descriptors on either side, twice that while they close


def pytest_configure() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < OPEN_FILES:
        wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The broker's URL. An amqpd has a data directory, as it has for a user."""
    if "AMQP_URL" in os.environ:
        yield os.environ["AMQP_URL"]
        return
    broker = BrokerProcess(data_dir=tmp_path_factory.mktemp("data"))
    yield broker.url
    assert broker.stop() == 0, "\n".join(broker.log)


@pytest.fixture
def own_broker() -> Iterator[Callable[..., BrokerProcess]]:
    """Starts an amqpd that belongs to this test, which may stop it."""
    if "AMQP_URL" in os.environ:
        pytest.skip("starts and stops a broker: only with amqpd, not with the broker at AMQP_URL")
    started: list[BrokerProcess] = []

    def start(port: int = 0, *options: str, data_dir: Path | None = None) -> BrokerProcess:
        started.append(BrokerProcess(port, *options, data_dir=data_dir))
        return started[-1]

    yield start
    for broker in started:
        broker.stop()


@pytest.fixture
def unique(url: str) -> Iterator[Callable[[str], str]]:
    """Makes a name for a queue or an exchange that is this test's alone; whatever has it afterwards is deleted."""
    names: list[str] = []

    def name(stem: str) -> str:
        names.append(f"interop.{stem}.{uuid.uuid4().hex[:8]}")
        return names[-1]

    yield name
    if names:
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            channel = connection.channel()
            for each in names:
                channel.queue_delete(each)
                channel.exchange_delete(each)


@pytest.fixture
def connect(url: str, unique: Any) -> Iterator[Callable[..., pika.BlockingConnection]]:
    """Opens a pika.BlockingConnection, with these connection parameters; it is closed after the test."""
    connections: list[pika.BlockingConnection] = []

    def open_connection(**parameters: Any) -> pika.BlockingConnection:
        wanted = pika.URLParameters(url)
        for key, value in parameters.items():
            setattr(wanted, key, value)
        connections.append(pika.BlockingConnection(wanted))
        return connections[-1]

    yield open_connection
    for connection in connections:
        with suppress(AMQPError):  # a test may have had it closed by the broker
            connection.close()


@pytest.fixture
def open_channel(connect: Callable[..., pika.BlockingConnection]) -> Callable[..., BlockingChannel]:
    """Opens a channel in confirm mode on a connection of its own: what was published on it has reached its queues."""

    def open_on_new_connection(**parameters: Any) -> BlockingChannel:
        channel = connect(**parameters).channel()
        channel.confirm_delivery()
        return channel

    return open_on_new_connection


@pytest.fixture
def channel(open_channel: Callable[..., BlockingChannel]) -> BlockingChannel:
    """One such channel."""
    return open_channel()


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, url: str, unique: Any) -> Iterator[Callable[[], Client]]:
    """Opens a ``Client``; the test runs once with each of the four libraries."""
    clients: list[Client] = []

    def open_client() -> Client:
        clients.append(CLIENTS[request.param](url))
        return clients[-1]

    yield open_client
    for each in clients:
        each.close()


@pytest.fixture
def peer(url: str, unique: Any) -> Iterator[Callable[..., Peer]]:
    """Connects a raw ``Peer``, to the broker of the run or to another address."""
    peers: list[Peer] = []
    parameters = pika.URLParameters(url)

    def connect_peer(address: tuple[str, int] = (parameters.host, parameters.port), **options: Any) -> Peer:
        peers.append(Peer(address, **options))
        return peers[-1]

    yield connect_peer
    for each in peers:
        each.close()


@pytest.fixture
def anyio_backend() -> str:
    """aio-pika runs on asyncio alone."""
    return "asyncio"
