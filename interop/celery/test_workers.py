"""Workers that come and go, and what they tell of it in events.

Events are messages to a topic exchange, ``celeryev``; each reader has a queue of its own, with ``x-message-ttl`` and
``x-expires``.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from interop.broker_process import BrokerProcess
from interop.celery.app import application
from interop.celery.tasks import add, hold
from interop.celery.worker_process import Worker

StartWorker = Callable[..., Worker]
Unique = Callable[[str], str]


class Events:
    """An ``EventReceiver``, as ``celery events`` and Flower have one, whose events are waited for."""

    def __init__(self, worker: Worker, connection: Any) -> None:
        self._seen: list[dict[str, Any]] = []
        receiver = worker.app.events.Receiver(connection, handlers={"*": self._seen.append})
        self._capture: Iterator[object] = receiver.itercapture(limit=None)  # asks for heartbeats, once it consumes

    def wait(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The next event of this kind with these fields; others are left out."""
        wanted = {"type": kind, **fields}
        while True:
            while self._seen:
                event = self._seen.pop(0)
                if wanted.items() <= event.items():
                    return event
            next(self._capture)


def take(queue: Any) -> Any:
    message = queue.get()
    message.ack()
    return message.payload


def test_the_life_of_a_task_in_events(worker: Worker) -> None:
    with worker.app.connection_for_read() as connection:
        events = Events(worker, connection)
        events.wait("worker-heartbeat", hostname=worker.name)
        task = add.delay(2, 3)
        assert events.wait("task-received", uuid=task.id)["name"] == "add"
        assert events.wait("task-started", uuid=task.id)["hostname"] == worker.name
        assert events.wait("task-succeeded", uuid=task.id)["result"] == "5"
    assert task.get() == 5


def test_the_life_of_a_worker(worker: Worker, start_worker: StartWorker, unique: Unique) -> None:
    """It joins another that runs already, answers with it, and ends by remote control, with exit code 0."""
    with worker.app.connection_for_read() as connection:
        events = Events(worker, connection)
        events.wait("worker-heartbeat", hostname=worker.name)

        second = start_worker(worker.app, "--pool", "solo", "--queues", unique("none"), "--task-events")
        events.wait("worker-online", hostname=second.name)
        answers = worker.app.control.ping(timeout=20, limit=2)
        assert {name for answer in answers for name in answer} == {worker.name, second.name}

        worker.app.control.shutdown([second.name])
        events.wait("worker-offline", hostname=second.name)
    assert second.wait() == 0
    assert worker.ask("ping") == {"ok": "pong"}


def test_what_a_killed_worker_ran_is_run_by_another(worker: Worker, start_worker: StartWorker, unique: Unique) -> None:
    """With acks_late, a task is acknowledged when it has ended, so this one never was: it is delivered again."""
    queue, started, release = unique("late"), unique("started"), unique("release")
    doomed = start_worker(worker.app, "--pool", "solo", "--queues", queue, "--without-mingle", "--without-gossip")
    task = hold.apply_async((started, release), queue=queue)
    with worker.app.connection_for_write() as connection, connection.SimpleQueue(started) as who:
        assert take(who) == doomed.name
        worker.tell("add_consumer", queue)
        doomed.kill()
        assert take(who) == worker.name
        with connection.SimpleQueue(release) as ending:
            ending.put("go")
    assert task.get() == {"hostname": worker.name, "redelivered": True}
    worker.cancel_consumer(queue)


def test_a_worker_comes_back_when_the_broker_was_killed(
    own_broker: Callable[..., BrokerProcess], start_worker: StartWorker, tmp_path: Path
) -> None:
    """The queue is durable: the worker finds it as it was, with the task that was sent meanwhile."""
    broker = own_broker(data_dir=tmp_path)
    with application(broker.url) as app:
        app.set_current()
        worker = start_worker(app, "--pool", "solo", "--without-mingle", "--without-gossip")
        assert add.delay(2, 3).get() == 5
        broker.kill()
        own_broker(broker.address[1], data_dir=tmp_path)
        assert add.delay(3, 4).get() == 7
        worker.terminate()
        assert worker.wait() == 0
