"""Publishers: confirms, returns, transactions, and messages that arrive as they were sent."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

import aio_pika
import pika
import pytest
from aio_pika.exceptions import DeliveryError
from pika import spec
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import UnroutableError

from interop.blocking import drain, get, publish
from interop.raw import Peer

OpenPeer = Callable[..., Peer]


@pytest.fixture
def queue(channel: BlockingChannel) -> str:
    """A queue of the channel's connection."""
    return str(channel.queue_declare("", exclusive=True).method.queue)


def test_every_property_arrives_as_it_was_sent(channel: BlockingChannel, queue: str) -> None:
    sent = pika.BasicProperties(
        content_type="text/plain",
        content_encoding="utf-8",
        headers={
            "bool": True,
            "int": -(2**31),
            "long": 2**62,
            "string": "grüße",
            "bytes": b"\x00\xff",
            "decimal": Decimal("3.14"),
            "time": datetime(2024, 2, 29, 12, 30, tzinfo=UTC),
            "none": None,
            "array": [1, "two", [3], {"four": None}],
            "table": {"nested": {"deeper": [b"x"]}},
        },
        delivery_mode=2,
        priority=7,
        correlation_id="correlation",
        reply_to="reply",
        expiration="60000",
        message_id="message",
        timestamp=2**32 + 1,
        type="type",
        user_id="guest",
        app_id="app",
        cluster_id="cluster",
    )
    channel.basic_publish("", queue, b"body", sent)
    assert get(channel, queue).properties == sent


def test_no_property_arrives_that_was_not_sent(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, [b"bare"])
    assert get(channel, queue).properties == pika.BasicProperties()


def test_confirms_cover_every_publish_once(peer: OpenPeer) -> None:
    """Singly or with ``multiple``, in whatever order: each of 100 sequence numbers, from 1, is acknowledged."""
    publisher = peer().open()
    publisher.open_channel()
    queue = publisher.declare_queue(exclusive=True)
    publisher.call(1, spec.Confirm.Select(), spec.Confirm.SelectOk)
    publisher.call(1, spec.Confirm.Select(), spec.Confirm.SelectOk)  # again is allowed
    for n in range(100):
        publisher.publish(queue if n % 2 else "no such queue", b"%d" % n)  # one that is dropped is confirmed too

    missing = set(range(1, 101))
    while missing:
        ack = publisher.expect(spec.Basic.Ack)
        confirmed = {n for n in missing if n <= ack.delivery_tag} if ack.multiple else {ack.delivery_tag}
        assert confirmed
        assert confirmed <= missing  # none twice
        missing -= confirmed


def test_a_mandatory_message_is_returned_before_it_is_confirmed(peer: OpenPeer) -> None:
    publisher = peer().open()
    publisher.open_channel()
    publisher.call(1, spec.Confirm.Select(), spec.Confirm.SelectOk)
    publisher.publish("no such queue", b"come back", exchange="amq.direct", mandatory=True)

    returned, body = publisher.expect_message(spec.Basic.Return)
    assert (returned.reply_code, returned.reply_text) == (312, "NO_ROUTE")
    assert (returned.exchange, returned.routing_key, body) == ("amq.direct", "no such queue", b"come back")
    assert publisher.expect(spec.Basic.Ack).delivery_tag == 1


def test_pika_raises_what_comes_back(channel: BlockingChannel, queue: str) -> None:
    channel.basic_publish("", queue, b"arrives", mandatory=True)
    properties = pika.BasicProperties(message_id="m1")
    with pytest.raises(UnroutableError) as unroutable:
        channel.basic_publish("", "no such queue", b"come back", properties, mandatory=True)
    (returned,) = unroutable.value.messages
    assert (returned.body, returned.properties, returned.method.reply_code) == (b"come back", properties, 312)
    assert drain(channel, queue) == [b"arrives"]


@pytest.mark.anyio
async def test_aio_pika_raises_what_comes_back(url: str) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        queue = await channel.declare_queue(exclusive=True)
        await channel.default_exchange.publish(aio_pika.Message(b"arrives"), queue.name)
        with pytest.raises(DeliveryError):
            await channel.default_exchange.publish(aio_pika.Message(b"come back"), "no such queue")
        message = await queue.get()
        assert message.body == b"arrives"


def test_publishing_without_confirms_keeps_order(channel: BlockingChannel, queue: str) -> None:
    plain = channel.connection.channel()
    bodies = [b"%d" % n for n in range(1000)]
    publish(plain, queue, bodies)
    assert drain(plain, queue) == bodies


def test_a_transaction_publishes_and_acknowledges_at_its_commit(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, [b"old"])
    tx = channel.connection.channel()
    tx.tx_select()
    tx.basic_ack(get(tx, queue).tag)
    publish(tx, queue, [b"new 1", b"new 2"])
    tx.tx_select()  # again is allowed, and commits nothing
    assert drain(channel, queue) == []

    tx.tx_commit()
    assert drain(channel, queue) == [b"new 1", b"new 2"]
    tx.close()
    assert drain(channel, queue) == []  # old stays acknowledged


def test_a_rollback_forgets_publishes_and_acknowledgements(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, [b"old"])
    tx = channel.connection.channel()
    tx.tx_select()
    old = get(tx, queue)
    tx.basic_ack(old.tag)
    publish(tx, queue, [b"new"])
    tx.tx_rollback()
    assert drain(channel, queue) == []

    tx.basic_ack(old.tag)  # may be acknowledged anew, since the first time does not count
    tx.tx_rollback()
    tx.close()
    again = get(channel, queue)
    assert (again.body, again.method.redelivered) == (b"old", True)


@pytest.mark.anyio
async def test_aio_pika_transactions(url: str) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=False)
        queue = await channel.declare_queue(exclusive=True)
        with suppress(ZeroDivisionError):
            async with channel.transaction():
                await channel.default_exchange.publish(aio_pika.Message(b"rolled back"), queue.name)
                raise ZeroDivisionError
        async with channel.transaction():
            await channel.default_exchange.publish(aio_pika.Message(b"committed"), queue.name)
        message = await queue.get()
        assert message.body == b"committed"
        assert await queue.get(fail=False) is None
