"""What a workload may be, and what is said of one that may not."""

from typing import Any

import pytest

from amqpd.bench.errors import WrongOption
from amqpd.bench.scenarios import SCENARIOS
from amqpd.bench.sweep import parse_sweep, swept
from amqpd.bench.workload import RANGES, USED, Workload, with_options


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"producers": 0}, "producers"),
        ({"consumers": -1}, "consumers"),
        ({"prefetch": 65_536}, "prefetch"),
        ({"duration": 0.0}, "duration"),
        ({"routing_keys": 5}, "routing_keys"),
        ({"exchange_type": "fanout", "bindings": 5}, "bindings"),
        ({"exchange_type": "topic", "queues": 5, "routing_keys": 4}, "routing_keys"),
        ({"exchange_type": "topic", "queues": 5, "bindings": 4}, "bindings"),
        ({"exchange_type": "direct", "routing_keys": 5, "bindings": 4}, "bindings"),
    ],
)
def test_what_cannot_be_is_refused_by_name(options: dict[str, Any], wrong: str) -> None:
    with pytest.raises(WrongOption) as raised:
        Workload(**options)
    assert raised.value.option == wrong


def test_a_kind_refuses_what_it_does_not_use() -> None:
    with pytest.raises(WrongOption, match="rpc does not use it") as raised:
        with_options([SCENARIOS["rpc"]], size=10, confirm=5)
    assert raised.value.option == "confirm"


def test_options_override_a_scenario() -> None:
    (workload,) = with_options([SCENARIOS["confirm"]], confirm=10, prefetch=7)
    assert (workload.confirm, workload.prefetch, workload.ack) == (10, 7, True)


def test_of_several_workloads_each_takes_the_options_it_uses() -> None:
    backlog, autoack = with_options([SCENARIOS["backlog"], SCENARIOS["autoack"]], duration=2.0, messages=10)
    assert (backlog.messages, autoack.duration) == (10, 2.0)
    assert autoack.messages == SCENARIOS["autoack"].messages


def test_scenarios_are_those_of_the_issue() -> None:
    names = "autoack confirm durable fanout topic headers-mixed rpc large many-queues churn backlog"
    assert set(names.split()) <= set(SCENARIOS)
    assert all(workload.description for workload in SCENARIOS.values())


def test_every_field_that_is_used_is_a_field() -> None:
    fields = set(Workload.__dataclass_fields__)
    assert set().union(*USED.values()) <= fields
    assert set(RANGES) <= fields


def test_a_sweep_is_a_trial_for_each_value() -> None:
    field, values = parse_sweep("routing-keys=1,10,100")
    trials = swept([SCENARIOS["topic"]], field, values)
    assert [(trial.point, trial.workload.routing_keys) for trial in trials] == [(1, 1), (10, 10), (100, 100)]


@pytest.mark.parametrize("text", ["colour=1,2", "queues", "queues=", "queues=1,two", "persistent=1"])
def test_what_is_no_sweep_is_refused(text: str) -> None:
    with pytest.raises(WrongOption):
        parse_sweep(text)
