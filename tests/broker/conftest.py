"""What the tests of the broker start from."""

from collections.abc import Callable
from itertools import count

import pytest

from amqpd.broker.broker import Broker
from amqpd.broker.client import Client
from tests.broker.support import Peer


@pytest.fixture
def broker() -> Broker:
    """A broker whose names are no secret: amq.gen-1, amq.gen-2 and so on."""
    tokens = count(1)
    return Broker(make_token=lambda: str(next(tokens)))


@pytest.fixture
def client(broker: Broker) -> Client:
    return broker.connect()


@pytest.fixture
def peer(client: Client) -> Peer:
    return Peer(client)


@pytest.fixture
def other(broker: Broker) -> Peer:
    """Someone else, on a connection of their own."""
    return Peer(broker.connect())


@pytest.fixture
def join(broker: Broker) -> Callable[[], Peer]:
    """One more application each time, on a connection of its own."""
    return lambda: Peer(broker.connect())
