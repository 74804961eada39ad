"""ETA and countdown in classic queues: the worker takes the message at once and keeps it until its time has come.

For as long as it does, it raises the prefetch count of its running consumer by one, with basic.qos. A broker that took
the new count for later consumers only would leave the worker without work until the first ETA.
"""

from datetime import UTC, datetime, timedelta

from interop.celery.tasks import turn
from interop.celery.worker_process import Worker


def wait_until_kept(worker: Worker, tasks: int) -> None:
    """Until the worker keeps so many tasks, and has raised its prefetch count by as much.

    The question is needed: it wakes the worker's event loop, which else may go to sleep, until its next timer at most,
    before it raises the count. It does so with RabbitMQ too.
    """
    while worker.ask("stats")["prefetch_count"] != 1 + tasks:
        pass


def test_waiting_tasks_do_not_keep_later_ones_from_running(narrow_worker: Worker) -> None:
    begin = turn.delay().get() + 1
    waiting = []
    for kept in range(1, 6):
        waiting.append(turn.apply_async(countdown=2))
        wait_until_kept(narrow_worker, kept)

    assert [turn.delay().get() for _ in range(3)] == [begin, begin + 1, begin + 2]
    assert sorted(task.get() for task in waiting) == list(range(begin + 3, begin + 8))
    assert narrow_worker.ask("stats")["prefetch_count"] == 1


def test_tasks_run_in_the_order_of_their_etas(narrow_worker: Worker) -> None:
    begin = turn.delay().get() + 1
    now = datetime.now(UTC)
    late = turn.apply_async(eta=now + timedelta(seconds=1))
    wait_until_kept(narrow_worker, 1)
    early = turn.apply_async(eta=now + timedelta(seconds=0.5))
    assert (early.get(), late.get()) == (begin, begin + 1)
