"""What is true of a whole connection: closing, channels that come and go, heartbeats, and what bugs of ours may do."""

from typing import Any

import pytest

from amqpd.amqp import handlers
from amqpd.amqp.limits import Limits
from amqpd.wire import methods as m
from amqpd.wire.constants import FRAME_METHOD, PROTOCOL_HEADER
from tests.amqp.transcript import (
    END,
    HEARTBEAT,
    NOTHING,
    Confirmed,
    Frame,
    Peer,
    Stage,
    body_frame,
    channel_close,
    connection_close,
    octets,
    start_ok,
)

NOWHERE = m.QueueDeclare(queue="nowhere", passive=True)
NOT_FOUND = channel_close(1, 404, "NOT_FOUND - no queue 'nowhere' in vhost '/'", m.QueueDeclare)
UNIMPLEMENTED = connection_close(503, "COMMAND_INVALID - unimplemented method", m.TxSelectOk)


def messages_in(peer: Peer, queue: str) -> int:
    peer >> (1, m.QueueDeclare(queue=queue, passive=True))
    return int(peer.hear(m.QueueDeclareOk).message_count)


# Closing --------------------------------------------------------------------------------------------------------------


def test_a_client_that_closes_is_answered_and_gone(stage: Stage, peer: Peer) -> None:
    peer >> (0, m.ConnectionClose(200, "good bye")) << (0, m.ConnectionCloseOk()) << END
    assert peer.connection.close_reason == "closed by the client: 200 good bye"
    assert stage.broker.clients == {}


def test_what_comes_behind_a_close_is_not_done(peer: Peer, other: Peer) -> None:
    other >> (1, m.QueueDeclare(queue="q")) << (1, m.QueueDeclareOk("q"))
    (
        peer
        >> (0, m.ConnectionClose())
        >> (1, m.BasicPublish(routing_key="q"), b"late")
        << (0, m.ConnectionCloseOk())
        << END
    )
    assert messages_in(other, "q") == 0


def test_what_comes_before_a_close_is_confirmed_before_it_is_answered(peer: Peer) -> None:
    peer >> (1, m.ConfirmSelect()) << (1, m.ConfirmSelectOk())
    peer >> (1, m.BasicPublish(routing_key="q"), b"a") >> (0, m.ConnectionClose())
    peer << Confirmed(1, 1, 1) << (0, m.ConnectionCloseOk()) << END


def test_what_comes_before_an_error_is_confirmed_before_it_is_told(peer: Peer) -> None:
    peer >> (1, m.ConfirmSelect()) << (1, m.ConfirmSelectOk())
    peer >> (1, m.BasicPublish(routing_key="q"), b"a") >> (1, m.TxSelectOk()) << Confirmed(1, 1, 1) << UNIMPLEMENTED


def test_after_an_error_all_is_discarded_until_close_ok(peer: Peer, other: Peer) -> None:
    other >> (1, m.QueueDeclare(queue="q")) << (1, m.QueueDeclareOk("q"))
    peer >> (1, m.TxSelectOk()) >> (1, m.BasicPublish(routing_key="q"), b"late") >> (1, m.QueueDelete(queue="q"))
    peer << UNIMPLEMENTED
    peer >> (1, m.BasicPublish(routing_key="q"), b"later") >> (2, m.ChannelOpen()) >> (0, m.ConnectionOpen())
    peer >> Frame(7, 1, b"wrong") >> Frame(FRAME_METHOD, 1) >> Frame(FRAME_METHOD, 0, b"\0\x0a\0\xff") << NOTHING
    peer >> (0, m.ConnectionCloseOk()) << END
    assert messages_in(other, "q") == 0
    assert peer.connection.close_reason == "503 COMMAND_INVALID - unimplemented method"


def test_a_close_ok_is_found_behind_a_frame_that_the_error_has_cut_short(peer: Peer) -> None:
    large = octets(body_frame(1, b"x" * 5000))
    peer >> (1, m.TxSelectOk()) >> large[:1234] << UNIMPLEMENTED >> large[1234:] >> (0, m.ConnectionCloseOk()) << END


def test_both_sides_close_at_once(peer: Peer) -> None:
    peer >> (1, m.TxSelectOk()) >> (0, m.ConnectionClose()) << UNIMPLEMENTED << (0, m.ConnectionCloseOk())
    peer << NOTHING >> (0, m.ConnectionCloseOk()) << END


def test_a_close_that_is_not_answered_is_over_when_its_time_is(stage: Stage) -> None:
    stage.limits = Limits(close_timeout_s=7)
    peer = stage.connect() >> (1, m.TxSelectOk()) << UNIMPLEMENTED
    stage.wait(6.5)
    peer >> (1, m.QueueDeclare(queue="q")) << NOTHING
    stage.wait(0.5)
    peer << END


