"""Policies as users see them: they hold at once, for what is there and for what comes, and after a restart."""

import pytest

from amqpd.auth.permissions import FULL_ACCESS
from amqpd.auth.users import User
from amqpd.broker.broker import Broker
from amqpd.broker.session import Session
from amqpd.errors import AccessRefused, NotFound, PreconditionFailed
from tests.broker.support import Disk, HandClock, Peer, refused


def test_a_policy_holds_for_a_queue_that_is_there(peer: Peer) -> None:
    peer.declare("q")
    peer.declare("other")
    for queue in ("q", "other"):
        peer.send(queue, "1", "2", "3")
    peer.session.set_policy("p", "^q$", {"max-length": 2})
    peer.send("q", "4")
    assert peer.empty("q") == ["3", "4"]
    assert peer.empty("other") == ["1", "2", "3"]


def test_a_policy_that_is_set_makes_a_queue_as_short_as_it_says(peer: Peer) -> None:
    peer.declare("q")
    peer.send("q", "1", "2", "3")
    peer.session.set_policy("p", "^q$", {"max-length": 1})
    assert peer.empty("q") == ["3"]


def test_a_policy_holds_for_a_queue_that_comes(peer: Peer) -> None:
    peer.session.set_policy("p", "^q", {"max-length": 1})
    peer.declare("q")
    peer.send("q", "1", "2")
    assert peer.empty("q") == ["2"]


def test_a_policy_ends_when_it_is_cleared_or_changed(peer: Peer) -> None:
    peer.declare("q")
    peer.session.set_policy("p", "^q", {"max-length": 1})
    peer.session.set_policy("p", "^q", {"max-length": 2})
    peer.send("q", "1", "2", "3")
    assert peer.empty("q") == ["2", "3"]
    peer.session.clear_policy("p")
    peer.send("q", "1", "2", "3")
    assert peer.empty("q") == ["1", "2", "3"]
    with refused(NotFound, "no policy 'p'"):
        peer.session.clear_policy("p")


def test_an_argument_and_an_operator_policy_have_a_say_too(peer: Peer) -> None:
    peer.declare("q", x_max_length=3)
    peer.session.set_policy("p", "^q", {"max-length": 10})
    peer.send("q", "1", "2", "3", "4")
    assert peer.empty("q") == ["2", "3", "4"]
    peer.session.set_policy("p", "^q", {"max-length": 1}, operator=True)
    peer.send("q", "1", "2")
    assert peer.empty("q") == ["2"]
    peer.session.clear_policy("p", operator=True)
    peer.send("q", "1", "2")
    assert peer.empty("q") == ["1", "2"]


def test_a_policy_gives_an_exchange_an_alternate(peer: Peer) -> None:
    peer.session.declare_exchange("x")
    peer.declare("unrouted")
    peer.session.bind("unrouted", "amq.fanout")
    peer.session.publish("x", "nowhere", b"lost")
    peer.session.set_policy("p", "^x$", {"alternate-exchange": "amq.fanout"}, "exchanges")
    peer.session.publish("x", "nowhere", b"found")
    peer.session.clear_policy("p")
    peer.session.publish("x", "nowhere", b"lost")
    assert peer.empty("unrouted") == ["found"]


def test_a_policy_lets_messages_expire_that_come_from_then_on() -> None:
    clock = HandClock()
    broker = Broker(clock=clock)
    peer = Peer(broker.connect())
    peer.declare("q")
    peer.send("q", "before")
    peer.session.set_policy("p", "^q", {"message-ttl": 100})
    peer.send("q", "after")
    peer.get("q")
    clock.ms += 100
    broker.timers.run()
    assert peer.empty("q") == []


def test_policies_are_there_again() -> None:
    disk = Disk()
    peer = Peer(Broker(disk).connect())
    peer.declare("q", durable=True)
    peer.session.set_policy("p", "^q", {"max-length": 2}, "queues", 3)
    peer.session.set_policy("p", "^q", {"max-length": 1}, "queues", 3)
    peer.session.set_policy("o", ".*", {"expires": 1000}, operator=True)
    peer.session.set_policy("gone", ".*", {"expires": 1000})
    peer.session.clear_policy("gone")
    later = Peer(Broker(Disk.after(disk)).connect())
    assert later.session.policies() == peer.session.policies()
    later.send("q", "1", "2")
    assert later.empty("q") == ["2"]


def test_what_is_no_policy_changes_nothing() -> None:
    disk = Disk()
    peer = Peer(Broker(disk).connect())
    with refused(PreconditionFailed, "-2 is not a valid maximum length"):
        peer.session.set_policy("p", "^q", {"max-length": -2})
    assert peer.session.policies() == []
    assert disk.kept == []


@pytest.mark.parametrize("tags", [set(), {"monitoring", "management"}])
def test_policies_are_not_for_everybody(broker: Broker, tags: set[str]) -> None:
    session = user(broker, tags)
    for call in (
        session.policies,
        lambda: session.set_policy("p", ".*", {"max-length": 1}),
        lambda: session.clear_policy("p"),
    ):
        with refused(AccessRefused, "access to policies in vhost '/' refused for user 'alice'"):
            call()


def test_a_policymaker_makes_no_operator_policies(broker: Broker) -> None:
    session = user(broker, {"policymaker"})
    session.set_policy("p", ".*", {"max-length": 1})
    assert [policy.name for policy in session.policies()] == ["p"]
    session.clear_policy("p")
    for call in (
        lambda: session.set_policy("p", ".*", {"max-length": 1}, operator=True),
        lambda: session.clear_policy("p", operator=True),
    ):
        with refused(AccessRefused, "access to policies in vhost '/' refused for user 'alice'"):
            call()


def user(broker: Broker, tags: set[str]) -> Session:
    """A session of Alice, who has these tags."""
    broker.users.put(User("alice", None, frozenset(tags)))
    broker.permissions.put("/", "alice", FULL_ACCESS)
    return Peer(broker.connect("alice")).session
