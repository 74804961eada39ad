"""A load for dashboards to show: a shop, with everything that can be seen of a broker, gentle and without an end.

    python -m grafana.demonstration amqp://guest:guest@127.0.0.1:5672/

Each role is one coroutine with a connection of its own, which has the role's name. A role does what real programs do,
and one of them (``reports``) does what they should not: it pauses while its queue grows. ``pace`` makes all of it so
many times as fast; times in here are seconds at the pace of 1.
"""

import asyncio
import logging
import math
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count

from aio_pika import Message, connect
from aio_pika.abc import (
    AbstractChannel,
    AbstractExchange,
    AbstractIncomingMessage,
    AbstractQueue,
    DeliveryMode,
    FieldValue,
)
from aio_pika.exceptions import DeliveryError

ORDERS_A_S = 40.0
WAVE_S = 90.0  # orders come and go in waves
BURST_EVERY_S, BURST = 60.0, 1_000
SPOILED = "spoiled"  # a header of orders
PAUSE_S = 45.0  # of the reports, and as long again they work

ORDERS, EVENTS, TELEMETRY, DEAD = "orders", "events", "telemetry", "dead"
"""Exchanges: direct, topic, one that nothing is bound to, and the one that dead letters go to."""

Take = Callable[[AbstractIncomingMessage], Awaitable[None]]


class Stage:
    """Where the roles meet: the broker, and how fast time goes."""

    def __init__(self, url: str, pace: float) -> None:
        self._url = url
        self._pace = pace

    @asynccontextmanager
    async def enter(self, role: str, prefetch: int = 10, confirms: bool = True) -> AsyncIterator[AbstractChannel]:
        async with await connect(self._url, client_properties={"connection_name": role}) as connection:
            channel = await connection.channel(publisher_confirms=confirms)
            await channel.set_qos(prefetch_count=prefetch)
            yield channel

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._pace)

    def now(self) -> float:
        return asyncio.get_running_loop().time() * self._pace

    async def consume(self, role: str, queue: str, take: Take) -> None:
        async with self.enter(role) as channel:
            await consume(channel, queue, take)


async def consume(channel: AbstractChannel, queue: str, take: Take) -> None:
    """Hand messages to ``take``, one after the other, for ever."""
    async with (await channel.get_queue(queue, ensure=False)).iterator() as messages:
        async for message in messages:
            await take(message)


# Who publishes --------------------------------------------------------------------------------------------------------


async def shop(stage: Stage) -> None:
    """Orders, safe on the disk before the customer is told, and now and then a burst of them."""
    async with stage.enter("shop") as channel:
        orders, events = await channel.get_exchange(ORDERS), await channel.get_exchange(EVENTS)
        burst_at = stage.now() + BURST_EVERY_S / 4
        for number in count():
            rate = ORDERS_A_S * (1 + 0.6 * math.sin(stage.now() / WAVE_S * math.tau))
            await asyncio.gather(order(orders, number), events.publish(event(200), f"order.created.{number % 5}"))
            await stage.sleep(1 / rate)
            if stage.now() >= burst_at:
                burst_at += BURST_EVERY_S
                await asyncio.gather(*(order(orders, number + further) for further in range(BURST)))


async def order(orders: AbstractExchange, number: int) -> None:
    """Most are small; every fiftieth has a picture with it, and some nobody can read."""
    body = bytes(200_000 if number % 50 == 0 else 300 + number % 7 * 400)
    headers: dict[str, FieldValue] = {SPOILED: number % 200 == 100}
    await orders.publish(Message(body, headers=headers, delivery_mode=DeliveryMode.PERSISTENT), "new")


def event(size: int) -> Message:
    return Message(bytes(size), content_type="application/json")


async def parcels(stage: Stage) -> None:
    """Events that nobody waits to have confirmed."""
    async with stage.enter("parcels", confirms=False) as channel:
        events = await channel.get_exchange(EVENTS)
        for number in count():
            await events.publish(event(120), f"parcel.moved.{number % 3}", mandatory=False)
            await stage.sleep(0.04)


async def astray(stage: Stage) -> None:
    """Messages for nobody: a key that nothing is bound with, and an exchange that nothing is bound to."""
    async with stage.enter("astray") as channel:
        orders, telemetry = await channel.get_exchange(ORDERS), await channel.get_exchange(TELEMETRY)
        while True:
            await orders.publish(event(50), "cancelled", mandatory=True)
            await telemetry.publish(event(80), "temperature", mandatory=False)
            await orders.publish(event(50), "refunded", mandatory=False)
            await telemetry.publish(event(80), "humidity", mandatory=True)
            await stage.sleep(1.5)


async def guests(stage: Stage) -> None:
    """More than the waiting room takes: some are refused."""
    async with stage.enter("guests") as channel:
        while True:
            with suppress(DeliveryError):
                await channel.default_exchange.publish(event(100), "waiting room")
            await stage.sleep(0.2)


async def bookkeeper(stage: Stage) -> None:
    """Books several things together or none of them (a transaction)."""
    async with stage.enter("bookkeeper", confirms=False) as channel:
        while True:
            async with channel.transaction():
                for _ in range(4):
                    await channel.default_exchange.publish(event(400), "books", mandatory=False)
                    await stage.sleep(0.4)


