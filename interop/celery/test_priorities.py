"""Tasks that wait in a queue: by priority, with ``task_queue_max_priority``, and no longer than ``expires`` says."""

from kombu import Connection

from interop.celery.tasks import turn
from interop.celery.worker_process import Worker


def test_waiting_tasks_run_by_priority_and_equal_ones_in_the_order_they_were_sent(
    narrow_worker: Worker, connection: Connection
) -> None:
    queue = narrow_worker.app.conf.task_default_queue
    begin = turn.delay().get() + 1
    narrow_worker.cancel_consumer(queue)
    producer = connection.Producer()  # confirmed: the tasks are in the queue before it is consumed from
    sent = [turn.apply_async(priority=priority, producer=producer) for priority in (0, 5, 9, 5, 10)]
    sent.append(turn.apply_async(producer=producer))  # has no priority, which is 0
    assert narrow_worker.tell("add_consumer", queue) == {"ok": f"add consumer {queue}"}

    assert [task.get() - begin for task in sent] == [4, 2, 1, 3, 0, 5]


def test_a_task_that_expired_leaves_the_queue(narrow_worker: Worker, connection: Connection) -> None:
    """Celery gives the message its ``expiration``; with 0 it is dropped, unless a consumer takes it at once."""
    queue = narrow_worker.app.conf.task_default_queue
    begin = turn.delay().get() + 1
    narrow_worker.cancel_consumer(queue)
    producer = connection.Producer()
    turn.apply_async(expires=0, producer=producer)
    later = turn.apply_async(expires=60, producer=producer)
    assert connection.default_channel.queue_declare(queue, passive=True).message_count == 1
    narrow_worker.tell("add_consumer", queue)
    assert later.get() == begin
