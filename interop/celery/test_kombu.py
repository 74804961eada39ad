"""kombu by itself, with which Celery speaks AMQP: producers, consumers, simple queues, and connections that break."""

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from kombu import Connection, Exchange, Message, Producer, Queue
from kombu.common import Broadcast

Unique = Callable[[str], str]


def test_a_producer_and_a_consumer(connection: Connection, unique: Unique) -> None:
    """What the producer sends it declares first, exchange, queue and binding, and the message comes as it was sent."""
    exchange = Exchange(unique("news"), type="topic")
    queue = Queue(unique("readers"), exchange, routing_key="#.sport")
    arrived: list[tuple[Any, Message]] = []

    connection.Producer().publish(
        {"goals": [1, 2]},
        exchange=exchange,
        routing_key="monday.sport",
        declare=[queue],
        headers={"from": "the stadium"},
        compression="zlib",
        priority=3,
    )
    with connection.Consumer(queue, callbacks=[lambda body, message: arrived.append((body, message))]):
        connection.drain_events()
    body, message = arrived[0]
    assert body == {"goals": [1, 2]}
    assert message.headers == {"from": "the stadium", "compression": "application/x-gzip"}
    assert (message.content_type, message.properties["priority"]) == ("application/json", 3)
    assert message.delivery_info["routing_key"] == "monday.sport"
    message.ack()


def test_a_requeued_message_comes_again_and_a_rejected_one_does_not(connection: Connection, unique: Unique) -> None:
    queue = connection.SimpleQueue(unique("again"))
    queue.put("once more")
    first = queue.get()
    first.requeue()
    second = queue.get()
    assert (first.delivery_info["redelivered"], second.delivery_info["redelivered"]) == (False, True)
    second.reject()
    assert len(queue) == 0
    queue.close()


def test_a_simple_queue(connection: Connection, unique: Unique) -> None:
    with connection.SimpleQueue(unique("simple")) as queue:
        for number in range(3):
            queue.put({"number": number})
        assert len(queue) == 3
        message = queue.get_nowait()
        assert message.payload == {"number": 0}
        message.ack()
        assert queue.clear() == 2
        with pytest.raises(queue.Empty):
            queue.get_nowait()


def test_a_simple_buffer_goes_with_its_consumer(connection: Connection, unique: Unique) -> None:
    """It is not durable, auto-delete, and its messages are not acknowledged."""
    name = unique("buffer")
    with connection.SimpleBuffer(name) as buffer:
        buffer.put("soon gone")
        assert buffer.get().payload == "soon gone"
    returned: list[str] = []
    producer = Producer(connection, on_return=lambda _error, _exchange, key, _message: returned.append(key))
    producer.publish("nobody", routing_key=name, mandatory=True)
    assert returned == [name]


def test_a_broadcast_reaches_every_queue_of_its_exchange(connection: Connection, unique: Unique) -> None:
    """``Broadcast`` makes a queue of its own for each consumer, auto-delete, at a fanout exchange."""
    name = unique("broadcast")
    arrived: list[str] = []
    queues = [Broadcast(name)(connection), Broadcast(name)(connection)]
    with connection.Consumer(queues, callbacks=[lambda body, _message: arrived.append(body)], no_ack=True):
        connection.Producer().publish("all", exchange=Exchange(name, type="fanout"))
        while len(arrived) < 2:
            connection.drain_events()
    assert arrived == ["all", "all"]


def test_drain_events_gives_up_after_its_timeout(connection: Connection, unique: Unique) -> None:
    with connection.SimpleQueue(unique("silent")) as queue, pytest.raises(queue.Empty):
        queue.get(timeout=0.1)
    assert connection.connected


def test_confirm_publish_returns_when_the_queue_has_the_message(
    connection: Connection, url: str, unique: Unique
) -> None:
    name = unique("confirmed")
    with Connection(url) as other, connection.SimpleQueue(name) as queue, other.SimpleQueue(name) as seen:
        for count in range(1, 10):
            queue.put(count)
            assert len(seen) == count


def test_a_publish_is_tried_again_on_a_new_connection(connection: Connection, unique: Unique) -> None:
    queue = Queue(unique("ensured"), durable=True)
    producer = connection.Producer()
    producer.publish("before", routing_key=queue.name, declare=[queue], retry=True)
    connection.connection.transport.sock.shutdown(socket.SHUT_RDWR)
    producer.publish("after", routing_key=queue.name, declare=[queue], retry=True, retry_policy={"interval_start": 0})

    arrived: list[str] = []
    with connection.Consumer(queue, callbacks=[lambda body, _message: arrived.append(body)], no_ack=True):
        while len(arrived) < 2:
            connection.drain_events()
    assert arrived == ["before", "after"]


def test_heartbeats_keep_a_connection_open_that_says_nothing_else(url: str, unique: Unique) -> None:
    """Either side sends some every half second, and takes a connection for lost after two seconds without any."""
    with Connection(url, heartbeat=1) as connection, connection.SimpleQueue(unique("idle")) as queue:
        frames = connection.connection.bytes_recv  # py-amqp counts frames here
        while connection.connection.bytes_recv < frames + 6:
            with suppress(socket.timeout):
                connection.drain_events(timeout=0.2)
            connection.heartbeat_check()
        queue.put("still here")
        assert queue.get().payload == "still here"
