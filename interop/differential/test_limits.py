"""Queues with a limit: which messages they keep, and what the publisher is told."""

from interop.differential.broker import Broker
from interop.differential.compare import differential
from interop.differential.words import dead_letters_to

# drop-head


@differential()
def test_length(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-length": 2})
    client.send(q, "a", "b", "c", "d")
    client.get_all(q)


@differential()
def test_drop_head_by_its_name(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-length": 1, "x-overflow": "drop-head"})
    client.send(q, "a", "b")
    client.get_all(q)


@differential()
def test_length_of_0(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-length": 0})
    client.publish("", q, "a", mandatory=True)
    client.get(q)


@differential()
def test_length_of_0_with_a_consumer(broker: Broker) -> None:
    """What a consumer takes at once never waits, and so meets no limit."""
    client, consumer = broker.connect(), broker.connect("consumer")
    (q,) = broker.names("q")
    client.declare(q, {"x-max-length": 0})
    consumer.qos(1)
    consumer.consume(q, "c")
    client.send(q, "a", "b")
    consumer.ack(consumer.receive()[0])
    consumer.nothing(q)
    client.send(q, "c")
    consumer.receive()


@differential()
def test_unacknowledged_messages_do_not_count(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-length": 2})
    client.send(q, "a", "b")
    client.get(q, ack=False)
    client.get(q, ack=False)
    client.send(q, "c", "d", "e")
    client.get_all(q)
    client.reopen()
    client.get_all(q)


@differential()
def test_octets(broker: Broker) -> None:
    """Bodies are counted, and nothing else."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-length-bytes": 6})
    client.send(q, "aaa", headers={"long": "l" * 20}, content_type="text/plain")
    client.send(q, "bbb")
    client.send(q, "")
    client.count(q)
    client.send(q, "c")
    client.get_all(q)


@differential()
def test_larger_than_the_limit(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-length-bytes": 6})
    client.send(q, "aaa", "b" * 7)
    client.count(q)
    client.send(q, "c")
    client.get_all(q)


@differential()
def test_octets_of_0(broker: Broker) -> None:
    """Messages without a body fit."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-length-bytes": 0})
    client.send(q, "", "a", "")
    client.get_all(q)


@differential()
def test_both_limits(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-length": 3, "x-max-length-bytes": 6})
    client.send(q, "a", "b", "c", "d")
    client.count(q)
    client.send(q, "eeeee")
    client.get_all(q)


@differential()
def test_expired_messages_make_no_room_behind_a_live_head(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-length": 2})
    client.send(q, "lives")
    client.send(q, "dies", expiration="10")
    broker.let_pass(60)
    client.send(q, "new")
    client.count(q)
    client.get_all(q)


# reject-publish


@differential()
def test_reject_publish(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-length": 2, "x-overflow": "reject-publish"})
    client.send(q, "a", "b", "c")
    client.get(q)
    client.send(q, "d", "e")
    client.get_all(q)


@differential()
def test_reject_publish_counts_what_is_ready(broker: Broker) -> None:
    """What is unacknowledged makes room, as with drop-head."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-length": 1, "x-overflow": "reject-publish"})
    client.send(q, "a", "b")
    client.get(q, ack=False)
    client.send(q, "c", "d")
    client.reopen()
    client.count(q)
    client.send(q, "e")
    client.get_all(q)


@differential()
def test_reject_publish_by_octets(broker: Broker) -> None:
    """The message that crosses the limit is the first that is refused; a smaller one may fit."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-length-bytes": 10, "x-overflow": "reject-publish"})
    client.send(q, "aaaaaa", "bbbbbb", "cccc", "", "d")
    client.get_all(q)
    client.send(q, "e" * 11)
    client.get_all(q)


@differential()
def test_reject_publish_with_length_of_0(broker: Broker) -> None:
    client, consumer = broker.connect(), broker.connect("consumer")
    (q,) = broker.names("q")
    client.declare(q, {"x-max-length": 0, "x-overflow": "reject-publish"})
    client.send(q, "a")
    consumer.qos(1)
    consumer.consume(q, "c")
    client.send(q, "b")
    client.send(q, "c")
    client.count(q)


@differential()
def test_reject_publish_is_no_return(broker: Broker) -> None:
    """A mandatory message that a queue refuses was routed."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-length": 0, "x-overflow": "reject-publish"})
    client.publish("", q, "a", mandatory=True)


@differential()
def test_refused_by_one_of_two_queues(broker: Broker) -> None:
    """The publisher gets a nack, and the other queue has the message."""
    client = broker.connect()
    full, free, fanout = broker.names("full", "free", "fanout")
    client.declare_exchange(fanout, "fanout")
    client.declare(full, {"x-max-length": 1, "x-overflow": "reject-publish"})
    client.declare(free)
    for queue in full, free:
        client.bind(queue, fanout)
    client.publish(fanout, "", "a")
    client.publish(fanout, "", "b")
    client.count(full)
    client.count(free)


@differential()
def test_reject_publish_dlx_without_an_exchange(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-length": 1, "x-overflow": "reject-publish-dlx"})
    client.send(q, "a", "b")
    client.get_all(q)


@differential()
def test_overflow_without_a_limit(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-overflow": "reject-publish"})
    client.send(q, "a", "b")
    client.count(q)


@differential()
def test_dead_letters_into_a_full_queue(broker: Broker) -> None:
    """A dead letter that its new queue refuses is lost; nobody is told."""
    client = broker.connect()
    source, full = broker.names("source", "full")
    client.declare(full, {"x-max-length": 1, "x-overflow": "reject-publish"})
    client.declare(source, dead_letters_to(full))
    client.send(source, "a", "b")
    for _ in range(2):
        client.reject(client.get(source, ack=False))
    broker.let_pass(50)
    broker.take(full)
    client.count(full)
