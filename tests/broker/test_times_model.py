"""What the broker measures and counts, against a model that stamps each message: in a time that is moved by hand, with
all that test_model.py does to a broker.

Ages may be told longer than they are, as moments.py promises, and never shorter; all that is counted is exact. A survey
that is under way while things happen tells no less than there was when it began, and no more than there is when it
ends.
"""

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar
from unittest.mock import patch

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from amqpd.broker import moments, survey
from amqpd.broker.broker import Broker
from amqpd.broker.client import Client
from amqpd.broker.message import Message
from amqpd.broker.moments import RESOLUTION_S, SHARE
from amqpd.broker.statistics import NO_TIMES, SIZES, UNROUTABLE, BrokerStatistics, Handovers
from amqpd.broker.survey import of_session
from amqpd.histogram import Distribution, Histogram
from amqpd.wire.tables import Table
from tests.broker import model, test_model
from tests.broker.actors import Actor, Mark, Out, Taker
from tests.broker.letters import RUN, Letter
from tests.broker.lines import Line
from tests.broker.model import LONG, QUEUES, SETTINGS, addresses, prefetches, runs, settlements, which
from tests.broker.test_model import DiskModel, arguments, expirations, priorities, rounds

FUZZ_S = 1e-6
"""Of sums of floats."""

pytestmark = pytest.mark.timeout(3600 if LONG else 60)

STEPS_S = (0.0, 0.3, 0.0004, 5.0, 0.001, 400.0, 0.0, 0.004, 7200.0)

steps = st.sampled_from(STEPS_S)
deeds = st.sampled_from(
    [
        *("publish", "get", "get", "get", "complete", "complete each", "requeue", "discard"),
        *("end transaction", "delete", "survey", "survey"),
    ]
)


def told_at_most(age: float) -> float:
    """How long something may be told to have taken that took so long."""
    return age * (1 + 1 / SHARE) + RESOLUTION_S + FUZZ_S


def check_age(told: float | None, ages: Sequence[float]) -> None:
    """The greatest of these ages is told; None: there are none."""
    assert (told is None) == (not ages)
    if told is not None:
        assert max(ages) - FUZZ_S <= told <= told_at_most(max(ages))


def check_times(told: Distribution, times: Sequence[float]) -> None:
    """A histogram of these times; a millisecond is no time."""
    assert told.count == len(times)
    counted = 0
    for bound, count in zip(told.bounds, told.counts, strict=False):
        counted += count
        assert sum(told_at_most(time) <= bound for time in times) <= counted
        assert counted <= sum(time <= bound + FUZZ_S for time in times)
    some = [time for time in times if time > RESOLUTION_S + FUZZ_S]
    assert sum(some) - FUZZ_S <= told.total <= sum(map(told_at_most, times))


@dataclass(eq=False)
class TimedLine(Line):
    """A queue that knows since when each of its messages is ready, and what was measured."""

    model: ClassVar["TimedModel"]

    since: dict[Letter, float] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)
    acks: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)  # fields of Handovers
    blocked_s: float = 0.0
    perhaps_blocked_s: float = 0.0  # while it waits for the disk
    was_measured: bool = False

    def __post_init__(self) -> None:
        self.since = dict.fromkeys(self.ready, self.model.moment)  # after a crash
        self.was_measured = self.model.is_measuring

    def put_back(self, letter: Letter) -> None:
        super().put_back(letter)
        self.since[letter] = self.model.moment

    def take(self, message: Message, redelivered: bool, no_ack: bool, now: int) -> Letter:
        letter = super().take(message, redelivered, no_ack, now)
        self.counts["redelivered"] += redelivered
        if not redelivered and self.model.is_measuring:
            self.waits.append(self.model.moment - self.since[letter])
        return letter

    def ages(self) -> list[float]:
        """Of all messages that are ready."""
        return [self.model.moment - self.since[letter] for letter in self.ready]


