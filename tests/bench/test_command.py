"""The command as a user types it, as far as no broker is needed."""

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from amqpd.bench.scenarios import SCENARIOS
from amqpd.cli import main


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["bench", *arguments], prog_name="amqpd")


@pytest.fixture
def nobody() -> str:
    """The URL of a port where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"amqp://127.0.0.1:{unused.getsockname()[1]}"


@pytest.mark.parametrize("arguments", [["--list"], ["--help"]])
def test_each_scenario_is_explained(arguments: list[str]) -> None:
    text = " ".join(run(*arguments).output.split())
    for workload in SCENARIOS.values():
        assert f"{workload.name} {workload.description}" in text


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--url", "http://127.0.0.1"], "'--url': 'http://127.0.0.1' does not begin with amqp://"),
        (["--url", "amqp://127.0.0.1:port"], "--url"),
        (["--pid", "one"], "'--pid': 'one' is not process ids with commas"),
        (["--producers", "0"], "'--producers': 0 is not from 1 to 100"),
        (["rpc", "--confirm", "5"], "'--confirm': rpc does not use it"),
        (["--exchange-type", "topic", "--queues", "5", "--bindings", "2"], "'--bindings': 2 bindings do not reach 5"),
        (["--sweep", "queues=1,10", "--queues", "5"], "'--queues': is swept"),
        (["--compare-pid", "1"], "--compare-pid is of the broker at --compare"),
        (["--sweep", "colour=1"], "'--sweep': 'colour' is not one of"),
        (["--plot", "result.gif"], "'--plot': 'result.gif' does not end with .png or .svg"),
        (["--rounds", "0"], "--rounds"),
        (["autobahn"], "autobahn"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(arguments: list[str], complaint: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert result.stdout == ""


def test_no_broker_is_one_line(nobody: str) -> None:
    result = run("--url", nobody)
    assert result.exit_code == 1
    address = nobody.removeprefix("amqp://")
    assert result.stderr == f"Error: cannot connect to {address}: Connection refused\n"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are seen in /proc")
def test_a_process_that_is_not_there_is_one_line(nobody: str) -> None:
    result = run("--url", nobody, "--pid", "999999999")
    assert result.stderr == "Error: process 999999999: No such file or directory\n"


def test_without_proc_the_brokers_costs_are_left_out(nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amqpd.bench.process.can_see", lambda: False)
    result = run("--url", nobody, "--pid", "999999999")
    assert "CPU and memory of the broker are left out" in result.stderr
    assert "cannot connect" in result.stderr
