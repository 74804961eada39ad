"""The broker against a naive model of it, driven at random.

The model keeps lists and sets. It does not know who is next: whenever the broker hands something to a session, the
model checks that it might do so (the first ready message of the queue, marked redelivered if it was out before, to a
consumer that has credit and room) and notes it. After each step the two must agree on what is ready and what is out,
and no message may wait for which there is a taker.

Here the broker's store is a :class:`Disk`; tests/store/test_model.py runs the same on the durable store, which crashes
now and then.

Every run takes the same steps. To look further, for some minutes and at other steps each time:
``HYPOTHESIS_PROFILE=long make test ARGS=tests/broker/test_model.py``.
"""

import os
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from amqpd.broker.broker import Broker
from amqpd.broker.client import Client
from amqpd.broker.message import Message, join_address, make_message
from amqpd.broker.ready import MESSAGE_OVERHEAD
from amqpd.broker.receiver import Receiver
from amqpd.errors import AccessRefused, PreconditionFailed
from tests.broker.support import PERSISTENT, Disk

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
ACTORS_MAX = 5
PLENTY = 1 << 40  # octets of room
QUEUES = ("durable", "one", "two")
EVERYWHERE = ("amq.fanout", "")  # the address of all queues

pytestmark = pytest.mark.timeout(3600 if LONG else 60)

which = st.integers(0, 11)  # an actor, a queue, a consumer: whichever stands there, counted round
addresses = st.sampled_from([("", "durable"), ("", "one"), ("", "two"), EVERYWHERE])
runs = st.integers(1, 9)  # of messages
prefetches = st.integers(0, 3)
settlements = st.sampled_from(["complete", "requeue", "discard"])


def body_of(number: int) -> bytes:
    """Every message has a number. Its body says which, in a size of its own."""
    return b"%d" % number + b"." * (number * 37 % 300)


def number_of(message: Message) -> int:
    return int(message.body.rstrip(b"."))


@dataclass(eq=False)
class Line:
    """A queue, naively."""

    name: str
    durable: bool
    exists: bool = True
    ready: list[int] = field(default_factory=list)
    place: dict[int, int] = field(default_factory=dict)
    published: int = 0
    out_before: set[int] = field(default_factory=set)
    logged: set[int] = field(default_factory=set)
    takers: list["Taker"] = field(default_factory=list)
    unacked: int = 0
    delivered: int = 0
    redelivered: int = 0
    acked: int = 0

    def put(self, numbers: Sequence[int], persistent: bool) -> None:
        for number in numbers:
            self.place[number] = len(self.place)
            self.ready.append(number)
        self.published += len(numbers)
        if persistent and self.durable:
            self.logged.update(numbers)

    def put_back(self, number: int) -> None:
        insort(self.ready, number, key=self.place.__getitem__)

    def take(self, number: int, redelivered: bool, no_ack: bool) -> None:
        """A message is handed out. Is it the right one, in the right way?"""
        assert self.ready[:1] == [number]
        del self.ready[0]
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
    number: int
    taker: Taker | None


@dataclass(frozen=True)
class Publication:
    address: tuple[str, str]
    numbers: list[int]
    persistent: bool


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
        self.publications: list[Publication] = []  # of the transaction, and what it has settled
        self.settlements: list[tuple[str, dict[int, Out]]] = []
        self.safe_at: list[tuple[int, int]] = []  # for each publish, from where on its confirm may come, and must
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
        for message in messages:
            assert taker.has_credit()
            assert self.octets > 0
            self.octets -= len(message.body) + MESSAGE_OVERHEAD
            taker.line.take(number_of(message), redelivered, taker.no_ack)
            self.last_tag += 1
            if not taker.no_ack:
                self.unacked[self.last_tag] = Out(taker.line, number_of(message), taker)
                taker.unacked += 1
                self.outstanding += 1

    def confirmed(self, sequence: int, multiple: bool) -> None:
        assert self.confirms < sequence <= len(self.safe_at)
        assert multiple == (sequence > self.confirms + 1)
        assert max(may for may, _ in self.safe_at[:sequence]) <= self.model.safe()
        self.confirms = sequence

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
                out.line.put_back(out.number)
            else:
                out.line.logged.discard(out.number)
                out.line.acked += how == "complete"

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
            taker.line.takers.remove(taker)
        self.takers.clear()
        self.roll_back()
        self.recover()


