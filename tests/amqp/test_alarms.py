"""While something is low, who publishes is not read, and is told if it wants to be; the others notice nothing."""

import pytest

from amqpd.wire import methods as m
from tests.amqp.acts import TO_Q, confirming, consuming, declared, delivery, numbered
from tests.amqp.transcript import (
    END,
    HEARTBEAT,
    NOTHING,
    Confirmed,
    Peer,
    Stage,
    body_frame,
    channel_close,
    connection_close,
    header_frame,
    method_frame,
    octets,
)

LOW_ON_MEMORY = (0, m.ConnectionBlocked("low on memory"))
UNBLOCKED = (0, m.ConnectionUnblocked())
CAPABLE = {"connection.blocked": True}


@pytest.fixture
def publisher(stage: Stage) -> Peer:
    """Someone who publishes to the queue q with confirms, and wants to be told when that is not possible."""
    return confirming(declared(stage.connect(**CAPABLE)))


def raise_alarm(stage: Stage) -> None:
    stage.broker.alarms.set("memory", "test")


def clear_alarm(stage: Stage) -> None:
    stage.broker.alarms.clear("memory", "test")


def ready(peer: Peer) -> int:
    peer >> (1, m.QueueDeclare(queue="q", passive=True))
    return int(peer.hear(m.QueueDeclareOk).message_count)


# Being blocked --------------------------------------------------------------------------------------------------------


def test_who_publishes_is_told_and_told_when_it_is_over(stage: Stage, publisher: Peer) -> None:
    raise_alarm(stage)
    publisher << NOTHING
    publisher >> (1, TO_Q, b"a")
    assert publisher.hear_all()[0] == LOW_ON_MEMORY
    assert stage.broker.statistics().connections_blocked == 1
    clear_alarm(stage)
    assert stage.broker.statistics().connections_blocked == 0
    heard = publisher.hear_all()
    assert heard[0] == UNBLOCKED
    assert publisher.connection.readable
    assert ready(publisher) == 1


def test_what_a_blocked_peer_says_is_not_read_until_it_is_over(stage: Stage, publisher: Peer, other: Peer) -> None:
    raise_alarm(stage)
    publisher >> (1, TO_Q, b"a")
    publisher.hear_all()
    publisher >> (1, TO_Q, b"b") >> (1, m.QueueDeclare(queue="late")) << NOTHING
    other >> (1, m.QueueDeclare(queue="late", passive=True))
    other << channel_close(1, 404, "NOT_FOUND - no queue 'late' in vhost '/'", m.QueueDeclare)
    clear_alarm(stage)
    heard = publisher.hear_all()
    assert heard[0] == UNBLOCKED
    assert (1, m.QueueDeclareOk("late")) in heard
    assert ready(publisher) == 2


def test_what_was_read_with_the_publish_is_done() -> None:
    """A read is not cut: what has arrived costs memory already, and is confirmed."""
    stage = Stage()
    publisher = confirming(declared(stage.connect(**CAPABLE)))
    raise_alarm(stage)
    publisher >> (1, TO_Q, b"a") >> (1, TO_Q, b"b") >> (1, m.QueueDeclare(queue="q", passive=True))
    publisher << LOW_ON_MEMORY << Confirmed(1, 1, 2) << (1, m.QueueDeclareOk("q", 2))
    publisher >> (1, TO_Q, b"c") << NOTHING
    clear_alarm(stage)
    publisher << UNBLOCKED << Confirmed(1, 3, 3)
    stage.end()


@pytest.mark.parametrize("low", ["memory", "disk", "store"])
def test_a_run_of_publishes_is_noticed(low: str) -> None:
    stage = Stage()
    publisher = confirming(declared(stage.connect()))
    for body in numbered(3):
        publisher >> (1, TO_Q, body)
    publisher << Confirmed(1, 1, 3)
    stage.broker.alarms.set(low, "test")
    assert publisher.connection._repeat.head is not None
    publisher >> (1, TO_Q, b"%08d" % 3) << Confirmed(1, 4, 4)
    assert publisher.connection.blocked
    stage.end()


def test_who_was_in_the_middle_of_a_publish_sends_the_rest_later(stage: Stage, publisher: Peer) -> None:
    publisher >> method_frame(1, TO_Q) >> header_frame(1, 6) >> body_frame(1, b"one")
    publisher << NOTHING
    raise_alarm(stage)
    publisher << NOTHING
    publisher >> body_frame(1, b"t") << LOW_ON_MEMORY
    publisher >> body_frame(1, b"wo") << NOTHING
    clear_alarm(stage)
    publisher << UNBLOCKED << Confirmed(1, 1, 1)


def test_who_does_not_publish_goes_on(stage: Stage, publisher: Peer, other: Peer) -> None:
    consuming(other)
    raise_alarm(stage)
    publisher >> (1, TO_Q, b"a")
    publisher.hear_all()
    stage.connect(**CAPABLE) >> (1, m.QueueDeclare(queue="new")) << (1, m.QueueDeclareOk("new"))
    other >> (1, m.BasicCancel("c")) >> (1, m.BasicQos()) >> (2, m.ChannelOpen())
    heard = other.hear_all()
    assert heard[-3:] == [(1, m.BasicCancelOk("c")), (1, m.BasicQosOk()), (2, m.ChannelOpenOk())]
    assert other.connection.readable


