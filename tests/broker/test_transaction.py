"""A session's transactions: nothing is seen of it until it is committed."""

import pytest

from amqpd.broker.broker import Broker
from amqpd.errors import PreconditionFailed
from tests.broker.support import Peer, refused


@pytest.fixture(autouse=True)
def queue(peer: Peer) -> None:
    peer.session.declare_queue("q")
    peer.send("q", "1", "2", "3")
    peer.session.select_transaction()


def counts(peer: Peer) -> tuple[int, int, int]:
    statistics = peer.session.vhost.queues["q"].statistics()
    return statistics.ready, statistics.unacked, statistics.acked


def test_publishes_are_seen_after_the_commit(peer: Peer, other: Peer) -> None:
    other.session.consume("q", no_ack=True)
    other.took()
    peer.send("q", "a", "b")
    assert other.took() == []
    peer.session.commit()
    assert other.took() == ["a", "b"]
    peer.session.commit()  # of nothing: fine, and nothing comes twice
    assert other.took() == []


def test_publishes_that_are_rolled_back_were_never_made(broker: Broker, peer: Peer) -> None:
    peer.send("q", "a")
    peer.session.rollback()
    peer.session.commit()
    assert counts(peer) == (3, 0, 0)
    assert broker.statistics().messages_published == 3


def test_settlements_count_after_the_commit(peer: Peer) -> None:
    for _ in range(3):
        peer.get("q")
    peer.session.complete(1)
    peer.session.discard(2)
    peer.session.requeue(3)
    assert counts(peer) == (0, 3, 0)
    peer.session.commit()
    assert counts(peer) == (1, 0, 1)
    assert peer.get("q") == "3*"


def test_settlements_that_are_rolled_back_can_be_made_again(peer: Peer) -> None:
    for _ in range(3):
        peer.get("q")
    peer.session.complete(1)
    peer.session.requeue(3, multiple=True)
    with refused(PreconditionFailed, "unknown delivery tag 1"):
        peer.session.complete(1)  # it was, in this transaction
    peer.session.rollback()
    assert counts(peer) == (0, 3, 0)
    peer.session.complete(3, multiple=True)
    peer.session.commit()
    assert counts(peer) == (0, 0, 3)


def test_credit_comes_back_with_the_commit(peer: Peer) -> None:
    peer.session.qos(1)
    peer.session.consume("q")
    peer.session.complete(1)
    assert peer.took() == ["1"]
    peer.session.rollback()
    assert peer.took() == []
    peer.session.complete(1)
    peer.session.commit()
    assert peer.took() == ["2"]


def test_what_cannot_be_routed_comes_back_at_the_commit(peer: Peer) -> None:
    peer.session.publish("", "nowhere", b"lost", mandatory=True)
    assert peer.returns == []
    peer.session.commit()
    assert [message.body for message, _, _ in peer.returns] == [b"lost"]


@pytest.mark.parametrize("end", ["leave", "disconnect"])
def test_a_session_that_ends_rolls_back_and_what_it_had_settled_goes_back(
    broker: Broker, peer: Peer, other: Peer, end: str
) -> None:
    for _ in range(3):
        peer.get("q")
    peer.session.complete(2)
    peer.session.discard(3)
    peer.send("q", "never")
    if end == "leave":
        peer.leave()
    else:
        broker.disconnect(peer.client)
    assert counts(peer) == (3, 0, 0)
    assert other.empty("q") == ["1*", "2*", "3*"]


def test_recover_brings_back_what_the_transaction_has_not_settled(peer: Peer) -> None:
    peer.get("q")
    peer.get("q")
    peer.session.complete(1)
    peer.session.recover()
    assert counts(peer) == (2, 1, 0)
    peer.session.commit()
    assert counts(peer) == (2, 0, 1)


def test_a_queue_that_was_made_before_the_commit_is_reached(peer: Peer) -> None:
    peer.send("later", "a")
    peer.session.declare_queue("later")
    peer.session.commit()
    assert peer.empty("later") == ["a"]


def test_an_exchange_that_is_gone_at_the_commit_still_leads_to_its_queues(broker: Broker, peer: Peer) -> None:
    """As in RabbitMQ, which looks for the queues when a message is published."""
    session = peer.session
    for name in ("lives", "goes"):
        session.declare_queue(name)
        session.bind(name, "amq.fanout")
    session.declare_exchange("x", "fanout")
    session.bind("amq.fanout", "x", destination_kind="exchange")
    peer.get("q")
    session.publish("x", "", b"a", mandatory=True)
    session.complete(1)
    session.delete_exchange("x")
    session.delete_queue("goes")
    session.commit()
    assert peer.empty("lives") == ["a"]
    assert peer.returns == []
    assert broker.statistics().messages_routed == 3 + 1
    assert counts(peer) == (2, 0, 1)


def test_many_settlements_roll_back_in_reasonable_time(peer: Peer) -> None:
    count = 20_000
    peer.send("q", *map(str, range(count)))
    peer.session.commit()
    peer.session.consume("q")
    for tag in range(1, count + 1):
        peer.session.complete(tag)
    peer.session.rollback()  # sorting all of them again for each would take minutes
    assert len(peer.session.deliveries) == count + 3


def test_selecting_again_keeps_the_transaction_that_runs(peer: Peer) -> None:
    peer.send("q", "a")
    peer.session.select_transaction()
    peer.session.commit()
    assert counts(peer)[0] == 4


def test_without_a_transaction_there_is_nothing_to_end(other: Peer) -> None:
    for end in (other.session.commit, other.session.rollback):
        with refused(PreconditionFailed, "channel is not transactional"):
            end()
