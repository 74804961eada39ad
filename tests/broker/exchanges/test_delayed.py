"""The delayed message exchange: seen by applications, and over a restart."""

from collections.abc import Callable
from decimal import Decimal
from unittest.mock import patch

import pytest

from amqpd.broker.exchanges import delayed
from amqpd.broker.exchanges.delayed import DelayedExchange, Delays, delay_of
from amqpd.broker.exchanges.exchange import Exchange
from amqpd.broker.exchanges.types import make_exchange
from amqpd.broker.message import Message, make_message
from amqpd.broker.records import ExchangeRecord
from amqpd.broker.store import Kept
from amqpd.errors import PreconditionFailed
from amqpd.wire.numbers import Long, Short, Timestamp
from amqpd.wire.properties import Properties
from amqpd.wire.tables import FieldValue, Table
from tests.broker.support import BareHost, Disk, DiskLog, Peer, refused

Tick = Callable[[int], None]


def declare(peer: Peer, kind: str = "direct", **arguments: FieldValue) -> Delays:
    """An exchange "x" that delays, and what it holds."""
    named = {name.replace("_", "-"): value for name, value in arguments.items()}
    peer.session.declare_exchange("x", "x-delayed-message", arguments={"x-delayed-type": kind, **named})
    return delays_of(peer)


def delays_of(peer: Peer) -> Delays:
    exchange = peer.session.vhost.exchange("x")
    assert isinstance(exchange, DelayedExchange)
    return exchange.delays


def publish(peer: Peer, body: str, delay: FieldValue, routing_key: str = "q", **headers: FieldValue) -> None:
    properties = Properties(headers={"x-delay": delay, **headers}, message_id="kept as it is")
    peer.session.publish("x", routing_key, body.encode(), properties, mandatory=True)


@pytest.fixture
def bound(peer: Peer) -> Peer:
    """A peer with a delayed direct exchange "x", to which the queue "q" is bound."""
    declare(peer)
    peer.session.declare_queue("q")
    peer.session.bind("q", "x", "q")
    return peer


def test_messages_come_when_they_are_due_and_those_of_one_moment_as_they_were_published(
    bound: Peer, tick: Tick
) -> None:
    for body, delay in (("late", 300), ("a", 100), ("b", 100), ("c", 200)):
        publish(bound, body, delay)
    publish(bound, "now", 0)
    assert bound.empty("q") == ["now"]
    tick(99)
    assert bound.empty("q") == []
    tick(1)
    assert bound.empty("q") == ["a", "b"]
    publish(bound, "d", 50)
    tick(1000)
    assert bound.empty("q") == ["d", "c", "late"]
    assert bound.returns == []


def test_who_gets_it_sees_the_delay_negated_and_all_else_as_it_was(bound: Peer, tick: Tick) -> None:
    publish(bound, "m", Long(100), other="header")
    tick(100)
    got = bound.session.get("q")
    assert got is not None
    _, redelivered, message, _ = got
    assert not redelivered
    assert (message.exchange, message.routing_key, message.body) == ("x", "q", b"m")
    assert message.headers == {"x-delay": -100, "other": "header"}
    assert message.properties.message_id == "kept as it is"


@pytest.mark.parametrize(
    ("delay", "held_ms"),
    [
        (100, 100),
        (Short(100), 100),
        (100.9, 100),
        ("100", 100),
        (Long(315_360_000_000), 315_360_000_000),
        (0, 0),
        (-100, 0),
        (Long(315_360_000_001), 0),
        (0.9, 0),
        (float("inf"), 0),
        (float("nan"), 0),
        ("-100", 0),
        ("1e3", 0),
        ("٣", 0),
        ("9" * 5000, 0),
        ("soon", 0),
        (b"100", 0),
        (True, 0),
        (Timestamp(100), 0),
        (Decimal(100), 0),
        ([100], 0),
        (None, 0),
    ],
)
def test_a_delay_is_a_number_of_milliseconds(delay: FieldValue, held_ms: int) -> None:
    assert delay_of(make_message("x", "", b"", Properties(headers={"x-delay": delay}))) == held_ms


def test_a_message_without_the_header_is_not_held(bound: Peer) -> None:
    bound.session.publish("x", "q", b"1")
    bound.session.publish("x", "q", b"2", Properties(headers={"note": "x-delay"}))
    assert bound.empty("q") == ["1", "2"]


