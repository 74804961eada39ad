"""Who takes part in the model of the broker: applications, and what each should know about its session."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from amqpd.broker.client import Client
from amqpd.broker.message import Message
from amqpd.broker.queues.ready import MESSAGE_OVERHEAD
from amqpd.broker.receiver import Receiver
from tests.broker.letters import Letter
from tests.broker.lines import Line

if TYPE_CHECKING:
    from tests.broker.model import Model

PLENTY = 1 << 40  # octets of room


@dataclass(eq=False)
class Taker:
    """A consumer, naively."""

    actor: "Actor"
    line: Line
    no_ack: bool
    exclusive: bool
    unacked: int = 0

    def has_credit(self) -> bool:
        actor = self.actor
        if self.no_ack or not actor.flowing:
            return actor.flowing
        within_own = not actor.prefetch or self.unacked < actor.prefetch
        return within_own and (not actor.shared_prefetch or actor.outstanding < actor.shared_prefetch)


@dataclass(frozen=True)
class Out:
    """A message that waits for its acknowledgement. What was pulled by get has no taker."""

    line: Line
    letter: Letter
    taker: Taker | None


@dataclass
class Mark:
    """In a measure of the store's own, how far it must be for a confirm to come, and for it to have come."""

    may: int = 0
    must: int = 0


class Actor(Receiver):
    """An application with one session, and what it should know about it."""

    def __init__(self, model: "Model", client: Client, transactional: bool) -> None:
        self.model = model
        self.client = client
        self.session = client.open_session(self)
        self.octets = PLENTY
        self.flowing = True
        self.prefetch = self.shared_prefetch = 0
        self.last_tag = self.outstanding = 0
        self.unacked: dict[int, Out] = {}
        self.takers: dict[str, Taker] = {}
        self.transactional = transactional
        self.publications: list[list[Letter]] = []  # of the transaction, and what it has settled
        self.settlements: list[tuple[str, dict[int, Out]]] = []
        self.sent: list[tuple[Letter, Mark]] = []  # for each publish, when its confirm may come, and must
        self.confirms = 0
        if transactional:
            self.session.select_transaction()
        else:
            self.session.select_confirms()

    # What it hears

    def room(self) -> int:
        return self.octets

    def deliver(self, consumer_tag: str, delivery_tag: int, redelivered: bool, messages: Sequence[Message]) -> None:
        assert delivery_tag == self.last_tag + 1
        taker = self.takers[consumer_tag]
        assert taker.line.active in (None, taker)
        for message in messages:
            assert taker.has_credit()
            assert self.octets > 0
            self.octets -= len(message.body) + MESSAGE_OVERHEAD
            letter = taker.line.take(message, redelivered, taker.no_ack, self.model.now())
            self.last_tag += 1
            if not taker.no_ack:
                self.unacked[self.last_tag] = Out(taker.line, letter, taker)
                taker.unacked += 1
                self.outstanding += 1

    def confirmed(self, sequence: int, multiple: bool) -> None:
        assert not any(letter in self.model.refused for letter in self.answered(sequence, multiple))

    def rejected(self, sequence: int, multiple: bool) -> None:
        assert all(letter in self.model.refused for letter in self.answered(sequence, multiple))

    def answered(self, sequence: int, multiple: bool) -> list[Letter]:
        assert self.confirms < sequence <= len(self.sent)
        assert multiple == (sequence > self.confirms + 1)
        assert max(mark.may for _, mark in self.sent[:sequence]) <= self.model.safe()
        answered, self.confirms = self.sent[self.confirms : sequence], sequence
        return [letter for letter, _ in answered]

    def cancelled(self, consumer_tag: str) -> None:
        taker = self.takers.pop(consumer_tag)
        assert not taker.line.exists

    # What that means

    def settle(self, how: str, outs: dict[int, Out]) -> None:
        for out in outs.values():
            out.line.unacked -= 1
            if out.taker is not None:
                out.taker.unacked -= 1
                self.outstanding -= 1
            if not out.line.exists:
                continue
            if how == "requeue":
                out.line.coming_back.append(out.letter)
            elif how == "discard":
                out.line.rejected.append(out.letter)
            else:
                out.line.settle(out.letter)
                out.line.acked += 1

    def roll_back(self) -> None:
        self.publications.clear()
        for _, outs in self.settlements:
            self.unacked |= outs
        self.settlements.clear()

    def recover(self) -> None:
        outs, self.unacked = self.unacked, {}
        self.settle("requeue", outs)

    def end(self) -> None:
        for taker in self.takers.values():
            taker.line.leave(taker)
        self.takers.clear()
        self.roll_back()
        self.recover()
