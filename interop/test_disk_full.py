"""A disk that is full, played by a limit on the size of files. Each test has an amqpd of its own."""

import resource
from collections.abc import Callable
from pathlib import Path

import pika
from pika import spec

from interop.broker_process import BrokerProcess
from interop.raw import Peer, content, method

OpenPeer = Callable[..., Peer]
StartBroker = Callable[..., BrokerProcess]

BODY = bytes(100_000)
PERSISTENT = pika.BasicProperties(delivery_mode=2)
PLENTY = resource.RLIM_INFINITY


def fill_up(broker: BrokerProcess, room: int) -> None:
    """From now on the broker's files cannot grow beyond what they are and ``room`` octets more."""
    resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (room, PLENTY))


def make_room(broker: BrokerProcess) -> None:
    resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (PLENTY, PLENTY))


def confirming(publisher: Peer) -> Peer:
    """A publisher to the durable queue "q" that wants confirms, and to hear when it is blocked."""
    publisher.open(**{"connection.blocked": True})
    publisher.open_channel()
    publisher.declare_queue("q", durable=True)
    publisher.call(1, spec.Confirm.Select(), spec.Confirm.SelectOk)
    return publisher


def publish_until_blocked(publisher: Peer) -> tuple[int, int]:
    """How many were sent, and how many of them confirmed."""
    publisher.socket.settimeout(0.05)
    sent = confirmed = 0
    while True:
        publish = method(1, spec.Basic.Publish(exchange="", routing_key="q"))
        publisher.send(publish, content(1, BODY, PERSISTENT))
        sent += 1
        try:
            heard = publisher.expect(pika.amqp_object.Method)
        except TimeoutError:
            continue
        if isinstance(heard, spec.Connection.Blocked):
            assert heard.reason == "low on disk"
            return sent, confirmed
        assert isinstance(heard, spec.Basic.Ack)
        confirmed = heard.delivery_tag


def test_publishers_wait_consumers_go_on_and_all_is_written_when_there_is_room_again(
    own_broker: StartBroker, peer: OpenPeer, tmp_path: Path
) -> None:
    broker = own_broker(data_dir=tmp_path)
    publisher = confirming(peer(broker.address))
    fill_up(broker, room=20_000_000)
    sent, confirmed = publish_until_blocked(publisher)
    assert 0 < confirmed < sent

    consumer = peer(broker.address).open()  # whoever does not publish is served, and what it acknowledges is written
    consumer.open_channel()
    consumer.call(1, spec.Basic.Qos(prefetch_count=1), spec.Basic.QosOk)
    consumer.call(1, spec.Basic.Consume(queue="q", consumer_tag="c"), spec.Basic.ConsumeOk)
    for tag in range(1, confirmed + 1):
        delivery, body = consumer.expect_message(spec.Basic.Deliver)
        assert (delivery.delivery_tag, delivery.redelivered, body) == (tag, False, BODY)
        consumer.send(method(1, spec.Basic.Ack(tag)))

    make_room(broker)
    publisher.socket.settimeout(20)
    unblocked = False
    while confirmed < sent or not unblocked:
        heard = publisher.expect(pika.amqp_object.Method)
        if isinstance(heard, spec.Basic.Ack):
            confirmed = heard.delivery_tag
        else:
            assert isinstance(heard, spec.Connection.Unblocked)
            unblocked = True
    publisher.close()
    consumer.close()
    assert broker.stop() == 0
    failed, again = (
        next(line for line in broker.log if event in line) for event in ("writing_failed", "writing_again")
    )
    assert broker.log.index(failed) < broker.log.index(again)


def test_nothing_that_was_confirmed_is_lost_when_it_is_killed_on_a_full_disk(
    own_broker: StartBroker, peer: OpenPeer, tmp_path: Path
) -> None:
    broker = own_broker(data_dir=tmp_path)
    publisher = confirming(peer(broker.address))
    fill_up(broker, room=20_000_000)
    sent, confirmed = publish_until_blocked(publisher)
    broker.kill()
    survivor = peer(own_broker(data_dir=tmp_path).address).open()
    survivor.open_channel()
    found = survivor.call(1, spec.Queue.Declare(queue="q", passive=True), spec.Queue.DeclareOk)
    assert confirmed <= found.message_count <= sent


def test_little_free_space_is_an_alarm_too(own_broker: StartBroker, peer: OpenPeer, tmp_path: Path) -> None:
    broker = own_broker(0, "--disk-free-limit", str(10**15), data_dir=tmp_path)
    publisher = peer(broker.address).open(**{"connection.blocked": True})
    publisher.open_channel()
    publisher.publish("nowhere", b"")
    assert publisher.expect(spec.Connection.Blocked).reason == "low on disk"
