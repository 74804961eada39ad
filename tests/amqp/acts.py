"""What is said and heard in many conversations, on channel 1."""

from collections.abc import Iterator
from typing import Any

from amqpd.wire import methods as m
from amqpd.wire.properties import Properties
from tests.amqp.transcript import Item, Peer, channel_close

TO_Q = m.BasicPublish(routing_key="q")
NO_EXCHANGE = channel_close(1, 404, "NOT_FOUND - no exchange 'nowhere' in vhost '/'", m.BasicPublish)


def declared(peer: Peer, queue: str = "q", **kind: Any) -> Peer:
    """The peer has declared a queue, or found it."""
    peer >> (1, m.QueueDeclare(queue=queue, **kind))
    peer.hear(m.QueueDeclareOk)
    return peer


def consuming(peer: Peer, queue: str = "q") -> Peer:
    """The peer consumes from a queue, with the tag "c", and need not acknowledge."""
    declared(peer, queue) >> (1, m.BasicConsume(queue=queue, consumer_tag="c", no_ack=True))
    return peer << (1, m.BasicConsumeOk("c"))


def delivery(tag: int, body: bytes, *properties: Properties, exchange: str = "", routing_key: str = "q") -> Item:
    """What the consumer "c" hears of a message for the first time."""
    return 1, m.BasicDeliver("c", tag, False, exchange, routing_key), body, *properties


def numbered(count: int, size: int = 8) -> Iterator[bytes]:
    """Bodies of one size."""
    return (b"%0*d" % (size, number) for number in range(count))


def confirming(peer: Peer) -> Peer:
    """The peer has asked for confirms."""
    return peer >> (1, m.ConfirmSelect()) << (1, m.ConfirmSelectOk())