def test_what_was_a_client_s_own_goes_with_it(stage: Stage, peer: Peer, other: Peer) -> None:
    peer >> (1, m.QueueDeclare(queue="mine", exclusive=True)) << (1, m.QueueDeclareOk("mine"))
    other >> (1, m.QueueDeclare(queue="q")) << (1, m.QueueDeclareOk("q"))
    other >> (1, m.BasicPublish(routing_key="q"), b"a") << NOTHING
    peer >> (1, m.BasicGet(queue="q")) << (1, m.BasicGetOk(1, routing_key="q"), b"a")
    peer.connection.lost("the cable was cut")
    peer << END
    other >> (1, m.BasicGet(queue="q")) << (1, m.BasicGetOk(1, True, routing_key="q"), b"a")
    assert list(stage.broker.vhosts["/"].queues) == ["q"]
    assert peer.connection.close_reason == "the cable was cut"


# Shutting down --------------------------------------------------------------------------------------------------------


def test_a_broker_that_stops_tells_its_clients(peer: Peer) -> None:
    text = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"
    peer.connection.shut_down("shutdown")
    peer.write()
    peer << connection_close(320, text, None) << NOTHING >> (0, m.ConnectionCloseOk()) << END
    assert peer.connection.close_reason == f"320 {text}"


def test_who_has_not_logged_in_is_told_nothing(stage: Stage) -> None:
    silent, greeted = stage.stranger(), stage.stranger() >> PROTOCOL_HEADER
    greeted.hear(m.ConnectionStart)
    silent.connection.shut_down("shutdown")
    greeted.connection.shut_down("shutdown")
    silent << END
    greeted << END


def test_who_is_about_to_open_is_told(stage: Stage) -> None:
    user = stage.stranger()
    user.log_in()
    user.connection.shut_down("shutdown")
    user.write()
    assert user.hear(m.ConnectionClose).reply_code == 320
    user >> (0, m.ConnectionTuneOk(2047, 131072, 0)) >> (0, m.ConnectionOpen()) << NOTHING
    user >> (0, m.ConnectionCloseOk()) << END


def test_who_is_being_closed_is_not_told_again(peer: Peer) -> None:
    peer >> (1, m.TxSelectOk()) << UNIMPLEMENTED
    peer.connection.shut_down("shutdown")
    peer << NOTHING >> (0, m.ConnectionCloseOk()) << END


# Channels -------------------------------------------------------------------------------------------------------------


def test_a_channel_s_error_leaves_the_other_channels_alone(stage: Stage) -> None:
    peer = stage.connect(channels=2)
    peer >> (1, NOWHERE) >> (2, m.QueueDeclare(queue="q")) << NOT_FOUND << (2, m.QueueDeclareOk("q"))
    assert peer.reports[-1] == (
        "channel_error",
        {"channel": 1, "code": 404, "text": "NOT_FOUND - no queue 'nowhere' in vhost '/'"},
    )


def test_a_channel_that_the_client_has_closed_can_be_opened_again(peer: Peer) -> None:
    for _ in range(3):
        peer >> (1, m.ChannelClose()) >> (1, m.ChannelOpen()) << (1, m.ChannelCloseOk()) << (1, m.ChannelOpenOk())


def test_a_channel_that_the_broker_has_closed_can_be_opened_again(peer: Peer) -> None:
    for _ in range(3):
        peer >> (1, NOWHERE) << NOT_FOUND
        peer >> (1, m.ChannelCloseOk()) >> (1, m.ChannelOpen()) << (1, m.ChannelOpenOk())


def test_a_channel_that_is_opened_again_remembers_nothing(peer: Peer) -> None:
    peer >> (1, m.QueueDeclare(queue="q")) << (1, m.QueueDeclareOk("q"))
    (
        peer
        >> (1, m.BasicPublish(routing_key="q"), b"a")
        >> (1, m.BasicGet())
        << (1, m.BasicGetOk(1, routing_key="q"), b"a")
    )
    peer >> (1, m.ConfirmSelect()) << (1, m.ConfirmSelectOk())
    peer >> (1, m.ChannelClose()) >> (1, m.ChannelOpen()) << (1, m.ChannelCloseOk()) << (1, m.ChannelOpenOk())
    peer >> (1, m.BasicPublish(routing_key="q"), b"b") << NOTHING  # no confirm
    peer >> (1, m.BasicGet(queue="q")) << (1, m.BasicGetOk(1, True, routing_key="q", message_count=1), b"a")
    peer >> (1, m.BasicGet()) << channel_close(1, 404, "NOT_FOUND - no previously declared queue", m.BasicGet)


