"""The queue arguments that kombu has names for, and those that dead letter what a queue does not keep.

Where a message leaves its queue, it is dead lettered to another one, so that a test waits for its arrival.
"""

from collections.abc import Callable
from typing import Any

import pytest
from amqp.exceptions import MessageNacked
from kombu import Connection, Producer, Queue

Unique = Callable[[str], str]


def declare(connection: Connection, name: str, **options: Any) -> Queue:
    queue = Queue(name, **options)(connection.default_channel)
    queue.declare()
    return queue


@pytest.fixture
def dead(connection: Connection, unique: Unique) -> Queue:
    return declare(connection, unique("dead"))


def dead_letter_to(dead: Queue) -> dict[str, Any]:
    return {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead.name}


def wait_for(connection: Connection, queue: Queue) -> Any:
    """The next message of the queue."""
    arrived: list[Any] = []
    with connection.Consumer(queue, on_message=arrived.append, no_ack=True, prefetch_count=1):
        while not arrived:
            connection.drain_events()
    return arrived[0]


def test_message_ttl(connection: Connection, dead: Queue, unique: Unique) -> None:
    queue = declare(connection, unique("ttl"), message_ttl=0.2, queue_arguments=dead_letter_to(dead))
    connection.Producer().publish("old", routing_key=queue.name)
    message = wait_for(connection, dead)
    assert message.payload == "old"
    death = message.headers["x-death"][0]
    assert (death["queue"], death["reason"], death["count"]) == (queue.name, "expired", 1)


def test_expiration_of_a_message(connection: Connection, dead: Queue, unique: Unique) -> None:
    queue = declare(connection, unique("expiration"), queue_arguments=dead_letter_to(dead))
    connection.Producer().publish("old", routing_key=queue.name, expiration=0.2)
    connection.Producer().publish("young", routing_key=queue.name, expiration=60)
    message = wait_for(connection, dead)
    assert (message.payload, message.headers["x-death"][0]["original-expiration"]) == ("old", "200")
    assert wait_for(connection, queue).payload == "young"


def test_max_length_drops_the_oldest(connection: Connection, dead: Queue, unique: Unique) -> None:
    queue = declare(connection, unique("length"), max_length=2, queue_arguments=dead_letter_to(dead))
    for number in range(3):
        connection.Producer().publish(number, routing_key=queue.name)
    message = wait_for(connection, dead)
    assert (message.payload, message.headers["x-death"][0]["reason"]) == (0, "maxlen")
    assert [queue.get().payload for _ in range(2)] == [1, 2]


def test_max_length_that_rejects_is_an_error_for_who_publishes(connection: Connection, unique: Unique) -> None:
    queue = declare(connection, unique("full"), max_length=1, queue_arguments={"x-overflow": "reject-publish"})
    producer = connection.Producer()
    producer.publish("first", routing_key=queue.name)
    with pytest.raises(MessageNacked):
        producer.publish("second", routing_key=queue.name)
    assert queue.get().payload == "first"


def test_max_priority(connection: Connection, unique: Unique) -> None:
    queue = declare(connection, unique("priority"), max_priority=9)
    for priority in (1, 9, 5, 9):
        connection.Producer().publish(priority, routing_key=queue.name, priority=priority)
    assert [queue.get(no_ack=True).payload for _ in range(4)] == [9, 9, 5, 1]


def test_a_rejected_message_is_dead_lettered(connection: Connection, dead: Queue, unique: Unique) -> None:
    queue = declare(connection, unique("rejected"), queue_arguments=dead_letter_to(dead))
    connection.Producer().publish("no", routing_key=queue.name)
    queue.get().reject()
    message = wait_for(connection, dead)
    assert (message.payload, message.headers["x-death"][0]["reason"]) == ("no", "rejected")


def test_a_queue_that_nobody_uses_expires(connection: Connection, unique: Unique) -> None:
    """Publishing is no use of a queue; and when the queue is gone, what is published is returned."""
    queue = declare(connection, unique("unused"), expires=0.3)
    returned: list[str] = []
    producer = Producer(connection, on_return=lambda _error, _exchange, key, _message: returned.append(key))
    while not returned:
        producer.publish("anybody?", routing_key=queue.name, mandatory=True)
    assert returned == [queue.name]


def test_arguments_that_differ_from_the_queue_that_is_there(connection: Connection, unique: Unique) -> None:
    name = unique("inequivalent")
    declare(connection, name, max_priority=5)
    with pytest.raises(connection.channel_errors, match=r"406.*inequivalent arg 'x-max-priority'"):
        declare(connection, name, max_priority=6)