class TimedActor(Actor):
    """An application that knows when it got what, and how much of everything there was."""

    model: "TimedModel"

    def __init__(self, model: "TimedModel", client: Client, transactional: bool) -> None:
        self.since: dict[int, float] = {}  # by delivery tag
        self.counts = Counter[str]()
        self.counts_of: dict[Taker, Counter[str]] = {}
        self.published = self.positive = 0
        super().__init__(model, client, transactional)

    def deliver(self, consumer_tag: str, delivery_tag: int, redelivered: bool, messages: Sequence[Message]) -> None:
        super().deliver(consumer_tag, delivery_tag, redelivered, messages)
        taker, count = self.takers[consumer_tag], len(messages)
        kind = "consume_auto" if taker.no_ack else "consume_manual"
        taker.line.counts[kind] += count
        for counts in (self.counts, self.counts_of.setdefault(taker, Counter())):
            counts[kind] += count
            counts["redelivered"] += count * redelivered
        self.since |= dict.fromkeys(range(delivery_tag, delivery_tag + count), self.model.moment)

    def settle(self, how: str, outs: dict[int, Out]) -> None:
        super().settle(how, outs)
        for tag, out in outs.items() if how == "complete" else ():
            self.counts["acked"] += 1
            if out.taker is not None:
                self.counts_of[out.taker]["acked"] += 1
            if out.line.exists:
                out.line.counts["acked"] += 1
                if self.model.is_measuring:
                    out.line.acks.append(self.model.moment - self.since[tag])

    def confirmed(self, sequence: int, multiple: bool) -> None:
        letters = [letter for letter, _ in self.sent[self.confirms : sequence]]
        super().confirmed(sequence, multiple)
        self.positive += len(letters)
        self.model.confirmed.update(letter.exchange for letter in letters)

    def rejected(self, sequence: int, multiple: bool) -> None:
        before = self.confirms
        super().rejected(sequence, multiple)
        self.model.rejected += sequence - before

    def returned(self, message: Message, code: int, text: str) -> None:
        self.counts["returned"] += 1