async def customer(stage: Stage) -> None:
    """Asks for prices, and waits for each answer (direct reply-to)."""
    async with stage.enter("customer") as channel:
        answers: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        replies = await channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
        await replies.consume(answers.put, no_ack=True)
        while True:
            await channel.default_exchange.publish(Message(b"price?", reply_to=replies.name), "prices")
            await answers.get()
            await stage.sleep(0.1)


# Who consumes ---------------------------------------------------------------------------------------------------------


async def worker(stage: Stage, name: str) -> None:
    """Does what was ordered. Some orders it cannot do, some only at the second try, and the spoiled ones never."""
    numbers = count(1)

    async def take(message: AbstractIncomingMessage) -> None:
        number = next(numbers)
        await stage.sleep(0.01 + 0.04 * (number * 7 % 10) / 10)
        if number % 40 == 0:
            await message.reject()
        elif message.headers[SPOILED] or (number % 30 == 0 and not message.redelivered):
            await message.nack(requeue=True)  # to the delivery limit, if it is never any better
        else:
            await message.ack()

    await stage.consume(name, "orders", take)


async def reports(stage: Stage) -> None:
    """Works in shifts: a backlog grows, and is drained."""

    async def take(message: AbstractIncomingMessage) -> None:
        if stage.now() % (2 * PAUSE_S) < PAUSE_S:
            await stage.sleep(PAUSE_S)
        await message.ack()

    await stage.consume("reports", "reports", take)


async def quick(stage: Stage, name: str, queue: str) -> None:
    async def take(message: AbstractIncomingMessage) -> None:
        await stage.sleep(0.005)
        await message.ack()

    await stage.consume(name, queue, take)


async def archive(stage: Stage) -> None:
    """Takes everything, and acknowledges nothing."""
    async with stage.enter("archive") as channel:
        queue = await channel.get_queue("archive", ensure=False)
        async with queue.iterator(no_ack=True) as messages:
            async for _ in messages:
                pass


async def prices(stage: Stage) -> None:
    async with stage.enter("prices") as channel:

        async def take(question: AbstractIncomingMessage) -> None:
            await stage.sleep(0.003)
            await channel.default_exchange.publish(Message(b"42"), question.reply_to or "")
            await question.ack()

        await consume(channel, "prices", take)


async def clerk(stage: Stage) -> None:
    """Looks after what has failed, by hand: gets it one by one, until there is no more."""
    async with stage.enter("clerk") as channel:
        failed = await channel.get_queue("failed", ensure=False)
        for number in count():
            message = await failed.get(no_ack=number % 2 == 0, fail=False)
            if message is None:
                await stage.sleep(2)
            elif number % 2:
                await message.ack()


async def visitors(stage: Stage) -> None:
    """Come, have a queue of their own for a while, and go."""
    for number in count():
        async with stage.enter(f"visitor-{number}") as channel:
            queue = await channel.declare_queue(f"visitor.{number % 3}", exclusive=True)
            await queue.bind(EVENTS, f"order.*.{number % 5}")
            await stage.sleep(3)


# The stage ------------------------------------------------------------------------------------------------------------


async def declare(channel: AbstractChannel) -> None:
    """Exchanges, queues and bindings. ``screens`` and ``waiting room`` have no consumers, but limits."""
    orders = await channel.declare_exchange(ORDERS, "direct", durable=True)
    events = await channel.declare_exchange(EVENTS, "topic", durable=True)
    dead = await channel.declare_exchange(DEAD, "fanout", durable=True)
    await channel.declare_exchange(TELEMETRY, "fanout", durable=True)

    async def queue(name: str, arguments: dict[str, FieldValue] | None = None) -> AbstractQueue:
        return await channel.declare_queue(name, durable=True, arguments=arguments)

    await (await queue("orders", {"x-dead-letter-exchange": DEAD, "x-delivery-limit": 3})).bind(orders, "new")
    await (await queue("failed")).bind(dead)
    await (await queue("archive")).bind(events, "#")
    await (await queue("mail")).bind(events, "order.#")
    await (await queue("reports")).bind(events, "order.created.#")
    await (await queue("screens", {"x-dead-letter-exchange": DEAD, "x-max-length": 20})).bind(events, "parcel.moved.0")
    await queue("waiting room", {"x-max-length": 5, "x-message-ttl": 2_000, "x-overflow": "reject-publish"})
    await queue("prices")
    await queue("books")


async def demonstrate(url: str, pace: float = 1.0) -> None:
    """Play until cancelled, on a broker whose queues of these names are this play's own."""
    stage = Stage(url, pace)
    async with stage.enter("demonstration") as channel:
        await declare(channel)
    workers = (worker(stage, f"worker-{number}") for number in range(1, 4))
    others = (quick(stage, "mailer", "mail"), quick(stage, "auditor", "books"))
    async with asyncio.TaskGroup() as roles:
        for role in (*workers, *others, *(each(stage) for each in ROLES)):
            roles.create_task(role)


ROLES = (shop, parcels, astray, guests, bookkeeper, customer, reports, archive, prices, clerk, visitors)

if __name__ == "__main__":
    logging.disable()  # aiormq has much to say about being interrupted
    with suppress(KeyboardInterrupt):
        asyncio.run(demonstrate(sys.argv[1], *map(float, sys.argv[2:])))
