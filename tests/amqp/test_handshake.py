"""From the protocol header to connection.open."""

from typing import Any

import pytest

from amqpd import __version__
from amqpd.amqp.limits import Limits
from amqpd.auth.passwords import PasswordHash
from amqpd.auth.users import User
from amqpd.wire import methods as m
from amqpd.wire.constants import PROTOCOL_HEADER
from amqpd.wire.tables import Table, encode_fields
from tests.amqp.transcript import END, HEARTBEAT, NOTHING, Item, Peer, Stage, connection_close, start_ok

REFUSED = connection_close(
    403,
    "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.",
    None,
)


@pytest.fixture
def stranger(stage: Stage) -> Peer:
    """Someone who has just opened a socket."""
    return stage.stranger()


@pytest.fixture
def greeted(stranger: Peer) -> Peer:
    """Someone who has been asked who they are."""
    stranger >> PROTOCOL_HEADER
    stranger.hear(m.ConnectionStart)
    return stranger


@pytest.fixture
def user(stranger: Peer) -> Peer:
    """Someone who has logged in, and has been told our limits."""
    stranger.log_in()
    return stranger


# Protocol header ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [PROTOCOL_HEADER, b"AMQP\x01\x01\x00\x09"], ids=["0-9-1", "0-9"])
def test_a_right_header_is_answered_by_what_we_can_do(stranger: Peer, header: bytes) -> None:
    stranger >> header
    start = stranger.hear(m.ConnectionStart)
    assert (start.version_major, start.version_minor) == (0, 9)
    assert start.mechanisms == b"PLAIN AMQPLAIN"
    assert start.locales == b"en_US"
    assert start.server_properties["product"] == "amqpd"
    assert start.server_properties["version"] == __version__
    assert start.server_properties["capabilities"] == {
        "publisher_confirms": True,
        "exchange_exchange_bindings": True,
        "basic.nack": True,
        "consumer_cancel_notify": True,
        "connection.blocked": True,
        "authentication_failure_close": True,
        "per_consumer_qos": True,
        "direct_reply_to": True,
    }


@pytest.mark.parametrize(
    "header",
    [
        b"AMQP\x00\x01\x00\x00",  # AMQP 1.0
        b"AMQP\x03\x01\x00\x00",  # AMQP 1.0 with SASL
        b"AMQP\x01\x01\x08\x00",  # 0-8
        b"AMQP\x00\x00\x09\x02",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        bytes(8),
        b"\xff" * 100,
    ],
)
def test_a_wrong_header_is_answered_by_the_right_one(stranger: Peer, header: bytes) -> None:
    stranger >> header << PROTOCOL_HEADER << END
    assert stranger.connection.close_reason == f"bad protocol header {header[:8]!r}"


def test_a_header_is_not_judged_before_it_is_whole(stranger: Peer) -> None:
    stranger >> PROTOCOL_HEADER[:7] << NOTHING >> PROTOCOL_HEADER[7:]
    stranger.hear(m.ConnectionStart)


def test_heartbeats_may_come_during_the_handshake(greeted: Peer) -> None:
    greeted >> HEARTBEAT >> (0, start_ok()) >> HEARTBEAT
    greeted.hear(m.ConnectionTune)


# Login ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mechanism", "response"),
    [
        ("PLAIN", b"\0guest\0guest"),
        ("PLAIN", b"guest\0guest\0guest"),
        ("AMQPLAIN", encode_fields({"LOGIN": "guest", "PASSWORD": "guest"})),
    ],
)
def test_a_right_login_is_answered_by_our_limits(greeted: Peer, mechanism: str, response: bytes) -> None:
    greeted >> (0, m.ConnectionStartOk(mechanism=mechanism, response=response))
    greeted << (0, m.ConnectionTune(channel_max=2047, frame_max=131072, heartbeat=60))


WRONG_LOGINS = {
    "no such user": (start_ok("nobody", "guest"), "user 'nobody': there is no such user"),
    "wrong password": (start_ok("guest", "guess"), "user 'guest': wrong password"),
    "no password": (start_ok("guest", ""), "user 'guest': blank password"),
    "bad response": (
        m.ConnectionStartOk(response=b"guest"),
        "a PLAIN response has three parts, with a NUL between each two",
    ),
}


