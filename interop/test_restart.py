"""Brokers that end and start again. Each test has an amqpd of its own, so none of this runs against AMQP_URL."""

import asyncio
from collections.abc import Callable

import aio_pika
import pika
import pytest
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustConnection
from anyio import to_thread
from pika import spec
from pika.exceptions import ConnectionClosedByBroker

from interop.broker_process import BrokerProcess
from interop.raw import Peer, method

OpenPeer = Callable[..., Peer]
StartBroker = Callable[..., BrokerProcess]
SHUTDOWN = (320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'")


def test_sigterm_says_320_to_every_client_and_exits_0(own_broker: StartBroker, peer: OpenPeer) -> None:
    broker = own_broker()
    clients = [peer(broker.address).open() for _ in range(3)]
    clients[0].open_channel()
    broker.terminate()
    for client in clients:
        closed = client.expect(spec.Connection.Close)
        assert (closed.reply_code, closed.reply_text) == SHUTDOWN
        client.send(method(0, spec.Connection.CloseOk()))
        client.expect_closed()
    assert broker.wait() == 0


@pytest.mark.parametrize("handshake", [False, True], ids=["never began", "open"])
def test_sigterm_does_not_wait_long_for_clients_that_say_nothing(
    own_broker: StartBroker, peer: OpenPeer, handshake: bool
) -> None:
    broker = own_broker(0, "--close-timeout-s", "1")
    silent = peer(broker.address)
    if handshake:
        silent.open()
    assert broker.stop() == 0


def test_pika_hears_why(own_broker: StartBroker) -> None:
    broker = own_broker()
    connection = pika.BlockingConnection(pika.URLParameters(broker.url))
    broker.terminate()
    with pytest.raises(ConnectionClosedByBroker) as closed:
        connection.process_data_events(time_limit=None)
    assert closed.value.args == SHUTDOWN
    assert broker.wait() == 0


@pytest.mark.anyio
async def test_connect_robust_survives_a_restart(own_broker: StartBroker) -> None:
    """aio-pika comes back by itself, declares its exchange, queue and binding anew, and its consumer goes on."""
    broker = own_broker()
    arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    reconnected = asyncio.Event()

    async def on_reconnect(_connection: AbstractRobustConnection | None) -> None:
        reconnected.set()

    async with await aio_pika.connect_robust(broker.url, reconnect_interval=0.1) as connection:
        connection.reconnect_callbacks.add(on_reconnect)
        channel = await connection.channel()
        exchange = await channel.declare_exchange("news", "topic")
        queue = await channel.declare_queue("readers")
        await queue.bind(exchange, "#")
        await queue.consume(arrived.put, no_ack=True)
        await exchange.publish(aio_pika.Message(b"before"), "key")
        assert (await arrived.get()).body == b"before"

        assert await to_thread.run_sync(broker.stop) == 0
        await to_thread.run_sync(own_broker, broker.address[1])
        await reconnected.wait()
        await exchange.publish(aio_pika.Message(b"after"), "key")
        assert (await arrived.get()).body == b"after"
