"""The broker as a whole: who may come in, who is there, and what it counts."""

import pytest

from amqpd.auth.permissions import FULL_ACCESS
from amqpd.broker.broker import Broker
from amqpd.broker.receiver import Mailbox
from amqpd.broker.topology.vhost import REPLY_TO
from amqpd.errors import NotAllowed
from tests.broker.support import Peer, refused


def test_a_vhost_that_is_not_there_is_not_found(broker: Broker) -> None:
    with refused(NotAllowed, "vhost nope not found"):
        broker.connect(vhost="nope")


def test_a_user_without_permission_is_not_let_into_a_vhost(broker: Broker) -> None:
    with refused(NotAllowed, "access to vhost '/' refused for user 'alice'"):
        broker.connect("alice")
    broker.permissions.put("/", "alice", FULL_ACCESS)
    assert broker.connect("alice").user == "alice"


def test_a_connection_limit_counts_who_is_there() -> None:
    broker = Broker(connection_max=2)
    first, _ = broker.connect(), broker.connect()
    with refused(NotAllowed, "connection refused: node connection limit (2) is reached"):
        broker.connect()
    broker.disconnect(first)
    broker.connect()
    assert broker.statistics().connections == 2


def test_the_default_user_is_a_setting() -> None:
    broker = Broker(default_user="admin", default_password="secret", loopback_users=())
    assert broker.connect().user == "admin"
    assert broker.users.authenticate("admin", b"secret", loopback=False).tags == {"administrator"}
    with refused(NotAllowed, "access to vhost '/' refused for user 'guest'"):
        broker.connect("guest")


def test_leaving_twice_counts_once(broker: Broker) -> None:
    client = broker.connect()
    peer = Peer(client)
    for _ in range(2):
        peer.leave()
    for _ in range(2):
        broker.disconnect(client)
    statistics = broker.statistics()
    assert (statistics.connections_opened, statistics.connections_closed) == (1, 1)
    assert (statistics.channels_opened, statistics.channels_closed) == (1, 1)


def test_who_leaves_leaves_nothing_behind(broker: Broker) -> None:
    peer = Peer(broker.connect())
    session = peer.session
    session.declare_queue("shared")
    before = broker.statistics()
    queue = session.declare_queue(exclusive=True)[0]
    session.declare_queue("gone with its consumer", auto_delete=True)
    session.bind(queue, "amq.fanout")
    for source in (queue, "shared", "gone with its consumer"):
        session.consume(source)
    session.consume(REPLY_TO, no_ack=True)
    peer.send("shared", "1")
    broker.disconnect(peer.client)

    vhost = broker.vhosts["/"]
    statistics = broker.statistics()
    assert (statistics.connections, statistics.channels, statistics.consumers) == (0, 0, 0)
    assert len(statistics.exchanges) == len(before.exchanges)
    assert list(vhost.queues) == ["shared"]
    assert (vhost._owned, vhost._bindings_to) == ({}, {})
    assert vhost.queues["shared"]._turns.ring == type(vhost.queues["shared"]._turns.ring)()
    assert (peer.client.sessions, broker.clients) == ({}, {})


def test_the_broker_counts_what_there_is(broker: Broker) -> None:
    peer = Peer(broker.connect())
    Peer(peer.client)
    peer.session.declare_exchange("x")
    peer.session.declare_queue("q")
    peer.session.consume("q")
    peer.session.consume("q")
    statistics = broker.statistics()
    assert (statistics.connections, statistics.channels, statistics.consumers) == (1, 2, 2)
    assert len(statistics.exchanges) == 8  # the default one, six amq.*, and x


def test_the_broker_counts_messages(broker: Broker) -> None:
    peer = Peer(broker.connect())
    peer.session.select_confirms()
    for queue in ("a", "b"):
        peer.session.declare_queue(queue)
        peer.session.bind(queue, "amq.fanout")
    peer.session.publish("amq.fanout", "", b"m")
    peer.session.publish("", "nowhere", b"m")
    peer.session.publish("", "nowhere", b"m", mandatory=True)
    peer.get("a")
    peer.session.requeue(1)
    peer.get("a")
    peer.session.complete(2)
    statistics = broker.statistics()
    assert (statistics.messages_published, statistics.messages_confirmed) == (3, 3)
    assert statistics.messages_routed == 2  # into each queue
    assert (statistics.messages_unroutable_dropped, statistics.messages_unroutable_returned) == (1, 1)
    assert (statistics.messages_delivered, statistics.messages_redelivered, statistics.messages_acked) == (2, 1, 1)
    assert [(queue.name, queue.published, queue.ready) for queue in statistics.queues] == [("a", 1, 0), ("b", 1, 1)]


def test_counters_do_not_go_down_when_a_queue_goes(broker: Broker) -> None:
    peer = Peer(broker.connect())
    peer.session.declare_queue("q")
    peer.send("q", "1", "2")
    peer.get("q")
    peer.session.requeue(1)
    peer.get("q")
    peer.session.complete(2)
    before = broker.statistics()
    peer.session.delete_queue("q")
    after = broker.statistics()
    for counter in ("messages_published", "messages_delivered", "messages_redelivered", "messages_acked"):
        assert getattr(after, counter) == getattr(before, counter) > 0
    assert (after.queues_declared, after.queues_created, after.queues_deleted) == (1, 1, 1)
    assert after.queues == ()


def test_declaring_again_is_a_declaration_and_creates_nothing(broker: Broker) -> None:
    peer = Peer(broker.connect())
    for _ in range(3):
        peer.session.declare_queue("q")
    statistics = broker.statistics()
    assert (statistics.queues_declared, statistics.queues_created) == (3, 1)


def test_reply_queues_are_not_listed(broker: Broker) -> None:
    peer = Peer(broker.connect())
    peer.session.consume(REPLY_TO, no_ack=True)
    (address,) = broker.vhosts["/"].queues
    peer.send(address, "1")
    statistics = broker.statistics()
    assert statistics.queues == ()
    assert statistics.messages_delivered == 1
    peer.leave()
    statistics = broker.statistics()
    assert (statistics.queues_created, statistics.queues_deleted) == (0, 0)
    assert statistics.messages_delivered == 1


def test_a_snapshot_stays_as_it_was(broker: Broker) -> None:
    before = broker.statistics()
    broker.connect()
    assert before.connections == 0
    with pytest.raises(AttributeError):
        before.connections = 1  # type: ignore[misc]


def test_the_example_of_the_modules_docstring_works() -> None:
    broker = Broker()
    inbox = Mailbox()
    session = broker.connect().open_session(inbox)
    session.declare_queue("orders")
    session.consume("orders", no_ack=True)
    session.publish("", "orders", b"one coffee")
    ((tag, delivery_tag, redelivered, message),) = inbox.deliveries
    assert tag.startswith("amq.ctag-")
    assert (delivery_tag, redelivered, message.body) == (1, False, b"one coffee")
