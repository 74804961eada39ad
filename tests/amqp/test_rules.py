"""What queues with rules say to publishers and consumers, in frames: nacks, timeouts, properties that are refused."""

import pytest

from amqpd.wire import methods as m
from amqpd.wire.properties import Properties
from tests.amqp.acts import TO_Q, confirming, declared
from tests.amqp.transcript import Peer, Stage, channel_close


def test_a_publish_that_a_full_queue_refuses_gets_a_nack(peer: Peer) -> None:
    declared(peer, arguments={"x-max-length": 2, "x-overflow": "reject-publish"})
    confirming(peer) >> (1, TO_Q, b"a") << (1, m.BasicAck(1))
    peer >> (1, TO_Q, b"b") << (1, m.BasicAck(2))
    peer >> (1, TO_Q, b"c") << (1, m.BasicNack(3))


def test_nacks_and_acks_leave_in_order() -> None:
    peer = Stage().connect()
    declared(peer, arguments={"x-max-length": 0, "x-overflow": "reject-publish"})
    declared(peer, "free")
    confirming(peer)
    for queue in ("free", "free", "q", "q", "free"):
        peer >> (1, m.BasicPublish(routing_key=queue), b"x")
    peer << (1, m.BasicAck(2, multiple=True)) << (1, m.BasicNack(4, multiple=True)) << (1, m.BasicAck(5))


def slow_consumer(peer: Peer, **arguments: object) -> Peer:
    declared(peer, arguments={"x-consumer-timeout": 1000, **arguments})
    peer >> (1, m.BasicConsume(queue="q", consumer_tag="c")) << (1, m.BasicConsumeOk("c"))
    return peer >> (1, TO_Q, b"a") << (1, m.BasicDeliver("c", 1, False, "", "q"), b"a")


def test_a_late_delivery_goes_back_and_a_late_ack_is_only_told_to_the_operator(stage: Stage, peer: Peer) -> None:
    slow_consumer(peer)
    stage.wait(2)
    peer << (1, m.BasicDeliver("c", 2, True, "", "q"), b"a")
    peer >> (1, m.BasicAck(1)) >> (1, m.BasicAck(2))
    stage.deliver()
    assert peer.reports[1:] == [
        ("consumer_timeout", {"channel": 1, "consumer": "c", "requeued": 1}),
        ("acknowledged_late", {"channel": 1, "delivery_tag": 1}),
    ]
    assert stage.broker.vhosts["/"].queues["q"].acked == 1


def test_or_the_channel_is_closed_as_by_rabbitmq(stage: Stage, peer: Peer) -> None:
    slow_consumer(peer, **{"x-consumer-timeout-action": "channel-close"})
    stage.wait(2)
    text = (
        "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1000 ms. "
        "This timeout value can be configured, see consumers doc guide to learn more"
    )
    peer << (1, m.ChannelClose(406, text, 0, 0))
    peer >> (1, m.ChannelCloseOk()) >> (1, m.ChannelOpen()) << (1, m.ChannelOpenOk())
    peer >> (1, m.BasicGet(queue="q")) << (1, m.BasicGetOk(1, True, routing_key="q"), b"a")


@pytest.mark.parametrize(
    ("properties", "text"),
    [
        (Properties(user_id="bob"), "user_id property set to 'bob' but authenticated user was 'guest'"),
        (Properties(expiration="abc"), "invalid expiration 'abc': no_integer"),
        (Properties(delivery_mode=3), "invalid message: {delivery_mode_unknown,3}"),
    ],
)
def test_properties_that_are_refused(peer: Peer, properties: Properties, text: str) -> None:
    declared(peer) >> (1, TO_Q, b"x", properties)
    peer << channel_close(1, 406, f"PRECONDITION_FAILED - {text}", m.BasicPublish)


def test_a_property_is_checked_with_each_publish_that_repeats_another(peer: Peer) -> None:
    declared(peer)
    mine = Properties(user_id="guest", expiration="60000")
    for _ in range(4):
        peer >> (1, TO_Q, b"x", mine)
    peer >> (1, m.QueueDeclare(queue="q", passive=True)) << (1, m.QueueDeclareOk("q", 4))


def test_copies(peer: Peer) -> None:
    declared(peer, "a"), declared(peer, "b"), declared(peer, "c")
    peer >> (1, m.BasicPublish(routing_key="a"), b"x", Properties(headers={"CC": ["b", "a"], "BCC": ["c"]}))
    for number, queue in enumerate("abc", 1):
        peer >> (1, m.BasicGet(queue=queue))
        peer << (1, m.BasicGetOk(number, routing_key="a"), b"x", Properties(headers={"CC": ["b", "a"]}))
