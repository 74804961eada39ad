"""Messages that come back too often."""

from amqpd.broker.broker import Broker
from amqpd.broker.receiver import Mailbox
from tests.broker.support import Disk, Peer


def counts(mailbox: Mailbox) -> list[object]:
    """The x-delivery-count of each delivery."""
    return [message.headers.get("x-delivery-count") for _, _, _, message in mailbox.deliveries]


def test_a_redelivery_says_how_often_it_came_back(peer: Peer) -> None:
    peer.declare("q", x_delivery_limit=5)
    peer.session.consume("q")
    peer.send("q", "a", headers={"mine": 1})
    peer.session.requeue(1)
    peer.session.requeue(2)
    assert counts(peer) == [None, 1, 2]
    assert peer.deliveries[2][3].headers == {"mine": 1, "x-delivery-count": 2}


def test_beyond_the_limit_it_is_dropped(peer: Peer) -> None:
    peer.declare("q", x_delivery_limit=1, x_dead_letter_exchange="", x_dead_letter_routing_key="dead")
    peer.declare("dead")
    peer.session.consume("q")
    peer.send("q", "a")
    peer.session.requeue(1)
    peer.session.requeue(2)
    assert peer.took() == ["a", "a*"]
    got = peer.session.get("dead", no_ack=True)
    assert got is not None
    assert got[2].headers["x-first-death-reason"] == "delivery_limit"
    assert "x-delivery-count" not in got[2].headers


def test_a_quorum_queue_has_a_limit_of_20(peer: Peer) -> None:
    peer.declare("q", durable=True, x_queue_type="quorum")
    peer.send("q", "a")
    for tag in range(1, 22):
        assert peer.get("q") is not None
        peer.session.requeue(tag)
    assert peer.ready("q") == 0


def test_which_can_be_taken_off(peer: Peer) -> None:
    peer.declare("q", durable=True, x_queue_type="quorum", x_delivery_limit=-1)
    peer.send("q", "a")
    for tag in range(1, 50):
        assert peer.get("q") is not None
        peer.session.requeue(tag)
    assert peer.ready("q") == 1


def test_what_leaves_is_no_longer_counted(peer: Peer) -> None:
    peer.declare("q", x_delivery_limit=5)
    peer.send("q", "a")
    peer.get("q")
    peer.session.requeue(1)
    peer.get("q", no_ack=True)
    peer.send("q", "b")
    peer.get("q")
    peer.session.requeue(3)
    peer.session.purge_queue("q")
    assert not peer.session.vhost.queues["q"]._returns


def test_the_count_survives_a_restart(disk: Disk) -> None:
    before = Peer(Broker(disk).connect())
    before.declare("q", durable=True, x_delivery_limit=2)
    before.send("q", "a", delivery_mode=2)
    before.get("q")
    before.session.requeue(1)
    disk = Disk.after(disk)
    broker = Broker(disk)
    after = Peer(broker.connect())
    after.session.consume("q")
    disk.read()
    broker.agenda.settle()
    assert counts(after) == [1]
    after.session.requeue(1)
    after.session.requeue(2)
    assert after.took() == ["a*", "a*"]
    assert after.ready("q") == 0
