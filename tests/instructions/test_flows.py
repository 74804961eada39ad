"""Flows do what they are said to do, in each turn the same."""

from itertools import islice

import pytest

from tests.instructions.flows import FLOWS, Flow, Turn
from tests.instructions.server import Server, play


def begun(flow: Flow) -> tuple[Server, list[Turn]]:
    """Three turns of a flow that are still to be played."""
    server = flow.server()
    return server, list(islice(flow.begin(server), 3))


@pytest.mark.parametrize("flow", FLOWS.values(), ids=list(FLOWS))
def test_in_each_turn_as_much_goes_out_as_comes_in(flow: Flow) -> None:
    server, turns = begun(flow)
    before = server.broker.statistics()
    for turn in turns:
        play(turn)
        after = server.broker.statistics()
        assert after.messages_published - before.messages_published == flow.messages
        assert after.messages_delivered - before.messages_delivered == flow.messages * flow.copies
        assert (after.connections, after.channels) == (before.connections, before.channels)
        before = after


@pytest.mark.parametrize("name", ["confirm", "durable"])
def test_all_is_confirmed_and_acknowledged(name: str) -> None:
    server, turns = begun(FLOWS[name])
    for turn in turns:
        play(turn)
    statistics = server.broker.statistics()
    assert statistics.messages_confirmed == statistics.messages_acked == statistics.messages_published > 0


def test_the_consumer_that_acknowledges_singly_has_its_prefetch_unacked_and_more_waiting() -> None:
    server, turns = begun(FLOWS["single-acks"])
    for turn in turns:
        play(turn)
        (queue,) = server.broker.statistics().queues
        assert queue.unacked == 10
        assert queue.ready == 54


def test_durable_messages_are_handed_to_the_store() -> None:
    server, turns = begun(FLOWS["durable"])
    for turn in turns:
        before = server.broker.store.durable
        play(turn)
        assert server.broker.store.durable > before
