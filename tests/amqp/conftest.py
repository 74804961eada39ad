"""What the tests of the protocol start from. Each is played with every way in which octets can arrive."""

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.amqp.transcript")

from tests.amqp.transcript import SPLITS, Peer, Stage  # noqa: E402


@pytest.fixture(params=SPLITS)
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A broker, and a clock that stands still."""
    stage = Stage(SPLITS[request.param]())
    yield stage
    stage.end()


@pytest.fixture
def peer(stage: Stage) -> Peer:
    """Someone with an open connection, and channel 1 open."""
    return stage.connect()


@pytest.fixture
def other(stage: Stage, peer: Peer) -> Peer:
    """Someone else, on a connection of their own."""
    return stage.connect()