def test_it_routes_as_the_type_that_it_was_given(peer: Peer, tick: Tick) -> None:
    declare(peer, "topic")
    peer.session.declare_queue("q")
    peer.session.bind("q", "x", "a.*")
    for routing_key in ("a.b", "b.a"):
        publish(peer, routing_key, 100, routing_key)
        publish(peer, f"{routing_key} now", 0, routing_key)
    assert peer.empty("q") == ["a.b now"]
    tick(100)
    assert peer.empty("q") == ["a.b"]
    peer.session.unbind("q", "x", "a.*")
    publish(peer, "lost", 100, "a.b")
    tick(100)
    assert peer.empty("q") == []


def test_a_binding_is_checked_as_that_type_does_it(peer: Peer) -> None:
    declare(peer, "x-consistent-hash")
    peer.session.declare_queue("q")
    with refused(PreconditionFailed, 'The binding key must be an integer: <<"a">>'):
        peer.session.bind("q", "x", "a")


def test_bindings_of_the_moment_when_it_is_due_count(bound: Peer, tick: Tick) -> None:
    publish(bound, "m", 100, "later")
    bound.session.declare_queue("later")
    bound.session.bind("later", "x", "later")
    tick(100)
    assert bound.empty("later") == ["m"]


def test_what_it_cannot_route_then_goes_to_the_alternate_exchange(peer: Peer, tick: Tick) -> None:
    declare(peer, alternate_exchange="amq.fanout")
    peer.session.declare_queue("spare")
    peer.session.bind("spare", "amq.fanout")
    publish(peer, "m", 100)
    assert peer.empty("spare") == []
    tick(100)
    assert peer.empty("spare") == ["m"]


def test_copies_go_out_when_the_message_does(bound: Peer, tick: Tick) -> None:
    bound.session.declare_queue("copy")
    bound.session.bind("copy", "x", "copy")
    publish(bound, "m", 100, CC=["copy"])
    assert len(delays_of(bound)) == 1
    tick(100)
    assert (bound.empty("q"), bound.empty("copy")) == (["m"], ["m"])


def test_a_duplicate_is_found_when_it_is_published_and_not_looked_for_again(peer: Peer, tick: Tick) -> None:
    declare(peer, "fanout", x_message_deduplication=True)
    peer.session.declare_queue("q")
    peer.session.bind("q", "x")
    for body in ("1", "2"):
        publish(peer, body, 100, **{"x-deduplication-header": "one"})
    tick(100)
    assert peer.empty("q") == ["1"]


def test_one_delayed_exchange_after_another_holds_it_once(bound: Peer, tick: Tick) -> None:
    bound.session.declare_exchange("y", "x-delayed-message", arguments={"x-delayed-type": "fanout"})
    bound.session.bind("y", "x", "q", destination_kind="exchange")
    bound.session.declare_queue("behind")
    bound.session.bind("behind", "y")
    publish(bound, "m", 100)
    tick(100)
    assert (bound.empty("q"), bound.empty("behind")) == (["m"], ["m"])


def test_an_overdue_crowd_comes_in_portions(bound: Peer, tick: Tick) -> None:
    with patch.object(delayed, "FIRED_AT_ONCE", 2):
        for body in "abcde":
            publish(bound, body, 100)
        tick(100)
        assert bound.empty("q") == ["a", "b"]
        tick(0)
        assert bound.empty("q") == ["c", "d"]
        tick(0)
        assert bound.empty("q") == ["e"]


def test_what_is_held_can_be_counted_listed_and_cancelled(bound: Peer, clock: Callable[[], int], tick: Tick) -> None:
    delays = delays_of(bound)
    for body, delay in (("three", 300), ("one", 100), ("two", 200), ("also one", 100)):
        publish(bound, body, delay)
    assert (len(delays), delays.octets) == (4, 19)
    pending = delays.pending(limit=3)
    assert [(held.message.body, held.due - clock()) for held in pending] == [
        (b"one", 100),
        (b"also one", 100),
        (b"two", 200),
    ]
    assert [held.message.body for held in delays.pending(limit=3, offset=2)] == [b"two", b"three"]

    assert delays.cancel(pending[0].position)
    assert not delays.cancel(pending[0].position)
    assert (len(delays), delays.octets) == (3, 16)
    tick(300)
    assert bound.empty("q") == ["also one", "two", "three"]
    assert (len(delays), delays.octets) == (0, 0)
    assert not delays.cancel(pending[1].position)


