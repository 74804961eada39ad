"""A queue as the model of the broker knows it: lists, sets, and what may be next."""

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from amqpd.broker.message import Message
from amqpd.broker.queues.queue import DELIVERY_LIMIT, EXPIRED, MAXLEN, REJECTED
from amqpd.wire.tables import Table
from tests.broker.letters import Letter, letter_of

if TYPE_CHECKING:
    from tests.broker.actors import Taker


@dataclass(eq=False)
class Line:
    """A queue, naively."""

    name: str
    durable: bool
    arguments: Table = field(default_factory=dict)
    exists: bool = True
    ready: list[Letter] = field(default_factory=list)
    place: dict[Letter, int] = field(default_factory=dict)
    deadlines: dict[Letter, int] = field(default_factory=dict)
    returns: dict[Letter, int] = field(default_factory=dict)  # how often it came back, where that is limited
    published: int = 0
    out_before: set[Letter] = field(default_factory=set)
    logged: set[Letter] = field(default_factory=set)
    takers: list["Taker"] = field(default_factory=list)
    active: "Taker | None" = None  # where only one gets anything
    unacked: int = 0
    delivered: int = 0
    redelivered: int = 0
    acked: int = 0
    # What the queue is in the midst of, or must do before the end of the step
    arriving: list[Letter] = field(default_factory=list)
    is_taking_in: bool = False
    was_let_in: bool = False  # by being looked at
    coming_back: list[Letter] = field(default_factory=list)
    rejected: list[Letter] = field(default_factory=list)
    spent: list[Letter] = field(default_factory=list)  # come back once too often
    overtaken: list[Letter] = field(default_factory=list)  # by what has expired behind them: they leave at once

    # What it is like

    @property
    def overflow(self) -> str:
        return self.arguments.get("x-overflow", "drop-head")

    @property
    def dead_letter_exchange(self) -> str | None:
        return self.arguments.get("x-dead-letter-exchange")

    @property
    def single_active(self) -> bool:
        return "x-single-active-consumer" in self.arguments

    @property
    def octets(self) -> int:
        return sum(letter.size for letter in self.ready)

    @property
    def is_limited(self) -> bool:
        return "x-max-length" in self.arguments or "x-max-length-bytes" in self.arguments

    def has_room_for(self, letters: Sequence[Letter]) -> bool:
        there = [*self.ready, *letters]
        octets = sum(letter.size for letter in there)
        length_max = self.arguments.get("x-max-length", len(there))
        return len(there) <= length_max and octets <= self.arguments.get("x-max-length-bytes", octets)

    def has_expired(self, letter: Letter, now: int) -> bool:
        return letter in self.deadlines and self.deadlines[letter] <= now

    def life_of(self, letter: Letter) -> int | None:
        """In milliseconds."""
        lives = [letter.expiration, self.arguments.get("x-message-ttl")]
        return min((int(life) for life in lives if life is not None), default=None)

    def someone_waits(self) -> bool:
        """Whether there is a taker for the first message."""
        takers = self.takers if self.active is None else [self.active]
        return any(taker.has_credit() and taker.actor.octets > 0 for taker in takers)

    def is_taken(self, exclusive: bool) -> bool:
        """Whether one more consumer, who wants it for itself or not, is refused."""
        if exclusive and self.single_active:
            return True
        return bool(self.takers) and (exclusive or self.takers[0].exclusive)

    def turn(self, letter: Letter) -> tuple[int, int]:
        """What is less comes first."""
        return -min(letter.priority or 0, self.arguments.get("x-max-priority", 0)), self.place[letter]

    def join(self, taker: "Taker") -> None:
        self.takers.append(taker)
        if self.single_active and self.active is None:
            self.active = taker

    def leave(self, taker: "Taker") -> None:
        self.takers.remove(taker)
        if taker is self.active:
            self.active = self.takers[0] if self.takers else None

    # In

    def put(self, letters: Sequence[Letter], now: int) -> None:
        for letter in letters:
            assert letter not in self.place
            self.place[letter] = len(self.place)
            self.put_back(letter)
            life = self.life_of(letter)
            if life is not None:
                self.deadlines[letter] = now + life
            if letter.persistent and self.durable:
                self.logged.add(letter)
        self.published += len(letters)

    def put_back(self, letter: Letter) -> None:
        insort(self.ready, letter, key=self.turn)

    def take_back(self, letter: Letter) -> None:
        self.coming_back.remove(letter)
        limit = self.arguments.get("x-delivery-limit")
        returns = self.returns.get(letter, 0) + 1
        if limit is not None and returns > limit:
            self.spent.append(letter)
            return
        if limit is not None:
            self.returns[letter] = returns
        self.put_back(letter)

    # Out

    def take(self, message: Message, redelivered: bool, no_ack: bool, now: int) -> Letter:
        """A message is handed out. Is it the right one, in the right way?"""
        letter = letter_of(message)
        assert self.ready[:1] == [letter]
        del self.ready[0]
        assert redelivered == (letter in self.out_before)
        if "x-delivery-limit" in self.arguments:
            assert message.headers.get("x-delivery-count") == self.returns.get(letter)
        # To who is there when it comes, it is handed out even at the moment at which it dies.
        assert not self.has_expired(letter, now - 1 if self.is_taking_in else now)
        if letter in self.overtaken:
            self.overtaken.remove(letter)
        self.out_before.add(letter)
        self.delivered += 1
        self.redelivered += redelivered
        if no_ack:
            self.settle(letter)
        else:
            self.unacked += 1
        return letter

    def settle(self, letter: Letter) -> None:
        self.logged.discard(letter)
        self.returns.pop(letter, None)

    def purge(self) -> None:
        for letter in self.ready:
            self.settle(letter)
        self.ready.clear()

    def drop(self, letter: Letter, reason: str, now: int) -> None:
        """A message leaves for another reason. Is it the right one?"""
        if reason == REJECTED:
            self.rejected.remove(letter)
        elif reason == DELIVERY_LIMIT:
            self.spent.remove(letter)
        elif reason == EXPIRED:
            assert self.has_expired(letter, now)
            self.overtaken = self.ready[: self.ready.index(letter)]
            self.ready.remove(letter)
        else:
            assert (reason, self.overflow) == (MAXLEN, "drop-head")
            assert self.ready[:1] == [letter]
            assert not self.has_room_for([])
            del self.ready[0]
        if self.dead_letter_exchange is None:
            self.settle(letter)
