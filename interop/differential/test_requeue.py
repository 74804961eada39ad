"""Requeued messages: where they stand, and what limits, time and consumers make of them."""

from interop.differential.broker import Broker
from interop.differential.compare import differential
from interop.differential.words import dead_letters_to


@differential()
def test_each_goes_back_to_its_place(broker: Broker) -> None:
    """Whatever the order of the nacks, the order of the queue is that of publishing."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    client.send(q, *"abcdef")
    a, _, c, d = (client.get(q, ack=False) for _ in range(4))
    client.nack(c, requeue=True)
    client.nack(a, requeue=True)
    client.nack(d, requeue=True)
    client.send(q, "g")
    client.get_all(q)


@differential()
def test_several_at_once(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    client.send(q, *"abcd")
    messages = [client.get(q, ack=False) for _ in range(3)]
    client.nack(messages[1], requeue=True, multiple=True)
    client.get_all(q)
    client.reject(messages[2], requeue=True)
    client.get_all(q)


@differential()
def test_twice(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    client.send(q, *"ab")
    for _ in range(2):
        client.nack(client.get(q, ack=False), requeue=True)
    client.get_all(q)


@differential()
def test_channel_closes(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    client.send(q, *"abcd")
    for _ in range(2):
        client.get(q, ack=False)
    client.get(q)  # acknowledged
    client.reopen()
    client.get_all(q)


@differential()
def test_connection_closes(broker: Broker) -> None:
    client, other = broker.connect(), broker.connect("other")
    (q,) = broker.names("q")
    client.declare(q)
    client.send(q, *"abc")
    for _ in range(2):
        other.get(q, ack=False)
    client.get(q, ack=False)
    other.close()
    client.reopen()
    client.get_all(q)


@differential()
def test_recover(broker: Broker) -> None:
    """To the same consumer again, in order, with new tags."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    client.send(q, *"abc")
    client.consume(q, "c")
    a, _, _ = client.receive(3)
    client.ack(a)
    client.recover()
    client.receive(2)
    client.nothing(q)


@differential()
def test_consumer_is_cancelled(broker: Broker) -> None:
    """What it has, it keeps until the channel closes."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    client.send(q, *"ab")
    client.qos(1)
    client.consume(q, "c")
    client.receive()
    client.cancel("c")
    client.get_all(q)
    client.reopen()
    client.get_all(q)


@differential()
def test_one_consumer_gets_it_again(broker: Broker) -> None:
    """Before what came later and waits for credit."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    client.qos(2)
    client.consume(q, "c")
    client.send(q, *"abcd")
    a, b = client.receive(2)
    client.nack(a, requeue=True)
    client.receive()
    client.ack(b)
    client.receive()
    client.nothing(q)


@differential()
def test_goes_to_whose_turn_it_is(broker: Broker) -> None:
    """To its consumer once more, where that is the next: nobody else has had a turn."""
    client, first, second = broker.connect(), broker.connect("first"), broker.connect("second")
    (q,) = broker.names("q")
    client.declare(q)
    first.qos(1)
    first.consume(q, "1")
    client.send(q, "a")
    (message,) = first.receive()
    second.qos(1)
    second.consume(q, "2")
    first.nack(message, requeue=True)
    first.receive()
    client.send(q, "b")
    second.receive()


@differential()
def test_goes_to_another_when_its_consumer_is_gone(broker: Broker) -> None:
    client, first, second = broker.connect(), broker.connect("first"), broker.connect("second")
    (q,) = broker.names("q")
    client.declare(q)
    first.consume(q, "1")
    client.send(q, "a")
    (message,) = first.receive()
    first.cancel("1")
    second.consume(q, "2")
    first.nack(message, requeue=True)
    second.receive()


@differential()
def test_into_a_full_queue(broker: Broker) -> None:
    """A requeued message stands at the head again, and the head is what a full queue drops."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-length": 2})
    client.send(q, *"ab")
    a = client.get(q, ack=False)
    client.send(q, "c")
    client.count(q)
    client.nack(a, requeue=True)
    client.get_all(q)


@differential()
def test_into_a_full_queue_with_dead_letters(broker: Broker) -> None:
    client = broker.connect()
    q, dead = broker.names("q", "dead")
    client.declare(dead)
    client.declare(q, dead_letters_to(dead, max_length=2))
    client.send(q, *"ab")
    messages = [client.get(q, ack=False) for _ in range(2)]
    client.send(q, *"cd")
    client.nack(messages[-1], requeue=True, multiple=True)
    broker.take(dead, 2)
    client.get_all(q)


@differential()
def test_into_a_queue_full_by_octets(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-length-bytes": 4})
    for body in "aaaa", "b":
        client.send(q, body)
    b = client.get(q, ack=False)
    client.send(q, "cccc")
    client.nack(b, requeue=True)
    client.get_all(q)


@differential()
def test_into_a_full_queue_that_rejects(broker: Broker) -> None:
    """reject-publish refuses publishes; what comes back is taken, beyond the limit."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-length": 1, "x-overflow": "reject-publish"})
    client.send(q, "a")
    a = client.get(q, ack=False)
    client.send(q, "b")
    client.nack(a, requeue=True)
    client.send(q, "c")
    client.get(q)
    client.send(q, "d")
    client.get_all(q)


@differential()
def test_closing_into_a_full_queue(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-length": 2})
    client.send(q, *"abc")
    for _ in range(2):
        client.get(q, ack=False)
    client.send(q, *"de")
    client.reopen()
    client.count(q)
    client.get_all(q)


@differential()
def test_expired_meanwhile(broker: Broker) -> None:
    """A live message that is requeued stands before an expired one, which waits behind it."""
    client = broker.connect()
    q, dead = broker.names("q", "dead")
    client.declare(dead)
    client.declare(q, dead_letters_to(dead))
    client.send(q, "lives")
    client.send(q, "dies", expiration="200")
    lives = client.get(q, ack=False)
    client.nack(lives, requeue=True)
    broker.let_pass(300)
    client.count(q)
    client.count(dead)
    client.get(q)
    broker.take(dead)


@differential()
def test_dies_while_the_head_is_unacknowledged(broker: Broker) -> None:
    """A message that is handed out does not stand before those that wait."""
    client = broker.connect()
    q, dead = broker.names("q", "dead")
    client.declare(dead)
    client.declare(q, dead_letters_to(dead))
    client.send(q, "lives")
    client.send(q, "dies", expiration="30")
    lives = client.get(q, ack=False)
    broker.take(dead)
    client.nack(lives, requeue=True)
    client.get(q)


@differential()
def test_tags_that_are_wrong(broker: Broker) -> None:
    """The channel closes, and what was unacknowledged on it comes back."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    client.send(q, *"ab")
    a = client.get(q, ack=False)
    client.get(q, ack=False)
    client.nack(a, requeue=True)
    client.nack(a, requeue=True)
    client.count(q)
    client.get_all(q)
