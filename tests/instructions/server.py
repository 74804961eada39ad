"""The server's part, without sockets and without a disk: what is read goes in, and what follows from it is taken.

The same calls as in amqpd/server/pump.py and persister.py, in the same order, and hardly anything else, since it is
counted with the rest.
"""

from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from amqpd.amqp.channel import ignore
from amqpd.amqp.connection import Connection
from amqpd.amqp.limits import Limits
from amqpd.broker.broker import Broker
from amqpd.broker.receiver import Mailbox
from amqpd.broker.session import Session
from amqpd.broker.store import Store
from amqpd.store.codec import ChunkHead
from amqpd.store.environment import Batch, Environment
from amqpd.store.gone import Gone
from amqpd.store.store import DurableStore
from amqpd.wire import methods
from amqpd.wire.constants import PROTOCOL_HEADER
from amqpd.wire.methods import Method
from tests.amqp.transcript import octets

FRAME_MAX = 131072


class Server:
    """A broker and its peers. ``session`` is a way in for declarations, without a connection."""

    def __init__(self, store: Store | None = None) -> None:
        tokens = count(1)
        self.broker = Broker(store, make_token=lambda: str(next(tokens)))
        self.session = self.broker.connect().open_session(Mailbox())
        self.waking: list[Peer] = []

    def connect(self) -> "Peer":
        """A peer with channel 1 open."""
        peer = Peer(self)
        peer.receive(PROTOCOL_HEADER)
        peer.says(methods.ConnectionStartOk(mechanism="PLAIN", response=b"\0guest\0guest"), channel=0)
        peer.says(methods.ConnectionTuneOk(channel_max=2047, frame_max=FRAME_MAX, heartbeat=0), channel=0)
        peer.says(methods.ConnectionOpen(), channel=0)
        peer.says(methods.ChannelOpen())
        return peer

    def write(self) -> None:
        """Take what all outboxes hold."""
        waking, self.waking = self.waking, []
        for peer in waking:
            peer.write()


class Peer:
    """One connection, whose socket takes everything at once."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.connection = Connection(server.broker, Limits(), wake=self._wake, report=ignore, now=0.0)

    def says(self, method: Method, channel: int = 1) -> None:
        self.receive(octets((channel, method)))

    def receive(self, data: bytes) -> None:
        """The socket was read."""
        self.connection.receive_data(data)
        if self._server.waking:
            self._server.write()

    @property
    def session(self) -> Session:
        """That of its channel: what it asks for here needs no parsing."""
        return self.connection.channels[1].session

    def write(self) -> None:
        connection = self.connection
        was_full = connection.outbox.room() <= 0
        if connection.outbox.take():
            connection.sent()
        if was_full:
            connection.resume()
        elif connection.left_off:
            connection.go_on()

    def _wake(self) -> None:
        self._server.waking.append(self)


class DurableServer(Server):
    """One on the real store. A batch that somebody waits for is cut after the read, and is on the disk at once."""

    def __init__(self) -> None:
        store = DurableStore(NoDisk(), NoDisk())
        super().__init__(store)
        self._journal = store.main

    def write(self) -> None:
        super().write()
        journal = self._journal
        if journal.hurried:
            journal.is_written(journal.cut(), self.broker.agenda)
            self.broker.agenda.settle()
            super().write()


class NoDisk(Environment):
    """A file of the store that is empty, and takes everything."""

    def __init__(self) -> None:
        self.path = Path("no disk")

    def commit(self, batch: Batch) -> None:
        pass

    def get(self, key: bytes) -> bytes | None:
        return None

    def topology(self) -> list[bytes]:
        return []

    def states(self) -> dict[int, tuple[Gone, int]]:
        return {}

    def returns(self) -> Iterator[tuple[bytes, dict[int, int]]]:
        return iter(())

    def heads(self) -> Iterator[tuple[int, int, ChunkHead]]:
        return iter(())


def play(reads: Iterable[tuple[Peer, bytes]]) -> None:
    """Let these be read, one after the other."""
    for peer, data in reads:
        peer.receive(data)
