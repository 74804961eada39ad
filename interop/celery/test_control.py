"""Remote control: questions and commands go through a fanout exchange, ``celery.pidbox``, to a queue of each worker.

The answers come to an exclusive queue of the asker's. These queues have ``x-expires`` and ``x-message-ttl``.
"""

from collections.abc import Callable

from interop.celery.tasks import add, hold
from interop.celery.worker_process import Worker

Unique = Callable[[str], str]


def test_ping_and_the_tasks_that_are_registered(worker: Worker) -> None:
    assert worker.ask("ping") == {"ok": "pong"}
    assert {"add", "hold"} <= set(worker.ask("registered"))


def test_stats_tell_which_broker_the_worker_uses(worker: Worker) -> None:
    stats = worker.ask("stats")
    assert stats["broker"]["transport"] == "amqp"
    assert worker.app.connection_for_read().port == stats["broker"]["port"]
    assert stats["prefetch_count"] == 8


def test_a_running_task_is_active(worker: Worker, unique: Unique) -> None:
    started, release = unique("started"), unique("release")
    task = hold.delay(started, release)
    with worker.app.connection_for_write() as connection:
        connection.SimpleQueue(started).get().ack()
        assert [active["id"] for active in worker.ask("active")] == [task.id]
        connection.SimpleQueue(release).put("go")
    assert task.get() == {"hostname": worker.name, "redelivered": False}


def test_more_processes_prefetch_more(worker: Worker) -> None:
    """pool_grow changes the prefetch count of the running consumer, and pool_shrink changes it back."""
    assert worker.tell("pool_grow", 1) == {"ok": "pool will grow"}
    assert worker.ask("stats")["prefetch_count"] == 12
    assert worker.tell("pool_shrink", 1) == {"ok": "pool will shrink"}
    assert worker.ask("stats")["prefetch_count"] == 8
    assert add.delay(2, 3).get() == 5


def test_a_rate_limit(worker: Worker) -> None:
    assert worker.tell("rate_limit", "add", "100/s") == {"ok": "new rate limit set successfully"}
    assert [add.delay(n, n).get() for n in range(3)] == [0, 2, 4]
    assert worker.tell("rate_limit", "add", "0") == {"ok": "new rate limit set successfully"}


def test_a_worker_can_consume_from_one_more_queue(worker: Worker, unique: Unique) -> None:
    """add_consumer declares a queue, and an exchange of the same name, as ``apply_async(queue=...)`` does."""
    queue = unique("another")
    waiting = add.apply_async((2, 3), queue=queue)
    assert worker.tell("add_consumer", queue) == {"ok": f"add consumer {queue}"}
    assert waiting.get() == 5
    assert queue in worker.queues()
    worker.cancel_consumer(queue)
    assert queue not in worker.queues()
