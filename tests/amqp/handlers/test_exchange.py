"""Class exchange."""

from typing import Any

import pytest

from amqpd.wire import methods as m
from tests.amqp.transcript import NOTHING, Peer, channel_close, connection_close

FROM_A_TO_B: dict[str, Any] = {"source": "a", "destination": "b", "routing_key": "k"}


@pytest.mark.parametrize("kind", ["direct", "fanout", "topic", "headers"])
def test_an_exchange_is_declared(peer: Peer, kind: str) -> None:
    declare = m.ExchangeDeclare(exchange="e", type=kind, durable=True, auto_delete=True, internal=True)
    peer >> (1, declare) << (1, m.ExchangeDeclareOk()) >> (1, declare) << (1, m.ExchangeDeclareOk())
    peer >> (1, m.ExchangeDeclare(exchange="e", passive=True)) << (1, m.ExchangeDeclareOk())


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({"type": "topic"}, "'type' for exchange 'e' in vhost '/': received 'topic' but current is 'direct'"),
        ({"durable": True}, "'durable' for exchange 'e' in vhost '/': received 'true' but current is 'false'"),
        ({"auto_delete": True}, "'auto_delete' for exchange 'e' in vhost '/': received 'true' but current is 'false'"),
        ({"internal": True}, "'internal' for exchange 'e' in vhost '/': received 'true' but current is 'false'"),
    ],
)
def test_what_kind_of_exchange_it_is_must_be_the_same(peer: Peer, changed: dict[str, Any], shown: str) -> None:
    peer >> (1, m.ExchangeDeclare(exchange="e")) << (1, m.ExchangeDeclareOk())
    peer >> (1, m.ExchangeDeclare(exchange="e", **changed))
    peer << channel_close(1, 406, f"PRECONDITION_FAILED - inequivalent arg {shown}", m.ExchangeDeclare)


def test_an_unknown_type(peer: Peer) -> None:
    peer >> (1, m.ExchangeDeclare(exchange="e", type="x-strange"))
    peer << connection_close(503, "COMMAND_INVALID - unknown exchange type 'x-strange'", m.ExchangeDeclare)


def test_a_passive_declaration_makes_nothing(peer: Peer) -> None:
    peer >> (1, m.ExchangeDeclare(exchange="e", passive=True))
    peer << channel_close(1, 404, "NOT_FOUND - no exchange 'e' in vhost '/'", m.ExchangeDeclare)


def test_an_exchange_is_deleted(peer: Peer) -> None:
    peer >> (1, m.ExchangeDeclare(exchange="e")) << (1, m.ExchangeDeclareOk())
    peer >> (1, m.ExchangeDelete(exchange="e")) << (1, m.ExchangeDeleteOk())
    peer >> (1, m.ExchangeDelete(exchange="e")) << (1, m.ExchangeDeleteOk())  # as in RabbitMQ
    peer >> (1, m.BasicPublish(exchange="e"), b"a")
    peer << channel_close(1, 404, "NOT_FOUND - no exchange 'e' in vhost '/'", m.BasicPublish)


def test_an_exchange_is_not_deleted_while_it_is_used(peer: Peer) -> None:
    peer >> (1, m.ExchangeDeclare(exchange="e")) >> (1, m.ExchangeBind(source="e", destination="amq.fanout"))
    peer << (1, m.ExchangeDeclareOk()) << (1, m.ExchangeBindOk())
    peer >> (1, m.ExchangeDelete(exchange="e", if_unused=True))
    peer << channel_close(1, 406, "PRECONDITION_FAILED - exchange 'e' in vhost '/' in use", m.ExchangeDelete)


def test_exchanges_are_bound_and_unbound(peer: Peer) -> None:
    for exchange in ("a", "b"):
        peer >> (1, m.ExchangeDeclare(exchange=exchange, type="fanout")) << (1, m.ExchangeDeclareOk())
    peer >> (1, m.QueueDeclare(queue="q")) >> (1, m.QueueBind(exchange="b"))
    peer << (1, m.QueueDeclareOk("q")) << (1, m.QueueBindOk())
    to_a = m.BasicPublish(exchange="a", mandatory=True)
    peer >> (1, m.ExchangeBind(**FROM_A_TO_B)) << (1, m.ExchangeBindOk()) >> (1, to_a, b"a") << NOTHING
    peer >> (1, m.ExchangeUnbind(**FROM_A_TO_B)) << (1, m.ExchangeUnbindOk()) >> (1, to_a, b"b")
    peer << (1, m.BasicReturn(312, "NO_ROUTE", "a"), b"b")
    peer >> (1, m.BasicGet(queue="q")) << (1, m.BasicGetOk(1, False, "a"), b"a")


def test_who_does_not_wait_is_not_answered(peer: Peer) -> None:
    for exchange in ("a", "b"):
        peer >> (1, m.ExchangeDeclare(exchange=exchange, no_wait=True))
    peer >> (1, m.ExchangeBind(**FROM_A_TO_B, no_wait=True)) >> (1, m.ExchangeUnbind(**FROM_A_TO_B, no_wait=True))
    peer >> (1, m.ExchangeDelete(exchange="b", no_wait=True)) << NOTHING
    peer >> (1, m.ExchangeDeclare(exchange="a", passive=True)) << (1, m.ExchangeDeclareOk())
    peer >> (1, m.ExchangeBind(**FROM_A_TO_B, no_wait=True))
    peer << channel_close(1, 404, "NOT_FOUND - no exchange 'b' in vhost '/'", m.ExchangeBind)


@pytest.mark.parametrize(
    "method",
    [m.ExchangeDeclare(), m.ExchangeDelete(), m.ExchangeBind(), m.ExchangeUnbind(), m.QueueBind(queue="q")],
    ids=lambda method: method.name,
)
def test_the_default_exchange_is_not_to_be_touched(peer: Peer, method: m.Method) -> None:
    peer >> (1, m.QueueDeclare(queue="q")) << (1, m.QueueDeclareOk("q")) >> (1, method)
    peer << channel_close(1, 403, "ACCESS_REFUSED - operation not permitted on the default exchange", type(method))


def test_publishing_to_an_internal_exchange(peer: Peer) -> None:
    peer >> (1, m.ExchangeDeclare(exchange="e", internal=True)) << (1, m.ExchangeDeclareOk())
    (
        peer
        >> (1, m.BasicPublish(exchange="e"), b"a")
        << channel_close(
            1, 403, "ACCESS_REFUSED - cannot publish to internal exchange 'e' in vhost '/'", m.BasicPublish
        )
    )