@pytest.mark.parametrize(("login", "reason"), WRONG_LOGINS.values(), ids=WRONG_LOGINS)
def test_a_wrong_login_is_refused_in_silence(stage: Stage, greeted: Peer, login: Any, reason: str) -> None:
    greeted >> (0, login) >> (0, m.ConnectionTuneOk(2047, 131072, 0)) >> (0, m.ConnectionOpen()) << NOTHING
    stage.wait(2.5)
    greeted << NOTHING
    stage.wait(0.5)
    greeted << END
    assert [fields["reason"] for event, fields in greeted.reports if event == "authentication_failed"] == [reason]


@pytest.mark.parametrize(("login", "reason"), WRONG_LOGINS.values(), ids=WRONG_LOGINS)
def test_a_client_that_can_read_it_is_told_that_its_login_was_refused(greeted: Peer, login: Any, reason: str) -> None:
    capable = m.ConnectionStartOk({"capabilities": {"authentication_failure_close": True}}, "PLAIN", login.response)
    greeted >> (0, capable) << REFUSED >> (0, m.ConnectionCloseOk()) << END
    assert [fields["reason"] for event, fields in greeted.reports if event == "authentication_failed"] == [reason]


@pytest.mark.parametrize(
    "capabilities",
    [
        True,
        "authentication_failure_close",
        {},
        {"authentication_failure_close": False},
        {"authentication_failure_close": 1},
    ],
)
def test_what_does_not_announce_the_capability(greeted: Peer, capabilities: Any) -> None:
    greeted >> (0, m.ConnectionStartOk({"capabilities": capabilities}, response=b"\0guest\0guess")) << NOTHING


@pytest.mark.parametrize("mechanism", ["", "plain", "EXTERNAL", "ANONYMOUS"])
def test_an_unknown_mechanism_is_refused_in_silence(stage: Stage, greeted: Peer, mechanism: str) -> None:
    capable: Table = {"capabilities": {"authentication_failure_close": True}}
    greeted >> (0, m.ConnectionStartOk(capable, mechanism, b"\0guest\0guest")) << NOTHING
    stage.wait(3)
    greeted << END


def test_guest_comes_from_this_machine_only(stage: Stage) -> None:
    peer = stage.stranger(loopback=False) >> PROTOCOL_HEADER
    peer.hear(m.ConnectionStart)
    peer >> (0, start_ok(authentication_failure_close=True)) << REFUSED


def test_another_user_comes_from_anywhere(stage: Stage) -> None:
    stage.broker.users.put(User("someone", PasswordHash.of(b"secret")))
    stage.stranger(loopback=False).log_in("someone", "secret")


# Limits ---------------------------------------------------------------------------------------------------------------


def test_the_limits_proposed_are_the_server_s(stage: Stage) -> None:
    peer = stage.stranger(limits=Limits(channel_max=9, frame_max=5000, heartbeat_s=7)) >> PROTOCOL_HEADER
    peer.hear(m.ConnectionStart)
    peer >> (0, start_ok()) << (0, m.ConnectionTune(channel_max=9, frame_max=5000, heartbeat=7))


@pytest.mark.parametrize("channel_max", [1, 2046, 2047])
@pytest.mark.parametrize("frame_max", [4096, 131071, 131072])
@pytest.mark.parametrize("heartbeat", [0, 1, 60, 65535])
def test_the_client_may_lower_a_limit(user: Peer, channel_max: int, frame_max: int, heartbeat: int) -> None:
    user >> (0, m.ConnectionTuneOk(channel_max, frame_max, heartbeat)) >> (0, m.ConnectionOpen())
    user << (0, m.ConnectionOpenOk())


@pytest.mark.parametrize(
    ("channel_max", "frame_max", "text"),
    [
        (2047, 4095, "frame_max = 4095 is lower than the minimum allowed value (4096)"),
        (2047, 1, "frame_max = 1 is lower than the minimum allowed value (4096)"),
        (2047, 131073, "frame_max = 131073 is higher than the maximum allowed value (131072)"),
        (2047, 0, "frame_max = 0 (no limit) is higher than the maximum allowed value (131072)"),
        (2048, 131072, "channel_max = 2048 is higher than the maximum allowed value (2047)"),
        (0, 131072, "channel_max = 0 (no limit) is higher than the maximum allowed value (2047)"),
    ],
)
def test_the_client_may_not_raise_a_limit(user: Peer, channel_max: int, frame_max: int, text: str) -> None:
    user >> (0, m.ConnectionTuneOk(channel_max, frame_max, 60))
    user.frame_max = 4096  # nothing was agreed
    user << connection_close(530, f"NOT_ALLOWED - negotiated {text}", m.ConnectionTuneOk)


