"""Frames that are wrong: in their form, in their place, or in what they carry."""

import pytest

from amqpd.wire import methods as m
from amqpd.wire.constants import FRAME_BODY, FRAME_HEADER, FRAME_HEARTBEAT, FRAME_METHOD, PROTOCOL_HEADER
from amqpd.wire.methods import Method, encode_method
from tests.amqp.acts import TO_Q
from tests.amqp.transcript import (
    END,
    HEARTBEAT,
    NOTHING,
    Blame,
    Frame,
    Peer,
    Stage,
    body_frame,
    connection_close,
    header_frame,
    octets,
)

DECLARE = b"\x00\x32\x00\x0a"  # queue.declare's ids
DECLARE_Q = DECLARE + b"\x00\x00\x01q"


def content_header(body_size: int, rest: bytes, class_id: int = 60, weight: int = 0) -> Frame:
    """A content header frame; ``rest`` is what stands behind the body size."""
    ids = class_id.to_bytes(2, "big") + weight.to_bytes(2, "big")
    return Frame(FRAME_HEADER, 1, ids + body_size.to_bytes(8, "big") + rest)


# Form: where the next frame begins is unknown, so nothing more is taken -----------------------------------------------

OUT_OF_STEP = [
    (
        Frame(FRAME_METHOD, 1, DECLARE, end=0),
        "type 1, all octets = <<0,50,0,10>>: {invalid_frame_end_marker,0}",
    ),
    (
        Frame(FRAME_BODY, 1, b"hello", end=0xCF),
        'type 3, all octets = <<"hello">>: {invalid_frame_end_marker,207}',
    ),
    (
        Frame(FRAME_METHOD, 0, bytes(range(30)), end=1),
        "type 1, first 16 octets = <<0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15>>: {invalid_frame_end_marker,1}",
    ),
    (
        Frame(FRAME_HEADER, 1, b"x" * 100, size=200000),
        "type 2, all octets = <<>>: {frame_too_large,200000,131064}",
    ),
    (
        Frame(FRAME_BODY, 1, b"x" * 100, size=131073),
        "type 3, all octets = <<>>: {frame_too_large,131073,131064}",
    ),
    (
        Frame(0xFF, 0xFFFF, b"\xff" * 8, size=0xFFFFFFFF),
        "type 255, all octets = <<>>: {frame_too_large,4294967295,131064}",
    ),
]


@pytest.mark.parametrize(("frame", "text"), OUT_OF_STEP, ids=lambda value: value if isinstance(value, str) else "")
def test_after_a_frame_in_the_wrong_form_nothing_is_taken(stage: Stage, peer: Peer, frame: Frame, text: str) -> None:
    peer >> frame >> (0, m.ConnectionCloseOk()) << connection_close(501, f"FRAME_ERROR - {text}", None)
    peer >> (0, m.ConnectionCloseOk()) << NOTHING
    stage.wait(2.5)
    peer << NOTHING
    stage.wait(0.5)
    peer << END


def test_what_came_before_a_frame_in_the_wrong_form_is_done(stage: Stage, peer: Peer, other: Peer) -> None:
    (
        peer
        >> (1, m.QueueDeclare(queue="q"))
        >> (1, m.BasicPublish(routing_key="q"), b"a")
        >> Frame(FRAME_METHOD, 1, end=0)
    )
    peer.hear(m.QueueDeclareOk)
    peer.hear(m.ConnectionClose)
    other >> (1, m.QueueDeclare(queue="q", passive=True)) << (1, m.QueueDeclareOk("q", message_count=1))


def test_before_tuning_frames_have_at_most_4096_octets(stage: Stage) -> None:
    peer = stage.stranger() >> PROTOCOL_HEADER
    peer.hear(m.ConnectionStart)
    peer >> Frame(FRAME_METHOD, 0, size=4097)
    peer << connection_close(501, "FRAME_ERROR - type 1, all octets = <<>>: {frame_too_large,4097,4088}", None)


