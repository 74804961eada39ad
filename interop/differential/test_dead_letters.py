"""Dead lettering: what a message brings along when it has died, where it goes, and what does not go there."""

from interop.differential.broker import Broker
from interop.differential.compare import differential
from interop.differential.words import dead_letters_to

# Reasons


@differential()
def test_rejected(broker: Broker) -> None:
    """Its properties stay; the first death and the last are told once more by name."""
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead))
    client.send(
        source,
        "a",
        content_type="text/plain",
        content_encoding="utf-8",
        headers={"mine": 1},
        delivery_mode=1,
        priority=3,
        correlation_id="c",
        reply_to="r",
        message_id="m",
        timestamp=1_500_000_000,
        type="t",
        user_id="guest",
        app_id="app",
    )
    client.reject(client.get(source, ack=False))
    broker.take(dead)
    client.count(source)


@differential()
def test_nacked_several(broker: Broker) -> None:
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead))
    for body in "abc":
        client.send(source, body)
    for _ in range(2):
        client.get(source, ack=False)
    client.nack(client.get(source, ack=False), requeue=False, multiple=True)
    broker.take(dead, 3)


@differential()
def test_nacked_later_first(broker: Broker) -> None:
    """Dead letters come in the order in which they died."""
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead))
    for body in "abc":
        client.send(source, body)
    for message in reversed([client.get(source, ack=False) for _ in range(3)]):
        client.reject(message)
    broker.take(dead, 3)


@differential()
def test_rejected_and_requeued_does_not_die(broker: Broker) -> None:
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead))
    client.send(source, "a")
    client.reject(client.get(source, ack=False), requeue=True)
    client.reject(client.get(source, ack=False))
    broker.take(dead)


@differential()
def test_expired_in_its_queue(broker: Broker) -> None:
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead, message_ttl=50))
    client.send(source, "a")
    broker.take(dead)


@differential()
def test_expired_by_its_own(broker: Broker) -> None:
    """Its expiration is taken from it, so that it does not expire again, and kept with the death."""
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead))
    client.send(source, "a", expiration="50", headers={"mine": True})
    broker.take(dead)


@differential()
def test_expired_by_the_queue_before_its_own(broker: Broker) -> None:
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead, message_ttl=50))
    client.send(source, "a", expiration="60000")
    broker.take(dead)


@differential()
def test_rejected_with_an_expiration(broker: Broker) -> None:
    """The expiration goes whatever the reason is, and is kept whatever the reason is."""
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead))
    client.send(source, "a", expiration="60000")
    client.reject(client.get(source, ack=False))
    broker.take(dead)


@differential()
def test_expired_at_once(broker: Broker) -> None:
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead, message_ttl=0))
    client.send(source, "a")
    client.send(source, "b")
    broker.take(dead, 2)
    client.count(source)


@differential()
def test_expiration_of_0(broker: Broker) -> None:
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead))
    client.send(source, "a", expiration="0")
    broker.take(dead)


@differential()
def test_pushed_out_by_length(broker: Broker) -> None:
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead, max_length=2))
    for body in "abcd":
        client.send(source, body)
    broker.take(dead, 2)
    client.get(source)
    client.get(source)


@differential()
def test_pushed_out_at_once_by_length_0(broker: Broker) -> None:
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead, max_length=0))
    client.send(source, "a", expiration="60000")
    broker.take(dead)
    client.count(source)


@differential()
def test_pushed_out_by_octets(broker: Broker) -> None:
    """One large message pushes out several small ones."""
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead, max_length_bytes=10))
    for body in "aaa", "bbb", "ccc", "dddddddd":
        client.send(source, body)
    broker.take(dead, 3)
    client.get(source)


@differential()
def test_larger_than_the_limit_of_octets(broker: Broker) -> None:
    """It pushes out all that waits, and then itself."""
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead, max_length_bytes=10))
    client.send(source, "a")
    client.send(source, "b" * 11)
    broker.take(dead, 2)
    client.send(source, "c")
    client.get(source)