def test_a_blocked_peer_gets_deliveries(stage: Stage, other: Peer) -> None:
    publisher = consuming(stage.connect(**CAPABLE))
    declared(other)
    raise_alarm(stage)
    publisher >> (1, m.BasicPublish(routing_key="elsewhere"), b"a") << LOW_ON_MEMORY
    # Messages that were taken before an alarm, and those that come back, go on to whoever consumes.
    other.connection.channels[1].session.publish("", "q", b"b")
    stage.write()
    publisher << delivery(1, b"b")


def test_one_who_does_not_understand_is_not_told(stage: Stage) -> None:
    publisher = declared(stage.connect())
    raise_alarm(stage)
    publisher >> (1, TO_Q, b"a") << NOTHING
    publisher >> (1, TO_Q, b"b") << NOTHING
    assert not publisher.connection.readable
    clear_alarm(stage)
    publisher << NOTHING
    assert ready(publisher) == 2


def test_flow_control_is_not_told(stage: Stage, publisher: Peer) -> None:
    stage.broker.alarms.set("store", "test")
    publisher >> (1, TO_Q, b"a")
    assert all(isinstance(item[1], m.BasicAck) for item in publisher.hear_all())
    publisher >> (1, m.BasicQos()) << NOTHING
    assert not publisher.connection.readable
    assert stage.broker.statistics().connections_blocked == 0  # which is for who is told
    stage.broker.alarms.clear("store", "test")
    assert publisher.hear_all()[-1] == (1, m.BasicQosOk())


def test_an_alarm_that_joins_flow_control_is_told(stage: Stage, publisher: Peer) -> None:
    alarms = stage.broker.alarms
    alarms.set("store", "test")
    publisher >> (1, TO_Q, b"")
    publisher << Confirmed(1, 1, 1)
    raise_alarm(stage)
    publisher << LOW_ON_MEMORY
    clear_alarm(stage)
    publisher << UNBLOCKED
    publisher >> (1, TO_Q, b"") << NOTHING
    alarms.clear("store", "test")
    publisher << Confirmed(1, 2, 2)


def test_further_alarms_are_told_once(stage: Stage, publisher: Peer) -> None:
    """As in RabbitMQ, the reason is what was low when it began."""
    alarms = stage.broker.alarms
    raise_alarm(stage)
    publisher >> (1, TO_Q, b"") << LOW_ON_MEMORY << Confirmed(1, 1, 1)
    alarms.set("disk", "test")
    publisher << NOTHING
    clear_alarm(stage)
    publisher << NOTHING
    alarms.clear("disk", "test")
    publisher << UNBLOCKED
    alarms.set("disk", "test")
    publisher << NOTHING
    publisher >> (1, TO_Q, b"") << (0, m.ConnectionBlocked("low on disk")) << Confirmed(1, 2, 2)


# Living with it -------------------------------------------------------------------------------------------------------


def test_a_blocked_peer_s_silence_says_nothing_and_it_gets_heartbeats(stage: Stage) -> None:
    publisher = declared(stage.connect(heartbeat=10))
    raise_alarm(stage)
    publisher >> (1, TO_Q, b"a") >> HEARTBEAT << NOTHING
    stage.wait(100)
    heard = publisher.hear_all()
    assert len(heard) >= 18
    assert set(heard) == {HEARTBEAT}
    clear_alarm(stage)
    publisher << NOTHING
    stage.wait(20)
    assert not publisher.connection.finished
    stage.wait(1)
    publisher.hear_all()
    publisher << END  # silent again, and read


def test_a_blocked_peer_hears_that_the_broker_stops_and_can_answer(stage: Stage, publisher: Peer) -> None:
    raise_alarm(stage)
    publisher >> (1, TO_Q, b"a")
    publisher.hear_all()
    publisher >> (1, TO_Q, b"b") << NOTHING
    publisher.connection.shut_down("shutdown")
    publisher.write()
    text = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"
    publisher << connection_close(320, text, None)
    clear_alarm(stage)
    publisher >> (0, m.ConnectionCloseOk()) << END
    assert stage.broker.statistics().connections_blocked == 0


def test_a_blocked_peer_that_is_lost_is_blocked_no_longer(stage: Stage, publisher: Peer) -> None:
    raise_alarm(stage)
    publisher >> (1, TO_Q, b"a")
    publisher.hear_all()
    publisher.connection.lost("the cable was cut")
    publisher << END
    assert stage.broker.statistics().connections_blocked == 0
    clear_alarm(stage)
    publisher << END


def test_a_mistake_of_the_read_that_blocks_is_told_and_can_be_answered() -> None:
    stage = Stage()
    publisher = declared(stage.connect(**CAPABLE))
    raise_alarm(stage)
    publisher >> (1, TO_Q, b"a") >> (1, m.TxSelectOk()) << LOW_ON_MEMORY
    publisher << connection_close(503, "COMMAND_INVALID - unimplemented method", m.TxSelectOk)
    publisher >> (0, m.ConnectionCloseOk()) << END
    stage.end()


def test_a_publish_that_is_only_announced_does_not_block(stage: Stage, publisher: Peer) -> None:
    """As in RabbitMQ: it counts from its content on."""
    raise_alarm(stage)
    publisher >> octets(method_frame(1, TO_Q)) << NOTHING
    assert publisher.connection.readable