def test_after_tuning_frames_have_at_most_what_was_agreed(stage: Stage) -> None:
    peer = stage.connect(frame_max=5000) >> Frame(FRAME_BODY, 1, size=5001)
    peer << connection_close(501, "FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,5001,4992}", None)


def test_a_frame_may_be_too_large_by_its_head_and_its_end(peer: Peer) -> None:
    """As in RabbitMQ, which has met clients that reckon so: payloads of frame_max are taken."""
    peer >> (1, m.QueueDeclare(queue="q")) >> (1, m.BasicPublish(routing_key="q"))
    peer >> header_frame(1, 131072) >> body_frame(1, b"x" * 131072) >> (1, m.BasicGet(queue="q", no_ack=True))
    peer << (1, m.QueueDeclareOk("q"))
    peer << (1, m.BasicGetOk(1, routing_key="q"), b"x" * 131072)
    assert peer.sizes == [131064, 8]


# Form: the frame is whole, and what follows is looked at for the close-ok ---------------------------------------------

WRONG_FRAMES = [
    (Frame(7, 1, b"xx"), 501, 'FRAME_ERROR - type 7, all octets = <<"xx">>: unknown_frame'),
    (Frame(0, 0), 501, "FRAME_ERROR - type 0, all octets = <<>>: unknown_frame"),
    (Frame(255, 9, b'a "b" \\'), 501, r'FRAME_ERROR - type 255, all octets = <<"a \"b\" \\">>: unknown_frame'),
    (
        Frame(4, 0, b"0123456789abcdefg"),
        501,
        'FRAME_ERROR - type 4, first 16 octets = <<"0123456789abcdef">>: unknown_frame',
    ),
    (Frame(FRAME_HEARTBEAT, 0, b"abc"), 501, 'FRAME_ERROR - type 8, all octets = <<"abc">>: unknown_frame'),
    (Frame(FRAME_HEARTBEAT, 1), 505, "UNEXPECTED_FRAME - type 8, all octets = <<>>"),
    (Frame(FRAME_HEARTBEAT, 9), 505, "UNEXPECTED_FRAME - type 8, all octets = <<>>"),
    (Frame(FRAME_METHOD, 0), 501, "FRAME_ERROR - type 1, all octets = <<>>: unknown_frame"),
    (Frame(FRAME_METHOD, 1, b"\0"), 501, "FRAME_ERROR - type 1, all octets = <<0>>: unknown_frame"),
    (Frame(FRAME_METHOD, 1, b"\0\x3c\0"), 501, "FRAME_ERROR - type 1, all octets = <<0,60,0>>: unknown_frame"),
    (Frame(FRAME_BODY, 0, b"abc"), 505, 'UNEXPECTED_FRAME - type 3, all octets = <<"abc">>'),
]


@pytest.mark.parametrize(("frame", "code", "text"), WRONG_FRAMES, ids=lambda value: value if value is str else "")
def test_a_wrong_frame_closes_the_connection(peer: Peer, frame: Frame, code: int, text: str) -> None:
    peer >> frame << connection_close(code, text, None)
    peer >> (1, m.BasicGet()) >> HEARTBEAT << NOTHING
    peer >> (0, m.ConnectionCloseOk()) << END


# Methods --------------------------------------------------------------------------------------------------------------

UNKNOWN_METHODS = [(50, 99), (60, 0), (99, 10), (0, 0), (65535, 65535)]


@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize(("class_id", "method_id"), UNKNOWN_METHODS)
def test_an_unknown_method(peer: Peer, channel: int, class_id: int, method_id: int) -> None:
    peer >> Frame(FRAME_METHOD, channel, class_id.to_bytes(2, "big") + method_id.to_bytes(2, "big") + b"abc")
    close = peer.hear(m.ConnectionClose)
    assert (close.reply_code, close.failing_class_id, close.failing_method_id) == (540, class_id, method_id)
    assert close.reply_text == f"NOT_IMPLEMENTED - unknown method {class_id}.{method_id}"


