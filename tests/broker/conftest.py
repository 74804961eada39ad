"""What the tests of the broker start from."""

from collections.abc import Callable
from itertools import count

import pytest

from amqpd.broker.broker import Broker
from amqpd.broker.client import Client
from tests.broker.support import Disk, HandClock, Peer


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def broker(clock: HandClock) -> Broker:
    """A broker whose names are no secret: amq.gen-1, amq.gen-2 and so on; and whose clock the test moves."""
    tokens = count(1)
    return Broker(make_token=lambda: str(next(tokens)), clock=clock)


@pytest.fixture
def tick(clock: HandClock, broker: Broker) -> Callable[[int], None]:
    """So many milliseconds go by, and what is due is done."""

    def tick(ms: int) -> None:
        clock.ms += ms
        broker.timers.run()

    return tick


@pytest.fixture
def disk() -> Disk:
    return Disk()


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
