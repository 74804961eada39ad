import math
from typing import Any

import pytest

from amqpd.broker.statistics import Handovers
from amqpd.metrics.rates import Mark, QueueRates, Reading, Readings, queue_rates
from tests.metrics.samples import broker, queue, snapshot, value


def rates(before: dict[str, Any] | None, now: dict[str, Any], elapsed_s: float = 10.0) -> QueueRates:
    """The rates of a queue that was so before, if it was there, and is so now."""
    earlier = Reading.of(100.0, [] if before is None else [queue("orders", **before)])
    (found,) = queue_rates([queue("orders", **now)], 100.0 + elapsed_s, earlier)
    return found


def test_rates_are_by_second() -> None:
    found = rates(
        {"published": 100, "handovers": Handovers(consume_manual=50, acked=40)},
        {"published": 300, "handovers": Handovers(consume_manual=130, get_auto=20, acked=50)},
    )
    assert (found.publish, found.delivery, found.ack) == (20, 10, 1)


def test_a_queue_that_was_not_there_has_no_rates_yet() -> None:
    found = rates(None, {"published": 300, "ready": 5})
    assert (found.publish, found.delivery, found.ack, found.until_empty_s) == (0, 0, 0, math.inf)


def test_a_queue_declared_again_has_none_either() -> None:
    found = rates({"published": 300, "ready": 300}, {"published": 20, "ready": 20})
    assert (found.publish, found.until_empty_s) == (0, math.inf)


@pytest.mark.parametrize(
    ("before", "now", "seconds"),
    [
        (100, 50, 10),
        (50, 50, math.inf),
        (50, 100, math.inf),
        (100, 0, 0),
        (0, 0, 0),
    ],
)
def test_a_queue_is_empty_when_it_goes_on_like_that(before: int, now: int, seconds: float) -> None:
    assert rates({"ready": before}, {"ready": now}).until_empty_s == seconds


@pytest.mark.parametrize(
    ("blocked_s", "consumers", "capacity"),
    [(0.0, 1, 1.0), (2.5, 1, 0.75), (10.0, 1, 0.0), (10.01, 1, 0.0), (0.0, 0, 0.0)],
)
def test_capacity_is_the_time_in_which_a_consumer_could_take_a_message(
    blocked_s: float, consumers: int, capacity: float
) -> None:
    found = rates({"blocked_s": 5.0}, {"blocked_s": 5.0 + blocked_s, "consumers": consumers})
    assert found.capacity == pytest.approx(capacity)


def reading(taken_s: float) -> Reading:
    return Reading(taken_s, {})


def test_the_first_scrape_has_nothing_to_compare_with() -> None:
    readings = Readings()
    assert readings.earlier(0.0) is None
    readings.keep(reading(0.0))
    assert readings.earlier(4.9) is None


def test_a_scrape_is_compared_with_the_one_before() -> None:
    readings = Readings()
    for taken_s in (0.0, 15.0, 30.0):
        readings.keep(reading(taken_s))
    earlier = readings.earlier(45.0)
    assert earlier is not None
    assert earlier.taken_s == 30


def test_two_that_scrape_do_not_shorten_each_others_windows() -> None:
    readings = Readings()
    windows = []
    for taken_s in (0.0, 0.1, 15.0, 15.1, 30.0, 30.1, 45.0):
        earlier = readings.earlier(taken_s)
        windows.append(None if earlier is None else round(taken_s - earlier.taken_s, 3))
        readings.keep(reading(taken_s))
    assert windows == [None, None, 15, 15.1, 15, 15.1, 15]


def test_whoever_scrapes_all_the_time_gets_windows_that_say_something() -> None:
    readings = Readings()
    windows = set()
    for taken_s in map(float, range(60)):
        earlier = readings.earlier(taken_s)
        if earlier is not None:
            windows.add(taken_s - earlier.taken_s)
        readings.keep(reading(taken_s))
    assert windows == {5, 6, 7, 8, 9}


def test_a_reading_has_a_mark_of_each_queue() -> None:
    orders = queue("orders", vhost="shop", published=3, handovers=Handovers(consume_auto=2, acked=1), ready=4)
    read = Reading.of(5.0, [orders, queue("orders")])
    assert read.taken_s == 5
    assert read.mark(orders) == Mark(3, 2, 1, 4, 0.0)
    assert read.mark(queue("orders")) == Mark(0, 0, 0, 0, 0.0)
    assert read.mark(queue("orders", vhost="elsewhere")) is None
    assert read.mark(queue("bills", vhost="shop")) is None


def test_a_page_adds_up_the_rates_of_all_queues() -> None:
    earlier = Reading.of(90.0, [queue("orders"), queue("bills")])
    read = snapshot(broker(queues=(queue("orders", published=30), queue("bills", published=20))), earlier=earlier)
    assert value(read, "amqpd_queue_publish_rate") == 5
    assert value(read, "amqpd_queue_seconds_until_empty") is None
