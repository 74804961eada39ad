"""What is handed to a store, and when."""

from amqpd.broker.broker import Broker
from amqpd.broker.records import BindingRecord, ExchangeRecord, QueueRecord
from amqpd.broker.store import NullStore
from tests.broker.support import PERSISTENT, Disk, Peer

EXCHANGE = ExchangeRecord("/", "x", "fanout", durable=True)
QUEUE = QueueRecord("/", "q", durable=True)
BINDING = BindingRecord("/", "x", "q", "queue", "key")


def start(disk: Disk) -> Peer:
    """An application on a broker that has just started."""
    return Peer(Broker(disk).connect())


def sync(disk: Disk, peer: Peer) -> None:
    """All that was written is on the disk now."""
    disk.advance(disk.written, peer.session.vhost.agenda)
    peer.session.vhost.agenda.settle()


def test_what_is_durable_is_kept_and_what_is_deleted_is_erased() -> None:
    disk = Disk()
    peer = start(disk)
    peer.session.declare_exchange("x", "fanout", durable=True)
    peer.session.declare_queue("q", durable=True)
    peer.session.bind("q", "x", "key")
    assert disk.kept == [EXCHANGE, QUEUE, BINDING]
    peer.session.delete_queue("q")
    assert disk.kept == [EXCHANGE]
    peer.session.delete_exchange("x")
    assert disk.kept == []


def test_a_binding_goes_with_its_exchange() -> None:
    disk = Disk([EXCHANGE, QUEUE, BINDING])
    start(disk).session.delete_exchange("x")
    assert disk.kept == [QUEUE]


def test_what_is_transient_or_exclusive_is_not_kept() -> None:
    disk = Disk()
    peer = start(disk)
    peer.session.declare_exchange("transient", "fanout")
    peer.session.declare_queue("transient")
    peer.session.declare_queue("exclusive", durable=True, exclusive=True)
    for queue in ("transient", "exclusive"):
        for exchange in ("transient", "amq.fanout"):  # the second is durable
            peer.session.bind(queue, exchange)
        peer.session.publish("", queue, b"m", PERSISTENT)
    assert disk.kept == []
    assert [log.messages for log in disk.logs.values()] == [{}, {}]
    peer.session.vhost.drop_owned(peer.session._owner)
    peer.session.delete_queue("transient")
    assert disk.kept == []


def test_a_binding_that_is_there_already_is_kept_once_in_the_topology() -> None:
    peer = start(Disk([EXCHANGE, QUEUE, BINDING]))
    peer.session.bind("q", "x", "key")
    assert len(peer.session.vhost.exchange("x").bindings) == 1


def test_a_broker_starts_with_what_was_kept() -> None:
    peer = start(Disk([EXCHANGE, QUEUE, BINDING]))
    peer.session.publish("x", "", b"m")
    assert peer.get("q") == "m"
    peer.session.declare_queue("q", durable=True)
    peer.session.declare_exchange("x", "fanout", durable=True)


def test_a_persistent_message_in_a_durable_queue_is_confirmed_by_the_disk() -> None:
    disk = Disk()
    peer = start(disk)
    peer.session.declare_queue("durable", durable=True)
    peer.session.declare_queue("transient")
    peer.session.select_confirms()
    peer.session.publish("", "transient", b"1", PERSISTENT)
    peer.session.publish("", "durable", b"2")
    assert peer.confirms == [(1, False), (2, False)]
    peer.session.publish("", "durable", b"3", PERSISTENT)
    peer.session.publish("", "durable", b"4")
    assert peer.confirms == [(1, False), (2, False)]
    sync(disk, peer)
    assert peer.confirms[2:] == [(4, True)]


def test_a_confirm_that_waits_for_the_disk_survives_its_queue() -> None:
    disk = Disk()
    peer = start(disk)
    peer.session.declare_queue("q", durable=True)
    peer.session.select_confirms()
    peer.session.publish("", "q", b"1", PERSISTENT)
    peer.session.delete_queue("q")
    sync(disk, peer)
    assert peer.confirms == [(1, False)]


def test_nothing_is_heard_of_confirms_after_the_session_has_ended() -> None:
    disk = Disk()
    peer = start(disk)
    peer.session.declare_queue("q", durable=True)
    peer.session.select_confirms()
    peer.session.publish("", "q", b"1", PERSISTENT)
    peer.leave()
    sync(disk, peer)
    assert peer.confirms == []


def test_the_null_store_keeps_nothing_and_lets_nobody_wait() -> None:
    store = NullStore()
    store.save(QUEUE)
    assert list(store.records()) == []
    assert store.open_log(QUEUE) is None
    store.erase(QUEUE)
    assert (store.written, store.durable) == (0, 0)
