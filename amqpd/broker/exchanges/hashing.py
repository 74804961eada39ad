"""Exchanges that choose one of their bindings for each message: by a hash of it, or by lot.

The hash is the same in every process, unlike Python's own: a message's way must outlive a restart. For the same reason
the bindings are put in an order that is not that of their making.

Strategy of the consistent hash: hashes fall into a fixed number of slots, and for each slot the bindings run a race.
How long one takes is drawn from a hash of slot and destination, and divided by its weight; so bindings win slots in
proportion to their weights, the same ones each time, and one that comes or goes changes only the slots that it wins or
had won (weighted rendezvous hashing). A race is run when its slot is first needed.
"""

import re
from bisect import insort
from collections.abc import Iterable
from hashlib import blake2b
from math import log

from amqpd.broker.exchanges.erlang import erlang_term
from amqpd.broker.exchanges.exchange import Binding, BindingKey, Destination, Exchange
from amqpd.broker.host import Host
from amqpd.broker.message import Message
from amqpd.broker.records import BindingRecord, ExchangeRecord
from amqpd.broker.sink import Sink
from amqpd.errors import PreconditionFailed
from amqpd.wire.tables import FieldValue, type_name

SLOTS = 1 << 14
"""Of ten equal bindings each wins a tenth of so many, give or take 2 %. What is remembered of a slot has 100 octets."""

HASH_PROPERTIES = ("correlation_id", "message_id", "timestamp")


class ConsistentHashExchange(Exchange):
    """A binding's routing key is its weight; a message goes to one of the destinations, and its like go there too.

    What is alike is the routing key, or as the exchange's arguments say, a header or a property. A destination that is
    bound twice has the larger of the weights.
    """

    type = "x-consistent-hash"

    def __init__(self, record: ExchangeRecord, host: Host) -> None:
        super().__init__(record, host)
        self._header = record.arguments.get("hash-header")
        self._property = record.arguments.get("hash-property")
        if self._header is not None or self._property is not None:
            self.per_message = True
        self._racers: dict[BindingKey, tuple[bytes, int, Destination]] = {}
        self._winners: dict[int, Destination] = {}

    def check(self, record: BindingRecord) -> None:
        key = record.routing_key
        if not re.fullmatch(r"[+-]?[0-9]+", key):
            raise PreconditionFailed(f"The binding key must be an integer: {erlang_term(key)}")
        if int(key) < 1:
            raise PreconditionFailed("The binding key must be greater than 0")

    def match(self, routing_key: str, message: Message | None) -> Iterable[Sink | Exchange]:
        if not self._racers:
            return ()
        slot = stable_hash(_octets(self._subject(routing_key, message))) % SLOTS
        winner = self._winners.get(slot)
        if winner is None:
            winner = self._winners[slot] = self._race(slot)
        return (winner,)

    def _subject(self, routing_key: str, message: Message | None) -> FieldValue:
        """What is hashed. Messages without it are all alike."""
        if message is not None and isinstance(self._header, str):
            return message.headers.get(self._header)
        if message is not None and isinstance(self._property, str):
            value: FieldValue = getattr(message.properties, self._property)
            return value
        return routing_key

    def _race(self, slot: int) -> Destination:
        number = slot.to_bytes(2, "big")

        def time_taken(racer: tuple[bytes, int, Destination]) -> float:
            name, weight, _ = racer
            return -log((stable_hash(number + name) + 1) / (1 << 64)) / weight

        return min(self._racers.values(), key=time_taken)[2]

    def _index(self, key: BindingKey, binding: Binding) -> None:
        name = _octets(f"{binding.record.destination_kind} {binding.record.destination}")
        self._racers[key] = name, int(binding.record.routing_key), binding.destination
        self._winners.clear()

    def _unindex(self, key: BindingKey, binding: Binding) -> None:
        del self._racers[key]
        self._winners.clear()


class _ChoosingExchange(Exchange):
    """Each binding has the same chance; who is bound twice has two."""

    def __init__(self, record: ExchangeRecord, host: Host) -> None:
        super().__init__(record, host)
        self._order: list[BindingKey] = []

    def match(self, routing_key: str, message: Message | None) -> Iterable[Sink | Exchange]:
        if not self._order:
            return ()
        return (self.bindings[self._order[self._draw(routing_key) % len(self._order)]].destination,)

    def _draw(self, routing_key: str) -> int:
        raise NotImplementedError

    def _index(self, key: BindingKey, binding: Binding) -> None:
        insort(self._order, key)

    def _unindex(self, key: BindingKey, binding: Binding) -> None:
        self._order.remove(key)


class ModulusHashExchange(_ChoosingExchange):
    """The hash of the routing key, modulo the number of bindings, is the number of the one that gets the message."""

    type = "x-modulus-hash"

    def _draw(self, routing_key: str) -> int:
        return stable_hash(_octets(routing_key))


class RandomExchange(_ChoosingExchange):
    """Any binding gets the message.

    Lots are drawn by hashing their number, so that what happens can be repeated. Nothing secret hangs on them.
    """

    type = "x-random"
    per_message = True

    def __init__(self, record: ExchangeRecord, host: Host) -> None:
        super().__init__(record, host)
        self._drawn = 0

    def _draw(self, routing_key: str) -> int:
        self._drawn += 1
        return stable_hash(_octets(f"{self._drawn} {self.name}"))


def check_hash_arguments(record: ExchangeRecord) -> None:
    """PreconditionFailed: no consistent hash exchange can have these arguments."""
    arguments = record.arguments
    if "hash-header" in arguments and "hash-property" in arguments:
        raise PreconditionFailed("hash-header and hash-property are mutually exclusive")
    for name in ("hash-header", "hash-property"):
        if not isinstance(arguments.get(name, ""), str):  # RabbitMQ closes the connection with 541
            raise PreconditionFailed(
                f"invalid type '{type_name(arguments[name])}' for arg '{name}' in "
                f"exchange '{record.name}' in vhost '{record.vhost}'"
            )
    hashed = arguments.get("hash-property")
    if isinstance(hashed, str) and hashed not in HASH_PROPERTIES:
        raise PreconditionFailed(f"Unsupported property: {hashed}")


def stable_hash(octets: bytes) -> int:
    """64 bits, well mixed."""
    return int.from_bytes(blake2b(octets, digest_size=8).digest(), "big")


def _octets(value: FieldValue) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
