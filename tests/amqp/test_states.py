"""Every state of a connection and of a channel, and everything that can arrive there.

The tables say what is answered; what they do not name is refused. Nothing here is taken from the code's own tables.
"""

from typing import Any

import pytest

from amqpd.wire import methods as m
from amqpd.wire.constants import FRAME_BODY, FRAME_HEADER, FRAME_HEARTBEAT, PROTOCOL_HEADER
from amqpd.wire.methods import METHODS, Method, encode_method
from tests.amqp.transcript import (
    END,
    NOTHING,
    Frame,
    Item,
    Peer,
    Stage,
    channel_close,
    connection_close,
    header_frame,
    start_ok,
)

SAID: dict[type[Method], Method] = {
    m.ConnectionStartOk: start_ok(),
    m.ConnectionTuneOk: m.ConnectionTuneOk(channel_max=2047, frame_max=131072, heartbeat=0),
    m.BasicConsume: m.BasicConsume(queue="q"),
    m.BasicGet: m.BasicGet(queue="q"),
    m.BasicRecover: m.BasicRecover(requeue=True),
    m.BasicRecoverAsync: m.BasicRecoverAsync(requeue=True),
    m.ChannelFlow: m.ChannelFlow(active=True),
    m.ExchangeBind: m.ExchangeBind(destination="amq.fanout", source="amq.direct"),
    m.ExchangeDeclare: m.ExchangeDeclare(exchange="e"),
    m.ExchangeDelete: m.ExchangeDelete(exchange="e"),
    m.ExchangeUnbind: m.ExchangeUnbind(destination="amq.fanout", source="amq.direct"),
    m.QueueBind: m.QueueBind(queue="q", exchange="amq.direct"),
    m.QueueDeclare: m.QueueDeclare(queue="q"),
    m.QueueDelete: m.QueueDelete(queue="q"),
    m.QueuePurge: m.QueuePurge(queue="q"),
    m.QueueUnbind: m.QueueUnbind(queue="q", exchange="amq.direct"),
}
"""A method as it is said here: with these arguments, or those it has by default."""


def said(method: type[Method]) -> Method:
    return SAID.get(method) or method()


every_method = pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)

OTHER_FRAMES = {
    "header": Frame(FRAME_HEADER, 1, bytes(header_frame(1, 3).payload)),
    "body": Frame(FRAME_BODY, 1, b"\x00\x14\x00\x29"),  # looks like channel.close-ok, and is none
    "heartbeat": Frame(FRAME_HEARTBEAT, 1),
    "unknown": Frame(7, 1, b"xx"),
}
every_other_frame = pytest.mark.parametrize("kind", OTHER_FRAMES)


def on_connection(kind: str) -> Frame:
    """The frame on channel 0."""
    return Frame(OTHER_FRAMES[kind].kind, 0, OTHER_FRAMES[kind].payload)


# The connection -------------------------------------------------------------------------------------------------------

UNKNOWN_FRAME = connection_close(501, 'FRAME_ERROR - type 7, all octets = <<"xx">>: unknown_frame', None)


def starting(stage: Stage) -> Peer:
    peer = stage.stranger()
    peer >> PROTOCOL_HEADER
    peer.hear(m.ConnectionStart)
    return peer


def tuning(stage: Stage) -> Peer:
    peer = stage.stranger()
    peer.log_in()
    return peer


def opening(stage: Stage) -> Peer:
    return tuning(stage) >> (0, said(m.ConnectionTuneOk)) << NOTHING


def running(stage: Stage) -> Peer:
    return stage.connect()


def closing(stage: Stage) -> Peer:
    peer = stage.connect()
    peer >> (0, m.ConnectionStart())
    peer.hear(m.ConnectionClose)
    return peer


def closed(stage: Stage) -> Peer:
    return stage.connect() >> (0, m.ConnectionClose()) << (0, m.ConnectionCloseOk()) << END


STATES = {
    starting: "starting",
    tuning: "tuning",
    opening: "opening",
    running: "running",
}
"""The states in which a method that does not belong there is refused, and RabbitMQ's words for them."""

ON_CONNECTION: dict[Any, dict[type[Method], list[Item]]] = {
    starting: {
        m.ConnectionStartOk: [(0, m.ConnectionTune(channel_max=2047, frame_max=131072, heartbeat=60))],
    },
    tuning: {
        m.ConnectionTuneOk: [NOTHING],
    },
    opening: {
        m.ConnectionOpen: [(0, m.ConnectionOpenOk())],
        m.ConnectionClose: [(0, m.ConnectionCloseOk()), END],
    },
    running: {
        m.ConnectionClose: [(0, m.ConnectionCloseOk()), END],
        m.ConnectionUpdateSecret: [(0, m.ConnectionUpdateSecretOk())],
    },
    closing: {
        m.ConnectionClose: [(0, m.ConnectionCloseOk()), NOTHING],
        m.ConnectionCloseOk: [END],
    },
}


