import gc
import gzip
import threading
from collections.abc import Callable, Generator

import anyio
import pytest

from amqpd.broker.statistics import BrokerStatistics
from amqpd.metrics.exposition import TEXT
from amqpd.metrics.pages import AGGREGATED, PER_OBJECT, Page
from amqpd.metrics.scraper import Scraper
from tests.metrics.samples import broker, in_turns, queue, server

pytestmark = pytest.mark.anyio


def scraper(read: Callable[[], BrokerStatistics], clock: Callable[[], float] = lambda: 0.0) -> Scraper:
    return Scraper(lambda: in_turns(read()), lambda: in_turns(server()), "amqpd", clock)


async def page(of: Scraper, page: Page = AGGREGATED) -> str:
    return b"".join(await of.scrape(page, TEXT, gzip=False)).decode()


async def test_each_scrape_reads_anew() -> None:
    numbers = iter((1, 2))
    of = scraper(lambda: broker(connections=next(numbers)))
    assert "\namqpd_connections 1.0\n" in await page(of)
    assert "\namqpd_connections 2.0\n" in await page(of)


async def test_all_is_read_on_the_event_loop() -> None:
    threads: list[threading.Thread] = []

    def read() -> BrokerStatistics:
        threads.append(threading.current_thread())
        return broker()

    await page(scraper(read))
    assert threads == [threading.current_thread()]


async def test_a_page_can_be_compressed() -> None:
    pieces = await scraper(broker).scrape(AGGREGATED, TEXT, gzip=True)
    assert b"\namqpd_connections 0.0\n" in gzip.decompress(b"".join(pieces))


async def test_one_scrape_after_the_other() -> None:
    going_on: list[int] = [0]

    def survey() -> Generator[None, None, BrokerStatistics]:
        going_on.append(going_on[-1] + 1)
        yield
        going_on.append(going_on[-1] - 1)
        return broker()

    of = Scraper(survey, lambda: in_turns(server()), "amqpd")
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(page, of)
    assert max(going_on) == 1
    assert len(going_on) == 11


async def test_rates_are_between_scrapes() -> None:
    now = [0.0]
    of = scraper(
        lambda: broker(queues=(queue("orders", published=int(now[0]) * 3),)),
        lambda: now[0],
    )
    line = '\namqpd_queue_publish_rate{queue="orders",vhost="/"} '
    assert f"{line}0.0\n" in await page(of, PER_OBJECT)
    for now[0] in (10.0, 12.0, 20.0):
        assert f"{line}3.0\n" in await page(of, PER_OBJECT)


async def test_a_scrape_that_fails_leaves_the_next_alone() -> None:
    numbers = iter((0, 1))
    of = scraper(lambda: broker(connections=1 // next(numbers)))
    with pytest.raises(ZeroDivisionError):
        await page(of)
    assert gc.isenabled()
    assert "\namqpd_connections 1.0\n" in await page(of)


async def test_nobody_searches_for_garbage_as_long_as_there_are_many_objects() -> None:
    events: list[tuple[str, bool]] = []

    class Kind(str):
        def __del__(self) -> None:
            events.append(("freed", gc.isenabled()))

    def read() -> BrokerStatistics:
        events.append(("read", gc.isenabled()))
        return broker(queues=(queue("orders", type=Kind("classic")),))

    await page(scraper(read))
    assert events == [("read", False), ("freed", False)]
    assert gc.isenabled()


async def test_who_searches_for_none_does_not_afterwards() -> None:
    gc.disable()
    try:
        await page(scraper(broker))
        assert not gc.isenabled()
    finally:
        gc.enable()