class Model(RuleBasedStateMachine):
    """Each rule tells the model first, because the broker answers at once."""

    DURABLE: ClassVar = {"durable"}

    def __init__(self) -> None:
        super().__init__()
        self.published = 0
        self.start(self.make_broker(), {})

    def start(self, broker: Broker, lines: dict[str, Line]) -> None:
        """A broker starts, with what its store has kept."""
        self.broker = broker
        self.clients = [self.broker.connect(), self.broker.connect()]
        self.actors: list[Actor] = []
        self.lines = lines
        self.all_lines = list(lines.values())
        self.holders = 0

    def make_broker(self) -> Broker:
        raise NotImplementedError

    def safe(self) -> int:
        """How far the disk is, in a measure of the store's own."""
        raise NotImplementedError

    def safe_at(self, count: int, persistent: bool) -> tuple[int, int]:
        """In that measure, when the confirms of publishes to a durable queue may come, and when they must."""
        raise NotImplementedError

    def actor(self, number: int) -> Actor:
        return self.actors[number % len(self.actors)]

    def line(self, number: int) -> Line:
        return list(self.lines.values())[number % len(self.lines)]

    @initialize(backlog=st.lists(st.tuples(addresses, runs, st.booleans()), min_size=3, max_size=8))
    def begin(self, backlog: list[tuple[tuple[str, str], int, bool]]) -> None:
        """With messages: of rules that are picked at random, few publish, and without messages most mean nothing."""
        self.open_session(0, False)
        self.open_session(1, True)
        for name in QUEUES:
            self.declare(name)
        for publication in backlog:
            self.publish(0, *publication)

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
            self.lines[name] = Line(name, name in self.DURABLE)
            self.all_lines.append(self.lines[name])
        line, session = self.lines[name], self.actors[0].session
        expected = name, len(line.ready), len(line.takers)
        assert session.declare_queue(name, durable=name in self.DURABLE) == expected
        session.bind(name, "amq.fanout")

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
        line.logged.difference_update(line.ready)
        line.ready.clear()
        assert self.actor(number).session.purge_queue(line.name) == expected

    # Messages in

    @rule(number=which, address=addresses, count=runs, persistent=st.booleans())
    def publish(self, number: int, address: tuple[str, str], count: int, persistent: bool) -> None:
        actor = self.actor(number)
        numbers = list(range(self.published + 1, self.published + count + 1))
        self.published += count
        publication = Publication(address, numbers, persistent)
        if actor.transactional:
            actor.publications.append(publication)
        else:
            self.put(publication)
            stored = any(line.durable for line in self.lines.values() if address in (EVERYWHERE, ("", line.name)))
            actor.safe_at += [self.safe_at(count, persistent) if stored else (0, 0)] * count
        messages = [make_message(*address, body_of(n), PERSISTENT if persistent else None) for n in numbers]
        route = actor.session.route(join_address(*address))
        actor.session.publish_run(route, messages, sum(len(message.body) for message in messages))

    @rule(address=addresses, count=runs, persistent=st.booleans())
    def publish_more(self, address: tuple[str, str], count: int, persistent: bool) -> None:
        """So that as many messages come as go: by someone who is in no transaction, mostly."""
        self.publish(0, address, count, persistent)

    def put(self, publication: Publication) -> None:
        for line in self.lines.values():
            if publication.address in (EVERYWHERE, ("", line.name)):
                line.put(publication.numbers, publication.persistent)

    # Messages out

    @precondition(lambda self: self.lines)
    @rule(number=which, queue=which, no_ack=st.booleans(), exclusive=st.integers(0, 7).map(lambda n: n == 7))
    def consume(self, number: int, queue: int, no_ack: bool, exclusive: bool) -> None:
        actor, line = self.actor(number), self.line(queue)
        tag = f"c{len(actor.takers)}-{self.published}-{actor.last_tag}"
        if tag in actor.takers:
            return
        if line.takers and (exclusive or line.takers[0].exclusive):
            with pytest.raises(AccessRefused):
                actor.session.consume(line.name, tag, no_ack, exclusive)
            return
        taker = Taker(actor, line, no_ack, exclusive)
        actor.takers[tag] = taker
        line.takers.append(taker)
        actor.session.consume(line.name, tag, no_ack, exclusive)

    @rule(number=which, consumer=which)
    def cancel(self, number: int, consumer: int) -> None:
        actor = self.actor(number)
        if actor.takers:
            tag = list(actor.takers)[consumer % len(actor.takers)]
            taker = actor.takers.pop(tag)
            taker.line.takers.remove(taker)
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
        line.take(number_of(message), redelivered, no_ack)
        actor.last_tag += 1
        assert (delivery_tag, left) == (actor.last_tag, len(line.ready))
        if not no_ack:
            actor.unacked[delivery_tag] = Out(line, number_of(message), None)

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
        for publication in actor.publications:
            self.put(publication)
        for how, outs in actor.settlements:
            actor.settle(how, outs)
        actor.publications.clear()
        actor.settlements.clear()
        actor.session.commit()

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
            assert queue.ready_bytes == sum(len(body_of(number)) for number in line.ready)
            assert (queue.published, queue.consumers) == (line.published, len(line.takers))
            assert (queue.delivered, queue.redelivered, queue.acked) == (line.delivered, line.redelivered, line.acked)
        assert statistics.messages_delivered == sum(line.delivered for line in self.all_lines)
        assert statistics.messages_redelivered == sum(line.redelivered for line in self.all_lines)
        assert statistics.messages_acked == sum(line.acked for line in self.all_lines)
        assert statistics.channels == len(self.actors)

    @invariant()
    def sessions_know_what_is_out(self) -> None:
        for actor in self.actors:
            assert sorted(actor.session.deliveries._unacked) == sorted(actor.unacked)
            assert actor.session.deliveries.outstanding == actor.outstanding
            assert actor.session.consumers.keys() == actor.takers.keys()

    @invariant()
    def no_message_waits_for_which_there_is_a_taker(self) -> None:
        for line in self.lines.values() if not self.holders else ():
            if line.ready and not self.is_reading(line.name):
                assert not any(taker.has_credit() and taker.actor.octets > 0 for taker in line.takers)

    def is_reading(self, name: str) -> bool:
        """Whether a queue's next messages are on their way from the disk."""
        return False

    @invariant()
    def no_confirm_waits_for_what_is_safe(self) -> None:
        for actor in self.actors if not self.holders else ():
            unconfirmed = actor.safe_at[actor.confirms :]
            assert not unconfirmed or unconfirmed[0][1] > self.safe()


class DiskModel(Model):
    """On a store that is as naive as the model."""

    def make_broker(self) -> Broker:
        self.disk = Disk()
        return Broker(self.disk)

    def safe(self) -> int:
        return self.disk.durable

    def safe_at(self, count: int, persistent: bool) -> tuple[int, int]:
        mark = self.disk.written + count if persistent else 0
        return mark, mark

    @rule(octets=st.integers(0, 9))
    def sync(self, octets: int) -> None:
        """Some of what was written reaches the disk."""
        self.disk.advance(min(self.disk.written, self.disk.durable + octets), self.broker.agenda)
        self.broker.agenda.settle()

    @invariant()
    def the_log_has_what_a_restart_would_need(self) -> None:
        if "durable" in self.lines:
            kept = self.disk.logs["durable"].messages.values()
            assert {number_of(message) for message in kept} == self.lines["durable"].logged


TestModel = DiskModel.TestCase
TestModel.settings = SETTINGS = settings(
    max_examples=5000 if LONG else 150,
    stateful_step_count=100 if LONG else 50,
    derandomize=not LONG,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
