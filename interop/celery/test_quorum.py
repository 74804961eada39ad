"""Quorum queues with publisher confirms, and kombu's native delayed delivery.

A worker that finds a quorum queue among its queues does not change its prefetch count any more, as RabbitMQ's quorum
queues know no global one. So a task with a countdown may not wait in the worker: it waits on the broker, in
``celery_delayed_27`` to ``celery_delayed_0``. These are 28 queues, each with a TTL of 2 to the power of its number in
seconds, and each dead letters to the exchange before the next one. The countdown in binary is the beginning of the
routing key, by which topic exchanges lead the message through just those queues whose times add up to it.
"""

from collections.abc import Callable, Iterator

import pika
import pytest
from celery import group
from pika.exceptions import ChannelClosedByBroker

from interop.celery.app import App
from interop.celery.tasks import add, flaky, turn
from interop.celery.worker_process import Worker

LEVELS = [f"celery_delayed_{level}" for level in range(28)]
DELIVERY = "celery_delayed_delivery"


@pytest.fixture(scope="module")
def delayed_delivery(url: str) -> Iterator[None]:
    """The queues and exchanges that all of a vhost's apps share: deleted afterwards, unless they were there before."""
    there = exchange_exists(url, DELIVERY)
    yield
    if not there:
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            channel = connection.channel()
            for name in LEVELS:
                channel.queue_delete(name)
                channel.exchange_delete(name)
            channel.exchange_delete(DELIVERY)


def exchange_exists(url: str, exchange: str) -> bool:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        try:
            connection.channel().exchange_declare(exchange, passive=True)
        except ChannelClosedByBroker:
            return False
        return True


@pytest.fixture(scope="module")
def quorum_worker(
    delayed_delivery: None, create_app: Callable[..., App], start_worker: Callable[..., Worker]
) -> Worker:
    app = create_app(
        task_default_queue_type="quorum",
        task_default_exchange_type="topic",  # delayed delivery adds a word to the routing key for each of its levels
        broker_transport_options={"confirm_publish": True},
        worker_prefetch_multiplier=1,
    )
    return start_worker(app, "--concurrency", "1")


@pytest.fixture
def worker(quorum_worker: Worker) -> Worker:
    """A worker that takes its tasks from a quorum queue, one at a time. What it and the test publish is confirmed."""
    quorum_worker.app.set_current()
    return quorum_worker


def test_tasks_in_a_quorum_queue(worker: Worker) -> None:
    assert group(add.s(n, n) for n in range(20))().get() == [2 * n for n in range(20)]


def test_waiting_tasks_are_not_at_the_worker(worker: Worker) -> None:
    begin = turn.delay().get() + 1
    waiting = group(turn.s() for _ in range(5)).apply_async(countdown=2)
    ordinary = group(turn.s() for _ in range(3)).apply_async()

    assert ordinary.get() == [begin, begin + 1, begin + 2]
    assert worker.ask("scheduled") == []
    assert worker.ask("stats")["prefetch_count"] == 1
    assert sorted(waiting.get()) == list(range(begin + 3, begin + 8))


def test_tasks_come_in_the_order_of_their_countdowns(worker: Worker) -> None:
    begin = turn.delay().get() + 1
    sent = [turn.apply_async(countdown=countdown) for countdown in (3, 2, 1, None)]
    assert [task.get() - begin for task in sent] == [3, 2, 1, 0]


def test_a_retry_is_delayed_too(worker: Worker) -> None:
    assert flaky.delay(failures=2, countdown=1).get() == 2
