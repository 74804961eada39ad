"""Tables and JSON."""

import json
from dataclasses import replace

import pytest

from amqpd.bench.report import Report, as_json, notices, show
from amqpd.bench.results import FIGURES
from amqpd.bench.scenarios import SCENARIOS
from amqpd.bench.trials import Trial
from tests.bench.support import OURS, THEIRS, compared, result, trial


def text_of(report: Report, *trials: Trial) -> list[str]:
    """The words of each line."""
    lines = [*report.begin()]
    for each in trials:
        lines += report.rows(each)
    return [" ".join(line.split()) for line in [*lines, *report.end()]]


def test_a_row_for_each_scenario_under_one_head() -> None:
    first = trial([result(published=1234567.0, consumed=1000.0)])
    second = trial([result(scenario="confirm", published=1.0, consumed=2.0)])
    assert text_of(Report([OURS]), first, second) == [
        "amqpd 1.0 at 127.0.0.1:5672",
        "",
        "scenario published/s consumed/s",
        "autoack 1,234,567 1,000",
        "confirm 1 2",
    ]


def test_other_figures_have_a_head_of_their_own() -> None:
    lines = text_of(Report([OURS]), trial([result(consumed=1.0)]), trial([result(scenario="rpc", round_trips=5.0)]))
    assert lines[4:] == ["", "scenario round trips/s", "rpc 5"]


def test_columns_stand_under_their_heads() -> None:
    row = trial([result(published=1.0, **{"latency_p99.9": 0.5})])
    _, head, line = Report([OURS]).rows(row)
    assert len(head) == len(line)


def test_a_sweep_shows_its_points() -> None:
    lines = text_of(Report([OURS], "queues"), trial([result(consumed=1.0)], point=10_000))
    assert lines[2:] == ["queues consumed/s", "autoack 10,000 1"]


def test_a_comparison_has_a_row_for_each_figure() -> None:
    assert text_of(Report([OURS, THEIRS]), compared())[:5] == [
        "amqpd 1.0 at 127.0.0.1:5672 compared with RabbitMQ 3.10.8 at 127.0.0.1:5673/other",
        "",
        "amqpd RabbitMQ ratio: min median max",
        "autoack consumed/s 400 100 3.00 4.00 5.00",
        "autoack latency p50 10 ms 20 ms 0.50 0.50 0.50",
    ]


def test_latency_under_full_load_is_called_that() -> None:
    full = trial([result(consumed=1.0, latency_p50=0.1)])
    assert "under full load" in text_of(Report([OURS]), full)[-1]
    steady = replace(full, workload=replace(full.workload, rate=10.0))
    assert not any("under full load" in line for line in text_of(Report([OURS]), steady))


def test_a_role_that_was_the_bottleneck_is_named() -> None:
    rounds = [replace(result(), roles={"producer 1": share, "consumer": 0.9}) for share in (0.95, 0.97, 0.5)]
    assert [*notices(trial(rounds))] == ["  producer 1 used 97% of a core: the broker may be faster than shown"]


@pytest.mark.parametrize("scenario", ["rpc", "churn"])
def test_a_part_of_a_latency_that_is_not_the_brokers_is_told(scenario: str) -> None:
    spent, little = (replace(result(scenario=scenario), roles={"client": share}) for share in (0.31, 0.2))
    assert [*notices(trial([spent]))] == ["  31% of each latency is the CPU time of the load generator's client"]
    assert [*notices(trial([little]))] == []
    several_in_flight = replace(spent, workload=SCENARIOS["rpc-50"])
    assert [*notices(trial([several_in_flight]))] == []


def test_confirmed_messages_that_did_not_come_are_told() -> None:
    lost = replace(result(scenario="confirm"), published=1010, consumed=10)
    assert [*notices(trial([lost]))] == ["  amqpd 1.0: 1,000 confirmed messages had not been delivered in the end"]
    assert [*notices(trial([replace(result(), published=1010, consumed=10)]))] == []  # nothing was confirmed


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("consumed", 1234.5, "1,234"),
        ("latency_p50", 0.000_065_4, "65.4 us"),
        ("latency_p50", 0.012_345, "12.3 ms"),
        ("latency_p50", 1.5, "1.5 s"),
        ("latency_p50", 1500.0, "1,500 s"),
        ("cpu", 0.000_001_234, "1.23 us"),
        ("memory", 350.0, "350 B"),
        ("memory", 104 * 1024.0, "104 KiB"),
        ("memory", 1750.0 * (1 << 20), "1,750 MiB"),
        ("bodies", 1_234_567_890.0, "1,235"),
    ],
)
def test_units(name: str, value: float, text: str) -> None:
    assert show(FIGURES[name], value) == text


def test_json_has_all_and_no_password() -> None:
    found = as_json([OURS, THEIRS], [compared()])
    text = json.dumps(found)
    assert "secret" not in text
    assert found["brokers"][0] == {"product": "amqpd", "version": "1.0", "address": "127.0.0.1:5672"}
    (only,) = found["trials"]
    assert only["workload"]["name"] == "autoack"
    assert only["ratios"]["consumed"] == {"min": 3.0, "median": 4.0, "max": 5.0}
    assert [each["median"]["consumed"] for each in only["brokers"]] == [400.0, 100.0]
    assert only["brokers"][0]["rounds"][2] == {
        "figures": {"consumed": 500.0, "latency_p50": 0.01},
        "published": 10,
        "consumed": 10,
        "roles": {},
        "busy": [],
    }
