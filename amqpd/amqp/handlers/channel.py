"""Class channel, and the access class that only old clients still ask for. Opening and closing are the connection's."""

from collections.abc import Callable

from amqpd.amqp.channel import Channel
from amqpd.errors import NotImplementedByServer
from amqpd.wire.methods import AccessRequest, AccessRequestOk, ChannelFlow, ChannelFlowOk, Method


def on_channel_flow(channel: Channel, method: ChannelFlow) -> Method:
    """As in RabbitMQ, deliveries cannot be stopped this way; prefetch holds them back."""
    if not method.active:
        raise NotImplementedByServer("active=false")
    return ChannelFlowOk(active=True)


def on_access_request(channel: Channel, method: AccessRequest) -> Method:
    """Access tickets are gone since 0-9-1; who asks for one gets one, and it is never looked at."""
    return AccessRequestOk(ticket=1)


CHANNEL: dict[type[Method], Callable[..., Method | None]] = {
    ChannelFlow: on_channel_flow,
    AccessRequest: on_access_request,
}
