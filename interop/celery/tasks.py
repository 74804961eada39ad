"""The tasks that the tests send, as an application has them in a module of its own.

``@shared_task`` binds them to no app: a test sends them by the app that is current, which a fixture sets, and a worker
runs them for the one app it has.
"""

import itertools
from typing import Any

from celery import Task, shared_task

_turns = itertools.count()


class NotYet(Exception):
    """What ``flaky`` fails with, until it does not."""


@shared_task(name="add")
def add(x: int, y: int) -> int:
    return x + y


@shared_task(name="length")
def length(text: str) -> int:
    return len(text)


@shared_task(name="fail")
def fail(reason: str) -> None:
    raise ValueError(reason)


@shared_task(name="turn")
def turn() -> int:
    """How many ``turn`` this worker process has run before, by which a test knows in which order they ran."""
    return next(_turns)


@shared_task(name="flaky", bind=True, max_retries=3)
def flaky(self: Task, failures: int, countdown: float) -> int:
    """Fails so many times, and is sent anew after each with this countdown in seconds; how often it was, at last."""
    if self.request.retries < failures:
        raise self.retry(exc=NotYet(), countdown=countdown)
    return int(self.request.retries)


@shared_task(name="progress", bind=True)
def progress(self: Task, steps: int) -> str:
    """Tells how far it is, by a result message for each step."""
    for step in range(steps):
        self.update_state(state="PROGRESS", meta={"step": step})
    return "done"


@shared_task(name="hold", bind=True, acks_late=True)
def hold(self: Task, started: str, release: str) -> dict[str, Any]:
    """Says in the queue ``started`` that it runs, and runs until there is a message in the queue ``release``."""
    with self.app.connection_for_write() as connection:
        with connection.SimpleQueue(started) as queue:
            queue.put(self.request.hostname)
        with connection.SimpleQueue(release) as queue:
            queue.get().ack()
    return {"hostname": self.request.hostname, "redelivered": self.request.delivery_info["redelivered"]}
