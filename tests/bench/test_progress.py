"""The line that shows where a run is."""

import io

import pytest

from amqpd.bench import progress
from amqpd.bench.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class FakeCrew:
    label = "measuring"
    seconds_left = 3.2

    def __init__(self) -> None:
        self.counted = {"producer": 0, "consumer": 0}

    def counts(self) -> dict[str, int]:
        return dict(self.counted)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def show(stream: io.StringIO, clock: list[float], seconds: float) -> str:
    """What a producer of 1,000 messages and a consumer of none in so many seconds makes of the line."""
    crew, shown = FakeCrew(), Progress(stream)
    shown.title = "autoack"
    shown(crew)  # type: ignore[arg-type]
    stream.truncate(0)
    stream.seek(0)
    crew.counted["producer"] += 1000
    clock[0] += seconds
    shown(crew)  # type: ignore[arg-type]
    return stream.getvalue()


def test_a_terminal_gets_a_line_that_is_rewritten(clock: list[float]) -> None:
    assert show(Terminal(), clock, 2.0) == "\rautoack: measuring, 3 s left, producer 500/s\x1b[K"


def test_once_a_second(clock: list[float]) -> None:
    assert show(Terminal(), clock, 0.5) == ""


def test_a_pipe_gets_nothing(clock: list[float]) -> None:
    assert show(io.StringIO(), clock, 2.0) == ""


def test_the_line_makes_room() -> None:
    terminal = Terminal()
    Progress(terminal).clear()
    assert terminal.getvalue() == "\r\x1b[K"
