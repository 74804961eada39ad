"""Class channel, and the class access of old clients."""

from amqpd.wire import methods as m
from tests.amqp.transcript import Peer, connection_close


def test_deliveries_flow_and_cannot_be_stopped(peer: Peer) -> None:
    peer >> (1, m.ChannelFlow(active=True)) << (1, m.ChannelFlowOk(active=True))
    peer >> (1, m.ChannelFlow(active=False)) << connection_close(540, "NOT_IMPLEMENTED - active=false", m.ChannelFlow)


def test_who_asks_for_access_is_given_a_ticket(peer: Peer) -> None:
    peer >> (1, m.AccessRequest("/data", exclusive=True)) << (1, m.AccessRequestOk(ticket=1))


def test_tickets_are_not_looked_at(peer: Peer) -> None:
    peer >> (1, m.QueueDeclare(101, "q")) << (1, m.QueueDeclareOk("q"))
    peer >> (1, m.BasicPublish(101, "", "q"), b"a") >> (1, m.BasicGet(7, "q"))
    peer << (1, m.BasicGetOk(1, routing_key="q"), b"a")
