"""What the tests of the server start from. Where the event loop matters, a test runs on each there is."""

import gc
import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest

pytest.register_assert_rewrite("tests.server.support")

NO_UVLOOP = importlib.util.find_spec("uvloop") is None


@pytest.fixture(
    scope="session",
    params=[pytest.param(True, id="uvloop", marks=pytest.mark.skipif(NO_UVLOOP, reason="no uvloop")), False],
    ids=["uvloop", "asyncio"],
)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Both event loops: their transports differ in when they write, pause and close."""
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
def garbage_collection_put_back() -> Iterator[None]:
    """For tests that start a daemon, which sets it for its process."""
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)