def test_contents_on_a_channel_that_is_closing_are_discarded(peer: Peer) -> None:
    (
        peer
        >> (1, m.BasicPublish(exchange="nowhere"), b"")
        >> (1, m.BasicPublish(exchange="nowhere"), b"\x00\x14\x00\x28 looks like a close")
    )
    peer << channel_close(1, 404, "NOT_FOUND - no exchange 'nowhere' in vhost '/'", m.BasicPublish)
    peer >> (1, m.BasicPublish(), b"\x00\x14\x00\x29") >> (1, m.ChannelCloseOk())
    peer >> (1, m.ChannelOpen()) << (1, m.ChannelOpenOk())


def tuned(stage: Stage, channel_max: int) -> Peer:
    peer = stage.stranger()
    peer.log_in()
    peer >> (0, m.ConnectionTuneOk(channel_max, 131072, 0)) >> (0, m.ConnectionOpen()) << (0, m.ConnectionOpenOk())
    return peer


TOO_MANY = connection_close(
    530, "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)", m.ChannelOpen
)


def test_more_channels_than_were_agreed(stage: Stage) -> None:
    peer = tuned(stage, channel_max=2)
    peer >> (1, m.ChannelOpen()) >> (2, m.ChannelOpen()) << (1, m.ChannelOpenOk()) << (2, m.ChannelOpenOk())
    peer >> (3, m.ChannelOpen()) << TOO_MANY


def test_a_channel_that_is_closing_counts(stage: Stage) -> None:
    peer = tuned(stage, channel_max=2)
    peer >> (1, m.ChannelOpen()) >> (2, m.ChannelOpen()) << (1, m.ChannelOpenOk()) << (2, m.ChannelOpenOk())
    peer >> (1, NOWHERE) << NOT_FOUND >> (3, m.ChannelOpen()) << TOO_MANY


def test_a_channel_that_is_closed_makes_room_for_another(stage: Stage) -> None:
    peer = tuned(stage, channel_max=2)
    for number in range(1, 10):
        peer >> (number, m.ChannelOpen()) << (number, m.ChannelOpenOk())
        if number > 1:
            peer >> (number, m.ChannelClose()) << (number, m.ChannelCloseOk())


def test_channels_are_counted_and_may_have_any_number(stage: Stage) -> None:
    """RabbitMQ does not compare the number with channel_max, and clients rely on it."""
    tuned(stage, channel_max=2) >> (65535, m.ChannelOpen()) << (65535, m.ChannelOpenOk())


def test_a_thousand_channels(stage: Stage) -> None:
    peer = stage.connect(channels=0)
    for number in range(1, 1001):
        peer >> (number, m.ChannelOpen())
    assert peer.hear_all() == [(number, m.ChannelOpenOk()) for number in range(1, 1001)]


# Heartbeats -----------------------------------------------------------------------------------------------------------


def test_a_heartbeat_is_sent_when_half_the_interval_was_silent(stage: Stage) -> None:
    peer = stage.connect(heartbeat=10)
    for _ in range(10):
        stage.wait(4.5)
        peer << NOTHING >> HEARTBEAT
        stage.wait(0.5)
        peer << HEARTBEAT


def test_no_heartbeat_is_sent_where_something_else_was(stage: Stage) -> None:
    peer = stage.connect(heartbeat=10)
    stage.wait(3)
    peer >> (1, m.BasicQos()) << (1, m.BasicQosOk())
    stage.wait(4.5)
    peer << NOTHING
    stage.wait(0.5)
    peer << HEARTBEAT


def test_a_peer_that_is_silent_for_two_intervals_is_dropped(stage: Stage) -> None:
    peer = stage.connect(heartbeat=10)
    peer >> HEARTBEAT
    stage.wait(20.5)
    assert not peer.connection.finished
    stage.wait(0.5)
    assert set(peer.hear_all()) == {HEARTBEAT}  # and no connection.close: nobody would read it
    peer << END
    assert peer.connection.close_reason == "missed heartbeats: nothing heard for 20 s"
    assert ("heartbeat_missed", {"heartbeat_s": 10}) in peer.reports


@pytest.mark.parametrize("sign_of_life", [HEARTBEAT, (1, m.BasicRecoverAsync(requeue=True)), octets(HEARTBEAT)[:1]])
def test_any_octet_is_a_sign_of_life(stage: Stage, sign_of_life: Any) -> None:
    peer = stage.connect(heartbeat=10)
    stage.wait(15)
    peer >> sign_of_life
    stage.wait(15)
    assert set(peer.hear_all()) == {HEARTBEAT}
    peer << NOTHING


def test_a_peer_that_is_not_read_is_not_silent(stage: Stage) -> None:
    peer = stage.connect(heartbeat=10)
    for _ in range(5):
        stage.wait(10)
        peer.connection.not_read()
    assert set(peer.hear_all()) == {HEARTBEAT}
    peer << NOTHING


