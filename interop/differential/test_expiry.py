"""When messages and queues expire, and what they are until then."""

from interop.differential.broker import Broker
from interop.differential.compare import differential

# Messages


@differential()
def test_message_ttl_of_a_queue(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-message-ttl": 200})
    client.send(q, "a", "b")
    client.count(q)
    broker.let_pass(300)
    client.count(q)
    client.get(q)


@differential()
def test_expiration_of_a_message(broker: Broker) -> None:
    """The property reaches the consumer as it was."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    client.send(q, "dies", expiration="30")
    client.send(q, "lives", expiration="60000")
    broker.let_pass(100)
    client.count(q)
    client.get(q)


@differential()
def test_the_smaller_wins(broker: Broker) -> None:
    client = broker.connect()
    long, short = broker.names("long", "short")
    client.declare(long, {"x-message-ttl": 60000})
    client.declare(short, {"x-message-ttl": 30})
    client.send(long, "dies", expiration="30")
    client.send(long, "lives", expiration="90000")
    client.send(short, "dies", expiration="60000")
    broker.let_pass(100)
    client.get(long)
    client.get(long)
    client.get(short)


@differential()
def test_expired_behind_a_live_head(broker: Broker) -> None:
    """Messages expire at the head alone; behind a live one, they are counted."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    client.send(q, "lives")
    client.send(q, "dies", expiration="10")
    client.send(q, "dies too", expiration="20")
    client.send(q, "lives too")
    broker.let_pass(100)
    client.count(q)
    client.get(q)
    client.count(q)
    client.get(q)


@differential()
def test_expired_behind_a_head_that_a_consumer_takes(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    client.send(q, "lives")
    client.send(q, "dies", expiration="10")
    client.send(q, "lives too")
    broker.let_pass(60)
    client.consume(q, "c")
    client.receive(2)
    client.nothing(q)


@differential()
def test_expired_is_purged_and_counted_with_the_others(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    client.send(q, "lives")
    client.send(q, "dies", expiration="10")
    broker.let_pass(60)
    client.purge(q)


@differential()
def test_ttl_of_0_without_a_consumer(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-message-ttl": 0})
    client.publish("", q, "a", mandatory=True)
    client.count(q)
    client.get(q)


@differential()
def test_ttl_of_0_with_a_consumer(broker: Broker) -> None:
    """Now or never: a consumer with credit gets it, one without does not."""
    client, consumer = broker.connect(), broker.connect("consumer")
    (q,) = broker.names("q")
    client.declare(q, {"x-message-ttl": 0})
    consumer.qos(1)
    consumer.consume(q, "c")
    client.send(q, "a")
    client.send(q, "b")
    (message,) = consumer.receive()
    consumer.ack(message)
    consumer.nothing(q)
    client.send(q, "c")
    consumer.receive()


@differential()
def test_expiration_of_0_with_a_consumer(broker: Broker) -> None:
    client, consumer = broker.connect(), broker.connect("consumer")
    (q,) = broker.names("q")
    client.declare(q)
    consumer.qos(1)
    consumer.consume(q, "c")
    client.send(q, "a", expiration="0")
    client.send(q, "b", expiration="0")
    consumer.receive()
    client.count(q)


@differential()
def test_ttl_of_0_requeued(broker: Broker) -> None:
    """A message that comes back has no second chance, not even with a consumer that waits."""
    client, consumer = broker.connect(), broker.connect("consumer")
    (q,) = broker.names("q")
    client.declare(q, {"x-message-ttl": 0})
    consumer.consume(q, "c")
    client.send(q, "a")
    consumer.nack(consumer.receive()[0], requeue=True)
    consumer.nothing(q)
    client.count(q)


@differential()
def test_unacknowledged_and_requeued(broker: Broker) -> None:
    """Requeued after its time, it is gone; requeued before, it has the time that it had left."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-message-ttl": 300})
    client.send(q, "a")
    message = client.get(q, ack=False)
    client.nack(message, requeue=True)
    message = client.get(q, ack=False)
    broker.let_pass(400)
    client.nack(message, requeue=True)
    client.get(q)


@differential()
def test_acknowledged_after_its_time(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-message-ttl": 20})
    client.send(q, "a")
    message = client.get(q, ack=False)
    broker.let_pass(60)
    client.ack(message)
    client.count(q)


# Queues


@differential()
def test_unused_queue_expires(broker: Broker) -> None:
    """With all that is in it; a queue of that name is a new one."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-expires": 50})
    client.send(q, "a")
    broker.gone(q)
    client.get(q)
    client.declare(q)


@differential()
def test_expired_queue_leaves_its_bindings(broker: Broker) -> None:
    client = broker.connect()
    q, x = broker.names("q", "x")
    client.declare_exchange(x, "fanout", auto_delete=True)
    client.declare(q, {"x-expires": 50})
    client.bind(q, x)
    broker.gone(q)
    client.declare_exchange(x, "fanout", passive=True)


@differential()
def test_queue_with_a_consumer_does_not_expire(broker: Broker) -> None:
    """Its time begins when the last consumer has gone."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-expires": 50})
    client.consume(q, "c")
    broker.let_pass(120)
    client.count(q)
    client.cancel("c")
    broker.gone(q)


@differential()
def test_unacknowledged_message_does_not_keep_a_queue(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-expires": 50})
    client.send(q, "a")
    message = client.get(q, ack=False)
    broker.gone(q)
    client.nack(message, requeue=True)
    client.get(q)


@differential()
def test_what_counts_as_use(broker: Broker) -> None:
    """Redeclaring, asking for the count, and getting: each starts the queue's time anew."""
    client = broker.connect()
    declared, counted, got = broker.names("declared", "counted", "got")
    for queue in declared, counted, got:
        client.declare(queue, {"x-expires": 400})
    for _ in range(3):
        broker.let_pass(200)
        client.declare(declared, {"x-expires": 400})
        client.count(counted)
        client.get(got)


@differential()
def test_what_does_not_count_as_use(broker: Broker) -> None:
    """Publishing, and purging: it is gone after its time."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-expires": 100})
    for _ in range(3):
        broker.let_pass(50)
        client.publish("", q, "a")
    broker.gone(q)
