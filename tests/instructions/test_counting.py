"""Counts are exact, and messages that went astray are not counted."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.instructions.counting import count_bytecodes, measure, read_total
from tests.instructions.flows import FLOWS, Turn, autoack, publish
from tests.instructions.server import Server

PROFILE = """\
# callgrind format
events: Ir
summary: 41152520

fn=(1) main
1 41152520

totals: 41152520
"""


def test_the_total_of_a_profile_of_callgrind() -> None:
    assert read_total(PROFILE) == 41_152_520


def test_bytecodes_are_counted_to_the_last() -> None:
    def loop(rounds: int) -> None:
        for _ in range(rounds):
            pass

    ten, twenty, forty = (count_bytecodes(lambda rounds=rounds: loop(rounds)) for rounds in (10, 20, 40))
    assert ten < twenty
    assert forty - twenty == 2 * (twenty - ten)


def test_a_flow_costs_the_same_each_time() -> None:
    flow = replace(FLOWS["single-acks"], turns=2)
    assert measure(flow, "bytecodes") == measure(flow, "bytecodes")


def test_messages_that_do_not_arrive_are_an_error() -> None:
    def astray(server: Server) -> Iterator[Turn]:
        autoack(server)
        publisher = server.connect()
        while True:
            yield [(publisher, publish("", "nowhere"))]

    with pytest.raises(RuntimeError, match="0 deliveries of 3 messages"):
        measure(replace(FLOWS["autoack"], begin=astray, messages=1, turns=3), "bytecodes")