@differential()
def test_rejected_at_publish(broker: Broker) -> None:
    """reject-publish-dlx: the publisher gets a nack, and the message goes to the exchange all the same."""
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead, max_length=1, overflow="reject-publish-dlx"))
    client.send(source, "a")
    client.send(source, "b")
    broker.take(dead)
    client.get(source)


@differential()
def test_refused_at_publish_is_no_dead_letter(broker: Broker) -> None:
    """reject-publish: what is refused does not go to the exchange; what is rejected later does."""
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead, max_length=1, overflow="reject-publish"))
    client.send(source, "a")
    client.send(source, "b")
    client.reject(client.get(source, ack=False))
    broker.take(dead)
    client.count(dead)


# Where to


@differential()
def test_key_is_kept_where_none_is_given(broker: Broker) -> None:
    client = broker.connect()
    source, dead, fanout = broker.names("source", "dead", "fanout")
    client.declare_exchange(fanout, "fanout")
    client.declare(dead)
    client.bind(dead, fanout)
    client.declare(source, {"x-dead-letter-exchange": fanout})
    client.bind(source, "amq.direct", source + ".key")
    client.publish("amq.direct", source + ".key", "a")
    client.reject(client.get(source, ack=False))
    broker.take(dead)


@differential()
def test_key_is_replaced_where_one_is_given(broker: Broker) -> None:
    """And what the exchange is bound with is the new key."""
    client = broker.connect()
    source, old, new, direct = broker.names("source", "old", "new", "direct")
    client.declare_exchange(direct, "direct")
    for queue in old, new:
        client.declare(queue)
        client.bind(queue, direct, queue)
    client.declare(source, {"x-dead-letter-exchange": direct, "x-dead-letter-routing-key": new})
    client.bind(source, "amq.topic", old)
    client.publish("amq.topic", old, "a")
    client.reject(client.get(source, ack=False))
    broker.take(new)
    client.count(old)


@differential()
def test_key_may_be_empty(broker: Broker) -> None:
    client = broker.connect()
    source, dead, direct = broker.names("source", "dead", "direct")
    client.declare_exchange(direct, "direct")
    client.declare(dead)
    client.bind(dead, direct, "")
    client.declare(source, {"x-dead-letter-exchange": direct, "x-dead-letter-routing-key": ""})
    client.send(source, "a")
    client.reject(client.get(source, ack=False))
    broker.take(dead)


@differential()
def test_to_several_queues(broker: Broker) -> None:
    client = broker.connect()
    source, one, two, fanout = broker.names("source", "one", "two", "fanout")
    client.declare_exchange(fanout, "fanout")
    for queue in one, two:
        client.declare(queue)
        client.bind(queue, fanout)
    client.declare(source, {"x-dead-letter-exchange": fanout})
    client.send(source, "a")
    client.reject(client.get(source, ack=False))
    broker.take(one)
    broker.take(two)


@differential()
def test_by_headers(broker: Broker) -> None:
    """An exchange of type headers sees the headers of the death too."""
    client = broker.connect()
    source, one, two, headers = broker.names("source", "one", "two", "headers")
    client.declare_exchange(headers, "headers")
    client.declare(one)
    client.bind(one, headers, "", {"x-match": "all", "mine": 1})
    client.declare(two)
    client.bind(two, headers, "", {"x-match": "all-with-x", "x-first-death-reason": "rejected"})
    client.declare(source, {"x-dead-letter-exchange": headers})
    client.send(source, "a", headers={"mine": 1})
    client.reject(client.get(source, ack=False))
    broker.take(one)
    broker.take(two)


@differential()
def test_to_an_exchange_that_is_not_there(broker: Broker) -> None:
    """The letter is lost; once the exchange is there, letters go to it."""
    client = broker.connect()
    source, dead, late = broker.names("source", "dead", "late")
    client.declare(dead)
    client.declare(source, {"x-dead-letter-exchange": late})
    client.send(source, "a")
    client.reject(client.get(source, ack=False))
    client.count(source)
    client.declare_exchange(late, "fanout")
    client.bind(dead, late)
    client.send(source, "b")
    client.reject(client.get(source, ack=False))
    broker.take(dead)


