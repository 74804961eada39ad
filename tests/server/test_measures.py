"""What is measured while a server runs."""

import asyncio
import gc
import time

import anyio
import pytest

from amqpd.server.measures import LoopLag, garbage_pauses
from tests.server.support import until

pytestmark = pytest.mark.anyio


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop is looked at so often that a test need not wait."""
    monkeypatch.setattr("amqpd.server.measures.LAG_INTERVAL_S", 0.005)


@pytest.mark.usefixtures("often")
async def test_a_loop_that_was_kept_is_late_once() -> None:
    lag = LoopLag()
    asyncio.get_running_loop().call_soon(time.sleep, 0.3)
    await until(lambda: lag.histogram.distribution().count >= 3)
    lag.stop()
    observed = lag.histogram.distribution()
    assert sum(count for bound, count in zip(observed.bounds, observed.counts[1:], strict=True) if bound >= 0.25) == 1
    assert observed.total >= 0.25


@pytest.mark.usefixtures("often")
async def test_nothing_is_early() -> None:
    lag = LoopLag()
    await until(lambda: lag.histogram.distribution().count >= 10)
    assert lag.histogram.distribution().total >= 0
    lag.stop()


@pytest.mark.usefixtures("often")
async def test_a_loop_is_not_looked_at_any_more() -> None:
    lag = LoopLag()
    await until(lambda: lag.histogram.distribution().count > 0)
    lag.stop()
    count = lag.histogram.distribution().count
    await anyio.sleep(0.02)
    assert lag.histogram.distribution().count == count


def test_each_collection_is_a_pause() -> None:
    gc.disable()
    try:
        with garbage_pauses() as pauses:
            for generation in range(3):
                gc.collect(generation)
        gc.collect()
    finally:
        gc.enable()
    observed = pauses.distribution()
    assert observed.count == 3
    assert 0 < observed.total < 3


def test_a_collection_that_goes_on_already_is_none() -> None:
    with garbage_pauses() as pauses:
        gc.callbacks[-1]("stop", {})
    assert pauses.distribution().count == 0
