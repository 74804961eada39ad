"""Workers, and the app that each of them runs.

A worker takes seconds to start, so tests share two of them: ``worker`` has Celery's defaults, and ``narrow_worker``
takes one task at a time and no more. The app of a test's worker is the current one, so ``add.delay(2, 3)`` goes to it.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from kombu import Connection

from interop.celery.app import App, application
from interop.celery.worker_process import Worker


@pytest.fixture(scope="session")
def create_app(url: str) -> Iterator[Callable[..., App]]:
    """Makes an app with these settings; what it makes on the broker is deleted at the end of the run."""
    with ExitStack() as apps:
        yield lambda **settings: apps.enter_context(application(url, **settings))


@pytest.fixture(scope="session")
def start_worker(create_app: Any) -> Iterator[Callable[..., Worker]]:
    """Starts a worker for an app. Those that run at the end are asked to end, and should do so with exit code 0."""
    workers: list[Worker] = []

    def start(app: App, *options: str) -> Worker:
        workers.append(Worker(app, *options))
        return workers[-1]

    yield start
    for each in workers:
        each.terminate()
    for each in workers:
        assert each.wait() in (0, -9), "\n".join(each.log)  # -9: a test has killed it


@pytest.fixture(scope="session")
def default_worker(create_app: Callable[..., App], start_worker: Callable[..., Worker]) -> Worker:
    return start_worker(create_app(), "--concurrency", "2", "--task-events")


@pytest.fixture
def worker(default_worker: Worker) -> Worker:
    """A worker as ``celery worker`` starts it: two processes, and a prefetch count of four for each."""
    default_worker.app.set_current()
    return default_worker


@pytest.fixture(scope="session")
def single_worker(create_app: Callable[..., App], start_worker: Callable[..., Worker]) -> Worker:
    app = create_app(
        worker_prefetch_multiplier=1,
        task_queue_max_priority=10,
        control_queue_exclusive=False,
        event_queue_exclusive=False,
    )
    return start_worker(app, "--concurrency", "1")


@pytest.fixture
def narrow_worker(single_worker: Worker) -> Worker:
    """A worker that runs one task at a time and has a prefetch count of 1. Its queue knows priorities up to 10.

    Its queues for remote control and events are not exclusive, as older versions of Celery declare them.
    """
    single_worker.app.set_current()
    return single_worker


@pytest.fixture
def connection(url: str, unique: Any) -> Iterator[Connection]:
    """A connection of kombu's whose publishes return when the broker has confirmed them."""
    with Connection(url, transport_options={"confirm_publish": True}) as opened:
        yield opened
