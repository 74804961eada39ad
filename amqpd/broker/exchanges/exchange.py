"""Exchanges: which destinations a message is for. Here are the base of all types, and the plain ones.

An exchange only matches. Following exchange-to-exchange bindings and alternate exchanges is routing.py's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from amqpd.broker.deduplication import deduplicator_of
from amqpd.broker.host import Host
from amqpd.broker.message import Message
from amqpd.broker.queues.queue import Queue
from amqpd.broker.records import BindingRecord, ExchangeRecord
from amqpd.broker.sink import Sink
from amqpd.broker.statistics import UNROUTABLE, ExchangeStatistics
from amqpd.wire.tables import Table, encode_table

BindingKey = tuple[str, str, str, bytes]
"""What makes two bindings of one exchange the same: destination kind and name, routing key, arguments."""


def binding_key(record: BindingRecord) -> BindingKey:
    arguments = encode_table(dict(sorted(record.arguments.items())))
    return record.destination_kind, record.destination, record.routing_key, arguments


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """A binding with its ends resolved to live objects."""

    record: BindingRecord
    source: "Exchange"
    destination: "Destination"


class Exchange:
    """One exchange; the base of all types.

    ``bindings`` holds what is bound to it, by identity. Subclasses keep an index of their own beside it, so that
    matching does not look at bindings that cannot match. ``policy`` is the definition of the policy that applies to it.
    """

    type: ClassVar[str]

    per_message: bool = False
    """Whether the match depends on more than the routing key, so that it cannot be remembered by that."""

    by_key: bool = False
    """Whether a message with several routing keys (CC) is matched with each of them. If not, with the first only."""

    def __init__(self, record: ExchangeRecord, host: Host) -> None:
        self.record = record
        self.name = record.name
        self.policy: Table = {}
        self.bindings: dict[BindingKey, Binding] = {}
        self.published = 0
        self.confirmed = 0
        self._unroutable = [0] * len(UNROUTABLE)
        self._deduplicator = deduplicator_of(record.arguments, host.timers.now)
        if self._deduplicator is not None:
            self.per_message = True

    def __str__(self) -> str:
        return f"exchange '{self.name}' in vhost '{self.record.vhost}'"

    @property
    def alternate(self) -> str | None:
        """The exchange that gets what this one cannot route."""
        name = self.record.arguments.get("alternate-exchange", self.policy.get("alternate-exchange"))
        return name if isinstance(name, str) else None

    def check(self, record: BindingRecord) -> None:
        """PreconditionFailed: the binding means nothing to this type."""

    def bind(self, binding: Binding) -> bool:
        """Add a binding. False: it was there already."""
        key = binding_key(binding.record)
        if key in self.bindings:
            return False
        self.bindings[key] = binding
        self._index(key, binding)
        return True

    def unbind(self, record: BindingRecord) -> Binding | None:
        """Remove a binding and return it; None: there was none."""
        key = binding_key(record)
        binding = self.bindings.pop(key, None)
        if binding is not None:
            self._unindex(key, binding)
        return binding

    def is_duplicate(self, message: Message) -> bool:
        """Whether the exchange has deduplication, which stops this message."""
        return self._deduplicator is not None and self._deduplicator.is_duplicate(message)

    def take_back(self, message: Message) -> None:
        """A queue has refused a message that came through here: it will come again, and is no duplicate then."""
        if self._deduplicator is not None:
            self._deduplicator.forget(message)

    def count_unroutable(self, returned: bool, count: int) -> None:
        """So many messages that were published here have reached no queue."""
        outcome = "returned" if returned else "dropped"
        self._unroutable[UNROUTABLE.index((outcome, "no_match" if self.bindings else "no_bindings"))] += count

    def statistics(self) -> ExchangeStatistics:
        return ExchangeStatistics(
            vhost=self.record.vhost,
            name=self.name,
            type=self.record.type,
            bindings=len(self.bindings),
            published=self.published,
            confirmed=self.confirmed,
            unroutable=tuple(self._unroutable),
        )

    def match(self, routing_key: str, message: Message | None) -> "Iterable[Sink | Exchange]":
        """Where a message goes from here. One destination may come up more than once.

        ``message`` may be None unless the exchange is ``per_message``.
        """
        raise NotImplementedError

    def dissolve(self) -> None:
        """The exchange is deleted: what it holds goes."""

    def _index(self, key: BindingKey, binding: Binding) -> None:
        pass

    def _unindex(self, key: BindingKey, binding: Binding) -> None:
        pass


Destination = Queue | Exchange
"""What can be bound to an exchange."""


class DefaultExchange(Exchange):
    """The nameless exchange: every queue is bound to it by its name, and nothing else can be."""

    type = "direct"
    by_key = True

    def __init__(self, record: ExchangeRecord, host: Host, queues: dict[str, Queue]) -> None:
        super().__init__(record, host)
        self._queues = queues

    def match(self, routing_key: str, message: Message | None) -> Iterable[Sink | Exchange]:
        queue = self._queues.get(routing_key)
        return () if queue is None else (queue,)


class DirectExchange(Exchange):
    """The binding's routing key is the message's."""

    type = "direct"
    by_key = True

    def __init__(self, record: ExchangeRecord, host: Host) -> None:
        super().__init__(record, host)
        self._by_key: dict[str, dict[BindingKey, Destination]] = {}

    def match(self, routing_key: str, message: Message | None) -> Iterable[Sink | Exchange]:
        return self._by_key.get(routing_key, {}).values()

    def _index(self, key: BindingKey, binding: Binding) -> None:
        self._by_key.setdefault(binding.record.routing_key, {})[key] = binding.destination

    def _unindex(self, key: BindingKey, binding: Binding) -> None:
        bound = self._by_key[binding.record.routing_key]
        del bound[key]
        if not bound:
            del self._by_key[binding.record.routing_key]


class FanoutExchange(Exchange):
    """Every binding matches."""

    type = "fanout"

    def match(self, routing_key: str, message: Message | None) -> Iterable[Sink | Exchange]:
        return (binding.destination for binding in self.bindings.values())
