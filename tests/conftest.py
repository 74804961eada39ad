"""What all tests share."""

import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

# hypothesis allows an example 200 ms, which a busy machine can miss; the time limit of each test is enough.
settings.register_profile("amqpd", deadline=None)
settings.load_profile("amqpd")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Tests marked ``anyio`` run on asyncio: the byte pump is an ``asyncio.Protocol``, so there is no other backend."""
    return "asyncio"


@pytest.fixture
def log_put_back() -> Iterator[None]:
    """For tests that set up the log, which belongs to the whole process: afterwards it is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()
