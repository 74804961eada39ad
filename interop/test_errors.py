"""What the broker refuses: the reply code and text to the letter, since applications match on them.

Two tables: errors that close the channel, caused through pika, and errors that close the connection, caused by a raw
peer. Q and X stand for names of the test's own: a queue and an exchange which exist only if the entry declares them.
"""

from collections.abc import Callable
from typing import Any

import pytest
from pika import spec
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker, UnroutableError

from interop.blocking import drain, publish
from interop.raw import Peer, content, frame, method

OpenPeer = Callable[..., Peer]
OpenChannel = Callable[..., BlockingChannel]
Unique = Callable[[str], str]

FORBIDDEN = "ACCESS_REFUSED - operation not permitted on the default exchange"
INEQUIVALENT_QUEUE = "PRECONDITION_FAILED - inequivalent arg '{}' for queue 'Q' in vhost '/': "
INEQUIVALENT_EXCHANGE = "PRECONDITION_FAILED - inequivalent arg '{}' for exchange 'X' in vhost '/': "
NO_QUEUE = "NOT_FOUND - no queue 'Q' in vhost '/'"
NO_EXCHANGE = "NOT_FOUND - no exchange 'X' in vhost '/'"


def redeclare_queue(first: dict[str, Any], second: dict[str, Any]) -> Callable[..., None]:
    def redeclare(channel: BlockingChannel, q: str, _x: str) -> None:
        channel.queue_declare(q, **first)
        channel.queue_declare(q, **second)

    return redeclare


def redeclare_exchange(first: dict[str, Any], second: dict[str, Any]) -> Callable[..., None]:
    def redeclare(channel: BlockingChannel, _q: str, x: str) -> None:
        channel.exchange_declare(x, **{"exchange_type": "direct"} | first)
        channel.exchange_declare(x, **{"exchange_type": "direct"} | second)

    return redeclare


def acknowledge_twice(channel: BlockingChannel, q: str, _x: str) -> None:
    channel.queue_declare(q)
    publish(channel, q, [b"1"])
    channel.basic_get(q)
    channel.basic_ack(1)
    channel.basic_ack(1)
    channel.basic_get(q)  # an acknowledgement has no answer, so the error is met here


def publish_to_internal(channel: BlockingChannel, _q: str, x: str) -> None:
    channel.exchange_declare(x, internal=True)
    channel.basic_publish(x, "", b"")


def bind_to(channel: BlockingChannel, q: str, x: str) -> None:
    channel.queue_declare(q)
    channel.queue_bind(q, x, "key")


def confirm_then_tx(channel: BlockingChannel, _q: str, _x: str) -> None:
    channel.tx_select()  # the channel is in confirm mode


def tx_then_confirm(channel: BlockingChannel, _q: str, _x: str) -> None:
    fresh = channel.connection.channel()
    fresh.tx_select()
    fresh.confirm_delivery()


