"""A transaction of one session: publishes and settlements that wait for the commit.

As in RabbitMQ, publishes to several queues are applied one after the other: other sessions may see the first before the
last.
"""

from collections.abc import Callable, Sequence

from amqpd.broker.consumer import Deliveries, Delivery
from amqpd.broker.message import Message
from amqpd.broker.topology.routing import Route

Publish = Callable[[Route, Sequence[Message], int, bool, bool], None]
Settlement = Callable[[dict[int, Delivery]], None]


class Transaction:
    """What has been said since the last commit or rollback."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries
        self._publishes: list[tuple[Route, Sequence[Message], int, bool, bool]] = []
        self._settlements: list[tuple[Settlement, dict[int, Delivery]]] = []

    @property
    def publishes(self) -> int:
        """How many messages wait for the commit."""
        return sum(len(messages) for _, messages, _, _, _ in self._publishes)

    @property
    def settlements(self) -> int:
        """How many settled deliveries do."""
        return sum(len(withdrawn) for _, withdrawn in self._settlements)

    def publish(
        self, route: Route, messages: Sequence[Message], octets: int, mandatory: bool, copies: bool = False
    ) -> None:
        """As :meth:`Session.publish_run`."""
        self._publishes.append((route, messages, octets, mandatory, copies))

    def settle(self, settlement: Settlement, withdrawn: dict[int, Delivery]) -> None:
        self._settlements.append((settlement, withdrawn))

    def commit(self, publish: Publish) -> None:
        """Do all that was said, publishes first."""
        publishes, self._publishes = self._publishes, []
        settlements, self._settlements = self._settlements, []
        for publication in publishes:
            publish(*publication)
        for settlement, withdrawn in settlements:
            settlement(withdrawn)

    def rollback(self) -> None:
        """Forget it: what was published is gone, what was settled is unacked again."""
        self._publishes.clear()
        everything: dict[int, Delivery] = {}
        for _, withdrawn in self._settlements:
            everything |= withdrawn
        self._settlements.clear()
        self._deliveries.restore(everything)
