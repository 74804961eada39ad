"""Waiting awake, with an event loop and a clock that stand still."""

from collections.abc import Callable

import pytest

from amqpd.server.busy_poll import SKIPPED_MAX, BusyPoll

WINDOW_US = 100


class Loop:
    """One that turns when told to. ``now`` is in microseconds."""

    def __init__(self) -> None:
        self.now = 0
        self.soon: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def turn(self, microseconds: int) -> None:
        """So much later, it does what there is to do."""
        self.now += microseconds
        called, self.soon = self.soon, []
        for callback in called:
            callback()

    @property
    def awake(self) -> bool:
        """Whether it would poll, and not sleep."""
        return bool(self.soon)


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    loop = Loop()
    monkeypatch.setattr("asyncio.get_running_loop", lambda: loop)
    monkeypatch.setattr("time.perf_counter", lambda: loop.now / 1_000_000)
    return loop


def wait_in_vain(loop: Loop) -> None:
    while loop.awake:
        loop.turn(10)


def reads_until_awake(loop: Loop, busy_poll: BusyPoll) -> int:
    """How many reads are not waited after."""
    for count in range(2 * SKIPPED_MAX):
        busy_poll.heard()
        if loop.awake:
            return count
    raise AssertionError("it never waits again")


def test_after_a_read_the_loop_stays_awake_for_the_window(loop: Loop) -> None:
    BusyPoll(WINDOW_US).heard()
    for _ in range(10):
        assert loop.awake
        loop.turn(WINDOW_US // 10)
    assert not loop.awake


def test_what_comes_meanwhile_makes_it_wait_on(loop: Loop) -> None:
    busy_poll = BusyPoll(WINDOW_US)
    busy_poll.heard()
    for _ in range(50):
        loop.turn(60)
        assert loop.awake
        busy_poll.heard()
    assert len(loop.soon) == 1, "it waits once, however much comes"


def test_what_was_in_vain_is_done_less_and_less(loop: Loop) -> None:
    busy_poll = BusyPoll(WINDOW_US)
    skipped = []
    for _ in range(11):
        skipped.append(reads_until_awake(loop, busy_poll))
        wait_in_vain(loop)
    assert skipped == [0, 1, 3, 7, 15, 31, 63, 127, 255, 255, 255]


def test_once_it_has_paid_it_is_done_again(loop: Loop) -> None:
    busy_poll = BusyPoll(WINDOW_US)
    for _ in range(5):
        reads_until_awake(loop, busy_poll)
        wait_in_vain(loop)
    reads_until_awake(loop, busy_poll)
    loop.turn(10)
    busy_poll.heard()
    wait_in_vain(loop)
    assert reads_until_awake(loop, busy_poll) == 0


def test_without_a_window_it_sleeps_at_once(loop: Loop) -> None:
    busy_poll = BusyPoll(0)
    for _ in range(3):
        busy_poll.heard()
        assert not loop.awake
