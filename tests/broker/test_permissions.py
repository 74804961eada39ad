"""Which permission each call of a session asks for, and how a refusal reads."""

from collections.abc import Callable

import pytest

from amqpd.auth.permissions import Operation, Permission
from amqpd.broker.broker import Broker
from amqpd.broker.message import join_address
from amqpd.broker.session import Session
from amqpd.errors import AccessRefused
from tests.broker.support import Peer, refused

Call = Callable[[Session], object]

# Call, and what RabbitMQ asks for: operation, kind and name, in this order.
MATRIX: list[tuple[str, Call, list[tuple[Operation, str, str]]]] = [
    ("declare queue", lambda s: s.declare_queue("new"), [("configure", "queue", "new")]),
    ("declare queue again", lambda s: s.declare_queue("q"), [("configure", "queue", "q")]),
    ("declare queue without name", lambda s: s.declare_queue(), [("configure", "queue", "amq.gen-token")]),
    (
        "declare queue with dead letters",
        lambda s: s.declare_queue("new", arguments={"x-dead-letter-exchange": "x"}),
        [("configure", "queue", "new"), ("read", "queue", "new"), ("write", "exchange", "x")],
    ),
    ("check queue", lambda s: s.check_queue("q"), []),
    ("delete queue", lambda s: s.delete_queue("q"), [("configure", "queue", "q")]),
    ("purge queue", lambda s: s.purge_queue("q"), [("read", "queue", "q")]),
    ("get", lambda s: s.get("q"), [("read", "queue", "q")]),
    ("consume", lambda s: s.consume("q"), [("read", "queue", "q")]),
    ("consume replies", lambda s: s.consume("amq.rabbitmq.reply-to", no_ack=True), []),
    ("declare exchange", lambda s: s.declare_exchange("new"), [("configure", "exchange", "new")]),
    (
        "declare exchange with alternate",
        lambda s: s.declare_exchange("new", arguments={"alternate-exchange": "x"}),
        [("configure", "exchange", "new"), ("read", "exchange", "new"), ("write", "exchange", "x")],
    ),
    ("check exchange", lambda s: s.check_exchange("x"), []),
    ("delete exchange", lambda s: s.delete_exchange("x"), [("configure", "exchange", "x")]),
    ("bind queue", lambda s: s.bind("q", "x"), [("write", "queue", "q"), ("read", "exchange", "x")]),
    ("unbind queue", lambda s: s.unbind("q", "x"), [("write", "queue", "q"), ("read", "exchange", "x")]),
    (
        "bind exchange",
        lambda s: s.bind("y", "x", destination_kind="exchange"),
        [("write", "exchange", "y"), ("read", "exchange", "x")],
    ),
    (
        "unbind exchange",
        lambda s: s.unbind("y", "x", destination_kind="exchange"),
        [("write", "exchange", "y"), ("read", "exchange", "x")],
    ),
    ("publish", lambda s: s.publish("x", "key", b""), [("write", "exchange", "x")]),
    ("publish to default", lambda s: s.publish("", "q", b""), [("write", "exchange", "amq.default")]),
    ("route", lambda s: s.route(join_address("x", "key")), [("write", "exchange", "x")]),
]


class Allowance(Permission):
    """Grants exactly what it is told to, and notes what was asked."""

    def __init__(self, granted: set[tuple[Operation, str]]) -> None:
        super().__init__("", "", "")
        self.granted = granted
        self.asked: list[tuple[Operation, str]] = []

    def allows(self, operation: Operation, name: str) -> bool:
        self.asked.append((operation, name))
        return (operation, name) in self.granted


def session_of(permission: Permission) -> Session:
    """A session of user alice, where there are a queue q and exchanges x and y."""
    broker = Broker(make_token=lambda: "token")
    owner = Peer(broker.connect()).session
    owner.declare_queue("q")
    owner.declare_exchange("x", "fanout")
    owner.declare_exchange("y", "fanout")
    broker.permissions.put("/", "alice", permission)
    return Peer(broker.connect("alice")).session


def topology(session: Session) -> tuple[list[str], list[str], int]:
    vhost = session.vhost
    return list(vhost.queues), list(vhost.exchanges), len(vhost.exchange("x").bindings)


@pytest.mark.parametrize(("call", "asked"), [row[1:] for row in MATRIX], ids=[row[0] for row in MATRIX])
def test_a_call_asks_for_what_rabbitmq_asks_for(call: Call, asked: list[tuple[Operation, str, str]]) -> None:
    needed = [(operation, name) for operation, _, name in asked]
    permission = Allowance(set(needed))
    call(session_of(permission))
    assert permission.asked == needed


@pytest.mark.parametrize(("call", "asked"), [row[1:] for row in MATRIX], ids=[row[0] for row in MATRIX])
def test_a_call_fails_when_one_permission_is_missing(call: Call, asked: list[tuple[Operation, str, str]]) -> None:
    for missing in asked:
        operation, kind, name = missing
        permission = Allowance({(other, of) for other, _, of in asked} - {(operation, name)})
        session = session_of(permission)
        before = topology(session)
        with refused(AccessRefused, f"access to {kind} '{name}' in vhost '/' refused for user 'alice'"):
            call(session)
        assert topology(session) == before
        assert not session.consumers


def test_permissions_are_expressions_over_names() -> None:
    session = session_of(Permission(configure="^mine-", write="", read=".*"))
    session.declare_queue("mine-1")
    for name in ("yours", "not-mine-1"):
        with refused(AccessRefused, f"access to queue '{name}' in vhost '/' refused for user 'alice'"):
            session.declare_queue(name)
    with refused(AccessRefused, "access to exchange 'amq.default' in vhost '/' refused for user 'alice'"):
        session.publish("", "mine-1", b"")
    assert session.get("mine-1") is None
