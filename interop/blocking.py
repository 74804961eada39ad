"""Short words for what tests do again and again with pika's BlockingChannel.

``ready`` doubles as a fence: what a queue delivered before it told its count has arrived when ``ready`` returns. That
is how these tests show that something does not happen, without waiting for a while. It needs channels in confirm mode,
since RabbitMQ lets the question for the count overtake publishes that are still on their way to the queue.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import pika
from pika.adapters.blocking_connection import BlockingChannel


class Message(NamedTuple):
    method: Any  # pika.spec.Basic.Deliver or GetOk
    properties: pika.BasicProperties
    body: bytes

    @property
    def tag(self) -> int:
        return int(self.method.delivery_tag)


def publish(channel: BlockingChannel, queue: str, bodies: Iterable[bytes]) -> None:
    """Publish these to a queue through the default exchange."""
    for body in bodies:
        channel.basic_publish("", queue, body)


def get(channel: BlockingChannel, queue: str) -> Message:
    """Take a message that is there, unacknowledged."""
    message = Message(*channel.basic_get(queue))
    assert message.method is not None, f"{queue} is empty"
    return message


def drain(channel: BlockingChannel, queue: str) -> list[bytes]:
    """Take all that is ready, acknowledged."""
    bodies: list[bytes] = []
    while True:
        method, _, body = channel.basic_get(queue, auto_ack=True)
        if method is None:
            return bodies
        bodies.append(body)


def ready(channel: BlockingChannel, queue: str) -> int:
    """How many messages wait in a queue, unacknowledged ones not counted."""
    return int(channel.queue_declare(queue, passive=True).method.message_count)


class Inbox:
    """A consumer's deliveries, in the order of their arrival."""

    def __init__(self, channel: BlockingChannel, queue: str, **consume: Any) -> None:
        self._channel = channel
        self.messages: list[Message] = []
        self.tag = channel.basic_consume(queue, self._on_message, **consume)

    def wait(self, count: int) -> list[Message]:
        """Wait until so many have arrived in all, and give all that have."""
        while len(self.messages) < count:
            self._channel.connection.process_data_events(time_limit=None)
        return self.messages

    @property
    def bodies(self) -> list[bytes]:
        """What has arrived by now."""
        self._channel.connection.process_data_events(time_limit=0)
        return [message.body for message in self.messages]

    def _on_message(self, _channel: Any, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
        self.messages.append(Message(method, properties, body))