def test_a_deleted_exchange_holds_nothing(bound: Peer, tick: Tick) -> None:
    publish(bound, "m", 100)
    delays = delays_of(bound)
    bound.session.delete_exchange("x")
    assert (len(delays), delays.octets, delays.exists) == (0, 0, False)
    tick(100)
    assert bound.empty("q") == []


# Over a restart


class Post(BareHost):
    """A host that notes what is routed on, and when."""

    def __init__(self, log: DiskLog) -> None:
        super().__init__(log)
        self.forwarded: list[tuple[int, str]] = []

    def forward(self, exchange: Exchange, message: Message) -> None:
        self.forwarded.append((self.clock.ms, message.body.decode()))

    def exchange(self, durable: bool = True) -> DelayedExchange:
        arguments: Table = {"x-delayed-type": "fanout"}
        exchange = make_exchange(ExchangeRecord("/", "x", "x-delayed-message", durable, arguments=arguments), self)
        assert isinstance(exchange, DelayedExchange)
        return exchange

    def tick(self, ms: int) -> None:
        self.clock.ms += ms
        self.timers.run()


def hold(delays: Delays, body: str, delay: int, persistent: bool = True) -> None:
    properties = Properties(headers={"x-delay": delay}, delivery_mode=1 + persistent)
    assert delays.enqueue((make_message("x", "key", body.encode(), properties),), len(body)) == 0


def test_persistent_messages_are_held_over_a_restart_and_keep_their_moments() -> None:
    log = DiskLog(Disk(), "x")
    before = Post(log)
    delays = before.exchange().delays
    for body, delay, persistent in (
        ("e", 500, True),
        ("a", 100, True),
        ("gone", 300, False),
        ("d", 400, True),
        ("b", 200, True),
        ("c", 300, True),
        ("cancelled", 300, True),
    ):
        hold(delays, body, delay, persistent)
    start = before.clock.ms
    before.tick(150)
    assert before.forwarded == [(start + 150, "a")]
    delays.cancel(7)
    assert log.kept_bodies == {1: "e", 4: "d", 5: "b", 6: "c"}

    after = Post(log)
    after.clock.ms = start + 250
    log.kept = Kept(count=4, octets=4, next=8)
    delays = after.exchange().delays
    assert (len(delays), delays.octets) == (4, 4)
    hold(delays, "new", 150)
    assert [held.position for held in delays.pending(10)] == [5, 6, 4, 8, 1]
    for _ in range(4):
        after.tick(50)
    after.tick(50)
    assert after.forwarded == [
        (start + 300, "b"),  # it was overdue, and came up when the timers were first looked at
        (start + 300, "c"),
        (start + 400, "d"),
        (start + 400, "new"),
        (start + 500, "e"),
    ]
    assert log.kept_bodies == {}


def test_the_log_of_a_deleted_exchange_goes() -> None:
    disk = Disk()
    log = disk.logs["x"] = DiskLog(disk, "x")
    exchange = Post(log).exchange()
    hold(exchange.delays, "m", 100)
    exchange.dissolve()
    assert disk.logs == {}


def test_an_exchange_that_does_not_survive_has_no_log() -> None:
    log = DiskLog(Disk(), "x")
    hold(Post(log).exchange(durable=False).delays, "m", 100)
    assert log.kept_bodies == {}


# Through a session ----------------------------------------------------------------------------------------------------


def test_a_session_counts_lists_and_cancels(peer: Peer, tick: Callable[[int], None]) -> None:
    peer.session.declare_exchange("later", "x-delayed-message", arguments={"x-delayed-type": "fanout"})
    peer.declare("q")
    peer.session.bind("q", "later")
    for body, delay in ((b"last", 300), (b"first", 100), (b"second", 200)):
        peer.session.publish("later", "", body, Properties(headers={"x-delay": delay}))
    assert peer.session.count_delayed("later") == (3, 15)
    first, second, last = peer.session.list_delayed("later")
    assert [held.message.body for held in (first, second, last)] == [b"first", b"second", b"last"]
    assert peer.session.cancel_delayed("later", second.position)
    assert not peer.session.cancel_delayed("later", second.position)
    tick(300)
    assert peer.empty("q") == ["first", "last"]
    assert peer.session.count_delayed("later") == (0, 0)


def test_another_exchange_holds_nothing(peer: Peer) -> None:
    with refused(PreconditionFailed, "exchange 'amq.direct' in vhost '/' is not of type 'x-delayed-message'"):
        peer.session.count_delayed("amq.direct")
