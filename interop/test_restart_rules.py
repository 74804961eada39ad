"""What queues and exchanges with rules keep over a crash. Each test has an amqpd of its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pika
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel

from interop.broker_process import BrokerProcess

StartBroker = Callable[..., BrokerProcess]


@contextmanager
def channel_to(broker: BrokerProcess) -> Iterator[BlockingChannel]:
    """A channel that waits for confirms."""
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel


def crash(own_broker: StartBroker, broker: BrokerProcess, data_dir: Path) -> BrokerProcess:
    broker.kill()
    return own_broker(data_dir=data_dir)


def send(channel: BlockingChannel, queue: str, *bodies: bytes, exchange: str = "", **properties: Any) -> None:
    for body in bodies:
        channel.basic_publish(exchange, queue, body, BasicProperties(delivery_mode=2, **properties))


def consume(channel: BlockingChannel, queue: str, count: int) -> list[tuple[bytes, BasicProperties]]:
    """So many messages, as they come, acknowledged."""
    taken = []
    for method, properties, body in channel.consume(queue):
        taken.append((body, properties))
        channel.basic_ack(method.delivery_tag)
        if len(taken) == count:
            break
    channel.cancel()
    return taken


def test_priorities(own_broker: StartBroker, tmp_path: Path) -> None:
    broker = own_broker(data_dir=tmp_path)
    with channel_to(broker) as channel:
        channel.queue_declare("q", durable=True, arguments={"x-max-priority": 3})
        for number in range(30):
            send(channel, "q", b"%d" % number, priority=number % 4)
    with channel_to(crash(own_broker, broker, tmp_path)) as channel:
        bodies = [int(body) for body, _ in consume(channel, "q", 30)]
    assert bodies == sorted(range(30), key=lambda number: (-(number % 4), number))


def test_what_has_expired_meanwhile_dies_and_the_rest_in_its_time(own_broker: StartBroker, tmp_path: Path) -> None:
    broker = own_broker(data_dir=tmp_path)
    with channel_to(broker) as channel:
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
        channel.queue_declare("q", durable=True, arguments=arguments)
        channel.queue_declare("dead", durable=True)
        send(channel, "q", b"soon", expiration="50")
        send(channel, "q", b"later", expiration="3000")
    with channel_to(crash(own_broker, broker, tmp_path)) as channel:
        (soon, _), (later, properties) = consume(channel, "dead", 2)
    assert (soon, later) == (b"soon", b"later")
    assert properties.headers["x-first-death-reason"] == "expired"


def test_dead_letters_and_delivery_counts(own_broker: StartBroker, tmp_path: Path) -> None:
    broker = own_broker(data_dir=tmp_path)
    with channel_to(broker) as channel:
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead", "x-queue-type": "quorum"}
        channel.queue_declare("q", durable=True, arguments={**arguments, "x-delivery-limit": 2})
        channel.queue_declare("dead", durable=True)
        send(channel, "q", b"rejected", b"returned")
        channel.basic_reject(channel.basic_get("q")[0].delivery_tag, requeue=False)
        channel.basic_nack(channel.basic_get("q")[0].delivery_tag, requeue=True)
        send(channel, "dead", b"last")  # when this is confirmed, the others are on the disk
    with channel_to(crash(own_broker, broker, tmp_path)) as channel:
        (dead, _), (last, _) = consume(channel, "dead", 2)
        assert (dead, last) == (b"rejected", b"last")
        method, properties, body = channel.basic_get("q")
        assert (body, method.redelivered, properties.headers) == (b"returned", True, {"x-delivery-count": 1})
        channel.basic_nack(method.delivery_tag, requeue=True)
        channel.basic_nack(channel.basic_get("q")[0].delivery_tag, requeue=True)
        assert consume(channel, "dead", 1)[0][1].headers["x-first-death-reason"] == "delivery_limit"


def test_delayed_messages(own_broker: StartBroker, tmp_path: Path) -> None:
    broker = own_broker(data_dir=tmp_path)
    with channel_to(broker) as channel:
        channel.exchange_declare("later", "x-delayed-message", durable=True, arguments={"x-delayed-type": "direct"})
        channel.queue_declare("q", durable=True)
        channel.queue_bind("q", "later", "key")
        send(channel, "key", b"second", exchange="later", headers={"x-delay": 2000})
        send(channel, "key", b"first", exchange="later", headers={"x-delay": 20})
    with channel_to(crash(own_broker, broker, tmp_path)) as channel:
        assert [body for body, _ in consume(channel, "q", 2)] == [b"first", b"second"]
