"""One channel: contents in, confirms and returns, deliveries out, acknowledgements in."""

import tracemalloc
from typing import Any

import pytest

from amqpd.amqp.limits import Limits
from amqpd.wire import methods as m
from amqpd.wire.properties import Properties
from tests.amqp.acts import NO_EXCHANGE, TO_Q, confirming, consuming, declared, delivery, numbered
from tests.amqp.transcript import (
    NOTHING,
    Confirmed,
    Item,
    Peer,
    Stage,
    body_frame,
    channel_close,
    connection_close,
    header_frame,
)

# Contents in ----------------------------------------------------------------------------------------------------------

FRAME_MAX = 4096
SIZES = [0, 1, 4087, 4088, 4089, 8175, 8176, 8177, 40_000]


@pytest.mark.parametrize("size", SIZES)
def test_a_body_of_any_size_comes_through(stage: Stage, size: int) -> None:
    peer, body = stage.connect(frame_max=FRAME_MAX), bytes(range(251)) * (size // 251) + bytes(size % 251)
    declared(peer) >> (1, TO_Q, body) >> (1, m.BasicGet()) << (1, m.BasicGetOk(1, routing_key="q"), body)


@pytest.mark.parametrize("frame_max", [4096, 5000, 131072])
@pytest.mark.parametrize("size", SIZES)
def test_a_body_is_sent_in_frames_of_the_size_that_was_agreed(stage: Stage, frame_max: int, size: int) -> None:
    peer, other = consuming(stage.connect(frame_max=frame_max)), stage.connect()
    other >> (1, TO_Q, bytes(size))
    peer << delivery(1, bytes(size))
    whole, rest = divmod(size, frame_max - 8)
    assert peer.sizes == [frame_max - 8] * whole + [rest] * bool(rest)


@pytest.mark.parametrize(
    "parts", [[b"abcdef"], [b"a", b"bcdef"], [b"", b"abc", b"", b"", b"def"], [b"a", b"b", b"c", b"d", b"e", b"f"]]
)
def test_a_body_may_come_in_any_number_of_frames(peer: Peer, parts: list[bytes]) -> None:
    declared(peer) >> (1, TO_Q) >> header_frame(1, 6)
    for part in parts:
        peer >> body_frame(1, part)
    peer >> (1, m.BasicGet()) << (1, m.BasicGetOk(1, routing_key="q"), b"abcdef")


@pytest.mark.parametrize("part", [b"", b"a", b"ab"])
def test_a_body_costs_its_octets_in_however_small_frames_it_comes(part: bytes) -> None:
    peer = Stage().connect() >> (1, TO_Q) >> header_frame(1, 100_000_000) << NOTHING
    parts = bytes(body_frame(1, part)) * 1000
    tracemalloc.start()
    for _ in range(20):
        peer.connection.receive_data(parts)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 20_000 * len(part) * 1.25 + 10_000


def test_contents_of_several_channels_may_be_mixed(stage: Stage) -> None:
    peer = declared(stage.connect(channels=3))
    for number in (1, 2, 3):
        peer >> (number, TO_Q)
    for number in (3, 1, 2):
        peer >> header_frame(number, 4)
    for number in (1, 2, 3, 1, 2, 3):
        peer >> body_frame(number, b"%d%d" % (number, number))
    for tag, body in enumerate([b"1111", b"2222", b"3333"], 1):
        peer >> (1, m.BasicGet()) << (1, m.BasicGetOk(tag, routing_key="q", message_count=3 - tag), body)


def test_other_channels_go_on_while_a_content_is_coming(stage: Stage) -> None:
    peer = declared(stage.connect(channels=2))
    peer >> (1, TO_Q) >> header_frame(1, 4) >> body_frame(1, b"ab")
    peer >> (2, m.BasicGet(queue="q")) << (2, m.BasicGetEmpty())
    peer >> body_frame(1, b"cd") >> (2, m.BasicGet(queue="q")) << (2, m.BasicGetOk(1, routing_key="q"), b"abcd")


def test_properties_come_through(peer: Peer) -> None:
    every = Properties(
        content_type="text/plain",
        content_encoding="utf-8",
        headers={"a": 1, "b": [None, {"c": "d"}]},
        delivery_mode=2,
        priority=9,
        correlation_id="7",
        reply_to="there",
        expiration="1000",
        message_id="m",
        timestamp=1,
        type="t",
        user_id="guest",
        app_id="app",
        cluster_id="cluster",
    )
    declared(peer) >> (1, TO_Q, b"a", every) >> (1, m.BasicGet()) << (1, m.BasicGetOk(1, routing_key="q"), b"a", every)


def test_names_that_are_no_utf_8_come_through(peer: Peer) -> None:
    consuming(peer) >> (1, m.QueueBind(queue="q", exchange="amq.fanout")) << (1, m.QueueBindOk())
    peer >> (1, m.BasicPublish(exchange="amq.fanout", routing_key="\udcff\udcfe"), b"a")
    peer << delivery(1, b"a", exchange="amq.fanout", routing_key="\udcff\udcfe")


def test_a_message_may_be_as_large_as_the_limit(stage: Stage) -> None:
    stage.limits = Limits(message_size_max=1000)
    peer = declared(stage.connect())
    peer >> (1, TO_Q, bytes(1000)) >> (1, m.BasicGet()) << (1, m.BasicGetOk(1, routing_key="q"), bytes(1000))


def test_a_message_over_the_limit_closes_the_channel_and_is_discarded(stage: Stage) -> None:
    stage.limits = Limits(message_size_max=1000)
    peer = declared(stage.connect(channels=2))
    peer >> (1, TO_Q, bytes(1001)) >> (1, TO_Q, b"small")
    peer << channel_close(
        1, 406, "PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000", m.BasicPublish
    )
    peer >> (1, m.ChannelCloseOk()) >> (1, m.ChannelOpen()) << (1, m.ChannelOpenOk())
    peer >> (2, m.BasicGet(queue="q")) << (2, m.BasicGetEmpty())


def test_immediate_is_not_implemented(peer: Peer) -> None:
    peer >> (1, m.BasicPublish(routing_key="q", immediate=True), b"a")
    peer << connection_close(540, "NOT_IMPLEMENTED - immediate=true", m.BasicPublish)


def test_a_publish_to_an_exchange_that_is_not_there(peer: Peer) -> None:
    for _ in range(3):
        peer >> (1, m.BasicPublish(exchange="nowhere"), b"lost" * 3000)
        peer >> (1, m.BasicPublish(exchange="nowhere"), b"lost too") << NO_EXCHANGE
        peer >> (1, m.ChannelCloseOk()) >> (1, m.ChannelOpen()) << (1, m.ChannelOpenOk())


def test_an_exchange_s_name_that_is_no_utf_8_is_told_as_text(peer: Peer) -> None:
    peer >> (1, m.BasicPublish(exchange="\udcff"), b"a")
    peer << channel_close(1, 404, r"NOT_FOUND - no exchange '\udcff' in vhost '/'", m.BasicPublish)


# Confirms and returns -------------------------------------------------------------------------------------------------


def test_publishes_are_confirmed_by_their_number(peer: Peer) -> None:
    confirming(declared(peer))
    for number in range(1, 4):
        peer >> (1, TO_Q, b"a") << (1, m.BasicAck(number, False))
    for body in numbered(100):
        peer >> (1, TO_Q, body)
    peer << Confirmed(1, 4, 103)


def test_a_publish_is_confirmed_before_a_later_method_is_answered(peer: Peer) -> None:
    confirming(peer) >> (1, TO_Q, b"a") >> (1, m.BasicQos()) << (1, m.BasicAck(1)) << (1, m.BasicQosOk())


def test_a_publish_is_delivered_before_a_later_method_is_done(peer: Peer, other: Peer) -> None:
    consuming(other)
    peer >> (1, TO_Q, b"a") >> (1, m.QueueDelete(queue="q")) << (1, m.QueueDeleteOk())
    other << delivery(1, b"a")


def test_a_publish_is_confirmed_before_a_later_error_is_told(stage: Stage) -> None:
    peer = confirming(stage.connect(channels=2))
    peer >> (1, TO_Q, b"a") >> (1, m.BasicAck(7)) << (1, m.BasicAck(1))
    peer << channel_close(1, 406, "PRECONDITION_FAILED - unknown delivery tag 7", m.BasicAck)
    peer >> (2, m.ConfirmSelect()) << (2, m.ConfirmSelectOk())
    peer >> (2, TO_Q, b"b") >> (2, m.BasicPublish(immediate=True)) << (2, m.BasicAck(1))
    peer << connection_close(540, "NOT_IMPLEMENTED - immediate=true", m.BasicPublish)


def test_a_mandatory_message_without_a_queue_is_returned_before_it_is_confirmed(peer: Peer) -> None:
    properties = Properties(message_id="m", headers={"a": 1})
    confirming(peer) >> (1, m.BasicPublish(exchange="amq.direct", routing_key="k", mandatory=True), b"back", properties)
    peer << (1, m.BasicReturn(312, "NO_ROUTE", "amq.direct", "k"), b"back", properties) << (1, m.BasicAck(1))


def test_a_mandatory_message_with_a_queue_is_not_returned(peer: Peer) -> None:
    confirming(declared(peer)) >> (1, m.BasicPublish(routing_key="q", mandatory=True), b"a") << (1, m.BasicAck(1))


def test_a_large_mandatory_message_is_returned_in_frames_of_the_agreed_size(stage: Stage) -> None:
    peer = stage.connect(frame_max=4096)
    peer >> (1, m.BasicPublish(routing_key="nowhere", mandatory=True), bytes(10_000))
    peer << (1, m.BasicReturn(312, "NO_ROUTE", routing_key="nowhere"), bytes(10_000))
    assert peer.sizes == [4088, 4088, 1824]


# Direct reply-to ------------------------------------------------------------------------------------------------------

REPLY_TO = "amq.rabbitmq.reply-to"


def asking(peer: Peer) -> Peer:
    peer >> (1, m.BasicConsume(queue=REPLY_TO, consumer_tag="c", no_ack=True))
    return peer << (1, m.BasicConsumeOk("c"))


def test_a_request_names_the_queue_its_reply_goes_to(peer: Peer, other: Peer) -> None:
    consuming(other)
    asking(peer)
    for body in numbered(5):
        peer >> (1, TO_Q, body, Properties(reply_to=REPLY_TO, correlation_id="7"))
    for tag, body in enumerate(numbered(5), 1):
        request = Properties(reply_to=f"{REPLY_TO}.1", correlation_id="7")
        other << delivery(tag, body, request)
        other >> (1, m.BasicPublish(routing_key=f"{REPLY_TO}.1"), b"re " + body)
        peer << delivery(tag, b"re " + body, routing_key=f"{REPLY_TO}.1")


NO_CONSUMER = channel_close(1, 406, "PRECONDITION_FAILED - fast reply consumer does not exist", m.BasicPublish)


def test_a_request_without_a_consumer_for_its_reply(peer: Peer) -> None:
    declared(peer) >> (1, TO_Q, b"a", Properties(reply_to=REPLY_TO)) << NO_CONSUMER
    peer >> (1, m.ChannelCloseOk()) >> (1, m.ChannelOpen()) << (1, m.ChannelOpenOk())


def test_requests_after_the_consumer_of_their_replies_is_gone(peer: Peer) -> None:
    asking(declared(peer))
    for body in numbered(5):
        peer >> (1, TO_Q, body, Properties(reply_to=REPLY_TO))
    peer >> (1, m.BasicCancel("c")) << (1, m.BasicCancelOk("c"))
    peer >> (1, TO_Q, b"12345678", Properties(reply_to=REPLY_TO)) << NO_CONSUMER


# Deliveries -----------------------------------------------------------------------------------------------------------


def test_a_consumer_that_does_not_read_gets_no_more_than_fits(stage: Stage) -> None:
    stage.limits = Limits(outbound_high_water=10_000)
    peer, other = consuming(stage.connect()), stage.connect()
    peer.reads = False
    for body in numbered(100, size=1000):
        other >> (1, TO_Q, body)
    stage.deliver()
    assert 9_000 < peer.connection.outbox.size < 12_000
    other >> (1, m.QueueDeclare(queue="q", passive=True))
    assert 88 <= other.hear(m.QueueDeclareOk).message_count <= 92
    peer.read_again()
    assert peer.hear_all() == [delivery(tag, body) for tag, body in enumerate(numbered(100, size=1000), 1)]


def test_a_stalled_peer_gets_nothing_even_when_its_outbox_is_empty(stage: Stage) -> None:
    peer, other = consuming(stage.connect()), stage.connect()
    peer.connection.outbox.stalled = True
    other >> (1, TO_Q, b"a") << NOTHING
    peer << NOTHING >> (1, m.BasicQos()) << (1, m.BasicQosOk())  # replies are always sent
    peer.read_again()
    peer << delivery(1, b"a")


def test_a_message_larger_than_all_room_is_delivered(stage: Stage) -> None:
    stage.limits = Limits(outbound_high_water=10_000)
    peer, other = consuming(stage.connect()), stage.connect()
    for number in range(3):
        other >> (1, TO_Q, b"%d" % number * 50_000)
    for number in range(3):
        peer << delivery(number + 1, b"%d" % number * 50_000)


def test_the_other_consumers_of_the_queue_get_what_one_does_not_read(stage: Stage) -> None:
    stage.limits = Limits(outbound_high_water=10_000)
    slow, fast, other = consuming(stage.connect()), consuming(stage.connect()), stage.connect()
    slow.reads = False
    for body in numbered(100, size=1000):
        other >> (1, TO_Q, body)
    got = fast.hear_all()
    assert len(got) > 85
    slow.read_again()
    assert sorted(item[2] for item in got + slow.hear_all()) == list(numbered(100, size=1000))


def test_consumers_of_one_channel_have_their_own_tags(peer: Peer, other: Peer) -> None:
    declared(declared(peer, "a"), "b")
    for tag in ("a", "b"):
        peer >> (1, m.BasicConsume(queue=tag, consumer_tag=tag)) << (1, m.BasicConsumeOk(tag))
    for tag, queue in enumerate("abba", 1):
        other >> (1, m.BasicPublish(routing_key=queue), b"to " + queue.encode())
        peer << (1, m.BasicDeliver(queue, tag, False, "", queue), b"to " + queue.encode())


def test_a_consumer_tag_that_is_used_again(peer: Peer, other: Peer) -> None:
    declared(peer)
    for tag in (1, 2, 3):
        peer >> (1, m.BasicConsume(queue="q", consumer_tag="c")) << (1, m.BasicConsumeOk("c"))
        other >> (1, TO_Q, b"a")
        peer << delivery(tag, b"a") >> (1, m.BasicAck(tag)) >> (1, m.BasicCancel("c")) << (1, m.BasicCancelOk("c"))


@pytest.mark.parametrize("wanted", [True, False])
def test_that_a_queue_is_gone_is_told_to_who_wants_to_know(stage: Stage, wanted: bool) -> None:
    peer, other = stage.connect(consumer_cancel_notify=wanted), stage.connect()
    consuming(peer)
    other >> (1, m.QueueDelete(queue="q")) << (1, m.QueueDeleteOk())
    peer << ((1, m.BasicCancel("c", no_wait=True)) if wanted else NOTHING)
    consuming(peer)  # the tag is free


# Acknowledgements -----------------------------------------------------------------------------------------------------


def holding(peer: Peer, count: int = 5) -> Peer:
    """The peer has been delivered so many messages, and has settled none."""
    declared(peer) >> (1, m.BasicConsume(queue="q", consumer_tag="c")) << (1, m.BasicConsumeOk("c"))
    for tag in range(1, count + 1):
        peer >> (1, TO_Q, b"%d" % tag) << delivery(tag, b"%d" % tag)
    return peer


def redelivery(tag: int, body: bytes) -> Item:
    return 1, m.BasicDeliver("c", tag, True, "", "q"), body


def left(peer: Peer) -> list[bytes]:
    """What another consumer gets when this one's channel is closed: what was not settled."""
    peer >> (1, m.ChannelClose()) << (1, m.ChannelCloseOk()) >> (1, m.ChannelOpen()) << (1, m.ChannelOpenOk())
    peer >> (1, m.BasicConsume(queue="q", no_ack=True))
    return [item[2] for item in peer.hear_all()[1:]]


@pytest.mark.parametrize(
    ("said", "unsettled"),
    [
        ([m.BasicAck(2)], [b"1", b"3", b"4", b"5"]),
        ([m.BasicAck(2), m.BasicAck(1), m.BasicAck(5)], [b"3", b"4"]),
        ([m.BasicAck(3, multiple=True)], [b"4", b"5"]),
        ([m.BasicAck(2), m.BasicAck(4, multiple=True)], [b"5"]),
        ([m.BasicAck(0, multiple=True)], []),
        ([m.BasicNack(2, requeue=False)], [b"1", b"3", b"4", b"5"]),
        ([m.BasicNack(3, multiple=True, requeue=False)], [b"4", b"5"]),
        ([m.BasicReject(4, requeue=False), m.BasicAck(0, multiple=True)], []),
    ],
)
def test_what_is_settled_does_not_come_back(peer: Peer, said: list[m.Method], unsettled: list[bytes]) -> None:
    holding(peer)
    for method in said:
        peer >> (1, method)
    assert left(peer) == unsettled


@pytest.mark.parametrize(
    ("said", "again"),
    [
        (m.BasicNack(2), [b"2"]),
        (m.BasicReject(4), [b"4"]),
        (m.BasicNack(3, multiple=True), [b"1", b"2", b"3"]),
        (m.BasicNack(0, multiple=True), [b"1", b"2", b"3", b"4", b"5"]),
    ],
)
def test_what_is_requeued_comes_again(peer: Peer, said: m.Method, again: list[bytes]) -> None:
    holding(peer) >> (1, said)
    for tag, body in enumerate(again, 6):
        peer << redelivery(tag, body)


@pytest.mark.parametrize("method", [m.BasicAck, m.BasicNack, m.BasicReject])
@pytest.mark.parametrize("tag", [0, 2, 6, 2**64 - 1])
def test_an_unknown_delivery_tag(peer: Peer, method: Any, tag: int) -> None:
    holding(peer) >> (1, m.BasicAck(2)) >> (1, method(tag)) >> (1, m.BasicAck(1))
    peer << channel_close(1, 406, f"PRECONDITION_FAILED - unknown delivery tag {tag}", method)
