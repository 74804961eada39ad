"""Exchanges that choose one of their queues: by hash, weighted or not, or at random.

Which queue it is depends on the hash function, which is nobody's business; that equal goes to equal is compared.
"""

from interop.differential.broker import Broker
from interop.differential.compare import differential, differs
from interop.differential.fields import long, timestamp


def spread(broker: Broker, queues: list[str]) -> list[int]:
    """How many messages each queue has, the largest number first."""
    return sorted((broker.ready(queue) for queue in queues), reverse=True)


# x-consistent-hash


@differential(
    *(
        differs(
            rabbitmq=f"declare exchange x {{{name}=5}} of type x-consistent-hash: "
            "541 INTERNAL_ERROR (connection, no method)",
            amqpd=f"declare exchange x {{{name}=5}} of type x-consistent-hash: 406 PRECONDITION_FAILED - "
            f"invalid type 'signedint' for arg '{name}' in exchange 'x' in vhost '/' (channel, exchange.declare)",
            because="a mistake of the client is not the broker's",
        )
        for name in ("hash-property", "hash-header")
    )
)
def test_consistent_hash_errors(broker: Broker) -> None:
    client = broker.connect()
    q, x = broker.names("q", "x")
    for arguments in (
        {"hash-header": "h", "hash-property": "message_id"},
        {"hash-property": "nonsense"},
        {"hash-property": "correlation_id"},
        {"hash-property": "timestamp"},
        {"hash-property": "message_id"},
        {"hash-property": 5},
        {"hash-header": 5},
        {"hash-header": ""},
        {"hash-header": "h"},
        {},
    ):
        client.declare_exchange(x, "x-consistent-hash", arguments)
        broker.forget(x)
    client.declare(q)
    client.declare_exchange(x, "x-consistent-hash")
    for key in "abc", "", "0", "-1", "1.5", " 1", "1 ", "0x1", "+1", "01", "1":
        client.bind(q, x, key)


@differential()
def test_consistent_hash_without_queues(broker: Broker) -> None:
    client = broker.connect()
    q, x = broker.names("q", "x")
    client.declare_exchange(x, "x-consistent-hash")
    client.publish(x, "key", "a", mandatory=True)
    client.declare(q)
    client.bind(q, x, "1")
    client.publish(x, "key", "a", mandatory=True)
    client.unbind(q, x, "1")
    client.publish(x, "key", "a", mandatory=True)


@differential()
def test_consistent_hash_keeps_equal_together(broker: Broker) -> None:
    """By the routing key, a header, or a property: what is equal goes to one queue, whatever else is not."""
    client, many = broker.connect(), broker.connect(unseen=True)
    hashed_by: list[dict[str, str]] = [
        {},
        {"hash-header": "h"},
        {"hash-property": "message_id"},
        {"hash-property": "correlation_id"},
        {"hash-property": "timestamp"},
    ]
    for arguments in hashed_by:
        x, *queues = broker.names("x", "one", "two", "three")
        client.declare_exchange(x, "x-consistent-hash", arguments)
        for queue in queues:
            client.declare(queue)
            client.bind(queue, x, "10")
        for number in range(20):
            equal = str(number)
            for turn in "first", "second":
                many.publish(
                    x,
                    equal + turn if arguments else equal,
                    "",
                    headers={"h": equal, "turn": turn},
                    message_id=equal,
                    correlation_id=equal,
                    timestamp=number,
                    type=turn,
                )
            if any(count % 2 for count in spread(broker, queues)):
                broker.note(f"messages for {number} went to several queues")
        broker.note(f"together: {sum(spread(broker, queues))}, all have some: {min(spread(broker, queues)) > 0}")
        for each in (x, *queues):
            broker.forget(each)


@differential()
def test_consistent_hash_of_a_missing_value(broker: Broker) -> None:
    """Without the header or property, all messages go to one queue."""
    client = broker.connect()
    for arguments in {"hash-header": "h"}, {"hash-property": "message_id"}, {"hash-property": "timestamp"}:
        x, *queues = broker.names("x", "one", "two")
        client.declare_exchange(x, "x-consistent-hash", arguments)
        for queue in queues:
            client.declare(queue)
            client.bind(queue, x, "10")
        for key in "abcd":
            client.publish(x, key, key, mandatory=True)
        broker.note(f"messages in the queues: {spread(broker, queues)}")
        for each in (x, *queues):
            broker.forget(each)


