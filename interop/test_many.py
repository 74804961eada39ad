"""Many channels and many connections at once, all of them in use."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import aio_pika
import pika
import pytest
from pika import spec

from interop.raw import PROTOCOL_HEADER, Peer, method

T = TypeVar("T")

CHANNELS = 2000  # RabbitMQ allows 2,047
CONNECTIONS = 1000


def test_2000_channels_with_pika(connect: Callable[..., pika.BlockingConnection]) -> None:
    connection = connect()
    channels = [connection.channel() for _ in range(CHANNELS)]
    assert len({channel.channel_number for channel in channels}) == CHANNELS
    queue = channels[0].queue_declare("", exclusive=True).method.queue
    for n, channel in enumerate(channels):
        channel.basic_publish("", queue, b"%d" % n)
        assert channel.basic_get(queue, auto_ack=True)[2] == b"%d" % n


@pytest.mark.anyio
async def test_2000_channels_with_aio_pika(url: str) -> None:
    async with await aio_pika.connect(url) as connection:
        channels = await asyncio.gather(*(connection.channel() for _ in range(CHANNELS)))
        queue = await channels[0].declare_queue(exclusive=True)
        for channel in channels:
            await channel.default_exchange.publish(aio_pika.Message(b"%d" % (channel.number or 0)), queue.name)
        numbers = {int((await queue.get(no_ack=True)).body) for _ in channels}
        assert len(numbers) == CHANNELS


def test_1000_connections(peer: Callable[..., Peer]) -> None:
    """Raw ones, step by step together: every connection has its queue, and each sends a message to its neighbour.

    Each step is written by all before the first answer is read, so that the broker has the thousand at once.
    """
    peers = [peer() for _ in range(CONNECTIONS)]

    def together(request: bytes, answer: type[T]) -> list[T]:
        for each in peers:
            each.send(request)
        return [each.expect(answer) for each in peers]

    together(PROTOCOL_HEADER, spec.Connection.Start)
    together(method(0, spec.Connection.StartOk({}, "PLAIN", b"\0guest\0guest", "en_US")), spec.Connection.Tune)
    tune_and_open = method(0, spec.Connection.TuneOk(2047, 131072, 60)) + method(0, spec.Connection.Open("/"))
    together(tune_and_open, spec.Connection.OpenOk)
    together(method(1, spec.Channel.Open()), spec.Channel.OpenOk)
    declared = together(method(1, spec.Queue.Declare(exclusive=True)), spec.Queue.DeclareOk)
    queues = [declare_ok.queue for declare_ok in declared]
    assert len(set(queues)) == CONNECTIONS
    together(method(1, spec.Basic.Consume(queue="", no_ack=True)), spec.Basic.ConsumeOk)

    for n, sender in enumerate(peers):
        sender.publish(queues[(n + 1) % CONNECTIONS], b"from %d" % n)
    for n, receiver in enumerate(peers):
        _, body = receiver.expect_message(spec.Basic.Deliver)
        assert body == b"from %d" % ((n - 1) % CONNECTIONS)

    together(method(0, spec.Connection.Close(200, "", 0, 0)), spec.Connection.CloseOk)
