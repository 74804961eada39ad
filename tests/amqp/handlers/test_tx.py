"""Classes confirm and tx."""

import pytest

from amqpd.wire import methods as m
from tests.amqp.acts import TO_Q
from tests.amqp.transcript import NOTHING, Confirmed, Peer, channel_close


@pytest.fixture
def transactional(peer: Peer) -> Peer:
    """Someone with a queue, and a transaction that has begun."""
    peer >> (1, m.QueueDeclare(queue="q")) >> (1, m.TxSelect())
    return peer << (1, m.QueueDeclareOk("q")) << (1, m.TxSelectOk())


def ready(peer: Peer) -> int:
    peer >> (1, m.QueueDeclare(queue="q", passive=True))
    return int(peer.hear(m.QueueDeclareOk).message_count)


def test_what_is_published_is_there_after_the_commit(transactional: Peer, other: Peer) -> None:
    transactional >> (1, TO_Q, b"a") >> (1, TO_Q, b"b") << NOTHING
    assert ready(other) == 0
    transactional >> (1, m.TxCommit()) << (1, m.TxCommitOk())
    assert ready(other) == 2


def test_what_is_published_is_gone_after_the_rollback(transactional: Peer) -> None:
    transactional >> (1, TO_Q, b"a") >> (1, m.TxRollback()) >> (1, m.TxCommit())
    transactional << (1, m.TxRollbackOk()) << (1, m.TxCommitOk())
    assert ready(transactional) == 0


def test_a_channel_that_closes_rolls_back(transactional: Peer, other: Peer) -> None:
    transactional >> (1, TO_Q, b"a") >> (1, m.ChannelClose()) << (1, m.ChannelCloseOk())
    assert ready(other) == 0


def test_what_is_settled_counts_after_the_commit(transactional: Peer, other: Peer) -> None:
    for body in (b"a", b"b"):
        other >> (1, TO_Q, body) << NOTHING
        transactional >> (1, m.BasicGet(queue="q"))
        transactional.hear_all()
    transactional >> (1, m.BasicAck(1)) >> (1, m.BasicNack(2)) << NOTHING
    assert ready(other) == 0
    transactional >> (1, m.TxRollback()) << (1, m.TxRollbackOk())
    assert ready(other) == 0  # both are unsettled again
    transactional >> (1, m.BasicAck(1)) >> (1, m.BasicNack(2)) >> (1, m.TxCommit()) << (1, m.TxCommitOk())
    assert ready(other) == 1


def test_a_mandatory_message_is_returned_at_the_commit(transactional: Peer) -> None:
    transactional >> (1, m.BasicPublish(routing_key="nowhere", mandatory=True), b"a") << NOTHING
    transactional >> (1, m.TxCommit())
    transactional << (1, m.BasicReturn(312, "NO_ROUTE", routing_key="nowhere"), b"a") << (1, m.TxCommitOk())


def test_selecting_again_changes_nothing(transactional: Peer) -> None:
    transactional >> (1, TO_Q, b"a") >> (1, m.TxSelect()) >> (1, m.TxCommit())
    transactional << (1, m.TxSelectOk()) << (1, m.TxCommitOk())
    assert ready(transactional) == 1


def test_a_channel_is_transactional_or_confirming(transactional: Peer, other: Peer) -> None:
    (
        transactional
        >> (1, m.ConfirmSelect())
        << channel_close(1, 406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode", m.ConfirmSelect)
    )
    other >> (1, m.ConfirmSelect()) >> (1, m.TxSelect()) << (1, m.ConfirmSelectOk())
    other << channel_close(1, 406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode", m.TxSelect)


def test_confirms_begin_when_they_are_selected(peer: Peer) -> None:
    peer >> (1, TO_Q, b"a") >> (1, m.ConfirmSelect()) << (1, m.ConfirmSelectOk())
    peer >> (1, TO_Q, b"b") << (1, m.BasicAck(1))
    peer >> (1, m.ConfirmSelect()) << (1, m.ConfirmSelectOk())  # again, which changes nothing
    peer >> (1, TO_Q, b"c") >> (1, TO_Q, b"d") << Confirmed(1, 2, 3)


def test_who_does_not_wait_is_not_answered(peer: Peer) -> None:
    peer >> (1, m.ConfirmSelect(no_wait=True)) >> (1, TO_Q, b"a") << (1, m.BasicAck(1))
