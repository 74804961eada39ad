"""From an exchange and a routing key to queues, and the memory of it.

Strategy: publishers repeat themselves, so a route is looked up by the raw address of the message and kept. Any change
to the topology raises ``version`` and forgets everything; a route that someone still holds is out of date when its
version is. A route through a headers exchange depends on each message and is found anew for each.
"""

from amqpd.broker.exchange import Exchange
from amqpd.broker.message import Message, split_address
from amqpd.broker.queue import Queue
from amqpd.errors import NotFound
from amqpd.wire.tables import Table

ROUTES_MAX = 16384
"""Routes remembered, about 400 octets each: enough for a busy topology, and a bound for keys that never repeat.

Routes to the same queues share the tuple of them.
"""

OUT_OF_DATE = -1
"""The version of a route that was forgotten alone."""

_NO_HEADERS: Table = {}


class Route:
    """Where messages of one address go. ``queues`` holds when ``reads_headers`` is False and the version is current."""

    __slots__ = ("address", "exchange", "queues", "reads_headers", "routing_key", "version")

    def __init__(self, address: bytes, exchange: Exchange, routing_key: str, version: int) -> None:
        self.address = address
        self.exchange = exchange
        self.routing_key = routing_key
        self.version = version
        self.queues: tuple[Queue, ...] = ()
        self.reads_headers = False


class Router:
    """Finds routes over the exchanges of one virtual host."""

    def __init__(self, vhost: str, exchanges: dict[str, Exchange]) -> None:
        self.version = 0
        self._vhost = vhost
        self._exchanges = exchanges
        self._routes: dict[bytes, Route] = {}
        self._queues: dict[tuple[Queue, ...], tuple[Queue, ...]] = {}

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

    def route(self, address: bytes) -> Route:
        """The route of an address (exchange and routing key, see message.py). NotFound: there is no such exchange."""
        route = self._routes.get(address)
        if route is None:
            name, routing_key = split_address(address)
            exchange = self._exchanges.get(name)
            if exchange is None:
                raise NotFound(f"no exchange '{name}' in vhost '{self._vhost}'")
            route = Route(address, exchange, routing_key, self.version)
            queues, route.reads_headers = self._walk(route, _NO_HEADERS)
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

    def queues_for(self, route: Route, message: Message) -> tuple[Queue, ...]:
        """The queues for one message of a route that reads headers."""
        return self._walk(route, message.headers)[0]

    def _walk(self, route: Route, headers: Table) -> tuple[tuple[Queue, ...], bool]:
        """Follow bindings to queues, each once, and whether a headers exchange was met on the way.

        An exchange that matches nothing hands over to its alternate exchange. Each exchange is visited once, which cuts
        loops of exchange-to-exchange bindings and of alternate exchanges alike.
        """
        queues: dict[Queue, None] = {}
        reads_headers = False
        visited = {route.exchange: None}
        pending = [route.exchange]
        for exchange in pending:  # grows while it is walked
            reads_headers = reads_headers or exchange.reads_headers
            further: list[Exchange] = []
            matched = False
            for destination in exchange.match(route.routing_key, headers):
                matched = True
                if isinstance(destination, Queue):
                    queues[destination] = None
                else:
                    further.append(destination)
            if not matched and exchange.alternate is not None and exchange.alternate in self._exchanges:
                further.append(self._exchanges[exchange.alternate])
            for found in further:
                if found not in visited:
                    visited[found] = None
                    pending.append(found)
        return tuple(queues), reads_headers
