"""Applications that do with a broker whatever comes to their minds: every feature, in any order, on one topology.

Nobody knows what should come of it; the models do that for a part each. But a broker that is used like this raises
nothing but the errors of AMQP, and its counts stay counts. A run is repeated by its seed.
"""

from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

from amqpd.broker.broker import Broker
from amqpd.errors import AMQPError
from amqpd.wire.properties import Properties
from amqpd.wire.tables import Table
from tests.broker.support import Disk, HandClock, Peer

QUEUES = ["a", "b", "c", "d"]
EXCHANGES = ["x", "y", "z", "amq.fanout", "amq.direct", ""]
KEYS = ["", "1", "2", "a", "#"]
TYPES = ["direct", "fanout", "topic", "headers", "x-consistent-hash", "x-modulus-hash", "x-random"]
TYPES += ["x-recent-history", "x-delayed-message"]

QUEUE_ARGUMENTS: dict[str, list[Any]] = {
    "x-message-ttl": [0, 5, 100],
    "x-expires": [50, 500],
    "x-max-length": [0, 1, 3],
    "x-max-length-bytes": [0, 5, 50],
    "x-overflow": ["drop-head", "reject-publish", "reject-publish-dlx"],
    "x-dead-letter-exchange": EXCHANGES,
    "x-delivery-limit": [0, 1, -1],
    "x-max-priority": [1, 3],
    "x-single-active-consumer": [True],
    "x-consumer-timeout": [20, 100],
    "x-consumer-timeout-action": ["requeue", "channel-close"],
    "x-message-deduplication": [True],
    "x-queue-type": ["classic", "quorum"],
}
EXCHANGE_ARGUMENTS: dict[str, list[Any]] = {
    "x-delayed-type": TYPES,
    "x-message-deduplication": [True],
    "alternate-exchange": EXCHANGES,
    "hash-header": ["h"],
}
HEADERS: dict[str, list[Any]] = {
    "x-delay": [5, 100, -3],
    "CC": [["a"], ["b", "c"]],
    "BCC": [["d"]],
    "x-deduplication-header": ["k", "l"],
    "h": [1, "text"],
}
DEFINITIONS: list[Table] = [
    {"max-length": 2},
    {"message-ttl": 10},
    {"expires": 80},
    {"dead-letter-exchange": "amq.fanout"},
    {"consumer-timeout": 15},
    {"overflow": "reject-publish", "max-length": 1},
    {"delivery-limit": 1},
    {"alternate-exchange": "amq.fanout"},
]


