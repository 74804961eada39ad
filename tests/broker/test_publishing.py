"""A session's publishes: returns, confirms, and direct replies."""

import pytest

from amqpd.broker.message import join_address
from amqpd.broker.topology.vhost import REPLY_TO
from amqpd.errors import NotFound, PreconditionFailed
from amqpd.wire.properties import Properties
from tests.broker.support import Peer, message, refused


def returns(peer: Peer) -> list[tuple[str, int, str]]:
    return [(message.body.decode(), code, text) for message, code, text in peer.returns]


def test_a_mandatory_message_that_reaches_no_queue_comes_back(peer: Peer) -> None:
    peer.session.declare_queue("q")
    peer.session.publish("", "q", b"routed", mandatory=True)
    peer.session.publish("amq.direct", "nowhere", b"lost", mandatory=True)
    peer.session.publish("amq.direct", "nowhere", b"forgotten")
    assert returns(peer) == [("lost", 312, "NO_ROUTE")]
    assert (peer.returns[0][0].exchange, peer.returns[0][0].routing_key) == ("amq.direct", "nowhere")
    assert peer.empty("q") == ["routed"]


def test_each_message_of_a_run_comes_back(peer: Peer) -> None:
    route = peer.session.route(join_address("", "nowhere"))
    peer.session.publish_run(route, [message("1"), message("2")], 2, mandatory=True)
    assert returns(peer) == [("1", 312, "NO_ROUTE"), ("2", 312, "NO_ROUTE")]


def test_a_run_goes_to_every_queue_in_order(peer: Peer) -> None:
    for queue in ("a", "b"):
        peer.session.declare_queue(queue)
        peer.session.bind(queue, "amq.fanout")
    peer.session.select_confirms()
    route = peer.session.route(join_address("amq.fanout", ""))
    peer.session.publish_run(route, [message("1"), message("22"), message("3")], 4)
    assert peer.session.vhost.queues["a"].ready_bytes == 4
    assert peer.empty("a") == peer.empty("b") == ["1", "22", "3"]
    assert peer.confirms == [(3, True)]


def test_properties_pass_octet_for_octet(peer: Peer) -> None:
    peer.session.declare_queue("q")
    properties = Properties(headers={}, priority=0, message_id="", timestamp=0)
    peer.session.publish("", "q", b"", properties)
    got = peer.session.get("q")
    assert got is not None
    assert got[2].properties == properties


def test_nothing_is_confirmed_before_confirms_are_selected(peer: Peer) -> None:
    peer.session.declare_queue("q")
    peer.send("q", "1")
    peer.session.select_confirms()
    assert peer.confirms == []
    peer.send("q", "2")
    assert peer.confirms == [(1, False)]  # they count from then on
    peer.session.select_confirms()  # again: changes nothing
    peer.send("q", "3")
    assert peer.confirms == [(1, False), (2, False)]


def test_what_reaches_no_queue_is_confirmed_and_returned_before_that(peer: Peer) -> None:
    heard: list[str] = []
    peer.returned = lambda message, code, text: heard.append(f"returned {message.body.decode()}")  # type: ignore[method-assign]
    peer.confirmed = lambda sequence, multiple: heard.append(f"confirmed {sequence}")  # type: ignore[method-assign]
    peer.session.select_confirms()
    peer.session.publish("", "nowhere", b"1", mandatory=True)
    peer.session.publish("", "nowhere", b"2")
    assert heard == ["returned 1", "confirmed 1", "confirmed 2"]


def test_a_publish_to_no_exchange_is_not_numbered(peer: Peer) -> None:
    peer.session.select_confirms()
    with refused(NotFound, "no exchange 'x' in vhost '/'"):
        peer.session.publish("x", "", b"m")
    peer.session.publish("", "nowhere", b"m")
    assert peer.confirms == [(1, False)]


def test_a_session_has_confirms_or_transactions(peer: Peer, other: Peer) -> None:
    peer.session.select_confirms()
    with refused(PreconditionFailed, "cannot switch from confirm to tx mode"):
        peer.session.select_transaction()
    other.session.select_transaction()
    with refused(PreconditionFailed, "cannot switch from tx to confirm mode"):
        other.session.select_confirms()


def test_in_a_batch_deliveries_and_confirms_come_at_its_end(peer: Peer) -> None:
    agenda = peer.session.vhost.agenda
    peer.session.declare_queue("q")
    peer.session.consume("q")
    peer.session.select_confirms()
    agenda.hold()
    peer.send("q", "1", "2")
    assert (peer.deliveries, peer.confirms) == ([], [])
    agenda.release()
    assert (peer.took(), peer.confirms) == (["1", "2"], [(2, True)])


