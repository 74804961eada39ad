"""Timers: what is done when, and that nothing is done for nothing."""

from amqpd.broker.agenda import Agenda, Work
from amqpd.broker.timers import NEVER, Timer, Timers


class Bell(Work):
    def __init__(self) -> None:
        super().__init__()
        self.rings = 0

    def perform(self) -> None:
        self.rings += 1


class Watchmaker:
    """Timers on a clock that stands until it is moved."""

    def __init__(self) -> None:
        self.ms = 1000
        self.timers = Timers(lambda: self.ms, Agenda())
        self.wakes: list[int] = []
        self.timers.wake = lambda: self.wakes.append(self.timers.due)

    def bell(self) -> tuple[Bell, Timer]:
        bell = Bell()
        return bell, Timer(self.timers, bell)

    def go_to(self, ms: int) -> None:
        self.ms = ms
        self.timers.run()


def test_work_is_done_when_its_moment_has_come_and_once() -> None:
    maker = Watchmaker()
    bell, timer = maker.bell()
    timer.set(1500)
    maker.go_to(1499)
    assert bell.rings == 0
    maker.go_to(1500)
    maker.go_to(9999)
    assert bell.rings == 1


def test_what_was_due_already_is_done_when_timers_are_next_looked_at() -> None:
    maker = Watchmaker()
    bell, timer = maker.bell()
    timer.set(1)
    assert bell.rings == 0
    maker.go_to(1000)
    assert bell.rings == 1


def test_setting_again_replaces_whether_earlier_or_later() -> None:
    maker = Watchmaker()
    bell, timer = maker.bell()
    timer.set(2000)
    timer.set(3000)
    maker.go_to(2500)
    assert bell.rings == 0
    timer.set(2600)
    maker.go_to(2600)
    assert bell.rings == 1
    maker.go_to(9999)
    assert bell.rings == 1


def test_a_cancelled_timer_does_nothing_and_can_be_set_again() -> None:
    maker = Watchmaker()
    bell, timer = maker.bell()
    timer.set(2000)
    timer.cancel()
    maker.go_to(2000)
    assert bell.rings == 0
    timer.set(3000)
    maker.go_to(3000)
    assert bell.rings == 1


def test_who_sleeps_is_woken_for_an_earlier_moment_only() -> None:
    maker = Watchmaker()
    (_, one), (_, two), (_, three) = maker.bell(), maker.bell(), maker.bell()
    assert maker.timers.due == NEVER
    one.set(5000)
    two.set(6000)
    three.set(4000)
    assert maker.wakes == [5000, 4000]
    assert maker.timers.due == 4000


def test_putting_a_timer_off_again_and_again_costs_nothing() -> None:
    maker = Watchmaker()
    bell, timer = maker.bell()
    for moment in range(2000, 3000):
        timer.set(moment)
    assert len(maker.wakes) == 1
    maker.go_to(2998)
    assert bell.rings == 0
    maker.go_to(2999)
    assert bell.rings == 1
    assert maker.timers.due == NEVER
