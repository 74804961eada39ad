"""Queues with priorities: who comes first, and what the priority meets."""

from interop.differential.broker import Broker
from interop.differential.client import Client
from interop.differential.compare import differential, differs
from interop.differential.words import dead_letters_to


def send(client: Client, queue: str, *priorities: int | None) -> None:
    """Send messages named for their priority and their number."""
    for number, priority in enumerate(priorities):
        if priority is None:
            client.send(queue, f"none #{number}")
        else:
            client.send(queue, f"{priority} #{number}", priority=priority)


@differential()
def test_order(broker: Broker) -> None:
    """The highest first, in order of arrival within a priority; none is 0, and more than the highest is the highest."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-priority": 5})
    send(client, q, 1, None, 5, 0, 9, 3, 1, 255, 0, 4)
    client.get_all(q)


@differential()
def test_without_the_argument(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    send(client, q, 1, None, 5, 0)
    client.get_all(q)


@differential()
def test_consumer_with_prefetch(broker: Broker) -> None:
    """What is handed out stays handed out; what waits comes by priority when there is credit."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-priority": 5})
    client.qos(2)
    client.consume(q, "c")
    send(client, q, 1, 2, 3, 4, 5)
    first, second = client.receive(2)
    client.nothing(q)
    client.ack(first)
    client.receive()
    client.ack(second)
    client.receive()
    client.count(q)


@differential()
def test_requeue(broker: Broker) -> None:
    """A message that is requeued comes before those of its priority that came later, and before all below."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-priority": 5})
    send(client, q, 1, 1, 3, 3, 5)
    five, first_three, second_three, first_one = (client.get(q, ack=False) for _ in range(4))
    client.nack(second_three, requeue=True)
    client.nack(first_one, requeue=True)
    client.nack(first_three, requeue=True)
    send(client, q, 3, 5)
    client.nack(five, requeue=True)
    client.get_all(q)


@differential()
def test_requeue_of_several_at_once(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-priority": 5})
    send(client, q, 1, 5, 1, 5)
    messages = [client.get(q, ack=False) for _ in range(4)]
    send(client, q, 5, 1)
    client.nack(messages[-1], requeue=True, multiple=True)
    client.get_all(q)


@differential()
def test_length_drops_the_highest_first(broker: Broker) -> None:
    """The head goes, whatever its priority: a full queue is left with the lowest."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-priority": 5, "x-max-length": 3})
    send(client, q, 1, 3, 5, 2, 4, 0)
    client.get_all(q)


@differential()
def test_dead_letters_of_length(broker: Broker) -> None:
    client = broker.connect()
    q, dead = broker.names("q", "dead")
    client.declare(dead)
    client.declare(
        q,
        dead_letters_to(dead, max_priority=5, max_length=2),
    )
    send(client, q, 5, 1, 3, 1)
    broker.take(dead, 2)
    client.get_all(q)


@differential()
def test_length_in_octets(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-priority": 5, "x-max-length-bytes": 10})
    send(client, q, 1, 3, 5, 4)
    client.get_all(q)


@differential()
def test_reject_publish_looks_at_no_priority(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-priority": 5, "x-max-length": 2, "x-overflow": "reject-publish"})
    send(client, q, 1, 1, 5)
    client.get_all(q)


@differential()
def test_expired_behind_a_live_one_of_higher_priority(broker: Broker) -> None:
    """There is one head: what is behind it dies when it comes there."""
    client = broker.connect()
    q, dead = broker.names("q", "dead")
    client.declare(dead)
    client.declare(q, dead_letters_to(dead, max_priority=5))
    client.send(q, "lives", priority=5)
    client.send(q, "low", priority=1, expiration="10")
    client.send(q, "high", priority=4, expiration="20")
    client.send(q, "last", priority=1)
    broker.let_pass(80)
    client.count(q)
    client.get(q)
    broker.take(dead, 2)
    client.get(q)


@differential()
def test_expired_behind_a_live_one_of_its_priority(broker: Broker) -> None:
    client = broker.connect()
    q, dead = broker.names("q", "dead")
    client.declare(dead)
    client.declare(q, dead_letters_to(dead, max_priority=5))
    client.send(q, "lives", priority=1)
    client.send(q, "dies", priority=1, expiration="10")
    client.send(q, "above", priority=2)
    broker.let_pass(60)
    client.count(q)
    client.get(q)
    client.count(q)
    client.get(q)
    broker.take(dead)
    client.count(q)


@differential(
    differs(
        rabbitmq="""
        count q: ok q, 3 ready, 0 consumers
        get q: 'dies' from (default) with 'q', 1 left
            priority: 3
            expiration: "10"
        at dead: 'dies too' from (default) with 'dead'
            priority: 2
        """,
        amqpd="""
        count q: ok q, 1 ready, 0 consumers
        get q: 'lives' from (default) with 'q', 0 left
            priority: 1
        at dead: 'dies' from (default) with 'dead'
            priority: 3
        """,
        because="an expired message at the head is not handed out; RabbitMQ does not see that it has a new head",
    )
)
def test_expired_before_a_live_one_of_lower_priority(broker: Broker) -> None:
    """What comes before all others is the head, and expires there."""
    client = broker.connect()
    q, dead = broker.names("q", "dead")
    client.declare(dead)
    client.declare(q, dead_letters_to(dead, max_priority=5))
    client.send(q, "lives", priority=1)
    client.send(q, "dies", priority=3, expiration="10")
    client.send(q, "dies too", priority=2, expiration="10")
    broker.let_pass(60)
    client.count(q)
    client.get(q)
    broker.take(dead)


@differential()
def test_queue_ttl(broker: Broker) -> None:
    client = broker.connect()
    q, dead = broker.names("q", "dead")
    client.declare(dead)
    client.declare(
        q,
        dead_letters_to(dead, max_priority=5, message_ttl=50),
    )
    send(client, q, 3)
    broker.take(dead)
    client.count(q)


@differential()
def test_purge_and_count(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-priority": 5})
    send(client, q, 1, 2, 3)
    client.count(q)
    client.get(q, ack=False)
    client.purge(q)
    client.reopen()
    client.count(q)
    client.delete(q)


@differential()
def test_priority_of_0_levels(broker: Broker) -> None:
    """x-max-priority 0 is a queue of one priority."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-priority": 0})
    send(client, q, 1, None, 5, 0)
    client.get_all(q)


@differential()
def test_255_levels(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {"x-max-priority": 255})
    send(client, q, 254, 255, 253)
    client.get_all(q)


@differential()
def test_dead_letter_keeps_its_priority(broker: Broker) -> None:
    client = broker.connect()
    q, dead = broker.names("q", "dead")
    client.declare(dead, {"x-max-priority": 5})
    client.declare(q, dead_letters_to(dead))
    send(client, q, 1, 3)
    for _ in range(2):
        client.reject(client.get(q, ack=False))
    client.count(q)
    broker.let_pass(20)
    client.get_all(dead)
