"""Class exchange."""

from collections.abc import Callable

from amqpd.amqp.channel import Channel
from amqpd.wire.methods import (
    ExchangeBind,
    ExchangeBindOk,
    ExchangeDeclare,
    ExchangeDeclareOk,
    ExchangeDelete,
    ExchangeDeleteOk,
    ExchangeUnbind,
    ExchangeUnbindOk,
    Method,
)


def on_exchange_declare(channel: Channel, method: ExchangeDeclare) -> Method:
    if method.passive:
        channel.session.check_exchange(method.exchange)
    else:
        channel.session.declare_exchange(
            method.exchange, method.type, method.durable, method.auto_delete, method.internal, method.arguments
        )
    return ExchangeDeclareOk()


def on_exchange_delete(channel: Channel, method: ExchangeDelete) -> Method:
    channel.session.delete_exchange(method.exchange, method.if_unused)
    return ExchangeDeleteOk()


def on_exchange_bind(channel: Channel, method: ExchangeBind) -> Method:
    channel.session.bind(method.destination, method.source, method.routing_key, method.arguments, "exchange")
    return ExchangeBindOk()


def on_exchange_unbind(channel: Channel, method: ExchangeUnbind) -> Method:
    channel.session.unbind(method.destination, method.source, method.routing_key, method.arguments, "exchange")
    return ExchangeUnbindOk()


EXCHANGE: dict[type[Method], Callable[..., Method | None]] = {
    ExchangeDeclare: on_exchange_declare,
    ExchangeDelete: on_exchange_delete,
    ExchangeBind: on_exchange_bind,
    ExchangeUnbind: on_exchange_unbind,
}