def test_with_a_heartbeat_of_0_there_are_none(stage: Stage) -> None:
    peer = stage.connect(heartbeat=0)
    stage.wait(10_000)
    peer << NOTHING


# The peer's side of backpressure --------------------------------------------------------------------------------------


LARGE = b"x" * 30_000


def with_a_large_message(stage: Stage, limits: Limits) -> Peer:
    """Someone who can get it, with basic.get of twenty octets, and can get it again and again."""
    stage.limits = limits
    peer = stage.connect() >> (1, m.QueueDeclare(queue="q")) << (1, m.QueueDeclareOk("q"))
    return peer >> (1, m.BasicPublish(routing_key="q"), LARGE) << NOTHING


@pytest.mark.parametrize("at_once", [True, False])
def test_who_asks_for_much_and_does_not_read_is_not_served(stage: Stage, at_once: bool) -> None:
    limits = Limits(outbound_high_water=50_000, outbound_limit=100_000)
    peer = with_a_large_message(stage, limits)
    peer.reads = False
    for tag in range(1, 101):
        for method in (m.BasicGet(queue="q"), m.BasicNack(tag, requeue=True)):
            peer >> (1, method)
            if not at_once:
                peer << NOTHING
    stage.deliver()
    assert limits.outbound_limit <= peer.connection.outbox.size < limits.outbound_limit + 2 * len(LARGE)
    peer << NOTHING
    peer.read_again()
    assert peer.hear_all() == [(1, m.BasicGetOk(tag, tag > 1, routing_key="q"), LARGE) for tag in range(1, 101)]


def test_who_asks_for_much_and_reads_gets_it_whatever_the_limits(stage: Stage) -> None:
    peer = with_a_large_message(stage, Limits(outbound_high_water=200_000, outbound_limit=50_000))
    for tag in range(1, 101):
        peer >> (1, m.BasicGet(queue="q")) >> (1, m.BasicNack(tag, requeue=True))
    assert peer.hear_all() == [(1, m.BasicGetOk(tag, tag > 1, routing_key="q"), LARGE) for tag in range(1, 101)]


# Bugs of ours ---------------------------------------------------------------------------------------------------------


class Bug(Exception):
    """What nobody has expected."""


INTERNAL_ERROR = connection_close(541, "INTERNAL_ERROR - the broker failed; its log says where", None)


def fail(*_: object) -> None:
    raise Bug


def test_a_bug_closes_the_connection_that_met_it(
    stage: Stage, peer: Peer, other: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(handlers.HANDLERS, m.BasicQos, fail)
    peer >> (1, m.BasicQos()) << INTERNAL_ERROR
    assert [type(bug) for bug in stage.bugs] == [Bug]
    stage.bugs.clear()
    stage.wait(3)
    peer << END
    other >> (1, m.TxSelect()) << (1, m.TxSelectOk())


def test_a_bug_in_what_a_publish_sets_off(stage: Stage, peer: Peer, other: Peer) -> None:
    peer >> (1, m.ConfirmSelect()) << (1, m.ConfirmSelectOk())
    peer.connection.channels[1].session.confirms._unsafe.append(None)
    peer >> (1, m.BasicPublish(routing_key="q"), b"a") << INTERNAL_ERROR
    assert [type(bug) for bug in stage.bugs] == [TypeError]
    stage.bugs.clear()
    other >> (1, m.ConfirmSelect()) >> (1, m.BasicPublish(routing_key="q"), b"a")
    other << (1, m.ConfirmSelectOk()) << Confirmed(1, 1, 1)


def test_a_bug_before_the_connection_is_open(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(stage.broker.users), "authenticate", fail)
    peer = stage.stranger() >> PROTOCOL_HEADER
    peer.hear(m.ConnectionStart)
    peer >> (0, start_ok()) << INTERNAL_ERROR
    stage.bugs.clear()


class FailsOnce(dict[str, Any]):
    """The consumers of a session, until someone wants to look at all of them."""

    def __init__(self, consumers: dict[str, Any]) -> None:
        super().__init__(consumers)
        self.values = self.fail

    def fail(self) -> None:
        del self.values
        raise Bug


def test_a_bug_when_the_peer_has_read_leaves_nothing_to_go_on_with(stage: Stage) -> None:
    peer = with_a_large_message(stage, Limits(outbound_high_water=50_000, outbound_limit=100_000))
    peer.reads = False
    for tag in range(1, 101):
        peer >> (1, m.BasicGet(queue="q")) >> (1, m.BasicNack(tag, requeue=True))
    peer << NOTHING
    assert peer.connection._inbox.size
    session = peer.connection.channels[1].session
    session.consumers = FailsOnce(session.consumers)
    peer.read_again()
    assert peer.hear_all()[-1] == INTERNAL_ERROR
    assert [type(bug) for bug in stage.bugs] == [Bug]
    stage.bugs.clear()
