"""What a workload needs in the broker: an exchange, queues, bindings; and where its messages go.

Must not touch a socket but through a ``Connection``. Names are unique to a run, so that runs do not meet, and what a
run has declared it deletes, however it ends.

All names of a run have one length and so have all its messages: numbers have five digits. That is what lets consumers
count by octets.

Message k has routing key k. For a topic exchange with B bindings and K keys, key k is ``s<g%10>.d<k>.g<g>``, with
g = k % min(B, K), and binding j takes one of four forms in turn::

    s3.d00123.g00123    the words of key j themselves, or s3.#.g00123 where there are fewer bindings than keys
    s4.*.g00124
    *.*.g00125
    #.g00126

So binding j matches the messages of g = j and no other: each message matches one binding, and reaches one queue. Where
there are more bindings than keys, the rest matches nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from amqpd.bench.client import Connection
from amqpd.bench.errors import BenchError
from amqpd.bench.url import BrokerURL
from amqpd.bench.workload import Workload
from amqpd.wire import methods as m
from amqpd.wire.tables import Table


@dataclass(frozen=True, slots=True)
class Binding:
    queue: str
    routing_key: str
    arguments: Table


@dataclass(frozen=True, slots=True)
class Topology:
    """The names of one run, ``prefix`` in front of them all."""

    workload: Workload
    prefix: str

    @property
    def exchange(self) -> str:
        return "" if self.workload.exchange_type == "default" else f"{self.prefix}-x"

    def queue(self, number: int) -> str:
        return f"{self.prefix}-{number:05}"

    def queues(self) -> list[str]:
        return [self.queue(number) for number in range(self.workload.queues)]

    def routing_key(self, k: int) -> str:
        match self.workload.exchange_type:
            case "default":
                return self.queue(k)
            case "topic":
                group = self._group(k)
                return f"s{group % 10}.d{k:05}.g{group:05}"
        return f"k{k:05}"

    def headers(self, k: int) -> Table:
        """What a headers exchange tells messages apart by; empty for other types."""
        return {"group": f"g{self._group(k):05}"} if self.workload.exchange_type == "headers" else {}

    def bindings(self) -> Iterator[Binding]:
        if self.workload.exchange_type == "default":
            return
        if self.workload.exchange_type == "fanout":
            yield from (Binding(queue, "", {}) for queue in self.queues())
            return
        for j in range(self.workload.binding_count):
            queue = self.queue(j % self.workload.queues)
            match self.workload.exchange_type:
                case "topic":
                    yield Binding(queue, self._pattern(j), {})
                case "headers":
                    yield Binding(queue, f"b{j:05}", {"x-match": "all", "group": f"g{j:05}"})
                case _:
                    yield Binding(queue, f"k{j:05}", {})

    def _group(self, k: int) -> int:
        return k % min(self.workload.binding_count, self.workload.keys)

    def _pattern(self, j: int) -> str:
        site, group = f"s{j % 10}", f"g{j:05}"
        exact = f"d{j:05}" if self.workload.binding_count >= self.workload.keys else "#"
        return (f"{site}.{exact}.{group}", f"{site}.*.{group}", f"*.*.{group}", f"#.{group}")[j % 4]


@contextmanager
def declared(broker: BrokerURL, topology: Topology) -> Iterator[None]:
    """Has all of it in the broker for as long as this lasts."""
    try:
        with Connection(broker).open() as connection:
            _declare(connection, topology)
        yield
    finally:
        with (
            suppress(BenchError),
            Connection(broker).open() as connection,
        ):  # the broker may be gone, which was told already
            _delete(connection, topology)


def _declare(connection: Connection, topology: Topology) -> None:
    durable = topology.workload.persistent
    if topology.exchange:
        declare = m.ExchangeDeclare(exchange=topology.exchange, type=topology.workload.exchange_type, durable=durable)
        connection.call(declare, m.ExchangeDeclareOk)
    connection.call_all((m.QueueDeclare(queue=queue, durable=durable) for queue in topology.queues()), m.QueueDeclareOk)
    connection.call_all(
        (
            m.QueueBind(
                queue=binding.queue,
                exchange=topology.exchange,
                routing_key=binding.routing_key,
                arguments=binding.arguments,
            )
            for binding in topology.bindings()
        ),
        m.QueueBindOk,
    )


def _delete(connection: Connection, topology: Topology) -> None:
    connection.call_all((m.QueueDelete(queue=queue) for queue in topology.queues()), m.QueueDeleteOk)
    if topology.exchange:
        connection.call(m.ExchangeDelete(exchange=topology.exchange), m.ExchangeDeleteOk)