@differential()
def test_to_an_exchange_that_routes_nowhere(broker: Broker) -> None:
    client = broker.connect()
    source, dead, fanout = broker.names("source", "dead", "fanout")
    client.declare_exchange(fanout, "fanout")
    client.declare(dead)
    client.declare(source, {"x-dead-letter-exchange": fanout})
    client.send(source, "a")
    client.reject(client.get(source, ack=False))
    client.count(source)
    client.bind(dead, fanout)
    client.send(source, "b")
    client.reject(client.get(source, ack=False))
    broker.take(dead)


@differential()
def test_through_an_alternate_exchange(broker: Broker) -> None:
    client = broker.connect()
    source, dead, direct, fanout = broker.names("source", "dead", "direct", "fanout")
    client.declare_exchange(fanout, "fanout")
    client.declare_exchange(direct, "direct", {"alternate-exchange": fanout})
    client.declare(dead)
    client.bind(dead, fanout)
    client.declare(source, {"x-dead-letter-exchange": direct})
    client.send(source, "a")
    client.reject(client.get(source, ack=False))
    broker.take(dead)


@differential()
def test_to_an_internal_exchange(broker: Broker) -> None:
    client = broker.connect()
    source, dead, internal = broker.names("source", "dead", "internal")
    client.declare_exchange(internal, "fanout", internal=True)
    client.declare(dead)
    client.bind(dead, internal)
    client.declare(source, {"x-dead-letter-exchange": internal})
    client.send(source, "a")
    client.reject(client.get(source, ack=False))
    broker.take(dead)


@differential()
def test_to_the_default_exchange_without_a_key(broker: Broker) -> None:
    """The key is the queue's own name: a cycle, which a reject may make."""
    client = broker.connect()
    (source,) = broker.names("source")
    client.declare(source, {"x-dead-letter-exchange": ""})
    client.consume(source, "c")
    client.send(source, "a")
    for _ in range(2):
        client.reject(client.receive()[0])
    client.receive()


@differential()
def test_mandatory_is_not_kept(broker: Broker) -> None:
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead))
    client.publish("", source, "a", mandatory=True)
    client.reject(client.get(source, ack=False))
    client.publish("", source, "b", mandatory=True)
    client.count(source)


# What does not die


@differential()
def test_purged_deleted_acknowledged_are_no_dead_letters(broker: Broker) -> None:
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead))
    for body in "abcd":
        client.send(source, body)
    client.get(source)  # acknowledged
    client.purge(source)
    client.send(source, "e")
    client.reject(client.get(source, ack=False))
    broker.take(dead)
    client.send(source, "f")
    client.delete(source)
    client.declare(source, dead_letters_to(dead))
    client.send(source, "g")
    client.reject(client.get(source, ack=False))
    broker.take(dead)


@differential()
def test_messages_of_an_expired_queue_are_no_dead_letters(broker: Broker) -> None:
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead, expires=50))
    client.send(source, "a")
    broker.gone(source)
    client.count(dead)


@differential()
def test_unacknowledged_does_not_expire(broker: Broker) -> None:
    """What is unacknowledged has no age; requeued, it expires at once."""
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead, message_ttl=50))
    client.send(source, "a")
    message = client.get(source, ack=False)
    broker.let_pass(100)
    client.count(dead)
    client.nack(message, requeue=True)
    broker.take(dead)


@differential()
def test_order_of_dead_letters_by_expiry(broker: Broker) -> None:
    client = broker.connect()
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead))
    for body, expiration in ("a", "60"), ("b", "30"), ("c", "1"):
        client.send(source, body, expiration=expiration)
    broker.take(dead, 3)  # the head goes first, and the others behind it


@differential()
def test_unacknowledged_when_its_consumer_goes(broker: Broker) -> None:
    """What a consumer leaves unacknowledged when it goes is requeued, not dead."""
    client, other = broker.connect(), broker.connect("other")
    source, dead = broker.names("source", "dead")
    client.declare(dead)
    client.declare(source, dead_letters_to(dead))
    client.send(source, "a")
    other.get(source, ack=False)
    other.close()
    client.reject(client.get(source, ack=False))
    broker.take(dead)
