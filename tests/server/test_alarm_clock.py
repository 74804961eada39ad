"""The broker's timers in an event loop: what is due is done, and nothing runs while nothing is."""

import asyncio

import anyio
import pytest

from amqpd.broker.agenda import Agenda, Work
from amqpd.broker.timers import Timer, Timers
from amqpd.server.alarm_clock import AlarmClock, steady_clock
from tests.server.support import until

pytestmark = pytest.mark.anyio


class Note(Work):
    """Work that notes when it was done, as the clock had it."""

    def __init__(self, timers: Timers) -> None:
        super().__init__()
        self.timers = timers
        self.at: list[int] = []

    def perform(self) -> None:
        self.at.append(self.timers.now())


class Bench:
    """Timers with their alarm clock, and how often the loop was asked for a call."""

    def __init__(self) -> None:
        self.timers = Timers(steady_clock(), Agenda())
        self.sent = 0
        self.looked = 0
        self.clock = AlarmClock(self.timers, self.look, self.send)

    def look(self) -> None:
        self.looked += 1

    def send(self) -> None:
        self.sent += 1

    def note(self, after_ms: int) -> tuple[Timer, Note]:
        note = Note(self.timers)
        timer = Timer(self.timers, note)
        timer.set(self.timers.now() + after_ms)
        return timer, note


@pytest.fixture
async def bench() -> Bench:
    return Bench()


class Loop:
    """An event loop in which no time passes: it notes the delays after which it is asked for calls."""

    def __init__(self) -> None:
        self.delays: list[float] = []

    def call_later(self, delay: float, _: object) -> "Loop":
        self.delays.append(delay)
        return self

    def cancel(self) -> None:
        pass


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    loop = Loop()
    monkeypatch.setattr("asyncio.get_running_loop", lambda: loop)
    return loop


async def test_what_is_due_is_done_and_sent(bench: Bench) -> None:
    start = bench.timers.now()
    _, late = bench.note(30)
    _, soon = bench.note(10)
    await until(lambda: bool(late.at))
    assert start + 10 <= soon.at[0] < start + 30 <= late.at[0]
    assert bench.sent == bench.looked >= 2


async def test_what_is_overdue_is_done_at_once(bench: Bench) -> None:
    _, note = bench.note(-1000)
    assert note.at == []  # but not in the middle of what goes on
    await until(lambda: bool(note.at))


async def test_what_was_there_before_the_clock_is_done_too() -> None:
    timers = Timers(steady_clock(), Agenda())
    note = Note(timers)
    Timer(timers, note).set(timers.now() + 1)
    AlarmClock(timers, look=lambda: None, go_on=lambda: None)
    await until(lambda: bool(note.at))


async def test_it_goes_on_after_a_failure(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    monkeypatch.setattr(Note, "perform", lambda self: 1 / 0)
    bench.note(1)
    await until(lambda: bool(failures))
    monkeypatch.undo()
    _, note = bench.note(1)
    await until(lambda: bool(note.at))
    assert [type(failure["exception"]) for failure in failures] == [ZeroDivisionError]


async def test_a_clock_that_was_stopped_is_silent(bench: Bench) -> None:
    _, note = bench.note(5)
    bench.clock.stop()
    bench.note(1)
    await anyio.sleep(0.02)
    assert note.at == []
    assert bench.sent == 0


def test_however_many_timers_there_are_it_is_one_call(loop: Loop) -> None:
    timers = Timers(lambda: 0, Agenda())
    AlarmClock(timers, look=lambda: None, go_on=lambda: None)
    assert loop.delays == []
    for number in range(10_000):
        Timer(timers, Note(timers)).set(1000 + number)
    assert loop.delays == [1.0]
    Timer(timers, Note(timers)).set(500)
    assert loop.delays == [1.0, 0.5]


def test_the_loop_is_never_asked_for_a_call_in_years(loop: Loop) -> None:
    timers = Timers(lambda: 0, Agenda())
    AlarmClock(timers, look=lambda: None, go_on=lambda: None)
    Timer(timers, Note(timers)).set(315_360_000_000)
    assert loop.delays == [86_400]


def test_the_clock_passes_and_does_not_jump(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_123_456_789)
    monkeypatch.setattr("time.monotonic_ns", lambda: 5_000_000)
    clock = steady_clock()
    assert clock() == 1_700_000_000_123
    monkeypatch.setattr("time.time_ns", lambda: 0)  # somebody has set the system's clock
    monkeypatch.setattr("time.monotonic_ns", lambda: 7_000_000)
    assert clock() == 1_700_000_000_125
