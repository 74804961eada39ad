"""Which consumer gets a message: turns, priorities, one active consumer, and one alone."""

from interop.differential.broker import Broker
from interop.differential.compare import differential

# Turns


@differential()
def test_turns(broker: Broker) -> None:
    client, first, second = broker.connect(), broker.connect("first"), broker.connect("second")
    (q,) = broker.names("q")
    client.declare(q)
    first.consume(q, "1")
    second.consume(q, "2")
    client.send(q, *"abcdef")
    first.receive(3)
    second.receive(3)


@differential()
def test_turns_of_two_consumers_of_a_channel(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    client.consume(q, "1")
    client.consume(q, "2")
    client.send(q, *"abcd")
    client.receive(4)


@differential()
def test_turns_with_prefetch(broker: Broker) -> None:
    """Who has no credit is passed over; who gets it back is served when its turn comes."""
    client, first, second = broker.connect(), broker.connect("first"), broker.connect("second")
    (q,) = broker.names("q")
    client.declare(q)
    first.qos(1)
    first.consume(q, "1")
    second.qos(2)
    second.consume(q, "2")
    client.send(q, *"abcde")
    (a,) = first.receive()
    second.receive(2)
    client.count(q)
    first.ack(a)
    first.receive()
    first.nothing(q)
    second.nothing(q)


@differential()
def test_backlog_goes_to_the_first_consumer(broker: Broker) -> None:
    client, first, second = broker.connect(), broker.connect("first"), broker.connect("second")
    (q,) = broker.names("q")
    client.declare(q)
    client.send(q, *"abcd")
    first.qos(3)
    first.consume(q, "1")
    first.receive(3)
    second.qos(3)
    second.consume(q, "2")
    second.receive()


# x-priority


@differential()
def test_priority(broker: Broker) -> None:
    """The highest gets all while it has credit; then the next."""
    client, low, high = broker.connect(), broker.connect("low"), broker.connect("high")
    (q,) = broker.names("q")
    client.declare(q)
    low.qos(2)
    low.consume(q, "low")
    high.qos(2)
    high.consume(q, "high", {"x-priority": 10})
    client.send(q, *"abcde")
    a, _ = high.receive(2)
    low.receive(2)
    client.count(q)
    high.ack(a)
    high.receive()
    low.nothing(q)


@differential()
def test_priority_below_0(broker: Broker) -> None:
    """None is 0, so a negative one comes last."""
    client, last, usual = broker.connect(), broker.connect("last"), broker.connect("usual")
    (q,) = broker.names("q")
    client.declare(q)
    last.consume(q, "last", {"x-priority": -1})
    usual.qos(1)
    usual.consume(q, "usual")
    client.send(q, *"abc")
    usual.receive()
    last.receive(2)


@differential()
def test_turns_among_equal_priorities(broker: Broker) -> None:
    client, first, second, low = (broker.connect(label) for label in ("", "first", "second", "low"))
    (q,) = broker.names("q")
    client.declare(q)
    low.consume(q, "low", {"x-priority": 1})
    first.consume(q, "1", {"x-priority": 5})
    second.consume(q, "2", {"x-priority": 5})
    client.send(q, *"abcd")
    first.receive(2)
    second.receive(2)
    low.nothing(q)


@differential()
def test_high_priority_comes_later(broker: Broker) -> None:
    client, low, high = broker.connect(), broker.connect("low"), broker.connect("high")
    (q,) = broker.names("q")
    client.declare(q)
    low.consume(q, "low")
    client.send(q, *"ab")
    low.receive(2)
    high.consume(q, "high", {"x-priority": 1})
    client.send(q, *"cd")
    high.receive(2)
    high.cancel("high")
    client.send(q, "e")
    low.receive()


@differential()
def test_requeued_goes_to_the_high_priority(broker: Broker) -> None:
    client, low, high = broker.connect(), broker.connect("low"), broker.connect("high")
    (q,) = broker.names("q")
    client.declare(q)
    low.consume(q, "low")
    client.send(q, "a")
    (message,) = low.receive()
    high.consume(q, "high", {"x-priority": 1})
    low.nack(message, requeue=True)
    high.receive()


# Single active consumer


@differential()
def test_single_active_consumer(broker: Broker) -> None:
    """The first gets all; the others wait, and are counted."""
    client, first, second = broker.connect(), broker.connect("first"), broker.connect("second")
    (q,) = broker.names("q")
    client.declare(q, {"x-single-active-consumer": True})
    first.consume(q, "1")
    second.consume(q, "2")
    client.send(q, *"abc")
    first.receive(3)
    second.nothing(q)
    client.count(q)


@differential()
def test_active_consumer_is_cancelled(broker: Broker) -> None:
    """The next takes over; what the first has, it has."""
    client, first, second, third = (broker.connect(label) for label in ("", "first", "second", "third"))
    (q,) = broker.names("q")
    client.declare(q, {"x-single-active-consumer": True})
    first.consume(q, "1")
    second.consume(q, "2")
    third.consume(q, "3")
    client.send(q, "a")
    (a,) = first.receive()
    first.cancel("1")
    client.send(q, "b")
    second.receive()
    first.nack(a, requeue=True)
    second.receive()
    third.nothing(q)


@differential()
def test_active_consumer_dies(broker: Broker) -> None:
    """The next gets what it had, and then the rest, in order."""
    client, first, second = broker.connect(), broker.connect("first"), broker.connect("second")
    (q,) = broker.names("q")
    client.declare(q, {"x-single-active-consumer": True})
    first.qos(2)
    first.consume(q, "1")
    second.consume(q, "2")
    client.send(q, *"abcd")
    first.receive(2)
    first.close()
    second.receive(4)


@differential()
def test_active_consumer_without_credit(broker: Broker) -> None:
    """It stays the active one."""
    client, first, second = broker.connect(), broker.connect("first"), broker.connect("second")
    (q,) = broker.names("q")
    client.declare(q, {"x-single-active-consumer": True})
    first.qos(1)
    first.consume(q, "1")
    second.consume(q, "2")
    client.send(q, *"ab")
    (a,) = first.receive()
    second.nothing(q)
    first.ack(a)
    first.receive()


@differential()
def test_waiting_consumer_is_cancelled(broker: Broker) -> None:
    client, first, second = broker.connect(), broker.connect("first"), broker.connect("second")
    (q,) = broker.names("q")
    client.declare(q, {"x-single-active-consumer": True})
    first.consume(q, "1")
    second.consume(q, "2")
    second.cancel("2")
    first.cancel("1")
    client.send(q, "a")
    client.count(q)
    second.consume(q, "2")
    second.receive()


@differential()
def test_active_consumer_comes_back_last(broker: Broker) -> None:
    client, first, second = broker.connect(), broker.connect("first"), broker.connect("second")
    (q,) = broker.names("q")
    client.declare(q, {"x-single-active-consumer": True})
    first.consume(q, "1")
    second.consume(q, "2")
    first.cancel("1")
    first.consume(q, "1 again")
    client.send(q, "a")
    second.receive()
    first.nothing(q)


@differential()
def test_single_active_consumer_and_priority(broker: Broker) -> None:
    """A higher priority takes nothing from the active one; it comes first when that is gone."""
    client, low, high, other = (broker.connect(label) for label in ("", "low", "high", "other"))
    (q,) = broker.names("q")
    client.declare(q, {"x-single-active-consumer": True})
    low.consume(q, "low")
    other.consume(q, "other")
    high.consume(q, "high", {"x-priority": 10})
    client.send(q, "a")
    low.receive()
    low.cancel("low")
    client.send(q, "b")
    high.receive()
    other.nothing(q)


@differential()
def test_get_from_a_queue_with_a_single_active_consumer(broker: Broker) -> None:
    client, first = broker.connect(), broker.connect("first")
    (q,) = broker.names("q")
    client.declare(q, {"x-single-active-consumer": True})
    client.send(q, "a")
    client.get(q)
    first.qos(1)
    first.consume(q, "1")
    client.send(q, *"bc")
    first.receive()
    client.get(q)


@differential()
def test_exclusive_consumer_of_a_queue_with_a_single_active_one(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-single-active-consumer": True})
    client.consume(q, "c", exclusive=True)


# Exclusive consumers


@differential()
def test_exclusive_consumer(broker: Broker) -> None:
    """Alone, or not at all; others may get."""
    client, other = broker.connect(), broker.connect("other")
    (q,) = broker.names("q")
    client.declare(q)
    client.consume(q, "c", exclusive=True)
    other.consume(q, "d")
    other.consume(q, "d", exclusive=True)
    client.consume(q, "e")
    client.consume(q, "c", exclusive=True)
    client.cancel("c")
    other.consume(q, "d")
    client.consume(q, "c", exclusive=True)
    other.cancel("d")
    client.consume(q, "c", exclusive=True)


@differential()
def test_exclusive_consumer_goes_with_its_connection(broker: Broker) -> None:
    client, other = broker.connect(), broker.connect("other")
    (q,) = broker.names("q")
    client.declare(q)
    other.consume(q, "c", exclusive=True)
    other.close()
    client.consume(q, "c", exclusive=True)


# Cancelled by the broker


@differential()
def test_queue_is_deleted(broker: Broker) -> None:
    client, other = broker.connect(), broker.connect("other")
    (q,) = broker.names("q")
    client.declare(q)
    other.consume(q, "c")
    client.delete(q)
    other.receive()
    other.cancel("c")


@differential()
def test_unacknowledged_when_the_queue_is_deleted(broker: Broker) -> None:
    """An acknowledgement that comes too late is none the worse."""
    client, other = broker.connect(), broker.connect("other")
    (q,) = broker.names("q")
    client.declare(q)
    client.send(q, "a")
    other.consume(q, "c")
    (message,) = other.receive()
    client.delete(q)
    other.receive()
    other.ack(message)
    other.count(q)


@differential()
def test_auto_delete_with_several_consumers(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, auto_delete=True)
    client.consume(q, "1")
    client.consume(q, "2")
    client.cancel("1")
    client.count(q)
    client.cancel("2")
    client.count(q)