@differential()
def test_consistent_hash_header_of_another_type(broker: Broker) -> None:
    client = broker.connect()
    x, q = broker.names("x", "q")
    client.declare_exchange(x, "x-consistent-hash", {"hash-header": "h"})
    client.declare(q)
    client.bind(q, x, "1")
    for value in (5, long(5), True, 5.0, None, b"5", timestamp(5), [5], {"five": 5}):
        client.publish(x, "", "a", mandatory=True, headers={"h": value})


@differential()
def test_consistent_hash_weights(broker: Broker) -> None:
    """The binding key is the queue's weight: a share of the keys, roughly."""
    client, many = broker.connect(), broker.connect(unseen=True)
    x, light, heavy = broker.names("x", "light", "heavy")
    client.declare_exchange(x, "x-consistent-hash")
    for queue, weight in (light, "10"), (heavy, "30"):
        client.declare(queue)
        client.bind(queue, x, weight)
    for number in range(400):
        many.publish(x, f"key {number}", "")
    broker.note(f"the heavy one has more than half, and not all: {200 < broker.ready(heavy) < 400}")
    broker.note(f"together: {broker.ready(heavy) + broker.ready(light)}")


@differential()
def test_consistent_hash_remaining_queue(broker: Broker) -> None:
    client = broker.connect()
    x, one, two = broker.names("x", "one", "two")
    client.declare_exchange(x, "x-consistent-hash")
    for queue in one, two:
        client.declare(queue)
        client.bind(queue, x, "1")
    client.delete(one)
    for key in "abcd":
        client.publish(x, key, key, mandatory=True)
    client.count(two)


@differential(
    differs(
        rabbitmq="""
        publish 'b' to x with 'key' mandatory: returned 312 NO_ROUTE, ack
        count q: ok q, 1 ready, 0 consumers
        """,
        amqpd="""
        publish 'b' to x with 'key' mandatory: ack
        count q: ok q, 2 ready, 0 consumers
        """,
        because="with one of two bindings gone the other is there; RabbitMQ forgets the queue",
    )
)
def test_consistent_hash_bound_twice(broker: Broker) -> None:
    """A second weight for the same queue."""
    client = broker.connect()
    x, q = broker.names("x", "q")
    client.declare_exchange(x, "x-consistent-hash")
    client.declare(q)
    client.bind(q, x, "1")
    client.bind(q, x, "2")
    client.publish(x, "key", "a", mandatory=True)
    client.unbind(q, x, "1")
    client.publish(x, "key", "b", mandatory=True)
    client.count(q)


# x-random and x-modulus-hash


@differential()
def test_random(broker: Broker) -> None:
    """Each message to one of the queues, whatever the keys say."""
    client, many = broker.connect(), broker.connect(unseen=True)
    x, one, two = broker.names("x", "one", "two")
    client.declare_exchange(x, "x-random")
    client.publish(x, "key", "a", mandatory=True)
    for queue in one, two:
        client.declare(queue)
        client.bind(queue, x, "some key")
    for _ in range(60):
        many.publish(x, "another key", "")
    broker.note(f"together: {broker.ready(one) + broker.ready(two)}")
    broker.note(f"both have some: {broker.ready(one) > 0 < broker.ready(two)}")


@differential()
def test_modulus_hash(broker: Broker) -> None:
    """Each key to one of the queues, whatever they are bound with."""
    client, many = broker.connect(), broker.connect(unseen=True)
    x, *queues = broker.names("x", "one", "two", "three")
    client.declare_exchange(x, "x-modulus-hash")
    client.publish(x, "key", "a", mandatory=True)
    for queue in queues:
        client.declare(queue)
        client.bind(queue, x, "some key")
    for number in range(30):
        for _ in range(2):
            many.publish(x, f"key {number}", "")
        if any(count % 2 for count in spread(broker, queues)):
            broker.note(f"messages for key {number} went to several queues")
    broker.note(f"together: {sum(spread(broker, queues))}, all have some: {min(spread(broker, queues)) > 0}")
