"""Exchanges: which destinations a routing key (and, for one type, the headers) selects.

An exchange only matches. Following exchange-to-exchange bindings and alternate exchanges is routing.py's.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

from amqpd.broker.headers import HeadersPattern
from amqpd.broker.queue import Queue
from amqpd.broker.records import BindingRecord, ExchangeRecord
from amqpd.broker.topic import TopicTrie
from amqpd.errors import CommandInvalid, PreconditionFailed
from amqpd.wire.tables import Table, encode_table, type_name

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
    matching does not look at bindings that cannot match.
    """

    type: ClassVar[str]
    reads_headers: ClassVar[bool] = False
    """Whether the match depends on the message's headers, so that it cannot be remembered by routing key."""

    def __init__(self, record: ExchangeRecord) -> None:
        self.record = record
        self.name = record.name
        self.bindings: dict[BindingKey, Binding] = {}

    def __str__(self) -> str:
        return f"exchange '{self.name}' in vhost '{self.record.vhost}'"

    @property
    def alternate(self) -> str | None:
        """The exchange that gets what this one cannot route."""
        name = self.record.arguments.get("alternate-exchange")
        return name if isinstance(name, str) else None

    def check(self, record: BindingRecord) -> None:
        """PreconditionFailed: the binding's arguments mean nothing to this type."""

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

    def match(self, routing_key: str, headers: Table) -> "Iterable[Destination]":
        """The destinations for a message. One may come up more than once."""
        raise NotImplementedError

    def _index(self, key: BindingKey, binding: Binding) -> None:
        pass

    def _unindex(self, key: BindingKey, binding: Binding) -> None:
        pass


Destination = Queue | Exchange


class DefaultExchange(Exchange):
    """The nameless exchange: every queue is bound to it by its name, and nothing else can be."""

    type = "direct"

    def __init__(self, record: ExchangeRecord, queues: dict[str, Queue]) -> None:
        super().__init__(record)
        self._queues = queues

    def match(self, routing_key: str, headers: Table) -> Iterable[Destination]:
        queue = self._queues.get(routing_key)
        return () if queue is None else (queue,)


class DirectExchange(Exchange):
    """The binding's routing key is the message's."""

    type = "direct"

    def __init__(self, record: ExchangeRecord) -> None:
        super().__init__(record)
        self._by_key: dict[str, dict[BindingKey, Destination]] = {}

    def match(self, routing_key: str, headers: Table) -> Iterable[Destination]:
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

    def match(self, routing_key: str, headers: Table) -> Iterable[Destination]:
        return (binding.destination for binding in self.bindings.values())


class TopicExchange(Exchange):
    """The binding's routing key is a pattern of words: see topic.py."""

    type = "topic"

    def __init__(self, record: ExchangeRecord) -> None:
        super().__init__(record)
        self._trie: TopicTrie[BindingKey] = TopicTrie()

    def match(self, routing_key: str, headers: Table) -> Iterable[Destination]:
        return (self.bindings[key].destination for key in self._trie.match(routing_key))

    def _index(self, key: BindingKey, binding: Binding) -> None:
        self._trie.add(binding.record.routing_key, key)

    def _unindex(self, key: BindingKey, binding: Binding) -> None:
        self._trie.remove(binding.record.routing_key, key)


class HeadersExchange(Exchange):
    """The binding's arguments are a pattern of headers: see headers.py."""

    type = "headers"
    reads_headers = True

    def __init__(self, record: ExchangeRecord) -> None:
        super().__init__(record)
        self._patterns: dict[BindingKey, HeadersPattern] = {}

    def check(self, record: BindingRecord) -> None:
        HeadersPattern(record.arguments)

    def match(self, routing_key: str, headers: Table) -> Iterable[Destination]:
        return (self.bindings[key].destination for key, pattern in self._patterns.items() if pattern.matches(headers))

    def _index(self, key: BindingKey, binding: Binding) -> None:
        self._patterns[key] = HeadersPattern(binding.record.arguments)

    def _unindex(self, key: BindingKey, binding: Binding) -> None:
        del self._patterns[key]


def check_exchange(record: ExchangeRecord) -> None:
    """CommandInvalid or PreconditionFailed: an exchange like this cannot be made here."""
    if record.type not in EXCHANGE_TYPES:
        raise CommandInvalid(f"unknown exchange type '{record.type}'")
    alternate = record.arguments.get("alternate-exchange")
    if alternate is not None and not isinstance(alternate, str):
        raise PreconditionFailed(
            f"invalid type '{type_name(alternate)}' for arg 'alternate-exchange' in "
            f"exchange '{record.name}' in vhost '{record.vhost}'"
        )


def make_exchange(record: ExchangeRecord) -> Exchange:
    """The live exchange for a record that was checked."""
    return EXCHANGE_TYPES[record.type](record)


EXCHANGE_TYPES: dict[str, Callable[[ExchangeRecord], Exchange]] = {
    kind.type: kind for kind in (DirectExchange, FanoutExchange, TopicExchange, HeadersExchange)
}
