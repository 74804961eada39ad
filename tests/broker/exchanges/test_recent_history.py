"""The exchange that remembers, seen by applications."""

import pytest

from amqpd.wire.properties import Properties
from amqpd.wire.tables import Table
from tests.broker.support import Peer


@pytest.fixture
def session_with_history(peer: Peer) -> Peer:
    """A peer that finds an exchange "x" which remembers three messages, and an empty queue "q"."""
    peer.session.declare_exchange("x", "x-recent-history", arguments={"x-recent-history-length": 3})
    peer.session.declare_queue("q")
    return peer


def publish(peer: Peer, *bodies: str, headers: Table | None = None) -> None:
    for body in bodies:
        peer.session.publish("x", "key", body.encode(), Properties(headers=headers))


def test_who_is_bound_gets_the_last_messages_oldest_first_and_then_the_new_ones(session_with_history: Peer) -> None:
    peer = session_with_history
    publish(peer, "1", "2", "3", "4")
    peer.session.bind("q", "x")
    publish(peer, "5")
    assert peer.empty("q") == ["2", "3", "4", "5"]


def test_a_binding_that_is_there_already_brings_nothing_and_another_one_all_again(session_with_history: Peer) -> None:
    peer = session_with_history
    publish(peer, "1")
    peer.session.bind("q", "x", "a")
    peer.session.bind("q", "x", "a")
    assert peer.empty("q") == ["1"]
    peer.session.bind("q", "x", "b")
    assert peer.empty("q") == ["1"]
    publish(peer, "2")
    assert peer.empty("q") == ["2"]


def test_a_message_may_ask_not_to_be_remembered(session_with_history: Peer) -> None:
    peer = session_with_history
    peer.session.declare_queue("bound")
    peer.session.bind("bound", "x")
    publish(peer, "secret", headers={"x-recent-history-no-store": True})
    publish(peer, "open", headers={"x-recent-history-no-store": "true"})
    peer.session.bind("q", "x")
    assert (peer.empty("bound"), peer.empty("q")) == (["secret", "open"], ["open"])


def test_twenty_are_remembered_if_nothing_is_said(peer: Peer) -> None:
    peer.session.declare_exchange("x", "x-recent-history")
    peer.session.declare_queue("q")
    publish(peer, *(str(number) for number in range(25)))
    peer.session.bind("q", "x")
    assert peer.empty("q") == [str(number) for number in range(5, 25)]


def test_a_consumer_sees_them_as_they_were_published(session_with_history: Peer) -> None:
    peer = session_with_history
    publish(peer, "1")
    peer.session.consume("q", "c", no_ack=True)
    peer.session.bind("q", "x", "another key")
    [(_, _, redelivered, message)] = peer.deliveries
    assert (message.exchange, message.routing_key, redelivered) == ("x", "key", False)


def test_an_exchange_that_is_bound_hands_them_on(session_with_history: Peer) -> None:
    peer = session_with_history
    peer.session.bind("q", "amq.direct", "key")
    publish(peer, "1", "2")
    peer.session.bind("amq.direct", "x", destination_kind="exchange")
    assert peer.empty("q") == ["1", "2"]
    peer.session.bind("amq.topic", "x", destination_kind="exchange")  # where they lead nowhere


def test_what_reaches_nobody_is_remembered_too_and_mandatory_or_not_it_is_unroutable(
    session_with_history: Peer,
) -> None:
    peer = session_with_history
    peer.session.publish("x", "", b"1", mandatory=True)
    assert [message.body for message, _, _ in peer.returns] == [b"1"]
    peer.session.bind("q", "x")
    assert peer.empty("q") == ["1"]


def test_one_that_is_bound_to_itself(peer: Peer) -> None:
    peer.session.declare_exchange("x", "x-recent-history")
    peer.session.publish("x", "", b"a")
    peer.session.bind("x", "x", destination_kind="exchange")
    peer.declare("q")
    peer.session.bind("q", "x")
    assert set(peer.empty("q")) == {"a"}
