"""What the tests of the tools start from: a directory in which a broker is running, or has been."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from amqpd.broker.broker import Broker
from amqpd.store.directory import MAIN, open_store
from amqpd.store.environment import Batch, Environment
from amqpd.store.store import DurableStore
from amqpd.wire.properties import Properties
from tests.broker.support import Peer
from tests.store.support import Writer


class Running(Peer):
    """An application, in the same process as its broker."""

    def __init__(self, store: DurableStore, broker: Broker) -> None:
        super().__init__(broker.connect())
        self.store = store
        self.broker = broker
        self.writers = [Writer(journal, broker.agenda) for journal in (store.main, store.spill)]

    def declare(self, *queues: str) -> None:
        for queue in queues:
            self.session.declare_queue(queue, durable=True)

    def keep(self, queue: str, *bodies: bytes, **properties: Any) -> None:
        """Publish persistent messages, and have them written."""
        for body in bodies:
            self.session.publish("", queue, body, Properties(**{"delivery_mode": 2, **properties}))
        self.write()

    def settle(self, queue: str, *numbers: int) -> None:
        """Take all that is in a queue, settle those of these numbers, and have that written. The rest stays unacked."""
        tags = [got[0] for _ in range(self.session.check_queue(queue)[1]) if (got := self.session.get(queue))]
        for number in numbers:
            self.session.complete(tags[number - 1])
        self.write()

    def write(self) -> None:
        for writer in self.writers:
            writer.write_all()


@contextmanager
def running(directory: Path, stops: bool = True) -> Iterator[Running]:
    """A broker; it ``stops`` in an orderly way at the end, or is gone with what was not written."""
    with open_store(directory) as store:
        broker = Broker(store)
        peer = Running(store, broker)
        yield peer
        if stops:
            broker.disconnect(peer.client)
            broker.close()
            store.close()
            peer.write()


def tamper(directory: Path, changes: dict[bytes, bytes | None]) -> None:
    """Put or delete values, by their keys."""
    environment = Environment(directory / MAIN)
    environment.commit(Batch(changes))
    environment.close()
