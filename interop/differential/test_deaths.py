"""The history of a message that has died more than once: the deaths it tells, and the circles that are cut."""

from interop.differential.broker import Broker
from interop.differential.compare import differential, differs
from interop.differential.words import dead_letters_to

# History


NEWEST_FIRST = "RabbitMQ since 4.0 has the newest first; 3.10 turns the older ones round with each new one"


@differential(
    differs(
        rabbitmq="""
            death 2: {count=long 1, exchange="", original-expiration="20", queue="first", reason="expired", \
routing-keys=["first"], time=timestamp}
            death 3: {count=long 1, exchange="", queue="second", reason="maxlen", \
routing-keys=["second"], time=timestamp}
        """,
        amqpd="""
            death 2: {count=long 1, exchange="", queue="second", reason="maxlen", \
routing-keys=["second"], time=timestamp}
            death 3: {count=long 1, exchange="", original-expiration="20", queue="first", reason="expired", \
routing-keys=["first"], time=timestamp}
        """,
        because=NEWEST_FIRST,
    )
)
def test_several_hops(broker: Broker) -> None:
    """The last death stands first."""
    client = broker.connect()
    first, second, third, last = broker.names("first", "second", "third", "last")
    client.declare(last)
    client.declare(third, dead_letters_to(last))
    client.declare(second, dead_letters_to(third, max_length=0))
    client.declare(first, dead_letters_to(second))
    client.send(first, "a", expiration="20")
    client.consume(third, "c")
    client.reject(client.receive()[0])
    broker.take(last)


@differential()
def test_count_of_rejects(broker: Broker) -> None:
    """A death like one before counts there, and comes to the front; the first death remains what it was."""
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead))
    client.send(source, "a", headers={"mine": 1})
    for _ in range(3):
        client.reject(client.get(source, ack=False))
        (message,) = broker.take(dead)
        client.send(source, message.body, headers=message.properties["headers"])


@differential()
def test_count_over_a_retry_queue(broker: Broker) -> None:
    """The common way to try again later: reject to a queue without consumers, whose messages expire back."""
    client = broker.connect()
    work, retry = broker.names("work", "retry")
    client.declare(work, dead_letters_to(retry))
    client.declare(retry, dead_letters_to(work, message_ttl=20))
    client.consume(work, "c")
    client.send(work, "a")
    for _ in range(3):
        client.reject(client.receive()[0])
    client.receive()


@differential(
    differs(
        rabbitmq="""
            death 2: {count=long 1, exchange="", queue="work", reason="expired", \
routing-keys=["work"], time=timestamp}
            death 3: {count=long 1, exchange="", queue="retry", reason="rejected", \
routing-keys=["retry"], time=timestamp}
        """,
        amqpd="""
            death 2: {count=long 1, exchange="", queue="retry", reason="rejected", \
routing-keys=["retry"], time=timestamp}
            death 3: {count=long 1, exchange="", queue="work", reason="expired", \
routing-keys=["work"], time=timestamp}
        """,
        because=NEWEST_FIRST,
    )
)
def test_reasons_count_each_for_itself(broker: Broker) -> None:
    """The same queue with another reason is another entry."""
    client = broker.connect()
    work, retry = broker.names("work", "retry")
    client.declare(work, dead_letters_to(retry, message_ttl=50))
    client.declare(retry, dead_letters_to(work))
    client.send(work, "a")
    client.consume(retry, "retry")
    (message,) = client.receive()
    client.consume(work, "work")
    client.reject(message)
    client.reject(client.receive()[0])
    client.receive()


@differential()
def test_original_expiration_is_that_of_its_first_death(broker: Broker) -> None:
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead))
    client.send(source, "a", expiration="60000")
    client.reject(client.get(source, ack=False))
    (message,) = broker.take(dead)
    client.send(source, message.body, expiration="70000", headers=message.properties["headers"])
    client.reject(client.get(source, ack=False))
    broker.take(dead)


@differential(
    differs(
        rabbitmq="""
            death 1: {count=long 1, exchange="", queue="source", reason="rejected", \
routing-keys=["source"], time=timestamp}
            header x-first-death-queue: "elsewhere"
        """,
        amqpd="""
            death 1: {count=long 1, exchange="", queue="source", reason="rejected", \
routing-keys=["source"], time=timestamp}
            header x-first-death-exchange: ""
            header x-first-death-queue: "source"
            header x-first-death-reason: "rejected"
        """,
        because="where x-death is no history, this death is the first, and told so",
    )
)
def test_deaths_that_a_client_makes_up(broker: Broker) -> None:
    """x-death that a client publishes with is not the broker's."""
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead))
    for made_up in ("nonsense", 5, [], [{"queue": "elsewhere", "reason": "rejected", "count": 7}]):
        client.send(source, "a", headers={"x-death": made_up, "x-first-death-queue": "elsewhere"})
        client.reject(client.get(source, ack=False))
        broker.take(dead)


@differential()
def test_republished_with_the_deaths_of_before(broker: Broker) -> None:
    """A client that hands on the headers it got."""
    client = broker.connect()
    source, dead, other = broker.names("source", "dead", "other")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead))
    client.declare(other, dead_letters_to(dead))
    client.send(source, "a", headers={"mine": 1})
    client.reject(client.get(source, ack=False))
    (message,) = broker.take(dead)
    client.send(other, "b", headers=message.properties["headers"])
    client.reject(client.get(other, ack=False))
    broker.take(dead)


# Cycles


@differential()
def test_cycle_of_expiry_is_cut(broker: Broker) -> None:
    """A message that would come back to where it expired, with no reject on its way, is dropped."""
    client = broker.connect()
    one, two = broker.names("one", "two")
    client.declare(one, dead_letters_to(two, message_ttl=20))
    client.declare(two, dead_letters_to(one, message_ttl=20))
    client.send(one, "a")
    broker.let_pass(150)
    client.count(one)
    client.count(two)


@differential()
def test_cycle_of_a_queue_with_itself_is_cut(broker: Broker) -> None:
    client = broker.connect()
    (source,) = broker.names("source")
    client.declare(source, {"x-dead-letter-exchange": "", "x-message-ttl": 20})
    client.send(source, "a")
    broker.let_pass(100)
    client.count(source)


@differential()
def test_cycle_of_length_is_cut(broker: Broker) -> None:
    client = broker.connect()
    (source,) = broker.names("source")
    client.declare(source, {"x-dead-letter-exchange": "", "x-max-length": 1})
    for body in "abc":
        client.send(source, body)
    broker.let_pass(50)
    client.get(source)
    client.get(source)


@differential()
def test_cycle_is_cut_for_the_queue_that_would_repeat_alone(broker: Broker) -> None:
    """The others that the exchange routes to get the message."""
    client = broker.connect()
    source, other, fanout = broker.names("source", "other", "fanout")
    client.declare_exchange(fanout, "fanout")
    client.declare(source, {"x-dead-letter-exchange": fanout, "x-message-ttl": 20})
    client.declare(other)
    for queue in source, other:
        client.bind(queue, fanout)
    client.send(source, "a")
    broker.take(other)
    client.count(source)


@differential()
def test_cycle_with_a_reject_goes_on(broker: Broker) -> None:
    """Expired, rejected on the way: back where it was. Expired again there: the reject is still in its history."""
    client = broker.connect()
    one, two = broker.names("one", "two")
    client.declare(one, dead_letters_to(two, message_ttl=20))
    client.declare(two, dead_letters_to(one))
    client.consume(two, "c")
    client.send(one, "a")
    for _ in range(3):
        client.reject(client.receive()[0])
    client.receive()