def test_without_a_limit_of_ours_the_client_may_have_any_number_of_channels(stage: Stage) -> None:
    peer = stage.stranger(limits=Limits(channel_max=0))
    peer.log_in()
    peer >> (0, m.ConnectionTuneOk(0, 131072, 0)) >> (0, m.ConnectionOpen()) << (0, m.ConnectionOpenOk())
    for number in (1, 2, 65535):
        peer >> (number, m.ChannelOpen()) << (number, m.ChannelOpenOk())


# Virtual host ---------------------------------------------------------------------------------------------------------


def opened(peer: Peer, vhost: str = "/") -> Peer:
    return peer >> (0, m.ConnectionTuneOk(2047, 131072, 0)) >> (0, m.ConnectionOpen(vhost))


def refusal(text: str) -> Item:
    return connection_close(530, f"NOT_ALLOWED - {text}", m.ConnectionOpen)


@pytest.mark.parametrize("vhost", ["nope", "", "//"])
def test_an_unknown_virtual_host(user: Peer, vhost: str) -> None:
    opened(user, vhost) << refusal(f"vhost {vhost} not found") >> (0, m.ConnectionCloseOk()) << END


def test_a_virtual_host_that_is_not_for_this_user(stage: Stage) -> None:
    stage.broker.users.put(User("someone", PasswordHash.of(b"secret")))
    peer = stage.stranger()
    peer.log_in("someone", "secret")
    opened(peer) << refusal("access to vhost '/' refused for user 'someone'")


def test_more_connections_than_there_may_be(stage: Stage) -> None:
    stage.broker.connection_max = 1
    first, second, third = (stage.stranger() for _ in range(3))
    for peer in (first, second, third):
        peer.log_in()
    opened(first) << (0, m.ConnectionOpenOk())
    opened(second) << refusal("connection refused: node connection limit (1) is reached")
    first >> (0, m.ConnectionClose()) << (0, m.ConnectionCloseOk()) << END
    opened(third) << (0, m.ConnectionOpenOk())


def test_the_operator_is_told_who_has_come(greeted: Peer) -> None:
    properties: Table = {"product": "a client", "version": "1.2", "connection_name": "worker 7", "platform": "any"}
    greeted >> (0, m.ConnectionStartOk(properties, response=b"\0guest\0guest"))
    greeted.hear(m.ConnectionTune)
    opened(greeted) << (0, m.ConnectionOpenOk())
    assert greeted.reports == [
        (
            "connection_opened",
            {
                "user": "guest",
                "vhost": "/",
                "mechanism": "PLAIN",
                "product": "a client",
                "product_version": "1.2",
                "connection_name": "worker 7",
            },
        )
    ]


def test_what_a_client_says_of_itself_is_cut_and_no_more_than_text(greeted: Peer) -> None:
    properties: Table = {"product": "x" * 1000, "version": 12, "connection_name": {"a": "table"}}
    greeted >> (0, m.ConnectionStartOk(properties, response=b"\0guest\0guest"))
    greeted.hear(m.ConnectionTune)
    assert greeted.connection.describe() == {"user": "guest", "product": "x" * 255}


# Time -----------------------------------------------------------------------------------------------------------------


def silent(stage: Stage) -> Peer:
    return stage.stranger()


def with_half_a_header(stage: Stage) -> Peer:
    return stage.stranger() >> b"AMQP"


def not_logged_in(stage: Stage) -> Peer:
    peer = stage.stranger() >> PROTOCOL_HEADER
    peer.hear(m.ConnectionStart)
    return peer


def not_tuned(stage: Stage) -> Peer:
    peer = stage.stranger()
    peer.log_in()
    return peer


def not_opened(stage: Stage) -> Peer:
    return not_tuned(stage) >> (0, m.ConnectionTuneOk(2047, 131072, 1))


@pytest.mark.parametrize("come", [silent, with_half_a_header, not_logged_in, not_tuned, not_opened])
def test_a_connection_is_open_after_ten_seconds_or_never(stage: Stage, come: Any) -> None:
    peer = come(stage)
    stage.wait(5)
    peer >> b""
    stage.wait(4.5)
    peer << NOTHING
    stage.wait(0.5)
    peer << END
    assert peer.connection.close_reason == "timeout: no handshake"


def test_an_open_connection_has_no_deadline(stage: Stage) -> None:
    peer = stage.connect()
    stage.wait(1000)
    peer << NOTHING