CHANNEL_ERRORS: dict[str, tuple[Callable[[BlockingChannel, str, str], Any], int, str]] = {
    "passive queue": (lambda ch, q, x: ch.queue_declare(q, passive=True), 404, NO_QUEUE),
    "passive exchange": (lambda ch, q, x: ch.exchange_declare(x, passive=True), 404, NO_EXCHANGE),
    "get without queue": (lambda ch, q, x: ch.basic_get(q), 404, NO_QUEUE),
    "consume without queue": (lambda ch, q, x: ch.basic_consume(q, lambda *_: None), 404, NO_QUEUE),
    "purge without queue": (lambda ch, q, x: ch.queue_purge(q), 404, NO_QUEUE),
    "bind without queue": (lambda ch, q, x: ch.queue_bind(q, "amq.direct", ""), 404, NO_QUEUE),
    "bind without exchange": (bind_to, 404, NO_EXCHANGE),
    "bind exchange to none": (lambda ch, q, x: ch.exchange_bind("amq.fanout", x), 404, NO_EXCHANGE),
    "publish without exchange": (lambda ch, q, x: ch.basic_publish(x, "", b""), 404, NO_EXCHANGE),
    "no queue declared": (lambda ch, q, x: ch.basic_get(""), 404, "NOT_FOUND - no previously declared queue"),
    "queue name amq.*": (
        lambda ch, q, x: ch.queue_declare("amq.mine"),
        403,
        "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'",
    ),
    "exchange name amq.*": (
        lambda ch, q, x: ch.exchange_declare("amq.mine"),
        403,
        "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'",
    ),
    "declare default": (lambda ch, q, x: ch.exchange_declare("", "direct", durable=True), 403, FORBIDDEN),
    "delete default": (lambda ch, q, x: ch.exchange_delete(""), 403, FORBIDDEN),
    "bind default": (lambda ch, q, x: bind_to(ch, q, ""), 403, FORBIDDEN),
    "delete amq.direct": (
        lambda ch, q, x: ch.exchange_delete("amq.direct"),
        403,
        "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
    ),
    "publish to internal": (
        publish_to_internal,
        403,
        "ACCESS_REFUSED - cannot publish to internal exchange 'X' in vhost '/'",
    ),
    "queue durable": (
        redeclare_queue({}, {"durable": True}),
        406,
        INEQUIVALENT_QUEUE.format("durable") + "received 'true' but current is 'false'",
    ),
    "queue auto_delete": (
        redeclare_queue({"auto_delete": True}, {}),
        406,
        INEQUIVALENT_QUEUE.format("auto_delete") + "received 'false' but current is 'true'",
    ),
    "queue argument added": (
        redeclare_queue({}, {"arguments": {"x-message-ttl": 1000}}),
        406,
        INEQUIVALENT_QUEUE.format("x-message-ttl")
        + "received the value '1000' of type 'signedint' but current is none",
    ),
    "queue argument changed": (
        redeclare_queue({"arguments": {"x-message-ttl": 1000}}, {"arguments": {"x-message-ttl": 2000}}),
        406,
        INEQUIVALENT_QUEUE.format("x-message-ttl") + "received '2000' but current is '1000'",
    ),
    "queue argument dropped": (
        redeclare_queue({"arguments": {"x-message-ttl": 1000}}, {}),
        406,
        INEQUIVALENT_QUEUE.format("x-message-ttl")
        + "received none but current is the value '1000' of type 'signedint'",
    ),
    "exchange type": (
        redeclare_exchange({}, {"exchange_type": "fanout"}),
        406,
        INEQUIVALENT_EXCHANGE.format("type") + "received 'fanout' but current is 'direct'",
    ),
    "exchange durable": (
        redeclare_exchange({"durable": True}, {}),
        406,
        INEQUIVALENT_EXCHANGE.format("durable") + "received 'false' but current is 'true'",
    ),
    "unknown delivery tag": (
        lambda ch, q, x: (ch.basic_ack(99), ch.basic_get(q)),
        406,
        "PRECONDITION_FAILED - unknown delivery tag 99",
    ),
    "acknowledged twice": (
        acknowledge_twice,
        406,
        "PRECONDITION_FAILED - unknown delivery tag 1",
    ),
    "commit without tx": (
        lambda ch, q, x: ch.tx_commit(),
        406,
        "PRECONDITION_FAILED - channel is not transactional",
    ),
    "confirm then tx": (confirm_then_tx, 406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode"),
    "tx then confirm": (tx_then_confirm, 406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode"),
    "reply-to with acks": (
        lambda ch, q, x: ch.basic_consume("amq.rabbitmq.reply-to", lambda *_: None),
        406,
        "PRECONDITION_FAILED - reply consumer cannot acknowledge",
    ),
}


@pytest.mark.parametrize(("cause", "code", "text"), CHANNEL_ERRORS.values(), ids=CHANNEL_ERRORS)
def test_errors_that_close_the_channel(
    channel: BlockingChannel, unique: Unique, cause: Callable[..., Any], code: int, text: str
) -> None:
    queue, exchange = unique("q"), unique("x")
    with pytest.raises(ChannelClosedByBroker) as closed:
        cause(channel, queue, exchange)
    assert closed.value.reply_code == code
    assert closed.value.reply_text == text.replace("'Q'", f"'{queue}'").replace("'X'", f"'{exchange}'")
    assert channel.connection.channel().is_open  # the connection goes on


def test_direct_reply_to_needs_its_consumer_first(peer: OpenPeer) -> None:
    asker = peer().open()
    asker.open_channel()
    asker.send(
        method(1, spec.Basic.Publish(exchange="", routing_key="anywhere")),
        content(1, b"?", spec.BasicProperties(reply_to="amq.rabbitmq.reply-to")),
    )
    closed = asker.expect(spec.Channel.Close)
    assert (closed.reply_code, closed.reply_text) == (
        406,
        "PRECONDITION_FAILED - fast reply consumer does not exist",
    )


def test_frames_after_the_error_are_discarded_until_close_ok(peer: OpenPeer) -> None:
    """One write: the mistake, a publish that must not happen, and after close-ok the same channel number anew."""
    careless = peer().open()
    careless.open_channel(1)
    careless.open_channel(2)
    queue = careless.declare_queue(channel=2, exclusive=True)
    careless.send(
        method(1, spec.Queue.Declare(queue="interop.nowhere", passive=True)),
        method(1, spec.Basic.Publish(exchange="", routing_key=queue)),
        content(1, b"too late"),
        method(1, spec.Queue.Purge(queue="interop.nowhere either")),
    )
    closed = careless.expect(spec.Channel.Close)
    assert (closed.reply_code, closed.class_id, closed.method_id) == (404, 50, 10)
    careless.send(method(1, spec.Channel.CloseOk()))
    careless.open_channel(1)
    assert careless.call(2, spec.Queue.Declare(queue=queue, passive=True), spec.Queue.DeclareOk).message_count == 0


def test_a_channel_number_is_free_again_after_close(peer: OpenPeer) -> None:
    client = peer().open()
    for _ in range(3):
        client.open_channel(7)
        client.call(7, spec.Channel.Close(200, "", 0, 0), spec.Channel.CloseOk)


def test_an_error_on_one_channel_leaves_the_others(channel: BlockingChannel) -> None:
    queue = channel.queue_declare("", exclusive=True).method.queue
    other = channel.connection.channel()
    with pytest.raises(ChannelClosedByBroker):
        other.queue_declare("interop.nowhere", passive=True)
    with pytest.raises(UnroutableError):
        channel.basic_publish("", "interop.nowhere", b"", mandatory=True)
    publish(channel, queue, [b"still here"])
    assert drain(channel, queue) == [b"still here"]


OPEN = method(1, spec.Channel.Open())
PUBLISH = method(1, spec.Basic.Publish(exchange="", routing_key="nowhere"))
CONSUME = method(1, spec.Basic.Consume(queue="", consumer_tag="t", no_ack=True))
DECLARE = method(1, spec.Queue.Declare(exclusive=True))

CONNECTION_ERRORS: dict[str, tuple[bytes, int, str, tuple[int, int]]] = {
    "unopened channel": (method(9, spec.Queue.Declare()), 504, "CHANNEL_ERROR - expected 'channel.open'", (50, 10)),
    "opened twice": (OPEN + OPEN, 504, "CHANNEL_ERROR - second 'channel.open' seen", (20, 10)),
    "immediate": (
        OPEN + method(1, spec.Basic.Publish(exchange="", immediate=True)) + content(1, b""),
        540,
        "NOT_IMPLEMENTED - immediate=true",
        (60, 40),
    ),
    "prefetch_size": (
        OPEN + method(1, spec.Basic.Qos(prefetch_size=10)),
        540,
        "NOT_IMPLEMENTED - prefetch_size!=0 (10)",
        (60, 10),
    ),
    "channel.flow off": (OPEN + method(1, spec.Channel.Flow(False)), 540, "NOT_IMPLEMENTED - active=false", (20, 20)),
    "recover without requeue": (
        OPEN + method(1, spec.Basic.Recover(False)),
        540,
        "NOT_IMPLEMENTED - requeue=false",
        (60, 110),
    ),
    "consumer tag twice": (
        OPEN + DECLARE + CONSUME + CONSUME,
        530,
        "NOT_ALLOWED - attempt to reuse consumer tag 't'",
        (60, 20),
    ),
    "method instead of content": (
        OPEN + PUBLISH + PUBLISH,
        505,
        "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
        (60, 40),
    ),
    "body without method": (
        OPEN + frame(3, 1, b"body"),
        505,
        "UNEXPECTED_FRAME - expected method frame, got non method frame instead",
        (0, 0),
    ),
    "header of another class": (
        OPEN + PUBLISH + frame(2, 1, (50).to_bytes(2, "big") + bytes(12)),
        505,
        "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead",
        (60, 40),
    ),
}


@pytest.mark.parametrize(("sent", "code", "text", "blamed"), CONNECTION_ERRORS.values(), ids=CONNECTION_ERRORS)
def test_errors_that_close_the_connection(
    peer: OpenPeer, sent: bytes, code: int, text: str, blamed: tuple[int, int]
) -> None:
    client = peer().open()
    client.send(sent)
    closed = wait_for_close(client)
    assert (closed.reply_code, closed.reply_text) == (code, text)
    assert (closed.class_id, closed.method_id) == blamed
    client.send(method(0, spec.Connection.CloseOk()))
    client.expect_closed()


@pytest.mark.parametrize(
    "sent",
    [frame(7, 0, b"xx"), frame(1, 0, b"xx", end=b"\0"), frame(3, 1, bytes(200_000))],
    ids=["unknown type", "bad end", "larger than frame_max"],
)
def test_broken_frames_are_501(peer: OpenPeer, sent: bytes) -> None:
    client = peer().open()
    client.send(sent)
    closed = wait_for_close(client)
    assert closed.reply_code == 501
    assert closed.reply_text.startswith("FRAME_ERROR - ")


def test_undecodable_arguments_are_502(peer: OpenPeer) -> None:
    client = peer().open()
    client.open_channel()
    client.send(frame(1, 1, method(1, spec.Queue.Declare(queue="cut"))[7:-3]))
    assert wait_for_close(client).reply_code in (501, 502)


def test_an_unknown_exchange_type_is_503_or_406(peer: OpenPeer) -> None:
    """RabbitMQ 3.x closes the connection with 503 (and "invalid" for a word it has met elsewhere), 4.x the channel."""
    client = peer().open()
    client.open_channel()
    client.send(method(1, spec.Exchange.Declare(exchange="interop.odd", type="odd")))
    closed = client.receive().method
    assert (type(closed), closed.reply_code, closed.reply_text) in [
        (spec.Connection.Close, 503, "COMMAND_INVALID - unknown exchange type 'odd'"),
        (spec.Connection.Close, 503, "COMMAND_INVALID - invalid exchange type 'odd'"),
        (spec.Channel.Close, 406, "PRECONDITION_FAILED - unknown exchange type 'odd'"),
    ]


def wait_for_close(client: Peer) -> spec.Connection.Close:
    """The connection.close; answers to what was right before the error come first."""
    while True:
        received = client.receive()
        assert received is not None, "closed without a word"
        if isinstance(received.method, spec.Connection.Close):
            return received.method
