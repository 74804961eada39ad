"""Class basic, but for what is hot: publish, ack, nack and reject are the channel's own."""

from collections.abc import Callable

from amqpd.amqp.channel import Channel
from amqpd.amqp.handlers.queue import queue_name
from amqpd.errors import NotAllowed, NotImplementedByServer
from amqpd.wire.methods import (
    BasicCancel,
    BasicCancelOk,
    BasicConsume,
    BasicConsumeOk,
    BasicGet,
    BasicGetEmpty,
    BasicQos,
    BasicQosOk,
    BasicRecover,
    BasicRecoverAsync,
    BasicRecoverOk,
    Method,
)


def on_basic_qos(channel: Channel, method: BasicQos) -> Method:
    if method.prefetch_size:
        raise NotImplementedByServer(f"prefetch_size!=0 ({method.prefetch_size})")
    channel.session.qos(method.prefetch_count, shared=method.global_)
    return BasicQosOk()


def on_basic_consume(channel: Channel, method: BasicConsume) -> Method:
    """``no_local`` is accepted and has no effect, as in RabbitMQ."""
    maximum = channel.limits.consumers_per_channel_max
    if len(channel.session.consumers) >= maximum:
        raise NotAllowed(f"reached maximum ({maximum}) of consumers per channel")
    tag = channel.session.consume(
        queue_name(channel, method.queue), method.consumer_tag, method.no_ack, method.exclusive, method.arguments
    )
    return BasicConsumeOk(consumer_tag=tag)


def on_basic_cancel(channel: Channel, method: BasicCancel) -> Method:
    channel.session.cancel(method.consumer_tag)
    channel.forget_consumer(method.consumer_tag)
    return BasicCancelOk(consumer_tag=method.consumer_tag)


def on_basic_get(channel: Channel, method: BasicGet) -> Method | None:
    got = channel.session.get(queue_name(channel, method.queue), method.no_ack)
    if got is None:
        return BasicGetEmpty()
    delivery_tag, redelivered, message, message_count = got
    channel.send_get_ok(delivery_tag, redelivered, message, message_count)
    return None


def on_basic_recover(channel: Channel, method: BasicRecover) -> Method:
    _recover(channel, method.requeue)
    return BasicRecoverOk()


def on_basic_recover_async(channel: Channel, method: BasicRecoverAsync) -> None:
    _recover(channel, method.requeue)


def _recover(channel: Channel, requeue: bool) -> None:
    if not requeue:  # redelivering to the same consumer only; RabbitMQ does not do it either
        raise NotImplementedByServer("requeue=false")
    channel.session.recover()


BASIC: dict[type[Method], Callable[..., Method | None]] = {
    BasicQos: on_basic_qos,
    BasicConsume: on_basic_consume,
    BasicCancel: on_basic_cancel,
    BasicGet: on_basic_get,
    BasicRecover: on_basic_recover,
    BasicRecoverAsync: on_basic_recover_async,
}
