"""Class basic, but for what is hot: consuming, getting, prefetch, and recovering."""

from typing import Any

import pytest

from amqpd.amqp.limits import Limits
from amqpd.wire import methods as m
from tests.amqp.acts import TO_Q, declared
from tests.amqp.transcript import NOTHING, Item, Peer, Stage, channel_close, connection_close


def consuming(peer: Peer, tag: str = "c", **kind: Any) -> Peer:
    peer >> (1, m.BasicConsume(queue="q", consumer_tag=tag, **kind))
    return peer << (1, m.BasicConsumeOk(tag))


def delivery(delivery_tag: int, body: bytes, redelivered: bool = False, consumer_tag: str = "c") -> Item:
    return 1, m.BasicDeliver(consumer_tag, delivery_tag, redelivered, routing_key="q"), body


# Consuming ------------------------------------------------------------------------------------------------------------


def test_a_consumer_gets_what_is_there_and_what_comes(peer: Peer, other: Peer) -> None:
    declared(peer) >> (1, TO_Q, b"there") << NOTHING
    consuming(peer) << delivery(1, b"there")
    other >> (1, TO_Q, b"comes")
    peer << delivery(2, b"comes")


def test_a_consumer_without_a_tag_gets_one(peer: Peer) -> None:
    declared(peer) >> (1, m.BasicConsume(queue="q")) >> (1, m.BasicConsume(queue="q"))
    peer << (1, m.BasicConsumeOk("amq.ctag-1")) << (1, m.BasicConsumeOk("amq.ctag-2"))


def test_a_tag_names_one_consumer_of_a_channel(stage: Stage) -> None:
    peer = stage.connect(channels=2)
    consuming(declared(peer)) >> (2, m.BasicConsume(queue="q", consumer_tag="c")) << (2, m.BasicConsumeOk("c"))
    peer >> (1, m.BasicConsume(queue="q", consumer_tag="c"))
    peer << connection_close(530, "NOT_ALLOWED - attempt to reuse consumer tag 'c'", m.BasicConsume)


def test_more_consumers_than_a_channel_may_have(stage: Stage) -> None:
    stage.limits = Limits(consumers_per_channel_max=2)
    peer = declared(stage.connect())
    consuming(consuming(peer, "a"), "b") >> (1, m.BasicCancel("a")) << (1, m.BasicCancelOk("a"))
    consuming(peer, "c") >> (1, m.BasicConsume(queue="q"))
    peer << connection_close(530, "NOT_ALLOWED - reached maximum (2) of consumers per channel", m.BasicConsume)


