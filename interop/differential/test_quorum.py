"""Queues of type quorum: what they refuse, and how they count deliveries.

amqpd has one kind of queue. x-queue-type quorum gives a durable one that counts deliveries and has a limit of them.
"""

from typing import Any

from interop.differential.broker import Broker
from interop.differential.client import Client
from interop.differential.compare import differential, differs
from interop.differential.words import arguments

QUORUM = {"x-queue-type": "quorum"}


def declare(client: Client, queue: str, **others: Any) -> None:
    client.declare(queue, {**QUORUM, **arguments(**others)}, durable=True)


@differential()
def test_flags(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, QUORUM)
    client.declare(q, QUORUM, durable=True, exclusive=True)
    client.declare(q, QUORUM, durable=True, auto_delete=True)
    client.declare(q, QUORUM, exclusive=True)
    client.declare("", QUORUM, durable=True)
    client.declare(q, QUORUM, durable=True)
    client.declare(q, QUORUM, durable=True)
    client.declare(q, durable=True)
    client.declare(q, {"x-queue-type": "classic"}, durable=True)


@differential()
def test_arguments_that_are_refused(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    for argument, value in {
        "x-max-priority": 5,
        "x-queue-mode": "lazy",
        "x-queue-version": 2,
        "x-queue-master-locator": "min-masters",
        "x-max-age": "1h",
        "x-stream-max-segment-size-bytes": 1000,
        "x-overflow": "reject-publish-dlx",
    }.items():
        client.declare(q, {**QUORUM, argument: value}, durable=True)
        broker.forget(q)


@differential()
def test_arguments_that_are_taken(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    for taken in (
        {"x-message-ttl": 60000},
        {"x-expires": 60000},
        {"x-max-length": 5},
        {"x-max-length-bytes": 5},
        {"x-overflow": "reject-publish"},
        {"x-overflow": "drop-head"},
        {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "key"},
        {"x-dead-letter-strategy": "at-most-once"},
        {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish", "x-dead-letter-exchange": ""},
        {"x-single-active-consumer": True},
        {"x-delivery-limit": 3},
        {"x-quorum-initial-group-size": 1},
        {"x-queue-leader-locator": "client-local"},
        {"x-max-in-memory-length": 5},
        {"x-max-in-memory-bytes": 5},
    ):
        client.declare(q, {**QUORUM, **taken}, durable=True)
        broker.forget(q)


LIMITED = 'declare q durable {{x-delivery-limit={}, x-queue-type="quorum"}}: '


@differential(
    *(
        differs(
            rabbitmq=LIMITED.format(value) + "ok q, 0 ready, 0 consumers",
            amqpd=LIMITED.format(value) + "406 PRECONDITION_FAILED - invalid arg 'x-delivery-limit' for queue 'q' "
            f"in vhost '/': \"expected integer, got {value_type}\" (channel, queue.declare)",
            because="RabbitMQ does not look, and has no limit then",
        )
        for value, value_type in {'"3"': "longstr", "true": "bool", "double 3.0": "double", "void": "void"}.items()
    )
)
def test_delivery_limit_values(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    for value in (0, 1, -1, "3", True, 3.0, None):
        client.declare(q, {**QUORUM, "x-delivery-limit": value}, durable=True)
        broker.forget(q)


@differential()
def test_other_values(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    for argument, value in (
        ("x-dead-letter-strategy", "never"),
        ("x-dead-letter-strategy", 5),
        ("x-quorum-initial-group-size", 0),
        ("x-quorum-initial-group-size", "1"),
        ("x-queue-leader-locator", "nowhere"),
        ("x-queue-leader-locator", 5),
        ("x-max-in-memory-length", -1),
        ("x-message-ttl", -1),
    ):
        client.declare(q, {**QUORUM, argument: value}, durable=True)
        broker.forget(q)


@differential()
def test_redeclared(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    declare(client, q, delivery_limit=3)
    declare(client, q, delivery_limit=3)
    declare(client, q, delivery_limit=4)
    declare(client, q)
    client.declare(q, durable=True)


@differential()
def test_delivery_count(broker: Broker) -> None:
    """The first delivery has none; each that follows a requeue tells how many there were."""
    client = broker.connect()
    (q,) = broker.names("q")
    declare(client, q)
    client.send(q, "a", headers={"mine": 1})
    client.send(q, "b")
    client.qos(2)
    client.consume(q, "c")
    a, b = client.receive(2)
    for _ in range(3):
        client.nack(a, requeue=True)
        (a,) = client.receive()
    client.ack(b)
    client.ack(a)


@differential(
    differs(
        rabbitmq="    header x-delivery-count: long 0",
        amqpd="",
        because="by basic.get as to a consumer, a first delivery has no count; so it is in RabbitMQ 4",
    )
)
def test_delivery_count_by_get(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    declare(client, q)
    client.send(q, "a")
    for _ in range(3):
        client.reject(client.get(q, ack=False), requeue=True)
        client.reopen()  # a fence: what was requeued is there
    client.get(q)


@differential()
def test_delivery_limit(broker: Broker) -> None:
    """A message that comes back more often than the limit is a dead letter of its own reason."""
    client = broker.connect()
    q, dead = broker.names("q", "dead")
    client.declare(dead)
    declare(client, q, delivery_limit=2, dead_letter_exchange="", dead_letter_routing_key=dead)
    client.send(q, "a", headers={"mine": 1})
    client.qos(1)
    client.consume(q, "c")
    for _ in range(3):
        client.nack(client.receive()[0], requeue=True)
    broker.take(dead)
    client.nothing(q)


@differential()
def test_delivery_limit_of_0(broker: Broker) -> None:
    client = broker.connect()
    q, dead = broker.names("q", "dead")
    client.declare(dead)
    declare(client, q, delivery_limit=0, dead_letter_exchange="", dead_letter_routing_key=dead)
    client.send(q, "a")
    client.qos(1)
    client.consume(q, "c")
    client.nack(client.receive()[0], requeue=True)
    broker.take(dead)


@differential()
def test_delivery_limit_without_an_exchange(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    declare(client, q, delivery_limit=1)
    client.send(q, "a")
    client.send(q, "b")
    client.qos(1)
    client.consume(q, "c")
    for _ in range(2):
        client.nack(client.receive()[0], requeue=True)
    client.receive()


@differential()
def test_a_consumer_that_dies_counts_as_well(broker: Broker) -> None:
    client, other = broker.connect(), broker.connect("other")
    q, dead = broker.names("q", "dead")
    client.declare(dead)
    declare(client, q, delivery_limit=1, dead_letter_exchange="", dead_letter_routing_key=dead)
    client.send(q, "a")
    other.consume(q, "c")
    other.receive()
    other.reopen()
    other.consume(q, "c")
    other.receive()
    other.close()
    broker.take(dead)


@differential()
def test_dead_letters_by_reject_length_and_expiry(broker: Broker) -> None:
    client = broker.connect()
    q, dead = broker.names("q", "dead")
    client.declare(dead)
    declare(client, q, max_length=1, dead_letter_exchange="", dead_letter_routing_key=dead)
    client.send(q, "rejected")
    client.consume(q, "c")
    client.reject(client.receive()[0])
    broker.take(dead)
    client.cancel("c")
    client.send(q, "pushed out")
    client.send(q, "expires", expiration="50")
    broker.take(dead, 2)


NOT_IMPLEMENTED = (
    "delete q {}: 540 NOT_IMPLEMENTED - cannot delete queue 'q' in vhost '/'. "
    "queue.delete operations with {} flag set are not supported by quorum queues (connection, queue.delete)"
)


@differential(
    differs(
        rabbitmq=NOT_IMPLEMENTED.format("if_unused", "if-unused"),
        amqpd="delete q if_unused: 406 PRECONDITION_FAILED - queue 'q' in vhost '/' in use (channel, queue.delete)",
        because="amqpd's queues can do it",
    ),
    differs(
        rabbitmq=NOT_IMPLEMENTED.format("if_empty", "if-empty"),
        amqpd="delete q if_empty: ok, 0 messages",
        because="amqpd's queues can do it",
    ),
)
def test_what_quorum_queues_do_not_do(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    declare(client, q)
    client.consume(q, "c", exclusive=True)
    client.cancel("c")
    client.consume(q, "c", {"x-priority": 5})
    client.delete(q, if_unused=True)
    client.delete(q, if_empty=True)
    client.delete(q)
