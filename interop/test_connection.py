"""The life of a connection: handshake, login, limits, heartbeats, and the ways in which it ends."""

import time
from collections.abc import Callable

import aio_pika
import pika
import pytest
from pika import spec
from pika.exceptions import ProbableAccessDeniedError, ProbableAuthenticationError

from interop.raw import PROTOCOL_HEADER, Peer, method

OpenPeer = Callable[..., Peer]
Connect = Callable[..., pika.BlockingConnection]

LOGIN_REFUSED = (
    "ACCESS_REFUSED - Login was refused using authentication mechanism {}. For details see the broker logfile."
)


def test_start_announces_what_clients_look_for(peer: OpenPeer) -> None:
    start = peer().start()
    assert (start.version_major, start.version_minor) == (0, 9)
    assert {b"PLAIN", b"AMQPLAIN"} <= set(start.mechanisms.split())
    assert start.locales.split() == [b"en_US"]
    assert {"product", "version", "platform"} <= start.server_properties.keys()
    capabilities = start.server_properties["capabilities"]
    for capability in (
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "authentication_failure_close",
        "per_consumer_qos",
        "direct_reply_to",
    ):
        assert capabilities[capability] is True, capability


def test_tune_offers_rabbitmqs_limits(peer: OpenPeer) -> None:
    tune = peer().open().tune
    assert (tune.channel_max, tune.frame_max, tune.heartbeat) == (2047, 131072, 60)


@pytest.mark.parametrize("opening", [b"AMQP\x00\x00\x08\x00", b"GET / HTTP/1.1\r\n\r\n"], ids=["0-8", "HTTP"])
def test_another_protocol_gets_the_brokers_header_and_is_closed(peer: OpenPeer, opening: bytes) -> None:
    """RabbitMQ 3.x answers with AMQP 0-9-1's header, 4.x with AMQP 1.0's."""
    stranger = peer()
    stranger.send(opening)
    assert stranger.receive_to_the_end() in (PROTOCOL_HEADER, b"AMQP\x03\x01\x00\x00")


def test_amqplain_logs_in(peer: OpenPeer) -> None:
    """Its response is a field table's entries, without the table's length."""
    response = b"\x05LOGINS\x00\x00\x00\x05guest" + b"\x08PASSWORDS\x00\x00\x00\x05guest"
    peer().open(response=response, mechanism="AMQPLAIN")


@pytest.mark.parametrize(
    ("mechanism", "response"),
    [
        ("PLAIN", b"\0guest\0wrong"),
        ("PLAIN", b"\0nobody\0guest"),
        ("AMQPLAIN", b"\x05LOGINS\x00\x00\x00\x05guest\x08PASSWORDS\x00\x00\x00\x05wrong"),
    ],
)
def test_a_refused_login_is_403_for_clients_that_can_take_it(peer: OpenPeer, mechanism: str, response: bytes) -> None:
    client = peer()
    client.start(response, mechanism)
    closed = client.expect(spec.Connection.Close)
    assert (closed.reply_code, closed.reply_text) == (403, LOGIN_REFUSED.format(mechanism))
    assert (closed.class_id, closed.method_id) == (0, 0)


def test_a_refused_login_is_a_silent_close_for_older_clients(peer: OpenPeer) -> None:
    client = peer()
    client.start(b"\0guest\0wrong", authentication_failure_close=False)
    client.expect_closed()


def test_an_unknown_mechanism_is_a_silent_close(peer: OpenPeer) -> None:
    client = peer()
    client.start(b"", "DIGEST-MD5")
    client.expect_closed()


def test_pika_calls_a_wrong_password_a_probable_authentication_error(connect: Connect) -> None:
    with pytest.raises(ProbableAuthenticationError, match="ACCESS_REFUSED - Login was refused"):
        connect(credentials=pika.PlainCredentials("guest", "wrong"))


@pytest.mark.anyio
async def test_aio_pika_calls_a_wrong_password_a_probable_authentication_error(url: str) -> None:
    with pytest.raises(aio_pika.exceptions.ProbableAuthenticationError, match="ACCESS_REFUSED - Login was refused"):
        await aio_pika.connect(url.replace("guest:guest", "guest:wrong"))


