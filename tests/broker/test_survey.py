"""What the broker says of itself, whole or a little at a time."""

from collections import deque
from collections.abc import Generator, Iterator

import pytest

from amqpd.broker.broker import Broker
from amqpd.broker.statistics import UNROUTABLE, BrokerStatistics, Handovers, SessionStatistics
from amqpd.broker.survey import AT_ONCE, DELIVERIES_AT_ONCE
from amqpd.broker.topology.vhost import REPLY_TO
from tests.broker.support import Peer


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def peer(broker: Broker) -> Peer:
    return Peer(broker.connect(connection="127.0.0.1:1 -> 127.0.0.1:2"))


def of_session(broker: Broker) -> SessionStatistics:
    (session,) = broker.statistics().sessions
    return session


def finished(survey: Generator[None, None, BrokerStatistics]) -> BrokerStatistics:
    found = []

    def run() -> Iterator[None]:
        found.append((yield from survey))

    deque(run(), maxlen=0)
    return found[0]


def test_ten_thousand_of_anything_are_looked_at_a_few_at_a_time(broker: Broker, peer: Peer) -> None:
    for number in range(10 * AT_ONCE):
        peer.declare(f"q{number}")
        peer.session.declare_exchange(f"x{number}")
        Peer(peer.client)
    steps = sum(1 for _ in broker.survey())
    assert steps >= 30
    assert len(broker.statistics().queues) == 10 * AT_ONCE


def test_a_queue_that_is_deleted_meanwhile_still_counts(broker: Broker, peer: Peer) -> None:
    for queue in ("a", "b"):
        peer.declare(queue)
        peer.send(queue, "1")
        peer.get(queue)
        peer.session.complete(0, multiple=True)
    survey = broker.survey()
    next(survey)
    peer.session.delete_queue("b")
    assert finished(survey).messages_acked == 2
    assert broker.statistics().messages_acked == 2


def test_what_is_acknowledged_when_its_queue_is_gone_does_not_count(broker: Broker, peer: Peer) -> None:
    peer.declare("q")
    peer.send("q", "1")
    peer.get("q")
    survey = broker.survey()
    next(survey)
    peer.session.delete_queue("q")
    peer.session.complete(1)
    assert finished(survey).messages_acked == broker.statistics().messages_acked == 0


def test_a_session_that_is_closed_meanwhile_is_not_there(broker: Broker, peer: Peer) -> None:
    last = [Peer(peer.client) for _ in range(2 * AT_ONCE)][-1]
    survey = broker.survey()
    next(survey)
    last.leave()
    assert finished(survey).channels == 2 * AT_ONCE


def test_what_clients_hold_of_each_queue(broker: Broker, peer: Peer) -> None:
    other = Peer(peer.client)
    for queue in ("q", "r"):
        peer.declare(queue)
        peer.session.consume(queue)
    for moment, count in ((1, 2), (5, 2 * DELIVERIES_AT_ONCE)):
        broker.agenda.moment = moment
        peer.send("q", *["abc"] * count)
    peer.send("r", "de")
    broker.agenda.moment = 7
    peer.session.requeue(1)
    peer.session.cancel(next(iter(peer.session.consumers)))
    assert other.get("q") is None
    broker.agenda.moment = 11
    held = {queue.name: (queue.unacked_age_s, queue.unacked_bytes) for queue in broker.statistics().queues}
    assert held == {"q": (10, 3 * (2 * DELIVERIES_AT_ONCE + 2)), "r": (6, 2)}
    peer.leave()
    held = {queue.name: (queue.unacked_age_s, queue.unacked_bytes) for queue in broker.statistics().queues}
    assert held == {"q": (None, 0), "r": (None, 0)}


def test_what_is_settled_in_the_middle_of_a_survey_is_held_by_nobody(broker: Broker, peer: Peer) -> None:
    peer.declare("q")
    peer.send("q", "a")
    peer.get("q")
    survey = broker.survey()
    next(survey)
    peer.session.complete(1)
    (queue,) = finished(survey).queues
    assert (queue.unacked, queue.unacked_age_s, queue.unacked_bytes) == (0, None, 0)


