"""Memory that is low. Each test has an amqpd of its own that is given little, so none of this runs against AMQP_URL."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import aio_pika
import pika
import pytest
from pika import spec
from pika.exceptions import ConnectionClosedByBroker

from interop.blocking import Inbox
from interop.broker_process import BrokerProcess
from interop.raw import Peer, method

OpenPeer = Callable[..., Peer]
StartBroker = Callable[..., BrokerProcess]

NO_MEMORY = ("--memory-high-watermark", "0")
LITTLE_MEMORY = ("--memory-high-watermark", str(100 << 20))
COUNT, SIZE = 300, 1 << 20  # three times as much as the broker may have in memory; half of it is too much


class Publisher:
    """pika's BlockingConnection, and what it heard of being blocked."""

    def __init__(self, broker: BrokerProcess) -> None:
        self.heard: list[str] = []
        self.connection = pika.BlockingConnection(pika.URLParameters(broker.url))
        self.connection.add_on_connection_blocked_callback(lambda _, frame: self.heard.append(frame.method.reason))
        self.connection.add_on_connection_unblocked_callback(lambda _, frame: self.heard.append("unblocked"))
        self.channel = self.connection.channel()

    def listen(self) -> None:
        """Wait until more is heard."""
        heard = len(self.heard)
        while len(self.heard) == heard:
            self.connection.process_data_events(time_limit=None)


def test_who_publishes_is_blocked_and_the_others_are_not(own_broker: StartBroker) -> None:
    broker = own_broker(0, *NO_MEMORY)
    publisher = Publisher(broker)
    publisher.channel.queue_declare("q")
    publisher.channel.basic_publish("", "q", b"first")  # is taken if it arrives whole, and not if in two reads
    publisher.listen()
    assert publisher.heard == ["low on memory"]
    publisher.channel.basic_publish("", "q", b"second")
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        inbox = Inbox(connection.channel(), "q", auto_ack=True)
        assert connection.channel().queue_declare("another").method.queue == "another"
        assert inbox.bodies in ([], [b"first"])
    assert publisher.heard == ["low on memory"]
    broker.terminate()
    with pytest.raises(ConnectionClosedByBroker) as closed:
        publisher.connection.process_data_events(time_limit=None)
    assert closed.value.reply_code == 320
    assert broker.wait() == 0


def test_who_has_not_asked_to_be_told_is_not_told(own_broker: StartBroker, peer: OpenPeer) -> None:
    broker = own_broker(0, *NO_MEMORY)
    publisher = peer(broker.address).open(heartbeat=1)
    publisher.open_channel()
    queue = publisher.declare_queue()
    publisher.publish(queue, b"first")
    publisher.send(method(1, spec.Queue.Declare(queue="late")))
    for _ in range(6):  # 3 s: nothing is read of it for more than two heartbeats, and it is not dropped
        heard = publisher.receive()
        assert isinstance(heard, pika.frame.Heartbeat) or isinstance(heard.method, spec.Queue.DeclareOk)


def body_of(number: int) -> bytes:
    return number.to_bytes(4, "big") + bytes(SIZE - 4)


def numbered(alarm: Event) -> Iterator[bytes]:
    """The bodies; the second half when the alarm is on."""
    for number in range(COUNT):
        if number == COUNT // 2:
            alarm.wait()
        yield body_of(number)


def publish_with_pika(broker: BrokerProcess, alarm: Event) -> list[str]:
    """Publish them all; returns what was heard of being blocked."""
    publisher = Publisher(broker)
    publisher.channel.confirm_delivery()
    for body in numbered(alarm):
        publisher.channel.basic_publish("", "q", body)
    publisher.connection.process_data_events(time_limit=0)
    publisher.connection.close()
    return publisher.heard


def publish_with_aio_pika(broker: BrokerProcess, alarm: Event) -> list[str]:
    """The same; aio-pika keeps what it hears of being blocked to itself, and holds its publishes back."""

    async def publish() -> None:
        async with await aio_pika.connect(broker.url) as connection:
            exchange = (await connection.channel()).default_exchange
            for body in numbered(alarm):
                await exchange.publish(aio_pika.Message(body), "q")

    asyncio.run(publish())
    return ["low on memory", "unblocked"]


@pytest.mark.parametrize("publish", [publish_with_pika, publish_with_aio_pika])
def test_publishers_wait_while_memory_is_low_and_all_arrives(
    own_broker: StartBroker, peer: OpenPeer, publish: Callable[[BrokerProcess, Event], list[str]]
) -> None:
    broker = own_broker(0, *LITTLE_MEMORY)
    witness = peer(broker.address).open(**{"connection.blocked": True})
    witness.open_channel()
    witness.declare_queue("q")
    with ThreadPoolExecutor(1) as threads:
        alarm = Event()
        publishing = threads.submit(publish, broker, alarm)
        while isinstance(heard := answer(witness), spec.Channel.FlowOk):
            pass
        assert (type(heard), heard.reason) == (spec.Connection.Blocked, "low on memory")
        alarm.set()
        with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
            inbox = Inbox(connection.channel(), "q", auto_ack=True)
            expected = [body_of(number)[:4] for number in range(COUNT)]
            assert [message.body[:4] for message in inbox.wait(COUNT)] == expected
        assert publishing.result()[:2] == ["low on memory", "unblocked"]
    while not isinstance(witness.expect(pika.amqp_object.Method), spec.Connection.Unblocked):
        pass


def answer(witness: Peer) -> Any:
    """What it hears when it publishes and asks for an answer."""
    witness.publish("nowhere", b"")
    witness.send(method(1, spec.Channel.Flow(active=True)))
    return witness.expect(pika.amqp_object.Method)
