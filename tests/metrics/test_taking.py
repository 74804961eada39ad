from collections.abc import Generator

import anyio
import pytest
from anyio.lowlevel import checkpoint

from amqpd.metrics.taking import TURN_S, take
from tests.metrics.samples import in_turns

pytestmark = pytest.mark.anyio


class Clock:
    """Time goes by only when something is done."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def test_what_is_read_is_what_the_reading_returns() -> None:
    assert await take(in_turns("read", turns=100)) == "read"


async def test_the_loop_goes_on_after_each_millisecond() -> None:
    clock = Clock()
    events: list[str] = []

    def reading() -> Generator[None, None, str]:
        for number in range(6):
            events.append(f"object {number}")
            clock.now_s += TURN_S / 2
            yield
        return "read"

    async def messages() -> None:
        while "read" not in events:
            events.append("message")
            await checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(messages)
        await checkpoint()  # the first message comes before
        events.append(await take(reading(), clock))
    assert events == [
        "message",
        *("object 0", "object 1", "message"),
        *("object 2", "object 3", "message"),
        *("object 4", "object 5", "message"),
        "read",
    ]


async def test_what_is_quick_is_read_in_one_turn() -> None:
    clock = Clock()
    others: list[str] = []

    async def messages() -> None:
        others.append("message")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(messages)
        await take(in_turns("read", turns=1000), clock)
        assert others == []


async def test_a_reading_that_is_given_up_is_closed() -> None:
    closed: list[bool] = []

    def reading() -> Generator[None, None, None]:
        try:
            while True:
                yield
        finally:
            closed.append(True)

    with anyio.move_on_after(0.01) as scope:
        await take(reading())
    assert scope.cancelled_caught
    assert closed == [True]


async def test_an_error_is_the_callers() -> None:
    def reading() -> Generator[None, None, None]:
        yield
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await take(reading())
