"""Which consumer gets the messages: priorities, and queues with one active consumer."""

from collections.abc import Callable

from amqpd.errors import AccessRefused
from tests.broker.support import Peer, refused

Join = Callable[[], Peer]


def test_only_one_consumer_is_active(join: Join) -> None:
    one, two = join(), join()
    one.declare("q", x_single_active_consumer=True)
    one.session.consume("q", "1")
    two.session.consume("q", "2")
    one.send("q", "a", "b", "c")
    assert [one.took(), two.took()] == [["a", "b", "c"], []]


def test_when_it_leaves_the_next_takes_over_what_it_had(join: Join) -> None:
    one, two, three = join(), join(), join()
    one.declare("q", x_single_active_consumer=True)
    for number, each in enumerate((one, two, three)):
        each.session.consume("q", str(number))
    three.send("q", "a", "b")
    one.leave()
    three.send("q", "c")
    assert [one.took(), two.took(), three.took()] == [["a", "b"], ["a*", "b*", "c"], []]


def test_a_session_that_leaves_hands_nothing_to_another_consumer_of_its_own(join: Join) -> None:
    one, two = join(), join()
    one.declare("q", x_single_active_consumer=True)
    one.session.qos(1)
    one.session.consume("q", "1")
    one.session.consume("q", "2")
    one.send("q", "a", "b")
    one.leave()
    assert two.empty("q") == ["a*", "b"]


def test_of_those_that_wait_the_highest_priority_is_next(join: Join) -> None:
    one, two, three = join(), join(), join()
    one.declare("q", x_single_active_consumer=True)
    one.session.qos(1)
    one.session.consume("q", "1")
    two.session.consume("q", "2")
    three.session.consume("q", "3", arguments={"x-priority": 9})
    one.send("q", "a", "b")
    one.session.cancel("1")
    assert [two.took(), three.took()] == [[], ["b"]]


def test_an_idle_one_stays_active(join: Join) -> None:
    one, two = join(), join()
    one.declare("q", x_single_active_consumer=True)
    one.session.qos(1)
    one.session.consume("q", "1")
    two.session.consume("q", "2")
    two.send("q", "a", "b")
    assert [one.took(), two.took()] == [["a"], []]
    one.session.complete(1)
    assert [one.took(), two.took()] == [["b"], []]


def test_exclusive_consumers_are_another_thing(join: Join) -> None:
    one = join()
    one.declare("q", x_single_active_consumer=True)
    with refused(AccessRefused, "queue 'q' in vhost '/' in exclusive use"):
        one.session.consume("q", exclusive=True)


def test_consumers_of_a_higher_priority_are_served_as_long_as_they_take(join: Join) -> None:
    low, high = join(), join()
    low.declare("q")
    high.session.qos(2)
    low.session.consume("q", "low")
    high.session.consume("q", "high", arguments={"x-priority": 1})
    low.send("q", "a", "b", "c")
    assert [high.took(), low.took()] == [["a", "b"], ["c"]]
    high.session.complete(1)
    low.send("q", "d")
    assert [high.took(), low.took()] == [["d"], []]


def test_equals_take_turns(join: Join) -> None:
    one, two = join(), join()
    one.declare("q")
    for each in (one, two):
        each.session.consume("q", arguments={"x-priority": -3})
    one.send("q", "a", "b", "c", "d")
    assert [one.took(), two.took()] == [["a", "c"], ["b", "d"]]
