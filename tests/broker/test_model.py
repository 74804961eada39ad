"""The broker against a naive model of it, driven at random.

The model keeps lists and sets. It does not know who is next: whenever the broker hands something to a session, the model
checks that it might do so (the first ready message of the queue, marked redelivered if it was out before, to a consumer
that has credit and room) and notes it. After each step the two must agree on what is ready and what is out, and no
message may wait for which there is a taker.

Each run does the same steps. To look further, for some minutes and at other steps each time:
``HYPOTHESIS_PROFILE=long make test ARGS=tests/broker/test_model.py``.
"""

import os
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from amqpd.broker.broker import Broker
from amqpd.broker.client import Client
from amqpd.broker.message import Message, join_address, make_message
from amqpd.broker.queue import DELIVERY_OVERHEAD
from amqpd.broker.receiver import Receiver
from amqpd.errors import AccessRefused, PreconditionFailed
from tests.broker.support import PERSISTENT, Disk, DiskLog

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
ACTORS_MAX = 5
PLENTY = 1 << 40  # octets of room

pytestmark = pytest.mark.timeout(3600 if LONG else 60)

small = st.integers(0, 6)  # chooses an actor, a queue, a consumer: whichever is there
prefetches = st.integers(0, 3)


def body_of(number: int) -> bytes:
    """Every message has a number. Its body says which, in a size of its own."""
    return b"%d" % number + b"." * (number * 37 % 300)


def number_of(message: Message) -> int:
    return int(message.body.rstrip(b"."))


@dataclass(eq=False)
class Line:
    """A queue, naively. A message's number tells its place, since numbers grow as they are published."""

    name: str
    exists: bool = True
    ready: list[int] = field(default_factory=list)
    out_before: set[int] = field(default_factory=set)
    logged: set[int] = field(default_factory=set)
    takers: list["Taker"] = field(default_factory=list)
    unacked: int = 0
    published: int = 0
    delivered: int = 0
    redelivered: int = 0
    acked: int = 0

    @property
    def durable(self) -> bool:
        return self.name == "durable"

    def put(self, numbers: Sequence[int], persistent: bool) -> None:
        self.ready += numbers
        self.published += len(numbers)
        if persistent and self.durable:
            self.logged.update(numbers)

    def take(self, number: int, redelivered: bool, no_ack: bool) -> None:
        """A message is handed out: is it the right one, in the right way?"""
        assert self.ready, f"{number} was not there"
        assert self.ready.pop(0) == number
        assert redelivered == (number in self.out_before)
        self.out_before.add(number)
        self.delivered += 1
        self.redelivered += redelivered
        if no_ack:
            self.logged.discard(number)
        else:
            self.unacked += 1


@dataclass(eq=False)
class Taker:
    """A consumer, naively."""

    actor: "Actor"
    line: Line
    no_ack: bool
    exclusive: bool
    unacked: int = 0

    def takes(self) -> bool:
        actor = self.actor
        if self.no_ack or not actor.flowing:
            return actor.flowing
        own = not actor.prefetch or self.unacked < actor.prefetch
        return own and (not actor.shared_prefetch or actor.outstanding < actor.shared_prefetch)


@dataclass(frozen=True)
class Out:
    """A message that waits for its acknowledgement. Who pulled it by get is no taker."""

    line: Line
    taker: Taker | None
    number: int


class Actor(Receiver):
    """An application with one session, and what it should know about it."""

    def __init__(self, client: Client, disk: Disk, transactional: bool) -> None:
        self.client = client
        self.disk = disk
        self.session = client.open_session(self)
        self.transactional = transactional
        self.said: list[tuple[str, list[Line], list[int], bool] | tuple[str, list[Out]]] = []
        self.octets = PLENTY
        self.flowing = True
        self.prefetch = self.shared_prefetch = 0
        self.last_tag = self.outstanding = 0
        self.unacked: dict[int, Out] = {}
        self.takers: dict[str, Taker] = {}
        self.cancels: set[str] = set()
        self.safe_at: list[int] = []  # for each publish, what the disk must have reached before its confirm
        self.confirms = 0
        if transactional:
            self.session.select_transaction()
        else:
            self.session.select_confirms()

    # What it hears

    def room(self) -> int:
        return self.octets

    def deliver(self, consumer_tag: str, delivery_tag: int, redelivered: bool, messages: Sequence[Message]) -> None:
        taker = self.takers[consumer_tag]
        for message in messages:
            assert taker.takes()
            assert self.octets > 0
            self.octets -= len(message.body) + DELIVERY_OVERHEAD
            self.last_tag += 1
            number = number_of(message)
            taker.line.take(number, redelivered, taker.no_ack)
            if not taker.no_ack:
                self.unacked[self.last_tag] = Out(taker.line, taker, number)
                taker.unacked += 1
                self.outstanding += 1
        assert delivery_tag + len(messages) - 1 == self.last_tag

    def returned(self, message: Message, code: int, text: str) -> None:
        raise AssertionError("nothing was mandatory")

    def confirmed(self, sequence: int, multiple: bool) -> None:
        assert multiple == (sequence > self.confirms + 1)
        assert self.confirms < sequence <= len(self.safe_at)
        self.confirms = sequence
        assert max(self.safe_at[:sequence]) <= self.disk.durable

    def cancelled(self, consumer_tag: str) -> None:
        self.cancels.add(consumer_tag)

    # What it does, to the model

    def settle(self, how: str, outs: list[Out]) -> None:
        for out in outs:
            out.line.unacked -= 1
            if out.taker is not None:
                out.taker.unacked -= 1
                self.outstanding -= 1
            if how == "requeue" and out.line.exists:
                insort(out.line.ready, out.number)
            elif out.line.exists:
                out.line.logged.discard(out.number)
                out.line.acked += how == "complete"

    def roll_back(self) -> None:
        """What the transaction has settled is out again. The tag of a message is its place among them."""
        for _, *rest in self.said:
            if len(rest) == 1:
                self.unacked.update(rest[0])  # type: ignore[arg-type]
        self.unacked = dict(sorted(self.unacked.items()))
        self.said.clear()

    def end(self) -> None:
        """The session is over: consumers go, and everything that is out goes back."""
        for taker in self.takers.values():
            taker.line.takers.remove(taker)
        self.takers.clear()
        self.roll_back()
        self.settle("requeue", list(self.unacked.values()))
        self.unacked.clear()