@every_method
@pytest.mark.parametrize("state", STATES, ids=STATES.values())
def test_a_method_on_a_connection(stage: Stage, state: Any, method: type[Method]) -> None:
    refusal = connection_close(504, f"CHANNEL_ERROR - unexpected method in connection state {STATES[state]}", method)
    peer = state(stage)
    peer >> (0, said(method))
    for answer in ON_CONNECTION[state].get(method, [refusal]):
        peer << answer


@every_other_frame
@pytest.mark.parametrize("state", STATES, ids=STATES.values())
def test_another_frame_on_a_connection(stage: Stage, state: Any, kind: str) -> None:
    answers: dict[str, Item] = {
        "header": connection_close(
            505, "UNEXPECTED_FRAME - type 2, all octets = <<0,60,0,0,0,0,0,0,0,0,0,3,0,0>>", None
        ),
        "body": connection_close(505, "UNEXPECTED_FRAME - type 3, all octets = <<0,20,0,41>>", None),
        "heartbeat": NOTHING,
        "unknown": UNKNOWN_FRAME,
    }
    state(stage) >> on_connection(kind) << answers[kind]


@every_method
def test_a_method_on_a_closing_connection(stage: Stage, method: type[Method]) -> None:
    peer = closing(stage)
    peer >> (0, said(method))
    for answer in ON_CONNECTION[closing].get(method, [NOTHING]):
        peer << answer


@every_other_frame
def test_another_frame_on_a_closing_connection(stage: Stage, kind: str) -> None:
    closing(stage) >> on_connection(kind) << NOTHING >> (0, m.ConnectionCloseOk()) << END


@every_method
def test_a_method_on_a_closed_connection(stage: Stage, method: type[Method]) -> None:
    closed(stage) >> (0, said(method)) << END


@every_method
def test_a_method_in_place_of_the_protocol_header(stage: Stage, method: type[Method]) -> None:
    stage.stranger() >> (0, said(method)) << PROTOCOL_HEADER << END


# A channel of a connection that is not open --------------------------------------------------------------------------


@every_method
@pytest.mark.parametrize("state", [starting, tuning, opening])
def test_a_method_on_a_channel_before_the_connection_is_open(stage: Stage, state: Any, method: type[Method]) -> None:
    payload = encode_method(said(method))
    shown = f"{'all' if len(payload) <= 16 else 'first 16'} octets = <<{','.join(map(str, payload[:16]))}>>"
    peer = state(stage)
    peer >> (1, said(method)) << connection_close(505, f"UNEXPECTED_FRAME - type 1, {shown}", None)


@every_method
def test_a_method_on_a_channel_of_a_closing_connection(stage: Stage, method: type[Method]) -> None:
    closing(stage) >> (1, said(method)) << NOTHING >> (0, m.ConnectionCloseOk()) << END


@every_other_frame
def test_another_frame_on_a_channel_of_a_closing_connection(stage: Stage, kind: str) -> None:
    closing(stage) >> OTHER_FRAMES[kind] << NOTHING >> (0, m.ConnectionCloseOk()) << END


# A channel ------------------------------------------------------------------------------------------------------------


def channel_closed(stage: Stage) -> Peer:
    return stage.connect(channels=0)


def channel_open(stage: Stage) -> Peer:
    return stage.connect() >> (1, m.QueueDeclare(queue="q")) << (1, m.QueueDeclareOk(queue="q"))


def channel_closing(stage: Stage) -> Peer:
    peer = stage.connect()
    peer >> (1, m.QueueDeclare(queue="nowhere", passive=True))
    peer << channel_close(1, 404, "NOT_FOUND - no queue 'nowhere' in vhost '/'", m.QueueDeclare)
    return peer


def expecting_header(stage: Stage) -> Peer:
    return stage.connect() >> (1, m.BasicPublish(routing_key="q"))


def expecting_body(stage: Stage) -> Peer:
    return expecting_header(stage) >> header_frame(1, 8)


UNKNOWN_TAG = "PRECONDITION_FAILED - unknown delivery tag 0"
NOT_TRANSACTIONAL = "PRECONDITION_FAILED - channel is not transactional"

