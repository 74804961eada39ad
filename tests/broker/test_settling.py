"""A session settles what it was delivered: ack, nack, reject, recover, and its end."""

from collections.abc import Callable

import pytest

from amqpd.broker.broker import Broker
from amqpd.errors import PreconditionFailed
from tests.broker.support import Peer, refused


@pytest.fixture(autouse=True)
def queue(peer: Peer) -> None:
    """Six messages, the first four of which wait for their acknowledgement."""
    peer.session.declare_queue("q")
    peer.send("q", *"123456")
    for _ in range(4):
        peer.get("q")


def counts(peer: Peer) -> tuple[int, int, int]:
    """Ready, unacked and acked messages."""
    statistics = peer.session.vhost.queues["q"].statistics()
    return statistics.ready, statistics.unacked, statistics.acked


def test_one_is_acknowledged(peer: Peer) -> None:
    peer.session.complete(2)
    assert counts(peer) == (2, 3, 1)


def test_all_up_to_one_are_acknowledged(peer: Peer) -> None:
    peer.session.complete(3, multiple=True)
    assert counts(peer) == (2, 1, 3)


def test_tag_0_means_all_and_there_may_be_none(peer: Peer) -> None:
    peer.session.complete(0, multiple=True)
    assert counts(peer) == (2, 0, 4)
    peer.session.complete(0, multiple=True)
    peer.session.requeue(0, multiple=True)
    assert counts(peer) == (2, 0, 4)


def test_what_is_refused_for_good_is_gone_and_not_acknowledged(peer: Peer) -> None:
    peer.session.discard(1)
    peer.session.discard(3, multiple=True)
    assert counts(peer) == (2, 1, 0)
    peer.session.recover()
    assert peer.empty("q") == ["4*", "5", "6"]


def test_what_is_requeued_takes_its_place(peer: Peer) -> None:
    peer.session.requeue(3)
    peer.session.requeue(1)
    assert counts(peer) == (4, 2, 0)
    assert peer.empty("q") == ["1*", "3*", "5", "6"]


@pytest.mark.parametrize("settle", ["complete", "requeue", "discard"])
def test_a_tag_that_is_not_out_is_refused_and_changes_nothing(peer: Peer, settle: str) -> None:
    peer.session.complete(2)
    settlement: Callable[..., None] = getattr(peer.session, settle)
    for tag, multiple in ((0, False), (2, False), (2, True), (5, False), (5, True)):
        with refused(PreconditionFailed, f"unknown delivery tag {tag}"):
            settlement(tag, multiple)
    assert counts(peer) == (2, 3, 1)


def test_tags_are_the_sessions_own(peer: Peer) -> None:
    sibling = Peer(peer.client)
    with refused(PreconditionFailed, "unknown delivery tag 1"):
        sibling.session.complete(1)
    assert sibling.get("q") == "5"
    sibling.session.complete(1)
    assert counts(peer) == (1, 4, 1)


def test_recover_brings_everything_back_with_new_tags(peer: Peer) -> None:
    peer.session.complete(2)
    peer.session.consume("q")
    peer.session.recover()
    assert [(number, redelivered) for _, number, redelivered, _ in peer.deliveries[:2]] == [(5, False), (6, False)]
    # All of them go again, also the two that a consumer has had meanwhile.
    assert peer.took() == ["5", "6", "1*", "3*", "4*", "5*", "6*"]
    with refused(PreconditionFailed, "unknown delivery tag 1"):
        peer.session.complete(1)
    peer.session.complete(11, multiple=True)
    assert counts(peer) == (0, 0, 6)


def test_recover_may_bring_it_to_someone_else(peer: Peer, other: Peer) -> None:
    other.session.consume("q", no_ack=True)
    assert other.took() == ["5", "6"]
    peer.session.recover()
    assert other.took() == ["1*", "2*", "3*", "4*"]


def test_what_a_session_leaves_unacked_goes_back_in_order(peer: Peer, other: Peer) -> None:
    peer.session.complete(2)
    peer.leave()
    assert counts(peer) == (5, 0, 1)
    assert other.empty("q") == ["1*", "3*", "4*", "5", "6"]


def test_who_waits_gets_what_another_leaves(peer: Peer, other: Peer) -> None:
    other.session.consume("q", no_ack=True)
    other.took()
    peer.leave()
    assert other.took() == ["1*", "2*", "3*", "4*"]


def test_a_connection_that_goes_hands_nothing_to_itself(broker: Broker, peer: Peer, other: Peer) -> None:
    sibling = Peer(peer.client)
    sibling.session.consume("q")
    assert sibling.took() == ["5", "6"]
    broker.disconnect(peer.client)
    assert sibling.took() == []
    assert broker.statistics().messages_redelivered == 0
    assert other.empty("q") == ["1*", "2*", "3*", "4*", "5*", "6*"]


def test_one_acknowledgement_may_speak_of_several_queues(peer: Peer) -> None:
    peer.session.declare_queue("r")
    peer.session.consume("q", "from q")
    peer.session.consume("r", "from r")
    peer.send("r", "7")
    peer.send("q", "8")
    peer.session.complete(8, multiple=True)
    assert counts(peer) == (0, 0, 7)
    assert peer.session.vhost.queues["r"].statistics().acked == 1
