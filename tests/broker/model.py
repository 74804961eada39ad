"""A naive model of the broker, for tests that drive both at random and compare them.

The model keeps lists and sets. It does not know who is next, nor when the broker gets round to what is to be done:
whenever the broker hands something to a session, or a queue takes something in, gets it back or drops it, the model
checks that it might do so (what is handed out is the first ready message of the queue, marked redelivered if it was out
before, for a consumer that has credit and room) and notes it. After each step the two must agree on what is ready and
what is out, and nothing may be left undone.

How the model hears of queues: :class:`WatchedQueue` stands in for the broker's own class.
"""

import os
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, ClassVar
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from amqpd.broker.broker import Broker
from amqpd.broker.message import Message, join_address, make_message
from amqpd.broker.queues.queue import MAXLEN, REJECTED, Queue
from amqpd.broker.queues.ready import MESSAGE_OVERHEAD
from amqpd.broker.topology.vhost import QUEUE_TYPES
from amqpd.errors import AccessRefused, PreconditionFailed
from amqpd.wire.tables import Table
from tests.broker.actors import PLENTY, Actor, Mark, Out, Taker
from tests.broker.letters import RUN, Letter, letter_of
from tests.broker.lines import Line

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
SETTINGS = settings(
    max_examples=5000 if LONG else 150,
    stateful_step_count=100 if LONG else 50,
    derandomize=not LONG,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

ACTORS_MAX = 5
QUEUES = ("durable", "one", "two")
EVERYWHERE = ("amq.fanout", "")  # the address of all queues

which = st.integers(0, 11)  # an actor, a queue, a consumer: whichever stands there, counted round
addresses = st.sampled_from([("", "durable"), ("", "one"), ("", "two"), EVERYWHERE])
runs = st.integers(1, 9)  # of messages
prefetches = st.integers(0, 3)
settlements = st.sampled_from(["complete", "requeue", "discard"])


class WatchedQueue(Queue):
    """A queue of the broker that tells the model what comes, comes back, and goes."""

    __slots__ = ()

    model: ClassVar["Model"]

    def enqueue(self, messages: Sequence[Message], octets: int) -> int:
        self.model.comes(self.name, messages)
        refused = super().enqueue(messages, octets)
        self.model.has_come(self.name, refused)
        return refused

    def _take_in(self, messages: Sequence[Message], size: int, now: int) -> None:
        self.model.is_let_in(self.name, len(messages))
        super()._take_in(messages, size, now)

    def requeue(self, position: int, message: Message) -> None:
        if self.exists:
            self.model.comes_back(self.name, message)
        super().requeue(position, message)
        if self.exists:
            self.model.has_come_back(self.name)

    def _bury(self, positions: Sequence[int], messages: Sequence[Message], reason: str) -> None:
        self.model.is_dropped(self.name, messages, reason)
        super()._bury(positions, messages, reason)


class Model(RuleBasedStateMachine):
    """Each rule tells the model first, because the broker answers at once.

    A subclass has ``patches`` before it is initialized, and closes them when it is torn down.
    """

    DURABLE: ClassVar = {"durable"}
    QUEUE: ClassVar = WatchedQueue
    patches: ExitStack

    def __init__(self) -> None:
        super().__init__()
        WatchedQueue.model = self
        self.patches.enter_context(patch.dict(QUEUE_TYPES, dict.fromkeys(QUEUE_TYPES, self.QUEUE)))
        self.published = 0
        self.arguments: dict[str, Table] = {}  # of queues, by name
        self.refused: set[Letter] = set()
        self.start(self.make_broker(), {})

    def start(self, broker: Broker, lines: dict[str, Line]) -> None:
        """A broker starts, with what its store has kept."""
        self.expect(lines)
        self.connect_to(broker)

    def connect_to(self, broker: Broker) -> None:
        self.broker = broker
        self.clients = [broker.connect(), broker.connect()]
        self.actors: list[Actor] = []

    def expect(self, lines: dict[str, Line]) -> None:
        """A broker is to start with these lines."""
        self.lines = lines
        self.all_lines = list(lines.values())
        self.holders = 0
        self.mark = Mark()  # of the publishes that are just being routed
        self.is_committing = False
        self.coming: list[tuple[str, list[Letter]]] = []  # where to
        self.dead: deque[tuple[Line, Letter, str]] = deque()  # where from, and why
        self.dying: list[tuple[str, Letter]] = []  # the next of those, where to
        self.dropped: Counter[tuple[str, str, bool]] = Counter()

    def make_broker(self) -> Broker:
        raise NotImplementedError

    def safe(self) -> int:
        """How far the disk is, in a measure of the store's own."""
        raise NotImplementedError

    def safe_at(self, count: int, persistent: bool) -> tuple[int, int]:
        """In that measure, when the confirms of publishes to a durable queue may come, and when they must."""
        raise NotImplementedError

    def now(self) -> int:
        return self.broker.timers.now()

    def actor(self, number: int) -> Actor:
        return self.actors[number % len(self.actors)]

    def line(self, number: int) -> Line:
        return list(self.lines.values())[number % len(self.lines)]

    def lines_at(self, exchange: str, routing_key: str) -> list[Line]:
        """Where an address leads."""
        name = routing_key if exchange == "" else None
        return [line for line in self.lines.values() if exchange == EVERYWHERE[0] or line.name == name]

    @initialize(backlog=st.lists(st.tuples(addresses, runs, st.booleans()), min_size=3, max_size=8))
    def begin(self, backlog: list[tuple[tuple[str, str], int, bool]]) -> None:
        """With messages: of rules that are picked at random, few publish, and without messages most mean nothing."""
        self.open_session(0, False)
        self.open_session(1, True)
        for name in QUEUES:
            self.declare(name)
        for publication in backlog:
            self.publish(0, *publication)

    # What queues tell

    def comes(self, name: str, messages: Sequence[Message]) -> None:
        letters = [letter_of(message) for message in messages]
        assert not any("x-delivery-count" in message.headers for message in messages)
        if letters[0].deaths:
            self.mark = Mark()  # of no publish, for which a confirm comes
            self.let_die()
            (letter,) = letters
            self.dying.remove((name, letter))
        else:
            self.coming.remove((name, letters))
        line = self.lines[name]
        line.arriving = letters
        line.is_taking_in, line.was_let_in = True, False

    def is_let_in(self, name: str, count: int) -> None:
        line = self.lines[name]
        line.put(line.arriving[:count], self.now())
        del line.arriving[:count]
        assert line.overflow == "drop-head" or line.has_room_for([])
        line.was_let_in = True

    def has_come(self, name: str, refused: int) -> None:
        line = self.lines[name]
        line.is_taking_in = False
        if refused and line.overflow == "reject-publish-dlx":
            assert not line.arriving  # they were dropped, see there
        elif refused:
            assert (line.overflow, refused) == ("reject-publish", len(line.arriving))
            assert not line.has_room_for(line.arriving[:1])
            self.refused.update(line.arriving)
        elif line.arriving:
            assert not line.is_limited
            line.put(line.arriving, self.now())
        line.arriving = []
        assert line.overflow != "drop-head" or line.has_room_for([])
        if line.was_let_in:
            self.check_nobody_waits(line)

    def check_nobody_waits(self, line: Line) -> None:
        """Where arrivals are looked at, consumers have them at once. (In the midst of a commit the model has settled
        already what the broker has not.)"""
        if line.ready and not self.is_committing:
            assert self.is_reading(line.name) or self.is_dropping(line) or not line.someone_waits()

    def comes_back(self, name: str, message: Message) -> None:
        self.lines[name].take_back(letter_of(message))

    def has_come_back(self, name: str) -> None:
        line = self.lines[name]
        assert not line.spent
        assert line.overflow != "drop-head" or line.has_room_for([])

    def is_dropped(self, name: str, messages: Sequence[Message], reason: str) -> None:
        line = self.lines[name]
        letters = [letter_of(message) for message in messages]
        if reason == MAXLEN and line.overflow == "reject-publish-dlx":
            assert letters == line.arriving[: len(letters)]
            assert not line.has_room_for(letters[:1])
            self.refused.update(letters)
            del line.arriving[: len(letters)]
        else:
            now = self.now()
            if line.is_taking_in and not any(line.has_expired(letter, now - 1) for letter in letters):
                self.check_nobody_waits(line)
            for letter in letters:
                line.drop(letter, reason, now)
        self.dropped["classic", reason, line.dead_letter_exchange is not None] += len(letters)
        if line.dead_letter_exchange is not None:
            self.dead += [(line, letter, reason) for letter in letters]

    def let_die(self) -> None:
        """Find out what becomes of the next message that has died, if all is done that the last one led to."""
        while self.dead and not self.dying:
            line, letter, reason = self.dead.popleft()
            line.settle(letter)  # not before: it moves in one go
            exchange = line.dead_letter_exchange or ""
            key = line.arguments.get("x-dead-letter-routing-key")
            letter = letter.after_death(line.name, reason, self.now(), exchange, key)
            goals = [goal.name for goal in self.lines_at(exchange, letter.routing_key)]
            self.dying = [(goal, letter) for goal in goals if reason == REJECTED or not letter.has_come_round(goal)]

    # Coming and going

    @precondition(lambda self: len(self.actors) < ACTORS_MAX)
    @rule(client=st.integers(0, 1), transactional=st.booleans())
    def open_session(self, client: int, transactional: bool) -> None:
        self.actors.append(Actor(self, self.clients[client], transactional))

    @precondition(lambda self: len(self.actors) > 1)
    @rule(number=which)
    def close_session(self, number: int) -> None:
        actor = self.actor(number)
        self.actors.remove(actor)
        actor.end()
        actor.client.close_session(actor.session)

    @rule(client=st.integers(0, 1))
    def disconnect(self, client: int) -> None:
        leaver, self.clients[client] = self.clients[client], self.broker.connect()
        leaving = [actor for actor in self.actors if actor.client is leaver]
        self.actors = [actor for actor in self.actors if actor.client is not leaver]
        for actor in leaving:
            actor.end()
        self.broker.disconnect(leaver)
        self.open_session(client, False)

    @rule(name=st.sampled_from(QUEUES))
    def declare(self, name: str) -> None:
        if name not in self.lines:
            self.lines[name] = Line(name, name in self.DURABLE, self.arguments.get(name, {}))
            self.all_lines.append(self.lines[name])
        line = self.lines[name]
        assert self.ask_for(line) == (name, len(line.ready), len(line.takers))
        self.actors[0].session.bind(name, EVERYWHERE[0])

    def ask_for(self, line: Line) -> tuple[str, int, int]:
        return self.actors[0].session.declare_queue(line.name, line.durable, arguments=line.arguments)

    @precondition(lambda self: len(self.lines) == len(QUEUES))
    @rule(number=which, queue=which)
    def delete(self, number: int, queue: int) -> None:
        line = self.lines.pop(self.line(queue).name)
        expected = len(line.ready)
        line.exists = False
        line.ready.clear()
        assert self.actor(number).session.delete_queue(line.name) == expected
        assert not any(taker in taker.actor.takers.values() for taker in line.takers)  # all have heard of it
        line.takers.clear()

    @precondition(lambda self: self.lines)
    @rule(number=which, queue=which)
    def purge(self, number: int, queue: int) -> None:
        line = self.line(queue)
        expected = len(line.ready)
        line.purge()
        assert self.actor(number).session.purge_queue(line.name) == expected

    # Messages in

    @rule(number=which, address=addresses, count=runs, persistent=st.booleans())
    def publish(self, number: int, address: tuple[str, str], count: int, persistent: bool) -> None:
        self.send(self.actor(number), self.letters(count, address, persistent))

    @rule(address=addresses, count=runs, persistent=st.booleans())
    def publish_more(self, address: tuple[str, str], count: int, persistent: bool) -> None:
        """So that as many messages come as go: by someone who is in no transaction, mostly."""
        self.publish(0, address, count, persistent)

    def letters(self, count: int, address: tuple[str, str], *attributes: Any) -> list[Letter]:
        """A run of new ones; 0: one without a body."""
        start = self.published - self.published % RUN + RUN
        numbers = range(start + 1, start + count + 1) if count else [start]
        self.published = numbers[-1]
        return [Letter(n, *address, *attributes) for n in numbers]

    def send(self, actor: Actor, letters: list[Letter]) -> None:
        first = letters[0]
        if actor.transactional:
            actor.publications.append(letters)
        else:
            self.put(letters)
            stored = any(line.durable for line in self.lines_at(first.exchange, first.routing_key))
            self.mark = Mark(*self.safe_at(len(letters), first.persistent)) if stored else Mark()
            actor.sent += [(letter, self.mark) for letter in letters]
        messages = [make_message(first.exchange, first.routing_key, each.body, each.properties) for each in letters]
        route = actor.session.route(join_address(first.exchange, first.routing_key))
        actor.session.publish_run(route, messages, first.size * len(letters))

    def put(self, letters: list[Letter]) -> None:
        """These are published now."""
        lines = self.lines_at(letters[0].exchange, letters[0].routing_key)
        self.coming += [(line.name, letters[:]) for line in lines]

    # Messages out

    @precondition(lambda self: self.lines)
    @rule(number=which, queue=which, no_ack=st.booleans(), exclusive=st.integers(0, 7).map(lambda n: n == 7))
    def consume(self, number: int, queue: int, no_ack: bool, exclusive: bool) -> None:
        actor, line = self.actor(number), self.line(queue)
        tag = f"c{len(actor.takers)}-{self.published}-{actor.last_tag}"
        if tag in actor.takers:
            return
        if line.is_taken(exclusive):
            with pytest.raises(AccessRefused):
                actor.session.consume(line.name, tag, no_ack, exclusive)
            return
        taker = Taker(actor, line, no_ack, exclusive)
        actor.takers[tag] = taker
        line.join(taker)
        actor.session.consume(line.name, tag, no_ack, exclusive)

    @rule(number=which, consumer=which)
    def cancel(self, number: int, consumer: int) -> None:
        actor = self.actor(number)
        if actor.takers:
            tag = list(actor.takers)[consumer % len(actor.takers)]
            taker = actor.takers.pop(tag)
            taker.line.leave(taker)
            actor.session.cancel(tag)

    @precondition(lambda self: self.lines)
    @rule(number=which, queue=which, no_ack=st.booleans())
    def get(self, number: int, queue: int, no_ack: bool) -> None:
        actor, line = self.actor(number), self.line(queue)
        got = actor.session.get(line.name, no_ack)
        if got is None:
            assert not line.ready
            return
        delivery_tag, redelivered, message, left = got
        letter = line.take(message, redelivered, no_ack, self.now())
        actor.last_tag += 1
        assert (delivery_tag, left) == (actor.last_tag, len(line.ready))
        if not no_ack:
            actor.unacked[delivery_tag] = Out(line, letter, None)

    @rule(number=which, prefetch=prefetches, shared=st.booleans())
    def qos(self, number: int, prefetch: int, shared: bool) -> None:
        actor = self.actor(number)
        if shared:
            actor.shared_prefetch = prefetch
        else:
            actor.prefetch = prefetch
        actor.session.qos(prefetch, shared)

    @rule(number=which, active=st.booleans())
    def flow(self, number: int, active: bool) -> None:
        actor = self.actor(number)
        actor.flowing = active
        actor.session.flow(active)

    @rule(number=which, octets=st.integers(0, 3 * MESSAGE_OVERHEAD) | st.just(PLENTY))
    def drain(self, number: int, octets: int) -> None:
        actor = self.actor(number)
        actor.octets = octets
        actor.session.resume()

    # Settling

    @rule(number=which, how=settlements, out=which, multiple=st.booleans())
    def settle(self, number: int, how: str, out: int, multiple: bool) -> None:
        actor = self.actor(number)
        if not actor.unacked:
            return
        tag = sorted(actor.unacked)[out % len(actor.unacked)]
        tags = [other for other in sorted(actor.unacked) if other < tag and multiple] + [tag]
        self.withdraw(actor, how, tags)
        getattr(actor.session, how)(tag, multiple)

    @rule(number=which, how=settlements)
    def settle_all(self, number: int, how: str) -> None:
        actor = self.actor(number)
        self.withdraw(actor, how, sorted(actor.unacked))
        getattr(actor.session, how)(0, True)

    def withdraw(self, actor: Actor, how: str, tags: list[int]) -> None:
        outs = {tag: actor.unacked.pop(tag) for tag in tags}
        if actor.transactional:
            actor.settlements.append((how, outs))
        else:
            actor.settle(how, outs)

    @rule(number=which, how=settlements, tag=st.integers(0, 50), multiple=st.booleans())
    def settle_nonsense(self, number: int, how: str, tag: int, multiple: bool) -> None:
        actor = self.actor(number)
        if tag not in actor.unacked and (tag or not multiple):
            with pytest.raises(PreconditionFailed, match=f"^unknown delivery tag {tag}$"):
                getattr(actor.session, how)(tag, multiple)

    @rule(number=which)
    def recover(self, number: int) -> None:
        actor = self.actor(number)
        actor.recover()
        actor.session.recover()

    @rule(number=which, commit=st.booleans())
    def end_transaction(self, number: int, commit: bool) -> None:
        actor = self.actor(number)
        if not actor.transactional:
            return
        if not commit:
            actor.roll_back()
            actor.session.rollback()
            return
        self.mark = Mark()
        self.is_committing = True
        for letters in actor.publications:
            self.put(letters)
        for how, outs in actor.settlements:
            actor.settle(how, outs)
        actor.publications.clear()
        actor.settlements.clear()
        actor.session.commit()
        self.is_committing = False

    # Batches

    @precondition(lambda self: self.holders < 2)
    @rule()
    def hold(self) -> None:
        self.holders += 1
        self.broker.agenda.hold()

    @precondition(lambda self: self.holders)
    @rule()
    def release(self) -> None:
        self.holders -= 1
        self.broker.agenda.release()

    # What holds after every step

    @invariant()
    def the_counts_agree(self) -> None:
        statistics = self.broker.statistics()
        assert {queue.name: queue for queue in statistics.queues}.keys() == self.lines.keys()
        for queue in statistics.queues:
            line = self.lines[queue.name]
            assert (queue.ready, queue.unacked) == (len(line.ready), line.unacked)
            assert queue.ready_bytes == line.octets
            assert (queue.published, queue.consumers) == (line.published, len(line.takers))
            assert (queue.delivered, queue.redelivered, queue.acked) == (line.delivered, line.redelivered, line.acked)
        assert statistics.messages_delivered == sum(line.delivered for line in self.all_lines)
        assert statistics.messages_redelivered == sum(line.redelivered for line in self.all_lines)
        assert statistics.messages_acked == sum(line.acked for line in self.all_lines)
        assert statistics.channels == len(self.actors)
        assert self.broker.totals.messages_dropped == self.dropped

    @invariant()
    def nothing_is_left_undone(self) -> None:
        assert not self.coming
        for line in self.lines.values():
            assert (line.coming_back, line.rejected, line.overtaken) == ([], [], [])
        while not self.holders and self.dead:
            self.let_die()
            assert not self.dying

    @invariant()
    def sessions_know_what_is_out(self) -> None:
        for actor in self.actors:
            assert sorted(actor.session.deliveries._unacked) == sorted(actor.unacked)
            assert actor.session.deliveries.outstanding == actor.outstanding
            assert actor.session.consumers.keys() == actor.takers.keys()

    @invariant()
    def no_message_waits_for_which_there_is_a_taker(self) -> None:
        for line in self.lines.values() if not self.holders else ():
            if line.ready and not self.is_reading(line.name) and not self.is_dropping(line):
                assert not line.someone_waits()

    def is_reading(self, name: str) -> bool:
        """Whether a queue's next messages are on their way from the disk."""
        return False

    def is_dropping(self, line: Line) -> bool:
        """Whether what has expired in front will go a moment later."""
        return line.has_expired(line.ready[0], self.now()) and self.broker.timers.due <= self.now()

    @invariant()
    def no_confirm_waits_for_what_is_safe(self) -> None:
        for actor in self.actors if not self.holders else ():
            unconfirmed = actor.sent[actor.confirms :]
            assert not unconfirmed or unconfirmed[0][1].must > self.safe()