def test_how_messages_were_handed_over(broker: Broker, peer: Peer) -> None:
    peer.declare("q")
    peer.send("q", *"abcd")
    peer.get("q")
    peer.get("q", no_ack=True)
    tag = peer.session.consume("q")
    peer.session.cancel(tag)
    peer.session.requeue(3)
    tag = peer.session.consume("q", no_ack=True)
    peer.session.cancel(tag)
    peer.get("q")
    peer.session.complete(1)
    handovers = Handovers(
        consume_manual=2, consume_auto=1, get_manual=1, get_auto=1, get_empty=1, redelivered=1, acked=1
    )
    statistics = broker.statistics()
    assert statistics.queues[0].handovers == handovers
    assert of_session(broker).handovers == handovers
    assert statistics.tally().handovers == {"classic": handovers, "quorum": Handovers()}
    peer.session.delete_queue("q")
    assert broker.statistics().tally().handovers["classic"] == handovers


def test_who_has_a_session_and_what_it_is_about(broker: Broker, peer: Peer) -> None:
    peer.declare("q")
    peer.session.select_confirms()
    peer.session.qos(7, shared=True)
    peer.send("q", "a", "b")
    peer.send("nowhere", "c")
    peer.session.publish("", "nowhere", b"d", mandatory=True)
    peer.session.qos(5)
    tag = peer.session.consume("q")
    session = of_session(broker)
    assert (session.client, session.vhost, session.user) == ("127.0.0.1:1 -> 127.0.0.1:2", "/", "guest")
    assert (session.published, session.confirmed, session.unconfirmed) == (4, 4, 0)
    assert (session.unroutable_dropped, session.unroutable_returned) == (1, 1)
    assert (session.unacked, session.prefetch_count) == (2, 7)
    (consumer,) = session.consumers
    assert (consumer.tag, consumer.queue, consumer.prefetch_count, consumer.unacked) == (tag, "q", 5, 2)
    assert consumer.handovers == Handovers(consume_manual=2)
    peer.session.complete(1)
    (consumer,) = of_session(broker).consumers
    assert consumer.handovers == Handovers(consume_manual=2, acked=1)


def test_what_a_transaction_has_not_committed(broker: Broker, peer: Peer) -> None:
    peer.declare("q")
    peer.send("q", "a", "b")
    peer.get("q")
    peer.session.select_transaction()
    peer.send("q", "c", "d", "e")
    peer.session.complete(1)
    assert (of_session(broker).uncommitted, of_session(broker).acks_uncommitted) == (3, 1)
    peer.session.commit()
    assert (of_session(broker).uncommitted, of_session(broker).acks_uncommitted) == (0, 0)


def test_exchanges_count_what_they_were_given_and_what_became_of_it(broker: Broker, peer: Peer) -> None:
    peer.session.select_confirms()
    peer.session.declare_exchange("x")
    peer.session.publish("x", "k", b"nothing is bound")
    peer.declare("q")
    peer.session.bind("q", "x", "k")
    peer.session.publish("x", "k", b"taken")
    peer.session.publish("x", "other", b"not wanted")
    peer.session.publish("x", "other", b"not wanted", mandatory=True)
    peer.session.publish("", "nowhere", b"no such queue", mandatory=True)
    exchanges = {exchange.name: exchange for exchange in broker.statistics().exchanges}
    x = exchanges["x"]
    assert (x.vhost, x.type, x.bindings, x.published, x.confirmed) == ("/", "direct", 1, 4, 4)
    assert {key: count for key, count in zip(UNROUTABLE, x.unroutable, strict=True) if count} == {
        ("dropped", "no_bindings"): 1,
        ("dropped", "no_match"): 1,
        ("returned", "no_match"): 1,
    }
    assert dict(zip(UNROUTABLE, exchanges[""].unroutable, strict=True))["returned", "no_bindings"] == 1


