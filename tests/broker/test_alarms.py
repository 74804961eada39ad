"""What is low, in whose view, and what is said of it."""

import pytest

from amqpd.broker.alarms import Alarms, Resource
from amqpd.broker.broker import Broker


class Noted(Alarms):
    """Alarms, and what they were whenever they told of a change."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[bool, str]] = []
        self.changed = lambda: self.told.append((self.blocking, self.reason))


@pytest.mark.parametrize(
    ("low", "reason"),
    [
        (["memory"], "low on memory"),
        (["disk"], "low on disk"),
        (["memory", "disk"], "low on disk & memory"),
        (["disk", "memory"], "low on disk & memory"),
        (["store"], ""),
        (["store", "disk"], "low on disk"),
    ],
)
def test_what_is_low_blocks_and_alarms_have_a_reason(low: list[Resource], reason: str) -> None:
    alarms = Alarms()
    assert (alarms.blocking, alarms.reason) == (False, "")
    for resource in low:
        alarms.set(resource, "test")
    assert (alarms.blocking, alarms.reason) == (True, reason)
    assert {resource for resource in ("memory", "disk", "store") if alarms.is_low(resource)} == set(low)
    for resource in low:
        alarms.clear(resource, "test")
    assert (alarms.blocking, alarms.reason) == (False, "")


def test_each_source_takes_back_what_it_has_said_itself() -> None:
    alarms = Alarms()
    alarms.set("disk", "watch")
    alarms.set("disk", "store")
    alarms.set("disk", "store")
    alarms.clear("disk", "watch")
    alarms.clear("memory", "store")
    assert alarms.is_low("disk")
    assert alarms.blocking
    alarms.clear("disk", "store")
    assert not alarms.is_low("disk")
    assert not alarms.blocking


def test_changes_are_told_and_only_those() -> None:
    alarms = Noted()
    alarms.clear("disk", "watch")
    alarms.set("store", "store")
    alarms.set("disk", "watch")
    alarms.set("disk", "watch")
    alarms.set("disk", "store")
    alarms.clear("disk", "watch")
    alarms.clear("store", "store")
    alarms.clear("disk", "store")
    assert alarms.told == [(True, ""), (True, "low on disk"), (False, "")]


def test_the_statistics_have_it() -> None:
    broker = Broker()
    statistics = broker.statistics()
    assert (statistics.memory_alarm, statistics.disk_alarm, statistics.connections_blocked) == (False, False, 0)
    assert (statistics.disk_free, statistics.disk_free_limit) == (None, None)
    alarms = broker.alarms
    alarms.set("memory", "test")
    alarms.memory_used, alarms.memory_limit, alarms.disk_free, alarms.disk_free_limit, alarms.blocked = 1, 2, 3, 4, 5
    statistics = broker.statistics()
    assert (statistics.memory_alarm, statistics.disk_alarm) == (True, False)
    assert (statistics.memory_used, statistics.memory_limit) == (1, 2)
    assert (statistics.disk_free, statistics.disk_free_limit) == (3, 4)
    assert statistics.connections_blocked == 5
    alarms.clear("memory", "test")
    alarms.set("disk", "test")
    assert broker.statistics().disk_alarm