ON_CONNECTION = [m.ConnectionClose(), m.ConnectionUpdateSecret()]
ON_CHANNEL = [
    m.AccessRequest(),
    m.BasicAck(),
    m.BasicCancel(),
    m.BasicConsume(),
    m.BasicGet(),
    m.BasicNack(),
    m.BasicPublish(),
    m.BasicQos(),
    m.BasicRecover(),
    m.BasicRecoverAsync(),
    m.BasicReject(),
    m.ChannelClose(),
    m.ChannelFlow(),
    m.ChannelOpen(),
    m.ConfirmSelect(),
    m.ExchangeBind(),
    m.ExchangeDeclare(),
    m.ExchangeDelete(),
    m.ExchangeUnbind(),
    m.QueueBind(),
    m.QueueDeclare(),
    m.QueueDelete(),
    m.QueuePurge(),
    m.QueueUnbind(),
]
WITH_ARGUMENTS = [(0, method) for method in ON_CONNECTION] + [(1, method) for method in ON_CHANNEL]
WITHOUT_ARGUMENTS = [(0, m.ConnectionCloseOk())] + [(1, method()) for method in (m.TxSelect, m.TxCommit, m.TxRollback)]


def hear_malformed(peer: Peer, method: type[Method]) -> None:
    close = peer.hear(m.ConnectionClose)
    assert (close.reply_code, close.failing_class_id, close.failing_method_id) == (
        502,
        method.class_id,
        method.method_id,
    )
    assert close.reply_text.startswith("SYNTAX_ERROR - ")


@pytest.mark.parametrize(("channel", "method"), WITH_ARGUMENTS, ids=lambda value: getattr(value, "name", ""))
@pytest.mark.parametrize("missing", [1, "all"])
def test_a_method_without_the_end_of_its_arguments(
    peer: Peer, channel: int, method: Method, missing: int | str
) -> None:
    payload = encode_method(method)
    peer >> Frame(FRAME_METHOD, channel, payload[:4] if missing == "all" else payload[:-1])
    hear_malformed(peer, type(method))


@pytest.mark.parametrize(
    ("channel", "method"), WITH_ARGUMENTS + WITHOUT_ARGUMENTS, ids=lambda value: getattr(value, "name", "")
)
def test_a_method_with_an_octet_behind_its_arguments(peer: Peer, channel: int, method: Method) -> None:
    peer >> Frame(FRAME_METHOD, channel, encode_method(method) + b"\0")
    hear_malformed(peer, type(method))


MALFORMED_TABLES = {
    "unknown type": b"\0\0\0\x05\x01aQ\0\0",
    "longer than the method": b"\0\0\0\x06\x01at\x01",
    "half a field": b"\0\0\0\x02\x01a",
    "a string longer than the table": b"\0\0\0\x08\x01aS\0\0\0\x09x",
    "33 tables in one another": b"\0\0\0\xe7"
    + b"".join(b"\x01aF" + (7 * n).to_bytes(4, "big") for n in range(32, -1, -1)),
}


@pytest.mark.parametrize("table", MALFORMED_TABLES.values(), ids=MALFORMED_TABLES)
def test_a_malformed_table(peer: Peer, table: bytes) -> None:
    peer >> Frame(FRAME_METHOD, 1, DECLARE_Q + b"\0" + table)
    hear_malformed(peer, m.QueueDeclare)


def test_a_name_that_is_no_utf_8(peer: Peer) -> None:
    peer >> Frame(FRAME_METHOD, 1, DECLARE + b"\0\0\x01\xff" + b"\0" + b"\0\0\0\0")
    hear_malformed(peer, m.QueueDeclare)


# Contents -------------------------------------------------------------------------------------------------------------

NO_HEADER = "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead"
MALFORMED = "SYNTAX_ERROR - content header's length does not match its properties"

