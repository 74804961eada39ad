"""The Celery app: in a worker's process ``app``, by ``celery -A interop.celery.app worker``, and in the tests the same.

Its settings are Celery's defaults but for the broker's URL, the results by ``rpc://``, and the names: the queue and the
exchanges that Celery calls ``celery``, ``celery.pidbox`` and ``celeryev`` have a name of the app's own, so that nothing
meets a Celery that uses the same broker. A worker gets the settings of its test in ``INTEROP_CELERY``, as JSON.
"""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pika
from celery import Celery

import interop.celery.tasks  # noqa: F401 - an app has the shared tasks that were imported

SETTINGS = "INTEROP_CELERY"


class App(Celery):
    """A Celery app that remembers what it was made with."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__("interop", set_as_current=False)
        self.settings = settings
        self.conf.update(settings)


@contextmanager
def application(url: str, **settings: Any) -> Iterator[App]:
    """An app with these settings besides, under a name of its own. Afterwards nothing of it is left on the broker.

    The apps of a process share their connections to a broker, so those of one broker end together.
    """
    name = f"interop.celery.{uuid.uuid4().hex[:8]}"
    app = App(
        {
            "broker_url": url,
            "result_backend": "rpc://",
            "task_default_queue": name,
            "control_exchange": name,
            "event_exchange": f"{name}.ev",
            **settings,
        }
    )
    yield app
    with suppress(AttributeError):  # it has no connection, where no result was waited for
        app.backend.result_consumer.stop()
    app.pool.force_close_all()
    app.close()
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        for queue in (name, app.thread_oid):  # the tasks, and the results
            channel.queue_delete(queue)
        for exchange in (name, f"{name}.ev", f"{name}.pidbox", f"reply.{name}.pidbox"):
            channel.exchange_delete(exchange)


if SETTINGS in os.environ:
    app = App(json.loads(os.environ[SETTINGS]))