def test_an_unknown_vhost_is_530(peer: OpenPeer, connect: Connect) -> None:
    client = peer()
    client.start()
    client.expect(spec.Connection.Tune)
    client.send(method(0, spec.Connection.TuneOk(2047, 131072, 0)), method(0, spec.Connection.Open("nowhere")))
    closed = client.expect(spec.Connection.Close)
    assert (closed.reply_code, closed.reply_text) == (530, "NOT_ALLOWED - vhost nowhere not found")
    assert (closed.class_id, closed.method_id) == (10, 40)

    with pytest.raises(ProbableAccessDeniedError, match="vhost nowhere not found"):
        connect(virtual_host="nowhere")


def test_close_is_answered(peer: OpenPeer) -> None:
    client = peer().open()
    client.open_channel()
    client.call(0, spec.Connection.Close(200, "bye", 0, 0), spec.Connection.CloseOk)


def test_as_many_channels_as_negotiated(peer: OpenPeer) -> None:
    client = peer().open(channel_max=3)
    for channel in 1, 2, 3:
        client.open_channel(channel)
    closed = client.call(4, spec.Channel.Open(), spec.Connection.Close)
    assert (closed.reply_code, closed.reply_text) == (
        530,
        "NOT_ALLOWED - number of channels opened (3) has reached the negotiated channel_max (3)",
    )


def test_no_frame_is_larger_than_negotiated(peer: OpenPeer) -> None:
    """Sent in one piece each way the message would not fit; the broker cuts it at frame_max, less 8 octets of frame."""
    client = peer().open(frame_max=4096)
    client.open_channel()
    queue = client.declare_queue(exclusive=True)
    body = bytes(range(256)) * 40
    client.send(
        method(1, spec.Basic.Publish(exchange="", routing_key=queue)),
        pika.frame.Header(1, len(body), spec.BasicProperties()).marshal(),
        *(pika.frame.Body(1, body[start : start + 4088]).marshal() for start in range(0, len(body), 4088)),
    )
    client.call(1, spec.Basic.Get(queue=queue, no_ack=True), spec.Basic.GetOk)
    assert client.expect(pika.frame.Header).body_size == len(body) == 10240
    fragments = [client.expect(pika.frame.Body).fragment for _ in range(3)]
    assert [len(fragment) for fragment in fragments] == [4088, 4088, 2064]
    assert b"".join(fragments) == body


def test_a_silent_peer_is_dropped_after_two_missed_heartbeats(peer: OpenPeer) -> None:
    """No close frame: nobody is thought to be there to read it. Until then, the broker's own heartbeats come."""
    silent = peer().open(heartbeat=1)
    last_word = time.monotonic()
    heartbeats = 0
    while (received := silent.receive()) is not None:
        assert isinstance(received, pika.frame.Heartbeat)
        heartbeats += 1
    assert heartbeats >= 2
    assert 1.9 < time.monotonic() - last_word < 6  # two whole intervals at least; the upper bound is for busy machines


def test_a_peer_that_sends_heartbeats_stays(peer: OpenPeer) -> None:
    client = peer().open(heartbeat=1)
    for _ in range(8):  # one each half second, so twice the time after which a silent peer is gone
        assert isinstance(client.receive(), pika.frame.Heartbeat)
        client.send(pika.frame.Heartbeat().marshal())
    client.open_channel()


def test_any_traffic_counts_as_a_heartbeat(peer: OpenPeer) -> None:
    client = peer().open(heartbeat=1)
    client.open_channel()
    for _ in range(8):
        assert isinstance(client.receive(), pika.frame.Heartbeat)
        client.send(method(1, spec.Basic.Ack(0, True)))  # all of nothing: no answer, no error
    client.call(1, spec.Channel.Close(200, "", 0, 0), spec.Channel.CloseOk)


def test_update_secret_is_answered(peer: OpenPeer) -> None:
    peer().open().call(0, spec.Connection.UpdateSecret("new", "rotation"), spec.Connection.UpdateSecretOk)