def test_exchanges_count_confirms_when_they_are_given(broker: Broker, peer: Peer) -> None:
    peer.session.select_confirms()
    peer.declare("full", x_max_length=1, x_overflow="reject-publish")
    peer.session.bind("full", "amq.fanout")
    broker.agenda.hold()
    for exchange, key in (("amq.direct", "k"), ("amq.fanout", ""), ("amq.fanout", ""), ("amq.direct", "k")):
        peer.session.publish(exchange, key, b"m")
    before = {exchange.name: exchange.confirmed for exchange in broker.statistics().exchanges}
    broker.agenda.release()
    after = {exchange.name: exchange.confirmed for exchange in broker.statistics().exchanges}
    assert (before["amq.direct"], before["amq.fanout"]) == (0, 0)
    assert (after["amq.direct"], after["amq.fanout"]) == (2, 1)  # one was refused
    assert of_session(broker).confirmed == broker.statistics().messages_confirmed == 3


def test_sizes_of_messages_as_they_come(broker: Broker, peer: Peer) -> None:
    for size in (0, 100, 101, 5000, 100_000_001):
        peer.session.publish("", "nowhere", bytes(size))
    sizes = broker.statistics().message_sizes
    assert sizes.counts == (2, 1, 1, 0, 0, 0, 0, 0, 1)
    assert sizes.total == 100_005_202


def test_dropped_messages_by_type_of_queue_reason_and_whether_they_go_on(broker: Broker, peer: Peer) -> None:
    peer.declare("short", x_max_length=1)
    peer.declare("buried", x_dead_letter_exchange="amq.fanout")
    peer.send("short", "a", "b")
    peer.send("buried", "a")
    peer.get("buried")
    peer.session.discard(1)
    dropped = broker.statistics().messages_dropped
    assert {key: count for key, count in dropped.items() if count} == {
        ("classic", "maxlen", False): 1,
        ("classic", "rejected", True): 1,
    }
    assert len(dropped) == 2 * 4 * 2


def test_what_queues_refuse_and_take_in_by_themselves_and_after_they_are_gone(broker: Broker, peer: Peer) -> None:
    peer.declare("full", x_max_length=1, x_overflow="reject-publish")
    peer.declare("short", x_max_length=1, x_dead_letter_exchange="", x_dead_letter_routing_key="dead")
    peer.declare("dead")
    for queue in ("full", "short"):
        peer.send(queue, "a", "b", "c")
    counts = {queue.name: (queue.published, queue.refused) for queue in broker.statistics().queues}
    assert counts == {"full": (1, 2), "short": (3, 0), "dead": (2, 0)}
    for queue in counts:
        peer.session.delete_queue(queue)
    tally = broker.statistics().tally()
    assert (tally.published, tally.refused) == (6, 2)
    assert broker.statistics().messages_rejected == 0  # nobody has asked


def test_those_who_have_published_are_publishers(broker: Broker, peer: Peer) -> None:
    Peer(peer.client)
    assert broker.statistics().publishers == 0
    peer.send("nowhere", "a")
    assert (broker.statistics().publishers, broker.statistics().channels) == (1, 2)


def test_the_memory_of_a_queue_that_is_not_paged_has_all_that_is_ready(broker: Broker, peer: Peer) -> None:
    peer.declare("q")
    peer.declare("p", x_max_priority=3)
    for queue in ("q", "p"):
        peer.send(queue, "abc", "de")
        peer.get(queue)
        peer.session.requeue(0, multiple=True)
    for queue in broker.statistics().queues:
        assert (queue.ready_in_memory, queue.ready_in_memory_bytes) == (queue.ready, queue.ready_bytes) == (2, 5)


def test_reply_queues_count_and_are_not_listed(broker: Broker, peer: Peer) -> None:
    peer.session.consume(REPLY_TO, no_ack=True)
    (address,) = broker.vhosts["/"].queues
    peer.send(address, "a")
    statistics = broker.statistics()
    assert (statistics.consumers, statistics.queues) == (1, ())
    assert statistics.tally().handovers["classic"].consume_auto == 1
