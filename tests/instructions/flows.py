"""What is counted: eleven ways in which messages go through a broker, each a stream of the octets that clients send.

A flow declares what it needs and then makes *turns* without end, lists of what is read from whom. All octets are made
before counting begins. Whatever a flow does in one turn it does in each, so that the count for a message is the same
however many there are.

All clients know beforehand what they will be sent, and so their acknowledgements need no parsing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, cycle, islice

from amqpd.wire import methods
from amqpd.wire.properties import Properties
from tests.amqp.transcript import octets
from tests.instructions.server import FRAME_MAX, DurableServer, Peer, Server

BLOCK = 64
"""Messages that a busy publisher has in one read."""

POOL = 1000
"""Messages that differ."""

BODY = bytes(100)
TRANSIENT = Properties(delivery_mode=1)
PERSISTENT = Properties(delivery_mode=2)

Turn = list[tuple[Peer, bytes]]


@dataclass(frozen=True)
class Flow:
    """``messages``: published in a turn. ``turns``: how many are counted, after as many to warm up. ``copies``: how
    many queues each message goes to."""

    name: str
    begin: Callable[[Server], Iterator[Turn]]
    messages: int
    turns: int
    copies: int = 1
    durable: bool = False

    def server(self) -> Server:
        return DurableServer() if self.durable else Server()


def publish(exchange: str, routing_key: str, body: bytes = BODY, properties: Properties = TRANSIENT) -> bytes:
    return octets((1, methods.BasicPublish(exchange=exchange, routing_key=routing_key), body, properties), FRAME_MAX)


def ack(delivery_tag: int, multiple: bool = False) -> bytes:
    return octets((1, methods.BasicAck(delivery_tag, multiple)))


def consume(server: Server, *queues: str, prefetch: int = 0) -> Peer:
    """A new consumer of these queues; one that acknowledges if it has a ``prefetch``."""
    consumer = server.connect()
    consumer.session.qos(prefetch)
    for queue in queues:
        consumer.session.consume(queue, no_ack=not prefetch)
    return consumer


def blocks(publisher: Peer, pool: list[bytes], size: int = BLOCK) -> Iterator[Turn]:
    """The messages of a pool, over and over, so many in a read."""
    messages = cycle(pool)
    while True:
        yield [(publisher, b"".join(islice(messages, size)))]


def autoack(server: Server) -> Iterator[Turn]:
    """The same message again and again."""
    server.session.declare_queue("q")
    consume(server, "q")
    return blocks(server.connect(), [publish("", "q")])


def confirm(server: Server, properties: Properties = TRANSIENT) -> Iterator[Turn]:
    """The same with confirms, and acknowledgements a block at a time."""
    server.session.declare_queue("q", durable=properties is PERSISTENT)
    publisher, consumer = server.connect(), consume(server, "q", prefetch=1000)
    publisher.session.select_confirms()
    block = publish("", "q", properties=properties) * BLOCK
    for tag in count(BLOCK, BLOCK):
        yield [(publisher, block), (consumer, ack(tag, multiple=True))]


def durable(server: Server) -> Iterator[Turn]:
    """The same with persistent messages in a durable queue."""
    return confirm(server, PERSISTENT)


def single(server: Server) -> Iterator[Turn]:
    """Requests as an RPC client sends them: one in a read, each with another correlation id."""
    server.session.declare_queue("q")
    consume(server, "q")
    requests = [
        publish("", "q", properties=Properties(correlation_id=f"{number:032}", reply_to="amq.gen-of-the-client"))
        for number in range(POOL)
    ]
    return blocks(server.connect(), requests, size=1)


def single_acks(server: Server) -> Iterator[Turn]:
    """Messages that wait for a consumer with a prefetch of 10, who sends an acknowledgement for each."""
    server.session.declare_queue("q")
    publisher = server.connect()
    publisher.receive(publish("", "q") * BLOCK)
    consumer = consume(server, "q", prefetch=10)
    block = publish("", "q") * 10
    for first in count(1, 10):
        yield [(publisher, block), *((consumer, ack(tag)) for tag in range(first, first + 10))]


def mixed(server: Server, headers: bool = False) -> Iterator[Turn]:
    """Each message with other properties and another routing key, through a topic exchange."""
    server.session.declare_exchange("events", "topic")
    server.session.declare_queue("q")
    server.session.bind("q", "events", "orders.#")
    consume(server, "q")
    pool = [publish("events", f"orders.{n:04}.created", properties=_event(n, headers)) for n in range(POOL)]
    return blocks(server.connect(), pool)


def with_headers(server: Server) -> Iterator[Turn]:
    """The same with a table of headers."""
    return mixed(server, headers=True)


def _event(number: int, headers: bool) -> Properties:
    return Properties(
        content_type="application/json",
        delivery_mode=1,
        correlation_id=f"request-{number:04}",
        message_id=f"{number:032}",
        timestamp=1_700_000_000 + number,
        type=f"order.created.{number:04}",
        app_id="shop",
        headers={"customer": f"customer-{number:04}", "attempt": number, "traceparent": f"00-{number:032}-01"}
        if headers
        else None,
    )


def fanout(server: Server) -> Iterator[Turn]:
    """One message to ten queues, each with a consumer on a connection of its own."""
    server.session.declare_exchange("news", "fanout")
    for number in range(10):
        server.session.declare_queue(f"q{number}")
        server.session.bind(f"q{number}", "news")
        consume(server, f"q{number}")
    return blocks(server.connect(), [publish("news", "")])


def topic(server: Server) -> Iterator[Turn]:
    """A thousand routing keys and ten thousand patterns of several shapes; one of them matches each key."""
    server.session.declare_exchange("sensors", "topic")
    server.session.declare_queue("q")
    shapes = ("site.{:05}.*", "site.*.{:05}", "#.{:05}", "site.{:05}.#.alarm")
    for number in range(10 * POOL):
        server.session.bind("q", "sensors", shapes[number % len(shapes)].format(number))
    consume(server, "q")
    pool = [publish("sensors", f"site.{len(shapes) * number:05}.temperature") for number in range(POOL)]
    return blocks(server.connect(), pool)


def large(server: Server) -> Iterator[Turn]:
    """Bodies of 1 MiB in the largest frames, 256 KiB in a read."""
    server.session.declare_queue("q")
    consume(server, "q")
    publisher = server.connect()
    stream, size = publish("", "q", bytes(1 << 20)) * 4, 1 << 18
    while True:
        yield [(publisher, stream[start : start + size]) for start in range(0, len(stream), size)]


def many_queues(server: Server) -> Iterator[Turn]:
    """A thousand queues, each message to the next one, all for one consumer's connection."""
    queues = [f"q{number:04}" for number in range(POOL)]
    for queue in queues:
        server.session.declare_queue(queue)
    consume(server, *queues)
    return blocks(server.connect(), [publish("", queue) for queue in queues])


FLOWS = {
    flow.name: flow
    for flow in (
        Flow("autoack", autoack, messages=BLOCK, turns=16),
        Flow("confirm", confirm, messages=BLOCK, turns=16),
        Flow("single", single, messages=1, turns=POOL),
        Flow("single-acks", single_acks, messages=10, turns=100),
        Flow("mixed", mixed, messages=BLOCK, turns=16),
        Flow("headers", with_headers, messages=BLOCK, turns=16),
        Flow("fanout", fanout, messages=BLOCK, turns=8, copies=10),
        Flow("topic", topic, messages=BLOCK, turns=16),
        Flow("durable", durable, messages=BLOCK, turns=16, durable=True),
        Flow("large", large, messages=4, turns=4),
        Flow("many-queues", many_queues, messages=BLOCK, turns=16),
    )
}
