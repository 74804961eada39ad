"""How long messages wait, how long consumers take, and how long nobody can take anything: as queues tell it.

``at`` is the moment at which whatever follows comes to the broker, in seconds.
"""

import pytest

from amqpd.broker.broker import Broker
from amqpd.broker.statistics import QueueStatistics
from amqpd.histogram import TIMES_S, Distribution
from tests.broker.support import Peer


class Watched(Peer):
    """A peer with a broker of its own, and what the queue ``q`` says."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker.connect())
        self.broker = broker

    def at(self, moment: float) -> None:
        self.broker.agenda.moment = moment

    @property
    def q(self) -> QueueStatistics:
        (found,) = [queue for queue in self.broker.statistics().queues if queue.name == "q"]
        return found


@pytest.fixture
def peer() -> Watched:
    return Watched(Broker())


def told(distribution: Distribution | None) -> dict[float, int]:
    """How many were in the bucket up to a bound; of those in which there are any."""
    assert distribution is not None
    return {bound: count for bound, count in zip((*TIMES_S, 0), distribution.counts, strict=True) if count}


def test_what_is_delivered_at_once_has_not_waited(peer: Watched) -> None:
    peer.declare("q")
    peer.session.consume("q", no_ack=True)
    peer.at(5)
    peer.send("q", "a", "b")
    assert told(peer.q.waits) == {0.001: 2}
    assert peer.q.ready_age_s is None


def test_what_nobody_takes_waits_from_its_arrival_on(peer: Watched) -> None:
    peer.declare("q")
    peer.at(100)
    peer.send("q", "a", "b")
    peer.at(102)
    peer.send("q", "c")
    peer.at(107)
    assert peer.q.ready_age_s == 7
    peer.session.consume("q")
    assert peer.took() == ["a", "b", "c"]
    assert told(peer.q.waits) == {10: 3}
    assert peer.q.waits is not None
    assert peer.q.waits.total == 7 + 7 + 5
    assert peer.q.ready_age_s is None


def test_what_a_full_consumer_leaves_waits_too(peer: Watched) -> None:
    peer.declare("q")
    peer.session.qos(1)
    peer.session.consume("q")
    peer.send("q", "a", "b", "c")
    for moment in (0.05, 0.2):
        peer.at(moment)
        peer.session.complete(peer.deliveries[-1][1])
    assert peer.took() == ["a", "b", "c"]
    assert told(peer.q.waits) == {0.001: 1, 0.1: 1, 0.5: 1}
    assert told(peer.q.acks) == {0.1: 1, 0.5: 1}


def test_what_is_got_has_waited_and_is_acknowledged_like_any_other(peer: Watched) -> None:
    peer.declare("q")
    peer.send("q", "a")
    peer.at(2)
    assert peer.get("q") == "a"
    peer.at(22)
    assert peer.q.unacked_age_s == 20
    peer.session.complete(1)
    assert (told(peer.q.waits), told(peer.q.acks)) == ({2.5: 1}, {60: 1})


def test_a_message_that_came_back_is_ready_since_then_and_no_second_wait(peer: Watched) -> None:
    peer.declare("q")
    peer.send("q", "a")
    peer.at(10)
    peer.get("q")
    peer.at(30)
    peer.session.requeue(1)
    peer.at(34)
    assert peer.q.ready_age_s == 4
    assert peer.get("q") == "a*"
    assert told(peer.q.waits) == {10: 1}


def test_one_that_comes_back_does_not_hide_older_ones(peer: Watched) -> None:
    peer.declare("q")
    peer.send("q", "a", "b")
    peer.at(3600)
    peer.get("q")
    peer.session.requeue(1)
    peer.at(3601)
    assert peer.q.ready_age_s == 3601


def test_acknowledging_several_tells_the_time_of_each(peer: Watched) -> None:
    peer.declare("q")
    peer.session.consume("q")
    for moment in (10, 20, 30):
        peer.at(moment)
        peer.send("q", "a", "b")
    peer.at(32)
    peer.session.complete(6, multiple=True)
    assert told(peer.q.acks) == {2.5: 2, 60: 4}
    assert peer.q.acks is not None
    assert peer.q.acks.total == 2 * (22 + 12 + 2)


def test_acknowledgements_of_several_queues_count_where_they_belong(peer: Watched) -> None:
    for queue in ("q", "r"):
        peer.declare(queue)
        peer.session.consume(queue)
    peer.at(10)
    peer.send("q", "a")
    peer.at(20)
    peer.send("r", "b")
    peer.at(21)
    peer.session.complete_each([2, 1])
    of_queues = {queue.name: told(queue.acks) for queue in peer.broker.statistics().queues}
    assert of_queues == {"q": {60: 1}, "r": {2.5: 1}}


def test_the_oldest_delivery_is_that_of_the_oldest_session(peer: Watched) -> None:
    other = Peer(peer.client)
    peer.declare("q")
    peer.send("q", "a", "b", "c")
    for moment, getter in ((1, peer), (2, other), (3, peer)):
        peer.at(moment)
        getter.get("q")
    peer.at(10)
    assert peer.q.unacked_age_s == 9
    peer.session.complete(1)
    assert peer.q.unacked_age_s == 8
    other.session.complete(1)
    assert peer.q.unacked_age_s == 7
    peer.session.complete(2)
    assert peer.q.unacked_age_s is None


def test_with_priorities_each_has_its_own_past(peer: Watched) -> None:
    peer.declare("q", x_max_priority=9)
    peer.at(10)
    peer.send("q", "low", priority=1)
    peer.at(50)
    peer.send("q", "high", priority=8)
    peer.at(51)
    assert peer.q.ready_age_s == 41
    peer.session.consume("q", no_ack=True)
    assert peer.took() == ["high", "low"]
    assert told(peer.q.waits) == {2.5: 1, 60: 1}


def test_what_expires_has_not_waited_for_a_delivery(peer: Watched) -> None:
    peer.declare("q", x_max_length=1)
    peer.send("q", "a")
    peer.at(5)
    peer.send("q", "b")
    peer.at(7)
    assert peer.get("q") == "b"
    assert told(peer.q.waits) == {2.5: 1}


@pytest.mark.parametrize(
    ("broker_measures", "arguments", "measured"),
    [
        (True, {}, True),
        (True, {"x_message_times": False}, False),
        (False, {}, False),
        (False, {"x_message_times": True}, True),
    ],
)
def test_the_broker_says_whether_it_is_measured_and_a_queue_knows_better(
    broker_measures: bool, arguments: dict[str, bool], measured: bool
) -> None:
    peer = Watched(Broker(message_times=broker_measures))
    peer.declare("q", **arguments)
    peer.send("q", "a")
    peer.at(5)
    peer.get("q")
    peer.session.complete(1)
    assert (peer.q.waits is not None, peer.q.acks is not None) == (measured, measured)


def test_what_was_measured_stays_when_a_policy_ends_it_and_what_was_not_is_left_out(peer: Watched) -> None:
    peer.declare("q")

    def pass_one(moment: float) -> None:
        peer.send("q", "a")
        peer.at(moment)
        peer.get("q")
        peer.session.complete(0, multiple=True)

    pass_one(5)
    peer.session.set_policy("quiet", "^q$", {"message-times": False}, apply_to="queues")
    pass_one(10)
    assert (told(peer.q.waits), told(peer.q.acks)) == ({10: 1}, {0.001: 1})
    peer.session.clear_policy("quiet")
    assert (told(peer.q.waits), told(peer.q.acks)) == ({10: 1}, {0.001: 1})
    pass_one(12)
    assert (told(peer.q.waits), told(peer.q.acks)) == ({2.5: 1, 10: 1}, {0.001: 2})


def test_acknowledgements_with_others_between_them_are_told_apart(peer: Watched) -> None:
    peer.declare("q")
    peer.session.consume("q")
    peer.send("q", "a", "b", "c")
    peer.session.complete(2)
    peer.at(1000)
    peer.send("q", "d")
    peer.at(1000.5)
    peer.session.complete(4, multiple=True)
    assert told(peer.q.acks) == {0.001: 1, 0.5: 1, 3600: 2}


def test_in_a_transaction_it_is_the_commit_that_ends_it(peer: Watched) -> None:
    peer.declare("q")
    peer.send("q", "a", "b")
    peer.get("q")
    peer.at(10)
    peer.get("q")
    peer.session.select_transaction()
    peer.session.complete(1)
    peer.session.rollback()
    peer.at(20)
    assert peer.q.unacked_age_s == 20
    peer.session.complete(1)
    assert told(peer.q.acks) == {}
    peer.at(30)
    peer.session.commit()
    assert told(peer.q.acks) == {60: 1}


def test_it_is_blocked_while_consumers_are_there_and_none_can_take_what_is_ready(peer: Watched) -> None:
    peer.declare("q")
    peer.send("q", "a", "b")
    peer.at(10)
    assert peer.q.blocked_s == 0  # nobody is there
    peer.session.qos(1)
    peer.session.consume("q")
    peer.at(13)
    assert peer.q.blocked_s == 3
    peer.session.complete(1)
    peer.at(20)
    assert peer.q.blocked_s == 3  # nothing is ready


def test_it_is_blocked_when_a_message_comes_back_that_nobody_can_take(peer: Watched) -> None:
    other = Peer(peer.client)
    peer.declare("q")
    other.session.qos(1)
    peer.send("q", "a", "b")
    peer.get("q")
    other.session.consume("q")
    peer.at(3)
    peer.session.requeue(1)
    peer.at(10)
    assert peer.q.blocked_s == 7


@pytest.mark.parametrize("way", ["get", "purge", "cancel", "delete"])
def test_it_is_blocked_no_more_when_nothing_is_ready_or_nobody_there(peer: Watched, way: str) -> None:
    peer.declare("q")
    queue = peer.session.vhost.queues["q"]
    peer.session.qos(1)
    tag = peer.session.consume("q")
    peer.at(1)
    peer.send("q", "a", "b")
    peer.at(3)
    match way:
        case "get":
            peer.get("q", no_ack=True)
        case "purge":
            peer.session.purge_queue("q")
        case "cancel":
            peer.session.cancel(tag)
        case "delete":
            peer.session.delete_queue("q")
    peer.at(9)
    assert queue.statistics().blocked_s == 2
