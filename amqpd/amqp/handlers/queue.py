"""Class queue.

"The client MUST either specify a queue name or have previously declared a queue on the same channel" (queue.bind): an
empty name stands for the queue declared last on the channel.
"""

from collections.abc import Callable

from amqpd.amqp.channel import Channel
from amqpd.errors import NotFound
from amqpd.wire.methods import (
    Method,
    QueueBind,
    QueueBindOk,
    QueueDeclare,
    QueueDeclareOk,
    QueueDelete,
    QueueDeleteOk,
    QueuePurge,
    QueuePurgeOk,
    QueueUnbind,
    QueueUnbindOk,
)


def queue_name(channel: Channel, name: str) -> str:
    """The queue that a method means. NotFound: none is named, and none was declared."""
    if not name and not channel.last_queue:
        raise NotFound("no previously declared queue")
    return name or channel.last_queue


def _bound_by(channel: Channel, method: QueueBind | QueueUnbind) -> tuple[str, str]:
    """Queue and routing key of a binding.

    "If the queue name is empty, the server uses the last queue declared on the channel. If the routing key is also
    empty, the server uses this queue name for the routing key as well" (queue.bind, routing-key).
    """
    queue = queue_name(channel, method.queue)
    return queue, queue if not method.queue and not method.routing_key else method.routing_key


def on_queue_declare(channel: Channel, method: QueueDeclare) -> Method:
    if method.passive:
        state = channel.session.check_queue(method.queue)
    else:
        state = channel.session.declare_queue(
            method.queue, method.durable, method.exclusive, method.auto_delete, method.arguments
        )
    name, message_count, consumer_count = state
    channel.last_queue = name
    return QueueDeclareOk(queue=name, message_count=message_count, consumer_count=consumer_count)


def on_queue_bind(channel: Channel, method: QueueBind) -> Method:
    queue, routing_key = _bound_by(channel, method)
    channel.session.bind(queue, method.exchange, routing_key, method.arguments)
    return QueueBindOk()


def on_queue_unbind(channel: Channel, method: QueueUnbind) -> Method:
    queue, routing_key = _bound_by(channel, method)
    channel.session.unbind(queue, method.exchange, routing_key, method.arguments)
    return QueueUnbindOk()


def on_queue_purge(channel: Channel, method: QueuePurge) -> Method:
    return QueuePurgeOk(message_count=channel.session.purge_queue(queue_name(channel, method.queue)))


def on_queue_delete(channel: Channel, method: QueueDelete) -> Method:
    queue = queue_name(channel, method.queue)
    return QueueDeleteOk(message_count=channel.session.delete_queue(queue, method.if_unused, method.if_empty))


QUEUE: dict[type[Method], Callable[..., Method | None]] = {
    QueueDeclare: on_queue_declare,
    QueueBind: on_queue_bind,
    QueueUnbind: on_queue_unbind,
    QueuePurge: on_queue_purge,
    QueueDelete: on_queue_delete,
}