IN_USE = channel_close(1, 403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use", m.BasicConsume)


def test_an_exclusive_consumer_wants_to_be_the_only_one(peer: Peer, other: Peer) -> None:
    consuming(declared(peer))
    other >> (1, m.BasicConsume(queue="q", exclusive=True)) << IN_USE


def test_an_exclusive_consumer_stays_the_only_one(peer: Peer, other: Peer) -> None:
    consuming(declared(peer), exclusive=True)
    other >> (1, m.BasicConsume(queue="q")) << IN_USE


def test_no_local_has_no_effect(peer: Peer) -> None:
    """As in RabbitMQ."""
    consuming(declared(peer), no_local=True) >> (1, TO_Q, b"a") << delivery(1, b"a")


def test_who_does_not_wait_is_not_answered(peer: Peer) -> None:
    declared(peer) >> (1, m.BasicConsume(queue="q", consumer_tag="c", no_wait=True)) >> (1, TO_Q, b"a")
    peer << delivery(1, b"a") >> (1, m.BasicCancel("c", no_wait=True)) >> (1, TO_Q, b"b") << NOTHING


def test_a_consumer_of_a_queue_that_is_not_there(peer: Peer) -> None:
    peer >> (1, m.BasicConsume(queue="q", no_wait=True))
    peer << channel_close(1, 404, "NOT_FOUND - no queue 'q' in vhost '/'", m.BasicConsume)


def test_a_consumer_that_is_cancelled_keeps_what_it_has(peer: Peer) -> None:
    consuming(declared(peer)) >> (1, TO_Q, b"a") << delivery(1, b"a")
    peer >> (1, m.BasicCancel("c")) << (1, m.BasicCancelOk("c")) >> (1, TO_Q, b"b") << NOTHING
    peer >> (1, m.BasicNack(1)) >> (1, m.BasicGet(queue="q"))
    peer << (1, m.BasicGetOk(2, True, routing_key="q", message_count=1), b"a")


def test_cancelling_what_is_not_there(peer: Peer) -> None:
    peer >> (1, m.BasicCancel("nobody")) << (1, m.BasicCancelOk("nobody"))


def test_consumers_take_turns(peer: Peer, other: Peer) -> None:
    consuming(declared(peer))
    consuming(other)
    for number in range(6):
        peer >> (1, TO_Q, b"%d" % number)
    for tag, number in enumerate((0, 2, 4), 1):
        peer << delivery(tag, b"%d" % number)
    for tag, number in enumerate((1, 3, 5), 1):
        other << delivery(tag, b"%d" % number)


# Getting --------------------------------------------------------------------------------------------------------------


def test_get_takes_one_and_says_how_many_are_left(peer: Peer) -> None:
    declared(peer) >> (1, TO_Q, b"a") >> (1, TO_Q, b"b")
    peer >> (1, m.BasicGet(queue="q")) << (1, m.BasicGetOk(1, False, "", "q", 1), b"a")
    peer >> (1, m.BasicGet(queue="q")) << (1, m.BasicGetOk(2, False, "", "q", 0), b"b")
    peer >> (1, m.BasicGet(queue="q")) << (1, m.BasicGetEmpty())
    peer >> (1, m.BasicReject(2)) >> (1, m.BasicGet(queue="q")) << (1, m.BasicGetOk(3, True, "", "q", 0), b"b")


def test_what_was_got_without_acknowledgement_is_gone(peer: Peer) -> None:
    declared(peer) >> (1, TO_Q, b"a") >> (1, m.BasicGet(queue="q", no_ack=True))
    peer << (1, m.BasicGetOk(1, False, "", "q", 0), b"a") >> (1, m.BasicAck(1))
    peer << channel_close(1, 406, "PRECONDITION_FAILED - unknown delivery tag 1", m.BasicAck)


# Prefetch -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [False, True])
def test_prefetch_limits_what_is_not_acknowledged(peer: Peer, shared: bool) -> None:
    declared(peer) >> (1, m.BasicQos(prefetch_count=2, global_=shared)) << (1, m.BasicQosOk())
    consuming(peer)
    for number in range(1, 5):
        peer >> (1, TO_Q, b"%d" % number)
    peer << delivery(1, b"1") << delivery(2, b"2") << NOTHING
    peer >> (1, m.BasicAck(1)) << delivery(3, b"3") << NOTHING
    peer >> (1, m.BasicAck(3, multiple=True)) << delivery(4, b"4")


def test_prefetch_is_each_consumer_s_or_the_channel_s(peer: Peer) -> None:
    declared(peer) >> (1, m.BasicQos(prefetch_count=1)) << (1, m.BasicQosOk())
    consuming(consuming(peer, "a"), "b")
    for number in range(1, 5):
        peer >> (1, TO_Q, b"%d" % number)
    peer << delivery(1, b"1", consumer_tag="a") << delivery(2, b"2", consumer_tag="b") << NOTHING
    peer >> (1, m.BasicQos(prefetch_count=3, global_=True)) >> (1, m.BasicQos(prefetch_count=0))
    peer << (1, m.BasicQosOk()) << (1, m.BasicQosOk())
    assert [item[1].delivery_tag for item in peer.hear_all()] == [3]


def test_prefetch_by_size_is_not_implemented(peer: Peer) -> None:
    peer >> (1, m.BasicQos(prefetch_size=10))
    peer << connection_close(540, "NOT_IMPLEMENTED - prefetch_size!=0 (10)", m.BasicQos)


# Recovering -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "answer"),
    [(m.BasicRecover(requeue=True), (1, m.BasicRecoverOk())), (m.BasicRecoverAsync(requeue=True), NOTHING)],
    ids=["recover", "recover-async"],
)
def test_recovering_brings_all_that_is_not_acknowledged_again(peer: Peer, method: m.Method, answer: Item) -> None:
    consuming(declared(peer))
    for number in range(1, 4):
        peer >> (1, TO_Q, b"%d" % number) << delivery(number, b"%d" % number)
    peer >> (1, m.BasicAck(2)) >> (1, method)
    if answer is not NOTHING:
        peer << answer
    peer << delivery(4, b"1", redelivered=True) << delivery(5, b"3", redelivered=True)


@pytest.mark.parametrize("method", [m.BasicRecover, m.BasicRecoverAsync])
def test_recovering_without_requeue_is_not_implemented(peer: Peer, method: type[m.Method]) -> None:
    peer >> (1, method()) << connection_close(540, "NOT_IMPLEMENTED - requeue=false", method)