def test_a_session_that_ends_in_a_batch_hears_nothing_of_its_publishes(peer: Peer) -> None:
    agenda = peer.session.vhost.agenda
    peer.session.select_confirms()
    peer.session.declare_queue("q")
    peer.session.consume("q")
    agenda.hold()
    peer.send("q", "1")
    peer.leave()
    agenda.release()
    assert (peer.deliveries, peer.confirms) == ([], [])
    assert peer.session.vhost.queues["q"].ready == 1


# Direct reply-to


ASKS = Properties(reply_to=REPLY_TO, correlation_id="1")


def reply_address(server: Peer) -> str:
    got = server.session.get("requests", no_ack=True)
    assert got is not None
    return got[2].properties.reply_to or ""


def test_a_reply_finds_the_session_that_asked(peer: Peer, other: Peer) -> None:
    other.session.declare_queue("requests")
    tag = peer.session.consume(REPLY_TO, no_ack=True)
    peer.session.publish("", "requests", b"question", ASKS)
    address = reply_address(other)
    assert address.startswith("amq.rabbitmq.reply-to.")
    other.session.publish("", address, b"answer", Properties(correlation_id="1"), mandatory=True)
    assert peer.took_by() == [(tag, "answer")]
    assert other.returns == []


def test_only_the_reply_address_of_a_request_is_changed(peer: Peer) -> None:
    peer.session.declare_queue("requests")
    peer.session.consume(REPLY_TO, no_ack=True)
    for properties in (
        Properties(headers={"a": 1}, reply_to=REPLY_TO, message_id="m"),
        Properties(reply_to="elsewhere"),
        Properties(app_id=REPLY_TO),
    ):
        peer.session.publish("", "requests", b"", properties)
    first, second, third = [peer.session.get("requests") for _ in range(3)]
    assert first is not None
    assert second is not None
    assert third is not None
    address = first[2].properties.reply_to
    assert first[2].properties == Properties(headers={"a": 1}, reply_to=address, message_id="m")
    assert address != REPLY_TO
    assert second[2].properties == Properties(reply_to="elsewhere")
    assert third[2].properties == Properties(app_id=REPLY_TO)


def test_who_does_not_wait_for_replies_cannot_ask_for_them(peer: Peer) -> None:
    sibling = Peer(peer.client)
    sibling.session.consume(REPLY_TO, no_ack=True)  # its own, not the connection's
    with refused(PreconditionFailed, "fast reply consumer does not exist"):
        peer.session.publish("", "requests", b"", ASKS)


def test_a_session_has_one_reply_consumer_and_it_acknowledges_nothing(peer: Peer) -> None:
    with refused(PreconditionFailed, "reply consumer cannot acknowledge"):
        peer.session.consume(REPLY_TO)
    peer.session.consume(REPLY_TO, "a", no_ack=True)
    with refused(PreconditionFailed, "reply consumer already set"):
        peer.session.consume(REPLY_TO, "b", no_ack=True)
    peer.session.cancel("a")
    peer.session.consume(REPLY_TO, "b", no_ack=True)


@pytest.mark.parametrize("end", ["cancel", "leave", "disconnect"])
def test_a_reply_address_lives_as_long_as_its_consumer(peer: Peer, other: Peer, end: str) -> None:
    other.session.declare_queue("requests")
    peer.session.consume(REPLY_TO, "replies", no_ack=True)
    peer.session.publish("", "requests", b"", ASKS)
    address = reply_address(other)
    assert other.session.check_queue(address) == (address, 0, 1)  # whoever answers may ask whether it is worth it
    match end:
        case "cancel":
            peer.session.cancel("replies")
        case "leave":
            peer.leave()
        case "disconnect":
            peer.client.close()
    with refused(NotFound, f"no queue '{address}' in vhost '/'"):
        other.session.check_queue(address)
    other.session.publish("", address, b"too late", mandatory=True)
    assert returns(other) == [("too late", 312, "NO_ROUTE")]
    assert list(other.session.vhost.queues) == ["requests"]


def test_the_reply_queue_is_no_queue_for_anything_else(peer: Peer, other: Peer) -> None:
    peer.session.consume(REPLY_TO, no_ack=True)
    (address,) = peer.session.vhost.queues
    for session in (peer.session, other.session):
        for name in (address, REPLY_TO):
            for operation in (session.get, session.purge_queue):
                with refused(NotFound, f"no queue '{name}' in vhost '/'"):
                    operation(name)
            with refused(NotFound, f"no queue '{name}' in vhost '/'"):
                session.bind(name, "amq.fanout")
            assert session.delete_queue(name) == 0
        with refused(NotFound, f"no queue '{address}' in vhost '/'"):
            session.consume(address, no_ack=True)
    assert list(peer.session.vhost.queues) == [address]


def test_the_name_that_stands_for_replies_is_always_declared(peer: Peer) -> None:
    assert peer.session.declare_queue(REPLY_TO) == (REPLY_TO, 0, 1)
    assert peer.session.check_queue(REPLY_TO) == (REPLY_TO, 0, 1)
    assert list(peer.session.vhost.queues) == []
