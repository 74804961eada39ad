"""The broker against a naive model of it, driven at random: queues with limits of time and length, of priorities and
deliveries, that dead-letter into each other, in a time that is moved by hand and with crashes.

Here the broker's store is a :class:`Disk`, which is as naive as the model; tests/store/test_model.py runs the model on
the durable store, with plain queues and a disk that stalls and fails.

Every run takes the same steps. To look further, for some minutes and at other steps each time:
``HYPOTHESIS_PROFILE=long make test ARGS=tests/broker/test_model.py``.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, ClassVar
from unittest.mock import patch

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from amqpd.broker.broker import Broker
from amqpd.broker.message import Message
from amqpd.broker.queues import ready
from amqpd.wire.tables import Table
from tests.broker.letters import letter_of
from tests.broker.lines import Line
from tests.broker.model import (
    EVERYWHERE,
    LONG,
    QUEUES,
    SETTINGS,
    Model,
    addresses,
    prefetches,
    runs,
    settlements,
    which,
)
from tests.broker.support import Disk, HandClock

WINDOWS = {"WINDOW_MIN": 600, "WINDOWS_MAX": 1500, "READ_AHEAD_BELOW": 500}
"""Tiny ones, so that a few messages are a long queue, of which some lie on the disk only."""

pytestmark = pytest.mark.timeout(3600 if LONG else 60)


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.none() | values


asked_for = st.fixed_dictionaries(
    {
        "x-message-ttl": maybe(st.sampled_from([0, 3, 10])),
        "x-max-length": maybe(st.integers(0, 5)),
        "x-max-length-bytes": maybe(st.integers(0, 40).map(lambda n: 20 * n)),
        "x-overflow": st.sampled_from(["drop-head", "reject-publish", "reject-publish-dlx"]),
        "x-max-priority": maybe(st.integers(0, 3)),
        "x-delivery-limit": maybe(st.integers(0, 2)),
        "x-single-active-consumer": maybe(st.just(True)),
    }
)
"""Of a queue."""

ways_of_the_dead = st.fixed_dictionaries(
    {
        "x-dead-letter-exchange": st.sampled_from([None, "", "", "", "", "gone"]),
        "x-dead-letter-routing-key": st.sampled_from([None, *QUEUES]),
    }
)
"""From queue to queue, and maybe in a circle; without a key of its own, back to where the message was published to."""

to_all = {"x-dead-letter-exchange": EVERYWHERE[0]}
"""From one queue only: on two ways to the same place, messages could become alike."""

rounds = st.integers(0, 4)
priorities = st.none() | st.integers(0, 4)
expirations = st.sampled_from([None, None, None, "0", "3", "10"])


@st.composite
def arguments(draw: st.DrawFn) -> dict[str, Table]:
    """Of all queues, by name."""
    chains = st.lists(ways_of_the_dead, min_size=3, max_size=3)
    ways = draw(chains | chains | st.permutations([to_all, {}, {}]))
    tables: dict[str, Table] = {}
    for name, way in zip(QUEUES, ways, strict=True):
        table = {key: value for key, value in (draw(asked_for) | way).items() if value is not None}
        if "x-dead-letter-exchange" not in table:
            table.pop("x-dead-letter-routing-key", None)
        tables[name] = table
    return tables


class DiskModel(Model):
    DURABLE: ClassVar = {"durable", "one"}

    def __init__(self) -> None:
        self.patches = ExitStack()
        self.clock = HandClock()
        self.disk = Disk()
        self.is_paging = False
        super().__init__()

    def teardown(self) -> None:
        self.patches.close()

    def make_broker(self) -> Broker:
        return Broker(self.disk, clock=self.clock)

    @initialize(
        arguments=arguments(),
        paging=st.booleans(),
        backlog=st.lists(st.tuples(addresses, runs, st.booleans(), priorities, expirations), max_size=8),
        works=st.lists(st.tuples(which, which, rounds, settlements, prefetches), max_size=8),
    )
    def begin(
        self, arguments: dict[str, Table], paging: bool, backlog: list[tuple[Any, ...]], works: list[tuple[Any, ...]]
    ) -> None:
        self.arguments = arguments
        self.is_paging = paging
        for name, value in WINDOWS.items() if paging else ():
            self.patches.enter_context(patch.object(ready, name, value))
        super().begin([])
        for publication in backlog:
            self.publish(0, *publication)
        for work in works:
            self.work(*work)

    # Messages in

    @rule(
        number=which,
        address=addresses,
        count=st.integers(0, 9),
        persistent=st.booleans(),
        priority=priorities,
        expiration=expirations,
    )
    def publish(
        self,
        number: int,
        address: tuple[str, str],
        count: int,
        persistent: bool,
        priority: int | None = None,
        expiration: str | None = None,
    ) -> None:
        self.send(self.actor(number), self.letters(count, address, persistent, priority, expiration))

    # Messages out

    @precondition(lambda self: self.lines)
    @rule(number=which, queue=which, rounds=rounds, how=settlements, prefetch=prefetches)
    def work(self, number: int, queue: int, rounds: int, how: str, prefetch: int) -> None:
        """An application is at work: what it does with some messages, it does with the next ones."""
        if prefetch:
            self.qos(number, prefetch, False)
            self.consume(number, queue, False, False)
        for _ in range(rounds):
            if not prefetch:
                self.get(number, queue, False)
            self.settle_all(number, how)
            self.end_transaction(number, True)

    # Time

    def now(self) -> int:
        return self.clock()

    @rule(ms=st.integers(0, 6), late=st.integers(0, 3).map(lambda n: n == 3))
    def tick(self, ms: int, late: bool) -> None:
        """Time passes. Who owns the broker may be late to tell it."""
        self.clock.ms += ms
        if not late:
            self.broker.timers.run()

    @invariant()
    def what_has_expired_in_front_is_gone(self) -> None:
        if not self.holders and self.broker.timers.due > self.now():
            for line in self.lines.values():
                assert not line.ready or self.is_reading(line.name) or not line.has_expired(line.ready[0], self.now())

    @invariant()
    def queues_know_who_is_active_and_what_came_back(self) -> None:
        for line in self.lines.values():
            queue = self.broker.vhosts["/"].queues[line.name]
            assert len(queue._returns) == len(line.returns)
            assert (queue.active is None) == (line.active is None)
            if line.active is not None:
                assert line.active.actor.takers[queue.active.tag] is line.active

    # The disk

    def safe(self) -> int:
        return self.disk.durable

    def safe_at(self, count: int, persistent: bool) -> tuple[int, int]:
        return 0, 0  # unless some of them are taken in somewhere

    def comes(self, name: str, messages: Sequence[Message]) -> None:
        super().comes(name, messages)
        self.written_before = self.disk.written

    def has_come(self, name: str, refused: int) -> None:
        super().has_come(name, refused)
        if self.disk.written > self.written_before:
            self.mark.may = self.mark.must = self.disk.written

    @rule(octets=st.integers(0, 9))
    def sync(self, octets: int) -> None:
        """Some of what was written reaches the disk."""
        self.disk.advance(min(self.disk.written, self.disk.durable + octets), self.broker.agenda)
        self.broker.agenda.settle()

    @rule()
    def read(self) -> None:
        self.disk.read()
        self.broker.agenda.settle()

    def is_reading(self, name: str) -> bool:
        """Or was, before someone came who could not wait: it goes on when the page comes that it waited for."""
        backlog = self.broker.vhosts["/"].queues[name]._backlog
        lanes = [lane.ready for lane in getattr(backlog, "_lanes", [backlog])]
        return bool(self.disk.readings) and any(lane._reading or lane._generation for lane in lanes)

    @precondition(lambda self: self.published > 100)
    @rule()
    def crash(self) -> None:
        """With everything on the disk."""
        self.expect({line.name: self.after_crash(line) for line in self.lines.values() if line.durable})
        self.disk = Disk.after(self.disk)
        self.disk.logs = {name: log for name, log in self.disk.logs.items() if name.partition("#")[0] in self.lines}
        self.connect_to(self.make_broker())
        self.open_session(0, False)
        self.open_session(1, True)

    def after_crash(self, line: Line) -> Line:
        letters = sorted(line.logged, key=line.turn)
        return Line(
            line.name,
            line.durable,
            line.arguments,
            ready=letters,
            place={letter: place for place, letter in enumerate(letters)},
            deadlines={letter: when for letter, when in line.deadlines.items() if letter in line.logged},
            returns={letter: count for letter, count in line.returns.items() if letter in line.logged},
            out_before=set(letters),
            logged=set(letters),
        )

    @invariant()
    def the_disk_has_what_a_restart_would_need(self) -> None:
        for line in self.lines.values():
            if line.durable:
                logs = [log for log in self.disk.logs.values() if log.name.partition("#")[0] == line.name]
                kept = [message for log in logs for message in log.messages.values() if message.persistent]
                deadlines = {letter_of(each): getattr(each, "deadline", None) for each in kept}
                assert deadlines == {letter: line.deadlines.get(letter) for letter in line.logged}


TestModel = DiskModel.TestCase
TestModel.settings = settings(SETTINGS, max_examples=5000 if LONG else 300)
