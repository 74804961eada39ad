"""Tasks and their results by ``rpc://``, with Celery's defaults.

A result is a message to the queue of the process that sent the task. Chords are not among these tests: Celery refuses
them with this result backend.
"""

import pytest
from celery import chain, group

from interop.celery.tasks import add, fail, flaky, length, progress
from interop.celery.worker_process import Worker


def test_a_task_and_its_result(worker: Worker) -> None:
    assert add.delay(2, 3).get() == 5


def test_an_exception_is_a_result_too(worker: Worker) -> None:
    with pytest.raises(ValueError, match="out of paper"):
        fail.delay("out of paper").get()


def test_results_of_many_tasks(worker: Worker) -> None:
    assert group(add.s(n, n) for n in range(200))().get() == [2 * n for n in range(200)]


def test_a_chain_sends_each_task_with_the_result_of_the_one_before(worker: Worker) -> None:
    assert chain(add.s(1, 2), add.s(3), add.s(4))().get() == 10


def test_a_failed_task_is_sent_again_with_a_countdown(worker: Worker) -> None:
    assert flaky.delay(failures=2, countdown=0.1).get() == 2


def test_states_on_the_way_to_the_result(worker: Worker) -> None:
    seen: list[str] = []
    assert progress.delay(steps=3).get(on_message=lambda meta: seen.append(meta["status"])) == "done"
    assert seen == ["PROGRESS"] * 3 + ["SUCCESS"]


def test_a_task_whose_message_is_larger_than_a_frame(worker: Worker) -> None:
    assert length.delay("x" * 2**20).get() == 2**20


def test_a_task_that_expires_later_than_it_runs(worker: Worker) -> None:
    assert add.apply_async((2, 3), expires=60).get() == 5