class TimedModel(DiskModel):
    moment = 0.0
    is_measuring = True
    lines: dict[str, TimedLine]
    actors: list[TimedActor]

    def __init__(self) -> None:
        TimedLine.model = self
        super().__init__()

    def start(self, broker: Broker, lines: dict[str, Line]) -> None:
        for where, name, stand_in in (
            (model, "Line", TimedLine),
            (test_model, "Line", TimedLine),
            (model, "Actor", TimedActor),
            (moments, "MARKS_MAX", 6),
            (survey, "AT_ONCE", 1),
        ):
            self.patches.enter_context(patch.object(where, name, stand_in))
        super().start(broker, lines)

    def make_broker(self) -> Broker:
        return Broker(self.disk, clock=self.clock, moment=self.moment)

    def connect_to(self, broker: Broker) -> None:
        super().connect_to(broker)
        self.sizes = Histogram(SIZES)
        self.mandatory: set[Letter] = set()
        self.published_to: Counter[str] = Counter()
        self.confirmed: Counter[str] = Counter()
        self.unroutable: Counter[tuple[str, str, str]] = Counter()
        self.routed = self.rejected = self.numbered = 0
        self.survey: Generator[None, None, BrokerStatistics] | None = None

    @initialize(
        arguments=st.just({}) | arguments(),
        paging=st.booleans(),
        backlog=st.lists(st.tuples(addresses, runs, st.booleans(), priorities, expirations), max_size=8),
        works=st.lists(st.tuples(which, which, rounds, settlements, prefetches), max_size=8),
    )
    def begin(self, arguments: dict[str, Table], paging: bool, backlog: list[Any], works: list[Any]) -> None:
        super().begin(arguments, paging, backlog, works)

    # Time

    @precondition(lambda self: not self.holders)
    @rule(step=steps)
    def wait(self, step: float) -> None:
        for line in self.lines.values():
            if line.ready and line.takers and self.is_reading(line.name):
                line.perhaps_blocked_s += step
            elif line.ready and line.takers and not line.someone_waits():
                line.blocked_s += step
        self.moment += step
        self.broker.agenda.moment = self.moment

    def wait_some(self, number: int) -> None:
        """Time passes with most calls; how much, goes by a number that is at hand."""
        if not self.holders:
            self.wait(STEPS_S[number % len(STEPS_S)])

    @precondition(lambda self: self.lines and not self.holders)
    @rule(number=which, queue=which, deeds=st.lists(st.tuples(deeds, steps, which, st.booleans()), max_size=12))
    def work_slowly(self, number: int, queue: int, deeds: list[tuple[str, float, int, bool]]) -> None:
        """An application takes messages, settles them in some order, and has its time; and so have others."""
        for deed, step, out, flag in deeds:
            match deed:
                case "publish":
                    self.send(self.actor(number), self.letters(3, ("", self.line(queue).name)))
                case "get":
                    self.get(number, queue, no_ack=False)
                case "complete each":
                    self.complete_each(number, out, flag)
                case "end transaction":
                    self.end_transaction(number, flag)
                case "delete" if len(self.lines) == len(QUEUES):
                    self.delete(number, queue)
                case "complete" | "requeue" | "discard":
                    self.settle(number, deed, out, flag)
                case "survey":
                    self.go_on_with_survey(out)
            self.wait(step)

    def complete_each(self, number: int, out: int, flag: bool) -> None:
        """Several that do not follow each other."""
        actor = self.actor(number)
        tags = sorted(actor.unacked)[out % 3 :: 2][:: -1 if flag else 1]
        self.withdraw(actor, "complete", tags)
        actor.session.complete_each(tags)

    @rule(measured=st.sampled_from([True, True, False]))
    def measure(self, measured: bool) -> None:
        """From now on it is measured how long messages wait and consumers take, or is not."""
        self.is_measuring = measured
        self.actors[0].session.set_policy("times", ".*", {"message-times": measured}, apply_to="queues")
        for line in self.lines.values():
            line.was_measured |= measured

    # Messages

    @rule(name=st.sampled_from(QUEUES))
    def declare(self, name: str) -> None:
        super().declare(name)
        self.actors[0].session.bind(name, "amq.direct", "nobody publishes this")

    @rule(number=which, exchange=st.sampled_from(["", "amq.direct"]), mandatory=st.booleans())
    def publish_nowhere(self, number: int, exchange: str, mandatory: bool) -> None:
        actor = self.actor(number)
        (letter,) = letters = self.letters(1, (exchange, "nowhere"))
        if mandatory:
            self.mandatory.add(letter)
        self.sizes.observe(letter.size)
        if actor.transactional:
            actor.publications.append(letters)
        else:
            actor.sent.append((letter, Mark()))
            self.count_published(actor, letters)
        actor.session.publish(exchange, "nowhere", letter.body, mandatory=mandatory)

    def send(self, actor: TimedActor, letters: list[Letter]) -> None:
        self.wait_some(letters[0].number // RUN)
        self.sizes.observe(letters[0].size, len(letters))
        if not actor.transactional:
            self.count_published(actor, letters)
        super().send(actor, letters)

    @rule(number=which, commit=st.booleans())
    def end_transaction(self, number: int, commit: bool) -> None:
        actor = self.actor(number)
        for letters in actor.publications if commit else ():
            self.count_published(actor, letters)
        super().end_transaction(number, commit)

    def count_published(self, actor: TimedActor, letters: list[Letter]) -> None:
        letter, count = letters[0], len(letters)
        goals = len(self.lines_at(letter.exchange, letter.routing_key))
        self.published_to[letter.exchange] += count
        self.routed += goals * count
        self.numbered += 0 if actor.transactional else count
        actor.published += count
        if not goals:
            outcome = "returned" if letter in self.mandatory else "dropped"
            reason = "no_match" if letter.exchange and self.lines else "no_bindings"
            self.unroutable[letter.exchange, outcome, reason] += count
            actor.counts["dropped"] += count * (outcome == "dropped")

    @precondition(lambda self: self.lines)
    @rule(number=which, queue=which, no_ack=st.booleans())
    def get(self, number: int, queue: int, no_ack: bool) -> None:
        actor, line = self.actor(number), self.line(queue)
        gets, redelivered = delivered_by_get(line), line.redelivered
        super().get(number, queue, no_ack)
        is_got = delivered_by_get(line) > gets
        kind = ("get_auto" if no_ack else "get_manual") if is_got else "get_empty"
        actor.counts[kind] += 1
        line.counts[kind] += 1
        actor.counts["redelivered"] += is_got and line.redelivered - redelivered
        if is_got and not no_ack:
            actor.since[actor.last_tag] = self.moment
        self.wait_some(actor.last_tag)

    # What holds after every step

    @invariant()
    def queues_tell_what_they_should(self) -> None:
        for queue in self.broker.statistics().queues:
            line = self.lines[queue.name]
            assert queue.handovers == Handovers(**line.counts)
            assert [queue.waits is None, queue.acks is None] == [not line.was_measured] * 2
            check_times(queue.waits or NO_TIMES, line.waits)
            check_times(queue.acks or NO_TIMES, line.acks)
            check_age(queue.ready_age_s, line.ages())
            outs = [(actor, *each) for actor in self.actors for each in actor.unacked.items() if each[1].line is line]
            check_age(queue.unacked_age_s, [self.moment - actor.since[tag] for actor, tag, _ in outs])
            assert queue.unacked_bytes == sum(out.letter.size for _, _, out in outs)
            assert line.blocked_s - FUZZ_S <= queue.blocked_s <= line.blocked_s + line.perhaps_blocked_s + FUZZ_S

    @invariant()
    def sessions_tell_what_they_should(self) -> None:
        for actor in self.actors:
            told = of_session(actor.session, "")
            counts = Counter(actor.counts)
            assert (told.unroutable_returned, told.unroutable_dropped) == (
                counts.pop("returned", 0),
                counts.pop("dropped", 0),
            )
            assert told.handovers == Handovers(**counts)
            assert (told.published, told.confirmed) == (actor.published, actor.positive)
            assert (told.unacked, told.unconfirmed) == (len(actor.unacked), len(actor.sent) - actor.confirms)
            assert told.uncommitted == sum(map(len, actor.publications))
            assert told.acks_uncommitted == sum(len(outs) for _, outs in actor.settlements)
            for consumer in told.consumers:
                taker = actor.takers[consumer.tag]
                assert consumer.handovers == Handovers(**actor.counts_of.get(taker, {}))
                assert consumer.unacked == taker.unacked

    @invariant()
    def the_broker_tells_what_it_should(self) -> None:
        told = self.broker.statistics()
        tally = told.tally()
        assert tally.handovers["classic"] == Handovers(**sum((line.counts for line in self.all_lines), Counter()))
        check_times(tally.waits, [time for line in self.all_lines for time in line.waits])
        check_times(tally.acks, [time for line in self.all_lines for time in line.acks])
        assert told.message_sizes == self.sizes.distribution()
        assert told.publishers == sum(actor.published > 0 for actor in self.actors)
        assert told.messages_published == self.published_to.total()
        assert told.messages_published_confirm == self.numbered
        assert told.messages_routed == self.routed
        assert (told.messages_confirmed, told.messages_rejected) == (self.confirmed.total(), self.rejected)
        for exchange in told.exchanges:
            assert exchange.published == self.published_to[exchange.name]
            assert exchange.confirmed == self.confirmed[exchange.name]
            assert exchange.unroutable == tuple(self.unroutable[exchange.name, *key] for key in UNROUTABLE)

    # Snapshots that take their time

    @rule(steps=st.integers(1, 12))
    def go_on_with_survey(self, steps: int) -> None:
        if self.survey is None:
            self.least = list(counters(self.broker.statistics()))
            self.survey = self.broker.survey()
        for _ in range(steps):
            try:
                next(self.survey)
            except StopIteration as end:
                self.survey = None
                told, most = list(counters(end.value)), list(counters(self.broker.statistics()))
                assert all(low <= value <= high for low, value, high in zip(self.least, told, most, strict=True))
                return


def delivered_by_get(line: TimedLine) -> int:
    return line.delivered - line.counts["consume_manual"] - line.counts["consume_auto"]


def counters(statistics: BrokerStatistics) -> Iterator[Any]:
    """All that only grows, of what does not come and go."""
    tally = statistics.tally()
    for handovers in tally.handovers.values():
        yield from (getattr(handovers, field.name) for field in fields(Handovers))
    for times in (tally.waits, tally.acks):
        yield from times.counts
        yield times.total
    for exchange in statistics.exchanges:
        yield from (exchange.published, exchange.confirmed, *exchange.unroutable)


TestTimes = TimedModel.TestCase
TestTimes.settings = settings(SETTINGS, max_examples=5000 if LONG else 130)
