"""What each method of a channel does: decoded arguments to calls of the session, results to replies.

A handler is named by its method, takes the channel and the method, and returns its reply, or None when there is none to
send. Whether the reply is wanted (``no_wait``) is the connection's to know. ``HANDLERS`` has them all by type; the four
methods that carry or settle messages have their way through the channel itself.
"""

from collections.abc import Callable

from amqpd.amqp.handlers.basic import BASIC
from amqpd.amqp.handlers.channel import CHANNEL
from amqpd.amqp.handlers.exchange import EXCHANGE
from amqpd.amqp.handlers.queue import QUEUE
from amqpd.amqp.handlers.tx import CONFIRM_AND_TX
from amqpd.wire.methods import Method

HANDLERS: dict[type[Method], Callable[..., Method | None]] = {
    **CHANNEL,
    **EXCHANGE,
    **QUEUE,
    **BASIC,
    **CONFIRM_AND_TX,
}
