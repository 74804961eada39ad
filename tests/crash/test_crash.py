"""A broker that is killed in the middle of its work, again and again, and keeps what it has promised.

Clients publish with confirms and in transactions, consume, settle, reject and requeue, purge, declare and delete;
messages expire, or are one too many, and what is dropped moves to a queue for dead letters. Then the process is killed
at some moment (or, every fourth time, told to stop), and started again with what it has left behind. What must be so
then is the ledger's business. Between two lives ``amqpd store check`` looks at every octet.

``make crash`` runs it for long: ``CRASH_ROUNDS`` and ``CRASH_SEED`` say how long, and with which chances. Threads and
processes are not to be seeded, so a seed says what clients do, and not quite when.
"""

import os
import random
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pika import spec

from amqpd.store.check import check
from interop.broker_process import BrokerProcess
from interop.raw import Peer, method
from tests.crash.clients import (
    PRIORITY_MAX,
    TIMED,
    URGENT,
    Client,
    ConfirmingPublisher,
    Consumer,
    Numbers,
    Place,
    Purger,
    Topologist,
    TransactionConsumer,
    TransactionPublisher,
    lane_of,
)
from tests.crash.ledger import DEAD, Ledger

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "4"))
SEED = os.environ.get("CRASH_SEED", "1")
ROUND_S = 10
"""The most that a round may take; it takes about one."""

FANOUT = "fanout"
QUEUES = ("one", "two", "purged")
LIMITED = "limited"
LENGTH_MAX = 20
SOURCES = {
    LIMITED: {"x-max-length": LENGTH_MAX},
    TIMED: {"x-message-ttl": 50},
    URGENT: {"x-max-priority": PRIORITY_MAX},
}
"""Queues that dead-letter, with their arguments."""


