"""The state machines of AMQP 0-9-1, as tables.

Two rules. Every transition lives here, and a state is changed in no other way than by asking a table. Nothing here
knows octets, the broker, or input and output.

An event that a state has no entry for is a protocol error; the ``..._after`` functions raise it with its reply code.
Events are names of methods, and for contents the frames that carry them.
"""

from enum import StrEnum

from amqpd.errors import ChannelError, CommandInvalid, UnexpectedFrame


class ConnectionState(StrEnum):
    """Where a connection stands; the values are RabbitMQ's words for it."""

    EXPECTING_HEADER = "expecting protocol header"
    STARTING = "starting"
    TUNING = "tuning"
    OPENING = "opening"
    RUNNING = "running"
    CLOSING = "closing"  # we have sent connection.close and wait for close-ok
    CLOSED = "closed"


class ChannelState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    CLOSING = "closing"  # we have sent channel.close and wait for close-ok


class ContentState(StrEnum):
    """What a channel's next frame must be."""

    METHOD = "method"
    HEADER = "content header"
    BODY = "content body"


PROTOCOL_HEADER = "protocol header"
CLOSE_SENT = "close sent"
HEADER_FRAME = "header frame"
EMPTY_HEADER_FRAME = "header frame of an empty body"
BODY_FRAME = "body frame"
LAST_BODY_FRAME = "last body frame"

_IN_OPEN_CHANNEL = (
    "access.request",
    "basic.ack",
    "basic.cancel",
    "basic.consume",
    "basic.get",
    "basic.nack",
    "basic.publish",
    "basic.qos",
    "basic.recover",
    "basic.recover-async",
    "basic.reject",
    "channel.flow",
    "confirm.select",
    "exchange.bind",
    "exchange.declare",
    "exchange.delete",
    "exchange.unbind",
    "queue.bind",
    "queue.declare",
    "queue.delete",
    "queue.purge",
    "queue.unbind",
    "tx.commit",
    "tx.rollback",
    "tx.select",
)
"""The methods of a client that leave an open channel open."""

CONNECTION: dict[ConnectionState, dict[str, ConnectionState]] = {
    ConnectionState.EXPECTING_HEADER: {
        PROTOCOL_HEADER: ConnectionState.STARTING,
    },
    ConnectionState.STARTING: {
        "connection.start-ok": ConnectionState.TUNING,
        CLOSE_SENT: ConnectionState.CLOSING,
    },
    ConnectionState.TUNING: {
        "connection.tune-ok": ConnectionState.OPENING,
        CLOSE_SENT: ConnectionState.CLOSING,
    },
    ConnectionState.OPENING: {
        "connection.open": ConnectionState.RUNNING,
        "connection.close": ConnectionState.CLOSED,
        CLOSE_SENT: ConnectionState.CLOSING,
    },
    ConnectionState.RUNNING: {
        "connection.update-secret": ConnectionState.RUNNING,
        "connection.close": ConnectionState.CLOSED,
        CLOSE_SENT: ConnectionState.CLOSING,
    },
    ConnectionState.CLOSING: {
        # "After sending this method, any received methods except Close and Close-OK MUST be discarded"
        # (connection.close)
        "connection.close": ConnectionState.CLOSING,
        "connection.close-ok": ConnectionState.CLOSED,
    },
    ConnectionState.CLOSED: {},
}

CHANNEL: dict[ChannelState, dict[str, ChannelState]] = {
    ChannelState.CLOSED: {
        "channel.open": ChannelState.OPEN,
    },
    ChannelState.OPEN: {
        **dict.fromkeys(_IN_OPEN_CHANNEL, ChannelState.OPEN),
        "channel.close": ChannelState.CLOSED,
        CLOSE_SENT: ChannelState.CLOSING,
    },
    ChannelState.CLOSING: {
        "channel.close": ChannelState.CLOSING,  # both sides closed at once: it gets its close-ok, ours is still to come
        "channel.close-ok": ChannelState.CLOSED,
    },
}

# "When a peer sends such a method frame, it always follows it with a content header and zero or more content body
# frames" (4.2.6)
CONTENT: dict[ContentState, dict[str, ContentState]] = {
    ContentState.METHOD: {
        "basic.publish": ContentState.HEADER,
    },
    ContentState.HEADER: {
        HEADER_FRAME: ContentState.BODY,
        EMPTY_HEADER_FRAME: ContentState.METHOD,
    },
    ContentState.BODY: {
        BODY_FRAME: ContentState.BODY,
        LAST_BODY_FRAME: ContentState.METHOD,
    },
}

_OUT_OF_SEQUENCE = {
    ContentState.METHOD: "expected method frame, got non method frame instead",
    ContentState.HEADER: "expected content header for class 60, got non content header frame instead",
    ContentState.BODY: "expected content body, got non content body frame instead",
}


def connection_after(state: ConnectionState, event: str) -> ConnectionState:
    """The connection's next state. ChannelError (504): not in this one."""
    following = CONNECTION[state].get(event)
    if following is None:
        raise ChannelError(f"unexpected method in connection state {state.value}")
    return following


def channel_after(state: ChannelState, event: str) -> ChannelState:
    """The channel's next state.

    ChannelError (504): not open, or open already. CommandInvalid (503): a server's method.
    """
    following = CHANNEL[state].get(event)
    if following is not None:
        return following
    if state is ChannelState.CLOSED:
        raise ChannelError("expected 'channel.open'")
    if event == "channel.open":
        raise ChannelError("second 'channel.open' seen")
    raise CommandInvalid("unimplemented method")


def content_after(state: ContentState, event: str) -> ContentState:
    """What the channel's next frame must be. UnexpectedFrame (505): this one is out of sequence."""
    following = CONTENT[state].get(event)
    if following is None:
        raise out_of_sequence(state)
    return following


def out_of_sequence(state: ContentState) -> UnexpectedFrame:
    """The error for a frame that is not what the state expects."""
    in_content = state is not ContentState.METHOD
    return UnexpectedFrame(_OUT_OF_SEQUENCE[state], *((60, 40) if in_content else (0, 0)))
