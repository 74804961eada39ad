"""The scenarios: workloads with a name.

The names and the figures are the measure that amqpd holds itself to, so a change here makes old results incomparable.
"""

from amqpd.bench.workload import Workload

_ALL = [
    Workload(name="autoack", description="1 producer, 1 queue, 1 consumer; neither confirms nor acks"),
    Workload(
        name="confirm",
        description="publisher confirms (1,000 at most outstanding) and manual acks (prefetch 1,000)",
        confirm=1000,
        ack=True,
    ),
    Workload(
        name="durable",
        description="confirm, with a durable queue and persistent messages",
        confirm=1000,
        ack=True,
        persistent=True,
    ),
    Workload(
        name="fanout",
        description="a fanout exchange: each message to 10 queues with a consumer each",
        exchange_type="fanout",
        queues=10,
        consumers=10,
    ),
    Workload(
        name="topic",
        description="a topic exchange with 10,000 bindings, most of them with * or #; 1,000 different keys",
        exchange_type="topic",
        bindings=10_000,
        routing_keys=1_000,
    ),
    Workload(
        name="headers-mixed",
        description="10,000 different routing keys and sets of properties, no message like the one before",
        exchange_type="topic",
        bindings=8,
        routing_keys=10_000,
        mixed=True,
    ),
    Workload(name="rpc", description="round trips through two queues, 1 in flight", kind="rpc", queues=2),
    Workload(
        name="rpc-50", description="round trips through two queues, 50 in flight", kind="rpc", queues=2, in_flight=50
    ),
    Workload(name="large", description="bodies of 1 MiB", size=1 << 20),
    Workload(
        name="many-queues",
        description="1,000 queues, each message to the next one; 2 connections consume from all",
        queues=1000,
        consumers=2,
    ),
    Workload(
        name="churn",
        description="connect, open a channel, declare an exclusive queue, publish, close; again and again",
        kind="churn",
    ),
    Workload(name="backlog", description="1,000,000 messages into a queue, then out of it", kind="backlog"),
    Workload(
        name="idle",
        description="1,000 connections at rest, with a channel each; what they take shows in a broker just started",
        kind="idle",
        connections=1000,
    ),
]

SCENARIOS = {workload.name: workload for workload in _ALL}