ON_OPEN_CHANNEL: dict[type[Method], Item] = {
    m.AccessRequest: (1, m.AccessRequestOk(ticket=1)),
    m.BasicAck: channel_close(1, 406, UNKNOWN_TAG, m.BasicAck),
    m.BasicCancel: (1, m.BasicCancelOk()),
    m.BasicConsume: (1, m.BasicConsumeOk("amq.ctag-1")),
    m.BasicGet: (1, m.BasicGetEmpty()),
    m.BasicNack: channel_close(1, 406, UNKNOWN_TAG, m.BasicNack),
    m.BasicPublish: NOTHING,
    m.BasicQos: (1, m.BasicQosOk()),
    m.BasicRecover: (1, m.BasicRecoverOk()),
    m.BasicRecoverAsync: NOTHING,
    m.BasicReject: channel_close(1, 406, UNKNOWN_TAG, m.BasicReject),
    m.ChannelClose: (1, m.ChannelCloseOk()),
    m.ChannelFlow: (1, m.ChannelFlowOk(active=True)),
    m.ChannelOpen: connection_close(504, "CHANNEL_ERROR - second 'channel.open' seen", m.ChannelOpen),
    m.ConfirmSelect: (1, m.ConfirmSelectOk()),
    m.ExchangeBind: (1, m.ExchangeBindOk()),
    m.ExchangeDeclare: (1, m.ExchangeDeclareOk()),
    m.ExchangeDelete: (1, m.ExchangeDeleteOk()),
    m.ExchangeUnbind: (1, m.ExchangeUnbindOk()),
    m.QueueBind: (1, m.QueueBindOk()),
    m.QueueDeclare: (1, m.QueueDeclareOk(queue="q")),
    m.QueueDelete: (1, m.QueueDeleteOk()),
    m.QueuePurge: (1, m.QueuePurgeOk()),
    m.QueueUnbind: (1, m.QueueUnbindOk()),
    m.TxCommit: channel_close(1, 406, NOT_TRANSACTIONAL, m.TxCommit),
    m.TxRollback: channel_close(1, 406, NOT_TRANSACTIONAL, m.TxRollback),
    m.TxSelect: (1, m.TxSelectOk()),
}
"""The methods that a client may say on a channel. The others are the server's, or the connection's."""

OUT_OF_PLACE = connection_close(505, "UNEXPECTED_FRAME - expected method frame, got non method frame instead", None)
NO_HEADER = connection_close(
    505,
    "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
    m.BasicPublish,
)
NO_BODY = connection_close(
    505, "UNEXPECTED_FRAME - expected content body, got non content body frame instead", m.BasicPublish
)
HEARTBEAT_ON_CHANNEL = connection_close(505, "UNEXPECTED_FRAME - type 8, all octets = <<>>", None)


@every_method
def test_a_method_on_an_open_channel(stage: Stage, method: type[Method]) -> None:
    refusal = connection_close(503, "COMMAND_INVALID - unimplemented method", method)
    channel_open(stage) >> (1, said(method)) << ON_OPEN_CHANNEL.get(method, refusal)


@every_method
def test_a_method_on_a_channel_that_is_not_open(stage: Stage, method: type[Method]) -> None:
    peer = channel_closed(stage) >> (1, said(method))
    if method is m.ChannelOpen:
        peer << (1, m.ChannelOpenOk())
    else:
        peer << connection_close(504, "CHANNEL_ERROR - expected 'channel.open'", method)


@every_method
def test_a_method_on_a_closing_channel(stage: Stage, method: type[Method]) -> None:
    peer = channel_closing(stage) >> (1, said(method))
    if method is m.ChannelOpen:
        peer << ON_OPEN_CHANNEL[m.ChannelOpen]
        return
    if method is m.ChannelClose:  # both sides at once: each gets its close-ok
        peer << (1, m.ChannelCloseOk())
    if method is not m.ChannelCloseOk:
        peer << NOTHING >> (1, m.ChannelCloseOk())
    peer << NOTHING >> (1, m.ChannelOpen()) << (1, m.ChannelOpenOk())


@every_method
def test_a_method_in_place_of_a_content_header(stage: Stage, method: type[Method]) -> None:
    expecting_header(stage) >> (1, said(method)) << NO_HEADER


@every_method
def test_a_method_in_the_middle_of_a_body(stage: Stage, method: type[Method]) -> None:
    expecting_body(stage) >> (1, said(method)) << NO_BODY


@every_other_frame
@pytest.mark.parametrize(
    ("state", "answers"),
    [
        (
            channel_closed,
            {"header": OUT_OF_PLACE, "body": OUT_OF_PLACE},
        ),
        (
            channel_open,
            {"header": OUT_OF_PLACE, "body": OUT_OF_PLACE},
        ),
        (
            channel_closing,
            {"header": NOTHING, "body": NOTHING},
        ),
        (
            expecting_header,
            {"header": NOTHING, "body": NO_HEADER},
        ),
        (
            expecting_body,
            {"header": NO_BODY, "body": NOTHING},
        ),
    ],
)
def test_another_frame_on_a_channel(stage: Stage, state: Any, answers: dict[str, Item], kind: str) -> None:
    answers = answers | {"heartbeat": HEARTBEAT_ON_CHANNEL, "unknown": UNKNOWN_FRAME}
    state(stage) >> OTHER_FRAMES[kind] << answers[kind]
