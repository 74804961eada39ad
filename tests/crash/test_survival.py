"""What a client finds again after a restart, orderly or not, and what it does not: seen with pika."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker

from interop.blocking import drain, get, ready
from interop.broker_process import BrokerProcess

PERSISTENT = pika.BasicProperties(delivery_mode=2)

EVERYTHING = pika.BasicProperties(
    content_type="application/octet-stream",
    content_encoding="none",
    headers={
        "text": "naïve",
        "number": 1 << 40,
        "list": [1, "two", {"three": None}],
        "table": {"yes": True, "no": False},
        "octets": b"\x00\xff",
    },
    delivery_mode=2,
    priority=7,
    correlation_id="correlation",
    reply_to="somewhere",
    expiration="86400000",
    message_id="message",
    timestamp=1_700_000_000,
    type="kind",
    user_id="guest",
    app_id="application",
    cluster_id="cluster",
)


def octets(properties: pika.BasicProperties) -> bytes:
    """As they are on the wire."""
    return b"".join(properties.encode())


class Broker:
    """One that ends and starts again; ``channel`` is open on a connection to the present one, in confirm mode."""

    def __init__(self, directory: Path, orderly: bool) -> None:
        self._directory = directory
        self.orderly = orderly
        self._start()

    def _start(self) -> None:
        self._process = BrokerProcess(data_dir=self._directory)
        try:
            self._connection = pika.BlockingConnection(pika.URLParameters(self._process.url))
            self.channel = self._connection.channel()
            self.channel.confirm_delivery()
        except BaseException:
            self.kill()
            raise

    def end(self) -> None:
        if self.orderly:
            self._connection.close()
            assert self._process.stop() == 0
        else:
            self._process.kill()
            with suppress(AMQPConnectionError):  # so that pika closes its sockets
                while True:
                    self._connection.process_data_events(time_limit=None)

    def kill(self) -> None:
        """It ends now, whatever has become of the test."""
        self._process.kill()

    def restart(self) -> BlockingChannel:
        """Returns a channel on the new one."""
        self.end()
        self._start()
        return self.channel

    def refuses(self, operation: str, *arguments: Any, **options: Any) -> int:
        """The reply code with which this costs a channel; 0 if it does not."""
        channel = self._connection.channel()
        try:
            getattr(channel, operation)(*arguments, **options)
        except ChannelClosedByBroker as closed:
            return int(closed.reply_code)
        channel.close()
        return 0


@pytest.fixture(params=[True, False], ids=["orderly", "killed"])
def broker(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Broker]:
    broker = Broker(tmp_path, request.param)
    try:
        yield broker
        broker.end()
    finally:
        broker.kill()


def test_messages_come_back_as_they_were(broker: Broker) -> None:
    channel = broker.channel
    channel.queue_declare("q", durable=True)
    bodies = [b"", b"one", bytes(range(256)) * 4000, b"last"]
    for body in bodies:
        channel.basic_publish("", "q", body, EVERYTHING)
    channel = broker.restart()
    assert ready(channel, "q") == 4
    messages = [get(channel, "q") for _ in bodies]
    assert [message.body for message in messages] == bodies
    assert [octets(message.properties) for message in messages] == [octets(EVERYTHING)] * 4
    assert [(message.method.exchange, message.method.routing_key) for message in messages] == [("", "q")] * 4


def test_order_gaps_and_marks(broker: Broker) -> None:
    """What was settled stays away, what was handed out is marked. Who was killed does not know what was not."""
    channel = broker.channel
    channel.queue_declare("q", durable=True)
    for number in range(10):
        channel.basic_publish("", "q", b"%d" % number, PERSISTENT)
    messages = [get(channel, "q") for _ in range(6)]
    for number in (0, 1, 4):
        channel.basic_ack(messages[number].tag)
    channel.basic_publish("", "q", b"confirmed behind the acks", PERSISTENT)
    channel = broker.restart()
    messages = [get(channel, "q") for _ in range(8)]
    assert [message.body for message in messages] == [
        b"2",
        b"3",
        b"5",
        b"6",
        b"7",
        b"8",
        b"9",
        b"confirmed behind the acks",
    ]
    assert [message.method.redelivered for message in messages[:3]] == [True] * 3
    if broker.orderly:
        assert [message.method.redelivered for message in messages[3:]] == [False] * 5


def test_topology_comes_back(broker: Broker) -> None:
    arguments = {"x-message-ttl": 86_400_000, "x-own": ["a", {"b": 1}], "x-max-length": 1000}
    channel = broker.channel
    channel.exchange_declare("source", "topic", durable=True, arguments={"alternate-exchange": "lost"})
    channel.exchange_declare("middle", "headers", durable=True, auto_delete=True, internal=True)
    channel.exchange_declare("lost", "fanout", durable=True)
    channel.queue_declare("q", durable=True, arguments=arguments)
    channel.queue_declare("found", durable=True, auto_delete=True)
    own_name = channel.queue_declare("", durable=True).method.queue
    channel.exchange_bind("middle", "source", "#.news")
    channel.queue_bind("q", "middle", arguments={"x-match": "all", "kind": "news"})
    channel.queue_bind("found", "lost")
    channel.queue_bind(own_name, "amq.direct", "key")
    channel.queue_bind("q", "amq.direct", "undone")
    channel.queue_unbind("q", "amq.direct", "undone")

    channel = broker.restart()
    channel.queue_declare("q", durable=True, arguments=arguments)
    channel.exchange_declare("middle", "headers", durable=True, auto_delete=True, internal=True)
    for queue, options in [("q", {"durable": True}), ("q", {"arguments": arguments}), ("found", {"durable": True})]:
        assert broker.refuses("queue_declare", queue, **options) == 406
    assert broker.refuses("exchange_declare", "source", "direct", durable=True) == 406
    news = pika.BasicProperties(headers={"kind": "news"})
    channel.basic_publish("source", "local.news", b"news", news)
    channel.basic_publish("source", "local.news", b"no news", pika.BasicProperties(headers={"kind": "rumour"}))
    channel.basic_publish("source", "elsewhere", b"elsewhere", news)
    channel.basic_publish("amq.direct", "key", b"by key")
    channel.basic_publish("amq.direct", "undone", b"to nobody")
    assert drain(channel, "q") == [b"news"]
    assert drain(channel, "found") == [b"elsewhere"]
    assert drain(channel, own_name) == [b"by key"]


def test_what_does_not_last_is_gone(broker: Broker) -> None:
    channel = broker.channel
    channel.queue_declare("durable", durable=True)
    channel.queue_declare("not durable")
    channel.queue_declare("exclusive", durable=True, exclusive=True)
    channel.queue_declare("deleted", durable=True)
    channel.exchange_declare("not durable", "fanout")
    channel.exchange_declare("deleted", "fanout", durable=True)
    channel.queue_bind("durable", "not durable")
    for queue in ("durable", "not durable", "exclusive", "deleted"):
        channel.basic_publish("", queue, b"transient")
        channel.basic_publish("", queue, b"persistent", PERSISTENT)
    channel.queue_delete("deleted")
    channel.exchange_delete("deleted")

    channel = broker.restart()
    assert drain(channel, "durable") == [b"persistent"]
    for queue in ("not durable", "exclusive", "deleted"):
        assert broker.refuses("queue_declare", queue, passive=True) == 404
        channel.queue_declare(queue, durable=True)
        assert ready(channel, queue) == 0
    for exchange in ("not durable", "deleted"):
        assert broker.refuses("exchange_declare", exchange, passive=True) == 404
        channel.exchange_declare(exchange, "fanout")
        channel.basic_publish(exchange, "", b"to nobody")
    assert drain(channel, "durable") == []
