"""Replies that wait for the disk: nothing says that something is safe before it is."""

from collections.abc import Iterator

import pytest

from amqpd.amqp.connection import WAITING_INPUT
from amqpd.wire import methods as m
from amqpd.wire.properties import Properties
from tests.amqp.acts import TO_Q, confirming, consuming, delivery
from tests.amqp.transcript import (
    END,
    HEARTBEAT,
    NOTHING,
    SPLITS,
    Confirmed,
    Peer,
    Stage,
    channel_close,
    connection_close,
)
from tests.broker.support import Disk

PERSISTENT = Properties(delivery_mode=2)
DURABLE = (1, m.QueueDeclare(queue="q", durable=True))
DECLARED = (1, m.QueueDeclareOk("q"))


@pytest.fixture(params=SPLITS)
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A broker whose disk is ready when the test says so: see ``Stage.sync``."""
    stage = Stage(SPLITS[request.param](), store=Disk())
    yield stage
    stage.end()


def durable(stage: Stage, peer: Peer) -> Peer:
    """The peer has declared the durable queue q and the durable exchange x, and both are on the disk."""
    peer >> DURABLE << NOTHING
    stage.sync()
    peer << DECLARED >> (1, m.ExchangeDeclare(exchange="x", type="fanout", durable=True)) << NOTHING
    stage.sync()
    return peer << (1, m.ExchangeDeclareOk())


BIND = m.QueueBind(queue="q", exchange="x")


@pytest.mark.parametrize(
    ("before", "method", "reply"),
    [
        ([], m.QueueDeclare(queue="new", durable=True), m.QueueDeclareOk("new")),
        ([], m.ExchangeDeclare(exchange="new", type="fanout", durable=True), m.ExchangeDeclareOk()),
        ([], BIND, m.QueueBindOk()),
        ([], m.ExchangeBind(destination="x", source="amq.topic"), m.ExchangeBindOk()),
        ([BIND], m.QueueUnbind(queue="q", exchange="x"), m.QueueUnbindOk()),
        ([], m.QueueDelete(queue="q"), m.QueueDeleteOk()),
        ([], m.ExchangeDelete(exchange="x"), m.ExchangeDeleteOk()),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_topology_is_safe_before_that_is_said(
    stage: Stage, peer: Peer, before: list[m.Method], method: m.Method, reply: m.Method
) -> None:
    durable(stage, peer)
    for one in before:
        peer >> (1, one)
        stage.sync()
        peer.hear_all()
    peer >> (1, method) << NOTHING
    stage.sync()
    peer << (1, reply)


@pytest.mark.parametrize("ending", [m.BasicCancel("c"), m.ChannelClose()], ids=lambda value: value.name)
def test_an_auto_delete_queue_is_gone_before_that_is_said(stage: Stage, peer: Peer, ending: m.Method) -> None:
    peer >> (1, m.QueueDeclare(queue="q", durable=True, auto_delete=True))
    stage.sync()
    peer << DECLARED
    peer >> (1, m.BasicConsume(queue="q", consumer_tag="c")) << (1, m.BasicConsumeOk("c"))
    peer >> (1, ending) << NOTHING
    stage.sync()
    assert [item[1].name for item in peer.hear_all()] == [ending.name + "-ok"]


def test_a_transaction_is_safe_before_it_is_committed(stage: Stage, peer: Peer) -> None:
    durable(stage, peer) >> (1, m.TxSelect()) << (1, m.TxSelectOk())
    peer >> (1, TO_Q, b"a", PERSISTENT) >> (1, m.TxCommit()) << NOTHING
    stage.sync()
    peer << (1, m.TxCommitOk())


@pytest.mark.parametrize(
    ("method", "reply"),
    [
        (m.QueueDeclare(queue="transient"), m.QueueDeclareOk("transient")),
        (m.QueueDeclare(queue="q", durable=True), m.QueueDeclareOk("q")),
        (m.QueueDeclare(queue="q", passive=True), m.QueueDeclareOk("q")),
        (m.ExchangeDeclare(exchange="transient"), m.ExchangeDeclareOk()),
        (m.QueueDelete(queue="nowhere"), m.QueueDeleteOk()),
        (m.BasicConsume(queue="q", consumer_tag="c"), m.BasicConsumeOk("c")),
        (m.ChannelClose(), m.ChannelCloseOk()),
    ],
    ids=lambda value: value.name,
)
def test_what_writes_nothing_waits_for_nothing(stage: Stage, peer: Peer, method: m.Method, reply: m.Method) -> None:
    durable(stage, peer) >> (1, method) << (1, reply)


def test_it_waits_for_its_own_writes_and_not_for_later_ones(stage: Stage, peer: Peer, other: Peer) -> None:
    store, agenda = stage.broker.store, stage.broker.agenda
    peer >> DURABLE << NOTHING
    other >> (1, m.QueueDeclare(queue="other", durable=True)) << NOTHING
    store.advance(store.written - 2, agenda)
    agenda.settle()
    stage.write()
    peer << NOTHING
    store.advance(store.written - 1, agenda)
    agenda.settle()
    stage.write()
    other << NOTHING
    peer << DECLARED
    stage.sync()
    other << (1, m.QueueDeclareOk("other"))


# Meanwhile ------------------------------------------------------------------------------------------------------------


def test_what_is_said_after_it_is_done_after_it(stage: Stage, peer: Peer, other: Peer) -> None:
    peer >> DURABLE >> (2, m.ChannelOpen()) >> (1, m.QueueDeclare(queue="transient")) << NOTHING
    other >> (1, m.QueueDeclare(queue="transient", passive=True))
    other << channel_close(1, 404, "NOT_FOUND - no queue 'transient' in vhost '/'", m.QueueDeclare)
    stage.sync()
    peer << DECLARED << (2, m.ChannelOpenOk()) << (1, m.QueueDeclareOk("transient"))


def test_each_of_many_waits(stage: Stage, peer: Peer) -> None:
    for number in range(5):
        peer >> (1, m.QueueDeclare(queue=f"q{number}", durable=True))
    for number in range(5):
        peer << NOTHING
        stage.sync()
        peer << (1, m.QueueDeclareOk(f"q{number}"))


def test_who_wants_no_reply_goes_on(stage: Stage, peer: Peer) -> None:
    peer >> (1, m.QueueDeclare(queue="q", durable=True, no_wait=True)) >> (1, m.BasicQos()) << (1, m.BasicQosOk())
    stage.sync()
    peer << NOTHING


def test_the_others_go_on(stage: Stage, peer: Peer, other: Peer) -> None:
    peer >> DURABLE << NOTHING
    consuming(other, "others") >> (1, m.BasicPublish(routing_key="others"), b"a")
    other << delivery(1, b"a", routing_key="others")
    stage.sync()
    peer << DECLARED


def test_deliveries_and_confirms_go_on(stage: Stage, peer: Peer, other: Peer) -> None:
    durable(stage, other)
    confirming(consuming(peer, "transient"))
    peer >> (1, TO_Q, b"safe", PERSISTENT) >> (1, m.QueueDeclare(queue="late", durable=True)) << NOTHING
    other >> (1, m.BasicPublish(routing_key="transient"), b"a")
    peer << delivery(1, b"a", routing_key="transient")
    store, agenda = stage.broker.store, stage.broker.agenda
    store.advance(store.written - 1, agenda)
    agenda.settle()
    stage.write()
    peer << Confirmed(1, 1, 1)
    stage.sync()
    peer << (1, m.QueueDeclareOk("late"))


def test_a_mistake_after_it_is_told_after_it(stage: Stage, peer: Peer) -> None:
    peer >> DURABLE >> (1, m.BasicAck(7)) << NOTHING
    stage.sync()
    peer << DECLARED
    peer << channel_close(1, 406, "PRECONDITION_FAILED - unknown delivery tag 7", m.BasicAck)


def test_a_close_after_it_is_answered_after_it(stage: Stage, peer: Peer) -> None:
    peer >> DURABLE >> (0, m.ConnectionClose()) << NOTHING
    stage.sync()
    peer << DECLARED << (0, m.ConnectionCloseOk()) << END


def test_heartbeats_go_on_both_ways(stage: Stage) -> None:
    peer = stage.connect(heartbeat=10)
    peer >> DURABLE << NOTHING
    for _ in range(5):
        stage.wait(9)
        peer >> HEARTBEAT
    assert set(peer.hear_all()) == {HEARTBEAT}
    stage.sync()
    peer << DECLARED


def test_a_peer_that_goes_on_and_on_is_not_read_and_not_silent() -> None:
    stage = Stage(store=Disk())
    peer = stage.connect(heartbeat=10)
    peer >> DURABLE
    bodies = [b"x" * 1000] * 200
    for body in bodies:
        peer << NOTHING >> (1, TO_Q, body)
    peer >> (1, m.QueueDeclare(queue="q", passive=True)) << NOTHING
    assert not peer.connection.readable
    assert peer.connection._inbox.size < WAITING_INPUT + 2000
    stage.wait(100)
    assert set(peer.hear_all()) == {HEARTBEAT}
    stage.sync()
    peer << DECLARED << (1, m.QueueDeclareOk("q", len(bodies)))
    stage.end()


def test_one_that_reads_late_hears_it_all(stage: Stage, peer: Peer) -> None:
    peer.reads = False
    peer >> DURABLE >> (1, m.QueueDeclare(queue="transient")) << NOTHING
    stage.sync()
    peer.read_again()
    peer << DECLARED << (1, m.QueueDeclareOk("transient"))


# The end --------------------------------------------------------------------------------------------------------------


def test_a_broker_that_stops_says_so_at_once_and_no_more(stage: Stage, peer: Peer) -> None:
    peer >> DURABLE >> (1, m.QueueDeclare(queue="late")) << NOTHING
    peer.connection.shut_down("shutdown")
    peer.write()
    text = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"
    peer << connection_close(320, text, None)
    stage.sync()
    peer << NOTHING >> (0, m.ConnectionCloseOk()) << END
    assert list(stage.broker.vhosts["/"].queues) == ["q"]


def test_a_close_that_waited_is_answered_when_the_broker_stops(stage: Stage, peer: Peer) -> None:
    peer >> DURABLE >> (0, m.ConnectionClose()) << NOTHING
    peer.connection.shut_down("shutdown")
    peer.write()
    assert peer.hear(m.ConnectionClose).reply_code == 320
    peer << (0, m.ConnectionCloseOk()) << NOTHING >> (0, m.ConnectionCloseOk()) << END
    stage.sync()
    peer << END


def test_a_lost_peer_waits_for_nothing(stage: Stage, peer: Peer) -> None:
    peer >> DURABLE >> (1, TO_Q, b"late") << NOTHING
    peer.connection.lost("the cable was cut")
    peer << END
    assert stage.broker.clients == {}
    stage.sync()
    peer << END
    assert stage.broker.statistics().messages_published == 0


def test_nothing_is_left_of_a_reply(stage: Stage, peer: Peer) -> None:
    peer >> DURABLE << NOTHING
    peer.connection.lost("the cable was cut")
    stage.sync()
    assert stage.broker.store._waiting == {}
    peer << END
