"""Every message reaches one queue, and all messages of a run have one size."""

from collections import Counter
from typing import Any

import pytest

from amqpd.bench.producer import encode_messages
from amqpd.bench.scenarios import SCENARIOS
from amqpd.bench.topology import Topology
from amqpd.bench.workload import Workload, share
from amqpd.broker import Broker, Mailbox
from amqpd.wire.properties import Properties

TOPOLOGIES: list[dict[str, Any]] = [
    {},
    {"queues": 7},
    {"exchange_type": "fanout", "queues": 3},
    {"exchange_type": "direct", "queues": 3, "routing_keys": 20},
    {"exchange_type": "direct", "routing_keys": 5, "bindings": 50},
    {"exchange_type": "headers", "queues": 2, "routing_keys": 20, "bindings": 6},
    {"exchange_type": "topic", "queues": 3, "routing_keys": 20},
    {"exchange_type": "topic", "queues": 2, "routing_keys": 20, "bindings": 200},
    {"exchange_type": "topic", "queues": 4, "routing_keys": 103, "bindings": 9},
]


@pytest.mark.parametrize("options", TOPOLOGIES, ids=str)
def test_each_message_reaches_as_many_queues_as_it_has_copies(options: dict[str, Any]) -> None:
    """In a broker of ours, which needs no network."""
    topology = Topology(Workload(**options), "bench")
    session = Broker().connect().open_session(Mailbox())
    if topology.exchange:
        session.declare_exchange(topology.exchange, topology.workload.exchange_type)
    for queue in topology.queues():
        session.declare_queue(queue)
    for binding in topology.bindings():
        session.bind(binding.queue, topology.exchange, binding.routing_key, binding.arguments)
    reached: Counter[str] = Counter()
    for k in range(topology.workload.keys):
        properties = Properties(headers=topology.headers(k))
        session.publish(topology.exchange, topology.routing_key(k), b"", properties)
        received = [queue for queue in topology.queues() if session.get(queue, no_ack=True) is not None]
        assert len(received) == topology.workload.copies
        reached.update(received)
    assert set(reached) == set(topology.queues())


def test_a_topic_has_as_many_bindings_as_were_asked_for() -> None:
    bindings = [*Topology(SCENARIOS["topic"], "bench").bindings()]
    assert len({binding.routing_key for binding in bindings}) == 10_000
    assert sum("*" in binding.routing_key for binding in bindings) == 5000
    assert sum("#" in binding.routing_key for binding in bindings) == 2500


@pytest.mark.parametrize(
    "options", [*TOPOLOGIES, {"mixed": True}, {"mixed": True, "exchange_type": "headers"}], ids=str
)
def test_all_messages_have_one_size(options: dict[str, Any]) -> None:
    messages = encode_messages(Topology(Workload(**options), "bench"), 0, 1, 4096)
    assert len({len(message) for message in messages}) == 1


def test_headers_mixed_has_no_message_twice() -> None:
    messages = encode_messages(Topology(SCENARIOS["headers-mixed"], "bench"), 0, 1, 4096)
    assert len(set(messages)) == 10_000


def test_producers_divide_the_messages() -> None:
    topology = Topology(Workload(queues=10, producers=3), "bench")
    parts = [encode_messages(topology, number, 3, 4096) for number in range(3)]
    assert sorted(len(part) for part in parts) == [3, 3, 4]
    assert len({message for part in parts for message in part}) == 10


@pytest.mark.parametrize(
    ("count", "roles", "parts"),
    [(5, 2, [[0, 2, 4], [1, 3]]), (2, 2, [[0], [1]]), (1, 3, [[0], [0], [0]]), (2, 3, [[0], [1], [0]])],
)
def test_share(count: int, roles: int, parts: list[list[int]]) -> None:
    assert [[*share(count, roles, role)] for role in range(roles)] == parts
