"""Four AMQP clients behind one small face, so that a scenario is written once and reads like a transcript.

``Client`` is synchronous whatever drives the library inside: a call returns when the broker has answered it, and
``receive`` when a delivery has come. The adapters keep to each library's documented way of working (callbacks on an I/O
loop for pika's SelectConnection and AsyncioConnection, coroutines for aio-pika), so the bytes on the wire are those an
application with that library sends. Every channel is in confirm mode: a publish that returned was taken by the broker,
and what a test does next on another connection comes after it.

Nothing here has a time-out: a test that waits in vain is ended by its own time limit, with the traceback of the wait.
Message properties and declaration flags go by their AMQP names, which all four libraries share.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import aio_pika
import pika
from aio_pika.abc import AbstractIncomingMessage
from pika.adapters.asyncio_connection import AsyncioConnection

T = TypeVar("T")


@dataclass(frozen=True)
class Delivery:
    """A message as it arrived, whichever library brought it.

    ``ack`` acknowledges it, if its consumer acknowledges by hand. The acknowledgement leaves with the client's next
    call at the latest.
    """

    body: bytes
    exchange: str
    routing_key: str
    redelivered: bool
    delivery_mode: int | None
    reply_to: str | None
    correlation_id: str | None
    ack: Callable[[], object]


class Client(ABC):
    """One connection with one channel in confirm mode."""

    @abstractmethod
    def declare_queue(self, name: str = "", **flags: bool) -> str:
        """Declare a queue (flags: durable, exclusive, auto_delete); its name, chosen by the broker if none is given."""

    @abstractmethod
    def declare_exchange(self, name: str, exchange_type: str) -> None: ...

    @abstractmethod
    def bind(self, queue: str, exchange: str, routing_key: str = "") -> None: ...

    @abstractmethod
    def qos(self, prefetch_count: int) -> None: ...

    @abstractmethod
    def publish(self, exchange: str, routing_key: str, body: bytes, **properties: Any) -> None:
        """Publish, and wait for the broker's confirm."""

    @abstractmethod
    def consume(self, queue: str, *, auto_ack: bool = False) -> None:
        """Start a consumer; ``receive`` gives its deliveries in the order in which they came."""

    @abstractmethod
    def receive(self) -> Delivery:
        """The next delivery, waited for."""

    @abstractmethod
    def get(self, queue: str) -> Delivery | None:
        """One message by basic.get, acknowledged with it; None from an empty queue."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection; nothing happens to one that is closed."""


