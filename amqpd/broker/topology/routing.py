"""From an exchange and a routing key to queues, and the memory of it.

Strategy: publishers repeat themselves, so a route is looked up by the raw address of the message and kept. Any change
to the topology raises ``version`` and forgets everything; a route that someone still holds is out of date when its
version is. A route through an exchange that looks at each message, and that of a message which names further routing
keys (CC and BCC), is found anew for each.
"""

from collections.abc import Sequence

from amqpd.broker.admission import sender_selected
from amqpd.broker.exchanges.exchange import Exchange
from amqpd.broker.message import Message, split_address
from amqpd.broker.sink import Sink
from amqpd.errors import NotFound, PreconditionFailed

ROUTES_MAX = 16384
"""Routes remembered, about 400 octets each: enough for a busy topology, and a bound for keys that never repeat.

Routes to the same queues share the tuple of them.
"""

OUT_OF_DATE = -1
"""The version of a route that was forgotten alone."""


class Route:
    """Where messages of one address go. ``queues`` holds when ``per_message`` is False and the version is current."""

    __slots__ = ("address", "exchange", "per_message", "queues", "routing_key", "version")

    def __init__(self, address: bytes, exchange: Exchange, routing_key: str, version: int) -> None:
        self.address = address
        self.exchange = exchange
        self.routing_key = routing_key
        self.version = version
        self.queues: tuple[Sink, ...] = ()
        self.per_message = False


class Router:
    """Finds routes over the exchanges of one virtual host."""

    def __init__(self, vhost: str, exchanges: dict[str, Exchange]) -> None:
        self.version = 0
        self._vhost = vhost
        self._exchanges = exchanges
        self._routes: dict[bytes, Route] = {}
        self._queues: dict[tuple[Sink, ...], tuple[Sink, ...]] = {}

    def forget(self) -> None:
        """The topology has changed."""
        self.version += 1
        self._routes.clear()
        self._queues.clear()

    def forget_address(self, address: bytes) -> None:
        """What one address leads to has changed, and nothing else."""
        route = self._routes.pop(address, None)
        if route is not None:
            route.version = OUT_OF_DATE
            self._queues.pop(route.queues, None)  # or it would hold a queue that is gone

    def route(self, address: bytes) -> Route:
        """The route of an address (exchange and routing key, see message.py). NotFound: there is no such exchange."""
        route = self._routes.get(address)
        if route is None:
            name, routing_key = split_address(address)
            exchange = self._exchanges.get(name)
            if exchange is None:
                raise NotFound(f"no exchange '{name}' in vhost '{self._vhost}'")
            route = Route(address, exchange, routing_key, self.version)
            queues, route.per_message = self._walk(exchange, (routing_key,), None)
            if len(self._routes) >= ROUTES_MAX:
                self.forget()
                route.version = self.version
            route.queues = self._queues.setdefault(queues, queues)
            self._routes[address] = route
        return route

    def renew(self, route: Route) -> Route:
        """What a route found earlier is by now.

        If its exchange is gone, it still leads to those of its queues that live.
        """
        if route.exchange.name in self._exchanges:
            return self.route(route.address)
        renewed = Route(route.address, route.exchange, route.routing_key, self.version)
        renewed.queues = tuple(queue for queue in route.queues if queue.exists)
        return renewed

    def queues_for(self, route: Route, message: Message, keys: Sequence[str] = ()) -> tuple[Sink, ...]:
        """Where one message of a route goes, which also has the routing ``keys`` beside that of its address."""
        return self._walk(route.exchange, (route.routing_key, *keys), message)[0]

    def sinks(self, route: Route, message: Message) -> tuple[Sink, ...]:
        """Where one message of a route goes, whatever it takes to know; for messages that do not come in runs."""
        keys = _sender_selected(message)
        return self.queues_for(route, message, keys) if keys or route.per_message else route.queues

    def onward(self, exchange: Exchange, routing_key: str, message: Message) -> tuple[Sink, ...]:
        """Where a message goes from an exchange that has let it pass before: no duplicate of itself."""
        return self._walk(exchange, (routing_key, *_sender_selected(message)), message, passed=exchange)[0]

    def _walk(
        self, start: Exchange, keys: Sequence[str], message: Message | None, passed: Exchange | None = None
    ) -> tuple[tuple[Sink, ...], bool]:
        """Follow bindings to sinks, each once, and whether an exchange was met that looks at each message.

        Without a message the way ends at such an exchange. One that matches nothing hands over to its alternate
        exchange. Each is visited once, which cuts loops of exchange-to-exchange bindings and of alternate exchanges
        alike. ``passed``: the exchange that does not look for duplicates.
        """
        sinks: dict[Sink, None] = {}
        per_message = False
        visited = {start: None}
        pending = [start]
        for exchange in pending:  # grows while it is walked
            if exchange.per_message:
                per_message = True
                if message is None or (exchange is not passed and exchange.is_duplicate(message)):
                    continue
            further: list[Exchange] = []
            matched = False
            for key in keys if exchange.by_key else keys[:1]:
                for destination in exchange.match(key, message):
                    matched = True
                    if isinstance(destination, Exchange):
                        further.append(destination)
                    else:
                        sinks[destination] = None
            if not matched and exchange.alternate is not None and exchange.alternate in self._exchanges:
                further.append(self._exchanges[exchange.alternate])
            for found in further:
                if found not in visited:
                    visited[found] = None
                    pending.append(found)
        return tuple(sinks), per_message


def _sender_selected(message: Message) -> tuple[str, ...]:
    """The further routing keys of a message that was let in. One from a time when that was not checked has none."""
    try:
        return sender_selected(message.headers) if b"CC" in message.header else ()
    except PreconditionFailed:
        return ()