class Story:
    """All the lives of one broker."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ledger = Ledger(QUEUES, SOURCES)
        self.numbers = Numbers()
        self.places: dict[str, Place] = {}
        self.broker: BrokerProcess

    def start(self) -> None:
        self.broker = BrokerProcess(data_dir=self.directory)

    def connect(self) -> Peer:
        peer = Peer(self.broker.address).open()
        peer.open_channel()
        return peer

    def live(self, chance: random.Random) -> None:
        """The clients do what they do, and then the broker ends."""
        clients = self._clients(chance)
        for client in clients:
            client.start()
        for client in clients:
            assert client.ready.wait(ROUND_S)
        time.sleep(chance.uniform(0, 0.8))
        if self.ledger.life % 4 != 2:
            self.broker.kill()
        else:
            self.ledger.stops()
            assert self.broker.stop() == 0, self.broker.log
        for client in clients:
            client.join(ROUND_S)
            assert not client.is_alive()
            if client.failure is not None:
                raise client.failure
        self.ledger.ends()

    def _clients(self, chance: random.Random) -> list[Client]:
        def client(name: str) -> tuple[str, tuple[str, int], Ledger, random.Random]:
            return name, self.broker.address, self.ledger, random.Random(chance.random())

        numbers = self.numbers
        topologist = Topologist(*client(f"topologist-{self.ledger.life}"))
        self.places = topologist.places
        return [
            topologist,
            ConfirmingPublisher(*client("first"), numbers=numbers, queues=("one",)),
            ConfirmingPublisher(*client("second"), numbers=numbers, queues=("one", "two"), exchange=FANOUT),
            TransactionPublisher(*client("third"), numbers=numbers, queues=("two",)),
            Purger(*client("purger"), numbers=numbers, queues=("purged",)),
            Consumer(*client("consumer-of-one"), numbers=numbers, queues=("one",)),
            Consumer(*client("another-consumer-of-one"), numbers=numbers, queues=("one",)),
            Consumer(*client("consumer-of-two"), numbers=numbers, queues=("two",)),
            TransactionConsumer(*client("another-consumer-of-two"), numbers=numbers, queues=("two",)),
            ConfirmingPublisher(*client(LIMITED), numbers=numbers, queues=(LIMITED,)),
            ConfirmingPublisher(*client(TIMED), numbers=numbers, queues=(TIMED,)),
            TransactionPublisher(*client(URGENT), numbers=numbers, queues=(URGENT,)),
            Consumer(*client("consumer-of-limited"), numbers=numbers, queues=(LIMITED,)),
            Consumer(*client("consumer-of-urgent"), numbers=numbers, queues=(URGENT,)),
            Consumer(*client("consumer-of-dead"), numbers=numbers, queues=(DEAD,)),
            TransactionConsumer(*client("another-consumer-of-dead"), numbers=numbers, queues=(DEAD,)),
        ]

    # What is seen from outside

    def declare(self) -> None:
        with closing(self.connect()) as peer:
            peer.call(1, spec.Exchange.Declare(exchange=FANOUT, type="fanout", durable=True), spec.Exchange.DeclareOk)
            for queue in (*QUEUES, DEAD):
                peer.declare_queue(queue, durable=True)
            dead_letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": DEAD}
            for queue, arguments in SOURCES.items():
                peer.declare_queue(queue, durable=True, arguments=dead_letters | arguments)
            for queue in ("one", "two"):
                peer.call(1, spec.Queue.Bind(queue=queue, exchange=FANOUT), spec.Queue.BindOk)

    def counts(self) -> dict[str, int]:
        """How many messages each queue has, when all that expires has expired."""
        with closing(self.connect()) as peer:

            def count(queue: str) -> int:
                request = spec.Queue.Declare(queue=queue, passive=True)
                return int(peer.call(1, request, spec.Queue.DeclareOk).message_count)

            while count(TIMED):
                pass
            return {queue: count(queue) for queue in (*QUEUES, *SOURCES, DEAD)}

    def check_counts(self) -> None:
        counts = self.counts()
        assert counts[LIMITED] <= LENGTH_MAX
        for place in self.ledger.places:
            count = sum(counts[queue] for queue in place)
            least, most = self.ledger.expected(place)
            assert least <= count <= most, f"{place} has {count} messages; there must be {least} to {most}; {counts}"

    def check_topology(self) -> None:
        """What was answered is so; and what was bound leads there. Deletes it."""
        with closing(self.connect()) as peer:
            for name in self.places:
                peer.publish(name, b"", exchange="amq.topic")
            found = {name: self._delete(peer, name) for name in self.places}
        for name, place in self.places.items():
            is_there, is_bound = found[name]
            assert place.queue in (None, is_there), f"{name}: {place}, and it is {'' if is_there else 'not '}there"
            assert not is_there or place.binding in (None, is_bound), f"{name}: {place}"

    def _delete(self, peer: Peer, name: str) -> tuple[bool, bool]:
        """Delete a queue: whether there was one, and whether a message had got there."""
        peer.send(method(1, spec.Queue.Declare(queue=name, passive=True)))
        answer = peer.receive().method
        if isinstance(answer, spec.Channel.Close):
            assert answer.reply_code == 404, answer
            peer.send(method(1, spec.Channel.CloseOk()))
            peer.open_channel()
            return False, False
        return True, peer.call(1, spec.Queue.Delete(queue=name), spec.Queue.DeleteOk).message_count == 1

    def check_files(self) -> None:
        findings: list[str] = []
        assert check(self.directory, findings.append), findings

    def check_ledger(self) -> None:
        wrong = self.ledger.wrong
        assert not wrong, "\n".join([f"seed {SEED}, {len(wrong)} contradictions:", *wrong[:20]])

    def drain(self) -> None:
        """Take all there is, in order."""
        with closing(self.connect()) as peer:
            for queue, count in self.counts().items():
                last: dict[tuple[str, int | None], int] = {}
                for _ in range(count):
                    peer.send(method(1, spec.Basic.Get(queue=queue)))
                    got, body = peer.expect_message(spec.Basic.GetOk)
                    key = self.ledger.delivered(queue, body, got.redelivered)
                    if (lane := lane_of(queue, key)) is not None:
                        assert key[1] > last.get(lane, 0), f"{key} in {queue} is out of order"
                        last[lane] = key[1]
                peer.call(1, spec.Basic.Get(queue=queue), spec.Basic.GetEmpty)
            peer.send(method(1, spec.Basic.Ack(0, multiple=True)))
            peer.call(1, spec.Exchange.Delete(exchange=FANOUT), spec.Exchange.DeleteOk)
        self.ledger.drained()


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    story = Story(tmp_path)
    yield story
    story.broker.kill()


@pytest.mark.timeout(60 + ROUND_S * ROUNDS)
def test_what_was_promised_is_kept(story: Story) -> None:
    chance = random.Random(SEED)
    for _ in range(ROUNDS):
        story.start()
        story.declare()
        story.check_counts()
        story.check_topology()
        story.live(chance)
        story.check_files()
        story.check_ledger()
    story.start()
    story.check_counts()
    story.drain()
    story.check_ledger()
    story.broker.kill()
    story.start()
    assert not any(story.counts().values())
    assert story.broker.stop() == 0
    print(f"\nseed {SEED}, {ROUNDS} rounds:", story.ledger.summary())  # noqa: T201 - for make crash
