"""Every alert fires when its condition comes true, and clears when that is over. The conditions are real ones.

In the rules minutes are half seconds, and where a test says so a threshold is another one.
"""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import lmdb
import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from interop.broker_process import BrokerProcess
from interop.raw import Peer
from tests.monitoring.support import JOBS, Watcher, is_ready, target, until

Start = Callable[..., BrokerProcess]
Watch = Callable[..., Watcher]
Connect = Callable[[BrokerProcess], Any]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Opens a channel in confirm mode on a connection of its own."""
    connections: list[pika.BlockingConnection] = []

    def open_channel(broker: BrokerProcess) -> BlockingChannel:
        connections.append(pika.BlockingConnection(pika.URLParameters(broker.url)))
        channel = connections[-1].channel()
        channel.confirm_delivery()
        return channel

    yield open_channel
    for connection in connections:
        if connection.is_open:
            connection.close()


@pytest.fixture
def peer() -> Iterator[Callable[[BrokerProcess], Peer]]:
    """A bare socket, connected to a broker."""
    with ExitStack() as stack:

        def connect_peer(broker: BrokerProcess) -> Peer:
            peer = Peer(broker.address)
            stack.callback(peer.close)
            return peer

        yield connect_peer


def fires(watcher: Watcher, alert: str, *, meanwhile: Callable[[], object] = lambda: None) -> dict[str, str]:
    """It does, for one thing, whose labels these are. None of its texts has a gap."""
    until(lambda: watcher.firing(alert), meanwhile=meanwhile)
    [labels] = watcher.firing(alert)
    texts = [each["annotations"] for each in watcher.get("alerts")["alerts"] if each["labels"]["alertname"] == alert]
    assert texts
    assert "<no value>" not in str(texts)
    return labels


def clears(watcher: Watcher, alert: str, *, meanwhile: Callable[[], object] = lambda: None) -> None:
    until(lambda: not watcher.firing(alert), meanwhile=meanwhile)


def test_down(start: Start, watch: Watch) -> None:
    broker = start()
    watcher = watch(broker)
    watcher.sees()
    assert broker.stop() == 0
    until(lambda: len(watcher.firing("AmqpdDown")) == JOBS)
    start("--metrics-port", target(broker).partition(":")[2])
    clears(watcher, "AmqpdDown")


def test_not_ready_while_a_client_does_not_leave(start: Start, watch: Watch, peer: Connect) -> None:
    broker = start("--close-timeout-s", "60")
    watcher = watch(broker)
    slow = peer(broker).open()
    watcher.sees()
    broker.terminate()
    fires(watcher, "AmqpdNotReady")
    slow.close()
    assert broker.wait() == 0
    clears(watcher, "AmqpdNotReady")


def test_publishers_blocked_while_memory_is_low(start: Start, watch: Watch, connect: Connect, peer: Connect) -> None:
    """What consumers hold is in memory."""
    broker = start("--memory-high-watermark", "80e6")
    watcher = watch(broker)
    holder = connect(broker)
    publisher = peer(broker).open()
    publisher.open_channel()
    publisher.declare_queue("q")

    def hold_more() -> None:
        for _ in range(10):
            publisher.publish("q", bytes(100_000))
            holder.basic_get("q")

    until(lambda: not is_ready(broker), meanwhile=hold_more)
    publisher.publish("q", b"one too many")
    fires(watcher, "AmqpdPublishersBlocked")
    fires(watcher, "AmqpdNotReady")
    holder.basic_ack(0, multiple=True)
    clears(watcher, "AmqpdPublishersBlocked")
    clears(watcher, "AmqpdNotReady")


def test_queue_grows_without_consumers(start: Start, watch: Watch, connect: Connect) -> None:
    broker = start()
    watcher = watch(broker)
    channel = connect(broker)
    channel.queue_declare("forgotten")

    def publish(count: int = 1) -> None:
        for _ in range(count):
            channel.basic_publish("", "forgotten", b"")

    publish(101)
    assert fires(watcher, "AmqpdQueueGrowsWithoutConsumers", meanwhile=publish)["queue"] == "forgotten"
    consumer = connect(broker)
    consumer.basic_consume("forgotten", lambda *_: None, auto_ack=True)
    clears(watcher, "AmqpdQueueGrowsWithoutConsumers", meanwhile=publish)


def test_oldest_message_too_old(start: Start, watch: Watch, connect: Connect) -> None:
    """A consumer is stuck with a message, and the next one waits for it."""
    broker = start()
    watcher = watch(broker, {"> 600": "> 2", "> 1800": "> 2"})
    channel, consumer = connect(broker), connect(broker)
    channel.queue_declare("q")
    consumer.basic_qos(prefetch_count=1)
    consumer.basic_consume("q", lambda *_: None)
    for body in (b"held", b"late"):
        channel.basic_publish("", "q", body)

    def states() -> set[str]:
        return {labels["state"] for labels in watcher.firing("AmqpdOldestMessageTooOld") if labels["queue"] == "q"}

    until(lambda: states() == {"ready", "unacked"})
    until(lambda: states() == set(), meanwhile=lambda: consumer.basic_ack(0, multiple=True))


def test_unroutable_messages(start: Start, watch: Watch, connect: Connect) -> None:
    broker = start()
    watcher = watch(broker)
    channel = connect(broker)
    labels = fires(
        watcher, "AmqpdUnroutableMessages", meanwhile=lambda: channel.basic_publish("amq.topic", "news", b"")
    )
    assert (labels["vhost"], labels["exchange"], labels["reason"]) == ("/", "amq.topic", "no_bindings")
    clears(watcher, "AmqpdUnroutableMessages")


def test_commit_slow(start: Start, watch: Watch, connect: Connect, tmp_path: Path) -> None:
    """Another program has the store's write lock again and again, and each commit waits for it as for a slow disk."""
    broker = start()
    watcher = watch(broker)
    channel = connect(broker).connection.channel()
    channel.queue_declare("q", durable=True)
    persistent = pika.BasicProperties(delivery_mode=2)
    [store] = tmp_path.rglob("store.mdb")
    with lmdb.open(str(store), subdir=False) as other:

        def hinder() -> None:
            with other.begin(write=True):
                channel.basic_publish("", "q", b"", persistent)
                time.sleep(0.7)

        labels = fires(watcher, "AmqpdCommitSlow", meanwhile=hinder)
    assert labels["file"] == "store.mdb"
    clears(watcher, "AmqpdCommitSlow")


def test_file_descriptors_low(start: Start, watch: Watch, peer: Connect) -> None:
    broker = start("--handshake-timeout-s", "60")
    watcher = watch(broker)
    _, hard = resource.prlimit(broker.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(broker.pid, resource.RLIMIT_NOFILE, (100, hard))
    watcher.sees()
    [in_use] = watcher.query("amqpd_process_open_fds")
    peers = [peer(broker) for _ in range(90 - int(in_use.value))]
    fires(watcher, "AmqpdFileDescriptorsLow")
    for each in peers:
        each.close()
    clears(watcher, "AmqpdFileDescriptorsLow")