WRONG_HEADERS: list[tuple[Frame, int, str, Blame]] = [
    (
        content_header(0, b"\0\0", class_id=50),
        505,
        "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead",
        m.BasicPublish,
    ),
    (content_header(0, b"\0\0", weight=1), 505, NO_HEADER, m.BasicPublish),
    (Frame(FRAME_HEADER, 1), 501, "FRAME_ERROR - type 2, all octets = <<>>: unknown_frame", None),
    (
        Frame(FRAME_HEADER, 1, b"\0\x3c\0\0\0"),
        501,
        "FRAME_ERROR - type 2, all octets = <<0,60,0,0,0>>: unknown_frame",
        None,
    ),
    (content_header(0, b""), 502, "SYNTAX_ERROR - content header ends before its properties", m.BasicPublish),
    (content_header(0, b"\0"), 502, "SYNTAX_ERROR - content header ends before its properties", m.BasicPublish),
    (content_header(3, b"\x80\0"), 502, MALFORMED, m.BasicPublish),
    (content_header(3, b"\x80\0\x05abc"), 502, MALFORMED, m.BasicPublish),
    (content_header(0, b"\0\0\0"), 502, MALFORMED, m.BasicPublish),
    (
        content_header(0, b"\0\x01\0\0"),
        502,
        "SYNTAX_ERROR - content header has flags 0x0001, which class basic does not define",
        m.BasicPublish,
    ),
    (
        content_header(3, b"\x20\0\0\0\0\x05\x01aQ\0\0"),
        502,
        "SYNTAX_ERROR - unknown field type b'Q'",
        m.BasicPublish,
    ),
]


@pytest.mark.parametrize(("header", "code", "text", "blame"), WRONG_HEADERS)
def test_a_wrong_content_header(peer: Peer, header: Frame, code: int, text: str, blame: Blame) -> None:
    peer >> (1, m.BasicPublish(routing_key="q")) >> header << connection_close(code, text, blame)
    peer >> body_frame(1, b"abc") << NOTHING >> (0, m.ConnectionCloseOk()) << END


@pytest.mark.parametrize("bodies", [[b"abcd"], [b"ab", b"cd"], [b"", b"ab", b"", b"cd"]])
def test_a_body_beyond_the_size_in_its_header(peer: Peer, bodies: list[bytes]) -> None:
    peer >> (1, m.BasicPublish(routing_key="q")) >> header_frame(1, 3)
    for body in bodies:
        peer >> body_frame(1, body)
    peer << connection_close(501, "FRAME_ERROR - content body frame exceeds remaining content size", m.BasicPublish)


@pytest.mark.parametrize("cut", [20_000, 60_000, 120_000, 150_000])
def test_large_frames_that_are_cut_anywhere_are_put_together(cut: int) -> None:
    peer = Stage().connect()
    peer >> (1, m.QueueDeclare(queue="q")) << (1, m.QueueDeclareOk("q"))
    body = bytes(range(256)) * 1_200
    for content in (body, b"small"):
        stream = octets((1, TO_Q, content), 131_072)
        for start in range(0, len(stream), cut):
            peer.connection.receive_data(stream[start : start + cut])
    peer >> (1, m.BasicGet(queue="q", no_ack=True)) << (1, m.BasicGetOk(1, routing_key="q", message_count=1), body)


def test_a_large_frame_without_its_end_closes_the_connection_whatever_is_behind_it() -> None:
    peer = Stage().connect()
    peer >> Frame(FRAME_METHOD, 1, encode_method(TO_Q)) >> header_frame(1, 100_000)
    stream = bytes(body_frame(1, bytes(100_000)))[:-1] + b"!" + bytes(50_000)
    peer.connection.receive_data(stream[:30_000])
    peer.connection.receive_data(stream[30_000:])
    text = f"type 3, first 16 octets = <<{','.join('0' * 16)}>>: {{invalid_frame_end_marker,33}}"
    peer << connection_close(501, f"FRAME_ERROR - {text}", None)


@pytest.mark.parametrize("body", [b"", b"abc"])
def test_a_body_behind_an_empty_content(peer: Peer, body: bytes) -> None:
    for _ in range(3):
        peer >> (1, m.BasicPublish(routing_key="q"), b"")
    peer >> body_frame(1, body)
    peer << connection_close(505, "UNEXPECTED_FRAME - expected method frame, got non method frame instead", None)
