"""``amqpd bench`` as a user runs it: every scenario, a comparison, and what it says when something is wrong."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interop.broker_process import BrokerProcess

SCENARIOS = [
    *("autoack", "confirm", "durable", "fanout", "topic", "headers-mixed", "rpc", "rpc-50"),
    *("large", "many-queues", "churn", "backlog", "idle"),
]
SHORT = ["--duration", "0.3", "--warm-up", "0.1"]
TIMEOUT_S = 120.0
CONNECTIONS = 4  # of a run: who is there, the declarations, a producer, a consumer


def command(url: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "amqpd", "bench", "--url", url, *arguments]


def bench(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(url, *arguments), capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def found(url: str, *arguments: str) -> dict[str, Any]:
    """What it prints as JSON, after a run that went well."""
    done = bench(url, *arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert isinstance(result, dict)
    return result


@pytest.fixture(scope="module")
def everything(url: str) -> dict[str, dict[str, Any]]:
    """Each scenario's only round, run one after the other by one command."""
    trials = found(url, "all", *SHORT, "--messages", "5000")["trials"]
    return {trial["workload"]["name"]: trial["brokers"][0]["rounds"][0] for trial in trials}


@pytest.mark.timeout(150)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_finds_something(everything: dict[str, dict[str, Any]], scenario: str) -> None:
    figures = everything[scenario]["figures"]
    assert figures
    assert all(value > 0 for name, value in figures.items() if name != "published")  # which may stall for so short


@pytest.mark.parametrize("scenario", ["confirm", "durable"])
def test_what_was_confirmed_was_consumed(everything: dict[str, dict[str, Any]], scenario: str) -> None:
    assert everything[scenario]["consumed"] == everything[scenario]["published"] > 0


def test_a_backlog_comes_out_whole(everything: dict[str, dict[str, Any]]) -> None:
    assert everything["backlog"]["consumed"] == everything["backlog"]["published"] == 5000


@pytest.mark.parametrize(
    ("options", "copies"),
    [
        (["--exchange-type", "fanout", "--queues", "3", "--consumers", "6"], 3),
        (["--exchange-type", "direct", "--queues", "2", "--routing-keys", "10", "--producers", "2"], 1),
        (["--exchange-type", "headers", "--queues", "2", "--routing-keys", "10", "--mixed"], 1),
        (["--ack", "--ack-every", "1", "--prefetch", "10"], 1),
        (["--size", "0"], 1),
        (["--size", "300000", "--connections", "5"], 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_all_that_was_published_is_consumed(url: str, options: list[str], copies: int) -> None:
    """At a rate, so that nothing is left over in the end, and the rate is kept."""
    (trial,) = found(url, *SHORT, "--rate", "1000", "--confirm", "100", *options)["trials"]
    (broker,) = trial["brokers"]
    (only,) = broker["rounds"]
    assert only["consumed"] == only["published"] * copies
    assert 0 < only["published"] <= 1000


def test_a_comparison_of_a_broker_with_itself(url: str, tmp_path: Path) -> None:
    plot = tmp_path / "result.svg"
    options = ["--compare", url, "--rounds", "2", "--plot", str(plot)]
    result = found(url, "autoack", "rpc", *SHORT, *options)
    assert result["brokers"][0] == result["brokers"][1]
    autoack, rpc = (trial["ratios"] for trial in result["trials"])
    for ratio in (autoack["consumed"], rpc["round_trips"], rpc["latency_p99"]):
        assert 0 < ratio["min"] <= ratio["median"] <= ratio["max"]
    assert plot.read_text().startswith("<?xml")


def test_a_sweep_as_a_table(url: str) -> None:
    done = bench(url, *SHORT, "--sweep", "queues=1,10")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[:2] for line in lines[3:5]] == [["custom", "1"], ["custom", "10"]]


def test_a_wrong_login_is_one_line_with_the_brokers_reason(url: str) -> None:
    done = bench(url.replace("guest:guest", "guest:wrong"))
    assert done.returncode == 1
    assert done.stderr.startswith("Error: the broker closed the connection: 403 ACCESS_REFUSED - Login was refused")
    assert done.stderr.count("\n") == 1


def started(broker: BrokerProcess, *arguments: str) -> subprocess.Popen[str]:
    """A long run that has begun: both its roles have connected, so there is a queue."""
    run = subprocess.Popen(
        command(broker.url, *arguments, "--duration", "100"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + TIMEOUT_S
    while sum("connection_accepted" in line for line in broker.log) < CONNECTIONS:
        assert time.monotonic() < end, "\n".join(broker.log)
        time.sleep(0.01)
    return run


def test_a_broker_that_goes_away_is_one_line(own_broker: Callable[..., BrokerProcess]) -> None:
    broker = own_broker(0, "--log-level", "debug")
    run = started(broker)
    broker.kill()
    _, stderr = run.communicate(timeout=TIMEOUT_S)
    assert run.returncode == 1
    assert stderr.startswith("Error: ")
    assert stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing_behind(
    own_broker: Callable[..., BrokerProcess], tmp_path: Path, number: signal.Signals
) -> None:
    broker = own_broker(0, "--log-level", "debug", data_dir=tmp_path / "data")
    run = started(broker, "durable")
    run.send_signal(number)
    _, stderr = run.communicate(timeout=TIMEOUT_S)
    assert run.returncode != 0
    assert "Traceback" not in stderr
    assert broker.stop() == 0
    kept = subprocess.run(
        [sys.executable, "-m", "amqpd", "definitions", "export", "--data-dir", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    assert json.loads(kept.stdout)["queues"] == []
