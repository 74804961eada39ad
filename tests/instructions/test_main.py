"""What is said of the counts, and when it fails."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.instructions import __main__ as command
from tests.instructions import baseline
from tests.instructions.baseline import Costs
from tests.instructions.flows import FLOWS

BEFORE = dict.fromkeys(FLOWS, 100.0)


class Bench:
    """``now``: what any count will give. ``unlucky``: the layouts of memory in which it gives a tenth more."""

    def __init__(self) -> None:
        self.now: dict[str, float] = dict(BEFORE)
        self.unlucky: set[int] = set()
        self.counted: list[str] = []
        self.again: list[list[str]] = []

    def measure(self, count: str, flows: list[str], layout: int = 0) -> Costs:
        if layout:
            self.again.append(flows)
        else:
            self.counted.append(count)
        return {flow: self.now[flow] * (1.1 if layout in self.unlucky else 1) for flow in flows}

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(command.main, arguments)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A pure build with valgrind and an empty baseline."""
    bench = Bench()
    monkeypatch.setattr(baseline, "BASELINE", tmp_path / "baseline.json")
    monkeypatch.setattr(command, "COMPILED", False)
    monkeypatch.setattr(command, "VALGRIND", "valgrind")
    monkeypatch.setattr(command, "measure", bench.measure)
    return bench


def test_what_costs_the_same_passes(bench: Bench) -> None:
    assert bench.run("--write").exit_code == 0
    bench.counted.clear()
    assert bench.run().exit_code == 0
    assert bench.counted == ["instructions"]


def test_a_flow_that_costs_more_fails_and_is_named(bench: Bench) -> None:
    bench.run("--write")
    bench.now["mixed"] = 105.1
    result = bench.run()
    assert result.exit_code == 1
    assert "FAILED: worse by more than 5 %: mixed." in result.output


def test_a_flow_that_costs_more_is_counted_in_all_layouts_of_memory(bench: Bench) -> None:
    bench.run("--write")
    bench.now["mixed"] = 105.1
    bench.run()
    assert bench.again == [["mixed"]] * (command.LAYOUTS - 1)


def test_what_costs_more_in_some_layouts_only_passes(bench: Bench) -> None:
    bench.run("--write")
    bench.unlucky = {0, 1}
    result = bench.run("--flow", "mixed", "--flow", "topic")
    assert result.exit_code == 0
    assert "Counting again, with memory laid out differently: mixed, topic." in result.output
    assert bench.again == [["mixed", "topic"]] * 2


def test_a_flow_that_costs_less_passes_and_asks_for_a_new_baseline(bench: Bench) -> None:
    bench.run("--write")
    bench.now["topic"] = 90
    result = bench.run()
    assert result.exit_code == 0
    assert "Better by more than 5 %: topic. Run make bench-baseline" in result.output


def test_another_interpreter_is_compared_by_bytecodes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.run("--write")
    bench.counted.clear()
    monkeypatch.setattr("platform.python_compiler", lambda: "GCC 99")
    bench.now["mixed"] = 110
    assert bench.run().exit_code == 1
    assert bench.counted == ["bytecodes"]


def test_without_valgrind_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.run("--write")
    bench.counted.clear()
    monkeypatch.setattr(command, "VALGRIND", None)
    result = bench.run()
    assert result.exit_code == 0
    assert "There is no valgrind" in result.output
    assert bench.counted == ["bytecodes"]


def test_without_any_baseline_it_fails(bench: Bench) -> None:
    result = bench.run()
    assert result.exit_code == 1
    assert "FAILED: nothing to compare with." in result.output


def test_the_compiled_build_passes_without_a_baseline_and_says_so(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "COMPILED", True)
    result = bench.run()
    assert result.exit_code == 0
    assert "NOT COMPARED" in result.output
    assert bench.counted == ["instructions"]


def test_the_compiled_build_fails_without_valgrind(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "COMPILED", True)
    bench.run("--write")
    monkeypatch.setattr(command, "VALGRIND", None)
    assert bench.run().exit_code == 1
    assert bench.counted == ["instructions"]


def test_a_count_by_name_is_told_and_nothing_is_judged(bench: Bench) -> None:
    result = bench.run("--flow", "mixed", "--count", "nanoseconds")
    assert result.exit_code == 0
    assert bench.counted == ["nanoseconds"]
    assert "mixed" in result.output
    assert "autoack" not in result.output