class PikaClient(Client):
    """What pika's connections have in common: how a message is handed over."""

    _channel: Any

    def __init__(self) -> None:
        self._deliveries: deque[Delivery] = deque()

    def _on_message(self, _channel: Any, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
        self._deliveries.append(self._delivery(method, properties, body))

    def _delivery(self, method: Any, properties: pika.BasicProperties, body: bytes) -> Delivery:
        return Delivery(
            body=body,
            exchange=method.exchange,
            routing_key=method.routing_key,
            redelivered=method.redelivered,
            delivery_mode=properties.delivery_mode,
            reply_to=properties.reply_to,
            correlation_id=properties.correlation_id,
            ack=lambda: self._channel.basic_ack(method.delivery_tag),
        )


class BlockingClient(PikaClient):
    """pika.BlockingConnection."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()

    def declare_queue(self, name: str = "", **flags: bool) -> str:
        return str(self._channel.queue_declare(name, **flags).method.queue)

    def declare_exchange(self, name: str, exchange_type: str) -> None:
        self._channel.exchange_declare(name, exchange_type)

    def bind(self, queue: str, exchange: str, routing_key: str = "") -> None:
        self._channel.queue_bind(queue, exchange, routing_key)

    def qos(self, prefetch_count: int) -> None:
        self._channel.basic_qos(prefetch_count=prefetch_count)

    def publish(self, exchange: str, routing_key: str, body: bytes, **properties: Any) -> None:
        self._channel.basic_publish(exchange, routing_key, body, pika.BasicProperties(**properties))

    def consume(self, queue: str, *, auto_ack: bool = False) -> None:
        self._channel.basic_consume(queue, self._on_message, auto_ack=auto_ack)

    def receive(self) -> Delivery:
        while not self._deliveries:
            self._connection.process_data_events(time_limit=None)
        return self._deliveries.popleft()

    def get(self, queue: str) -> Delivery | None:
        method, properties, body = self._channel.basic_get(queue, auto_ack=True)
        return None if method is None else self._delivery(method, properties, body)

    def close(self) -> None:
        if self._connection.is_open:
            self._connection.close()


class CallbackClient(PikaClient):
    """pika's connections that answer through callbacks, on a loop that turns until the wanted callback came."""

    _connection: Any

    def __init__(self, open_connection: Callable[..., Any]) -> None:
        super().__init__()
        self._lost: list[Exception] = []  # why the connection or the channel closed, once it has
        self._confirms: deque[tuple[Any, ...]] = deque()
        opened: deque[tuple[Any, ...]] = deque()
        self._connection = open_connection(
            on_open_callback=self._keep(opened),
            on_open_error_callback=self._on_closed,
            on_close_callback=self._on_closed,
        )
        self._next(opened)
        self._channel = self._call(self._connection.channel, "on_open_callback")
        self._channel.add_on_close_callback(self._on_closed)
        self._call(self._channel.confirm_delivery, ack_nack_callback=self._keep(self._confirms))

    def declare_queue(self, name: str = "", **flags: bool) -> str:
        return str(self._call(self._channel.queue_declare, queue=name, **flags).method.queue)

    def declare_exchange(self, name: str, exchange_type: str) -> None:
        self._call(self._channel.exchange_declare, exchange=name, exchange_type=exchange_type)

    def bind(self, queue: str, exchange: str, routing_key: str = "") -> None:
        self._call(self._channel.queue_bind, queue=queue, exchange=exchange, routing_key=routing_key)

    def qos(self, prefetch_count: int) -> None:
        self._call(self._channel.basic_qos, prefetch_count=prefetch_count)

    def publish(self, exchange: str, routing_key: str, body: bytes, **properties: Any) -> None:
        self._channel.basic_publish(exchange, routing_key, body, pika.BasicProperties(**properties))
        (confirm,) = self._next(self._confirms)
        assert isinstance(confirm.method, pika.spec.Basic.Ack), confirm

    def consume(self, queue: str, *, auto_ack: bool = False) -> None:
        self._call(self._channel.basic_consume, queue=queue, on_message_callback=self._on_delivery, auto_ack=auto_ack)

    def receive(self) -> Delivery:
        return self._next(self._deliveries)

    def get(self, queue: str) -> Delivery | None:
        answers: deque[tuple[Any, ...]] = deque()
        self._channel.add_callback(self._keep(answers), [pika.spec.Basic.GetEmpty])
        self._channel.basic_get(queue, self._keep(answers), auto_ack=True)
        _channel, *message = self._next(answers)
        return self._delivery(*message) if message else None  # get-empty comes as its frame alone

    def close(self) -> None:
        if self._connection.is_open:
            self._connection.close()
        while not self._connection.is_closed:
            self._run_loop()

    def _call(self, request: Callable[..., Any], callback_name: str = "callback", /, **arguments: Any) -> Any:
        """Make a request with a callback, and give the one thing the callback is called with."""
        answers: deque[tuple[Any, ...]] = deque()
        request(**arguments, **{callback_name: self._keep(answers)})
        (answer,) = self._next(answers)
        return answer

    def _next(self, arrived: deque[T]) -> T:
        """The first of what the callbacks put here, waited for; what closed the channel or connection, if that came."""
        while not arrived and not self._lost:
            self._run_loop()
        if not arrived:
            raise self._lost[0]
        return arrived.popleft()

    def _keep(self, arrived: deque[tuple[Any, ...]]) -> Callable[..., None]:
        """A callback that keeps its arguments and lets the loop return."""

        def callback(*arguments: Any) -> None:
            arrived.append(arguments)
            self._connection.ioloop.stop()

        return callback

    def _on_delivery(self, channel: Any, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
        self._on_message(channel, method, properties, body)
        self._connection.ioloop.stop()

    def _on_closed(self, _closed: Any, reason: Exception) -> None:
        self._lost.append(reason)
        self._connection.ioloop.stop()

    @abstractmethod
    def _run_loop(self) -> None:
        """Turn the loop until something calls ``ioloop.stop()``."""


class SelectClient(CallbackClient):
    """pika.SelectConnection, on the loop pika brings along."""

    def __init__(self, url: str) -> None:
        super().__init__(lambda **callbacks: pika.SelectConnection(pika.URLParameters(url), **callbacks))

    def _run_loop(self) -> None:
        self._connection.ioloop.start()

    def close(self) -> None:
        super().close()
        self._connection.ioloop.close()


class AsyncioClient(CallbackClient):
    """pika's AsyncioConnection."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        parameters = pika.URLParameters(url)
        super().__init__(lambda **callbacks: AsyncioConnection(parameters, custom_ioloop=self._loop, **callbacks))

    def _run_loop(self) -> None:
        self._loop.run_forever()

    def close(self) -> None:
        super().close()
        self._loop.close()


class AioPikaClient(Client):
    """aio-pika, each call a coroutine run to its end."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._deliveries: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        self._run(self._open(url))

    async def _open(self, url: str) -> None:
        self._connection = await aio_pika.connect(url)
        self._channel = await self._connection.channel()

    def declare_queue(self, name: str = "", **flags: bool) -> str:
        return self._run(self._channel.declare_queue(name or None, **flags)).name  # type: ignore[arg-type]

    def declare_exchange(self, name: str, exchange_type: str) -> None:
        self._run(self._channel.declare_exchange(name, exchange_type))

    def bind(self, queue: str, exchange: str, routing_key: str = "") -> None:
        async def bind() -> None:
            await (await self._channel.get_queue(queue, ensure=False)).bind(exchange, routing_key)

        self._run(bind())

    def qos(self, prefetch_count: int) -> None:
        self._run(self._channel.set_qos(prefetch_count))

    def publish(self, exchange: str, routing_key: str, body: bytes, **properties: Any) -> None:
        message = aio_pika.Message(body, **properties)

        async def publish() -> None:
            target = await self._channel.get_exchange(exchange, ensure=False) if exchange else self._default_exchange
            await target.publish(message, routing_key, mandatory=False)

        self._run(publish())

    def consume(self, queue: str, *, auto_ack: bool = False) -> None:
        async def consume() -> None:
            source = await self._channel.get_queue(queue, ensure=False)
            await source.consume(self._deliveries.put, no_ack=auto_ack)

        self._run(consume())

    def receive(self) -> Delivery:
        return self._delivery(self._run(self._deliveries.get()))

    def get(self, queue: str) -> Delivery | None:
        async def get() -> AbstractIncomingMessage | None:
            return await (await self._channel.get_queue(queue, ensure=False)).get(no_ack=True, fail=False)

        message = self._run(get())
        return None if message is None else self._delivery(message)

    def close(self) -> None:
        if not self._connection.is_closed:
            self._run(self._connection.close())
        self._runner.close()

    @property
    def _default_exchange(self) -> aio_pika.abc.AbstractExchange:
        return self._channel.default_exchange

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    def _delivery(self, message: AbstractIncomingMessage) -> Delivery:
        return Delivery(
            body=message.body,
            exchange=message.exchange or "",
            routing_key=message.routing_key or "",
            redelivered=bool(message.redelivered),
            delivery_mode=message.delivery_mode,
            reply_to=message.reply_to,
            correlation_id=message.correlation_id,
            ack=lambda: self._run(message.ack()),
        )


CLIENTS: dict[str, Callable[[str], Client]] = {
    "pika.BlockingConnection": BlockingClient,
    "pika.SelectConnection": SelectClient,
    "pika.AsyncioConnection": AsyncioClient,
    "aio_pika": AioPikaClient,
}
