"""Turns: who is next."""

from amqpd.broker.queues.turns import Turns
from tests.broker.support import Crew


def test_nobody() -> None:
    assert not Turns().ring


def test_the_highest_priority_stands_in_the_ring_alone() -> None:
    turns, low, high, high_too = Turns(), Crew(), Crew(priority=5), Crew(priority=5)
    for crew in (low, high, high_too):
        turns.add(crew)
    assert list(turns.ring) == [high, high_too]


def test_when_they_can_take_nothing_the_next_priority_is_served_until_one_is_back() -> None:
    turns, low, high = Turns(), Crew(priority=-1), Crew(priority=2)
    turns.add(low)
    turns.add(high)
    turns.skip()
    assert high.idle
    assert list(turns.ring) == [low]
    turns.add(high)
    assert not high.idle
    assert list(turns.ring) == [high]


def test_who_leaves_is_gone_idle_or_not() -> None:
    turns, one, two = Turns(), Crew(), Crew(priority=1)
    turns.add(one)
    turns.add(two)
    turns.skip()
    turns.remove(two)
    assert not two.idle
    turns.remove(one)
    assert not turns.ring


def test_who_was_never_let_in_can_leave() -> None:
    turns, one, waiting = Turns(), Crew(), Crew()
    turns.add(one)
    turns.remove(waiting)
    assert list(turns.ring) == [one]