class Crowd:
    """Some applications, and the broker they share, which crashes now and then."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.clock = HandClock()
        self.disk = Disk()
        self.meet()

    def meet(self) -> None:
        self.broker = Broker(self.disk, clock=self.clock)
        self.peers = [self.join() for _ in range(3)]

    def join(self) -> Peer:
        peer = Peer(self.broker.connect())
        if self.one([True, False]):
            peer.session.select_confirms()
        return peer

    def one(self, things: list[Any]) -> Any:
        return self.random.choice(things)

    def some(self, arguments: dict[str, list[Any]]) -> Table:
        return {name: self.one(values) for name, values in arguments.items() if self.random.random() < 0.2}

    def act(self) -> None:
        """One of them does something, which the broker may refuse."""
        self.peer = self.one(self.peers)
        deed = self.random.choices(list(DEEDS), list(DEEDS.values()))[0]
        with suppress(AMQPError):
            deed(self)
        for number, peer in enumerate(self.peers):
            if any(fatal for _, _, fatal in peer.timeouts):  # as its channel would be closed
                peer.leave()
                self.peers[number] = self.join()
        self.look()

    def look(self) -> None:
        for queue in self.broker.vhosts["/"].queues.values():
            assert min(queue.ready, queue.unacked, queue.ready_bytes) >= 0
            assert queue.ready or not queue.ready_bytes

    def leave(self) -> None:
        """All go, and nothing is with anybody."""
        for peer in self.peers:
            peer.leave()
        assert not any(queue.unacked for queue in self.broker.vhosts["/"].queues.values())

    # What they do

    def declare_queue(self) -> None:
        durable, auto_delete = self.random.random() < 0.7, self.random.random() < 0.1
        self.peer.session.declare_queue(
            self.one(QUEUES), durable, auto_delete=auto_delete, arguments=self.some(QUEUE_ARGUMENTS)
        )

    def declare_exchange(self) -> None:
        durable, auto_delete = self.random.random() < 0.7, self.random.random() < 0.1
        arguments = self.some(EXCHANGE_ARGUMENTS)
        self.peer.session.declare_exchange(
            self.one(EXCHANGES[:3]), self.one(TYPES), durable, auto_delete, arguments=arguments
        )

    def bind_queue(self) -> None:
        self.peer.session.bind(self.one(QUEUES), self.one(EXCHANGES), self.one(KEYS))

    def bind_exchange(self) -> None:
        self.peer.session.bind(self.one(EXCHANGES), self.one(EXCHANGES), self.one(KEYS), destination_kind="exchange")

    def unbind(self) -> None:
        self.peer.session.unbind(self.one(QUEUES), self.one(EXCHANGES), self.one(KEYS))

    def delete_queue(self) -> None:
        self.peer.session.delete_queue(self.one(QUEUES))

    def delete_exchange(self) -> None:
        self.peer.session.delete_exchange(self.one(EXCHANGES[:3]))

    def publish(self) -> None:
        properties = Properties(
            headers=self.some(HEADERS) or None,
            delivery_mode=self.one([None, 1, 2]),
            priority=self.one([None, 0, 2, 9]),
            expiration=self.one([None, None, "0", "7", "100"]),
        )
        body = b"." * self.random.randrange(9)
        self.peer.session.publish(
            self.one(EXCHANGES), self.one(QUEUES + KEYS), body, properties, self.one([True, False])
        )

    def consume(self) -> None:
        arguments = self.one([{}, {"x-priority": 3}, {"x-consumer-timeout": 30}])
        no_ack, exclusive = self.random.random() < 0.3, self.random.random() < 0.1
        self.peer.session.consume(self.one(QUEUES), "", no_ack, exclusive, arguments)

    def cancel(self) -> None:
        self.peer.session.cancel(self.one([*self.peer.session.consumers, "none"]))

    def get(self) -> None:
        self.peer.session.get(self.one(QUEUES), self.one([True, False]))

    def limit(self) -> None:
        self.peer.session.qos(self.random.randrange(4), self.one([True, False]))

    def settle(self) -> None:
        session = self.peer.session
        tag = self.one([*session.deliveries._unacked, 0])
        self.one([session.complete, session.requeue, session.discard])(tag, self.random.random() < 0.3)

    def purge(self) -> None:
        self.peer.session.purge_queue(self.one(QUEUES))

    def set_policy(self) -> None:
        apply_to = self.one(["all", "queues", "exchanges", "classic_queues"])
        self.peer.session.set_policy(
            self.one(["p", "q"]), self.one(["^[ab]", ""]), self.one(DEFINITIONS), apply_to, self.random.randrange(3)
        )

    def clear_policy(self) -> None:
        self.peer.session.clear_policy(self.one(["p", "q"]))

    def come_and_go(self) -> None:
        self.peer.leave()
        self.peers[self.peers.index(self.peer)] = self.join()

    def sync(self) -> None:
        self.disk.advance(self.disk.written, self.broker.agenda)
        self.broker.agenda.settle()

    def wait(self) -> None:
        self.clock.ms += self.random.randrange(40)
        self.broker.timers.run()
        self.disk.read()
        self.broker.agenda.settle()

    def crash(self) -> None:
        self.disk = Disk.after(self.disk)
        self.clock.ms += self.random.randrange(50)
        self.meet()


DEEDS: dict[Callable[[Crowd], None], int] = {
    Crowd.declare_queue: 20,
    Crowd.declare_exchange: 8,
    Crowd.bind_queue: 10,
    Crowd.bind_exchange: 3,
    Crowd.unbind: 4,
    Crowd.delete_queue: 3,
    Crowd.delete_exchange: 2,
    Crowd.publish: 70,
    Crowd.consume: 12,
    Crowd.cancel: 6,
    Crowd.get: 8,
    Crowd.limit: 4,
    Crowd.settle: 25,
    Crowd.purge: 2,
    Crowd.set_policy: 4,
    Crowd.clear_policy: 2,
    Crowd.come_and_go: 2,
    Crowd.sync: 2,
    Crowd.wait: 12,
    Crowd.crash: 1,
}
"""What is done how often, out of two hundred."""
