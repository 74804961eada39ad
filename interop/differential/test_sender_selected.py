"""CC and BCC: more routing keys than one, in headers."""

from typing import Any

from interop.differential.broker import Broker
from interop.differential.compare import differential, differs
from interop.differential.fields import long, timestamp
from interop.differential.words import dead_letters_to


@differential()
def test_cc(broker: Broker) -> None:
    """Each key routes as the message's own; what is delivered tells the own key, and CC as it came."""
    client = broker.connect()
    q, one, two = broker.names("q", "one", "two")
    for queue in q, one, two:
        client.declare(queue)
    client.publish("", q, "a", headers={"CC": [one, two]})
    for queue in q, one, two:
        client.get(queue)


@differential()
def test_bcc(broker: Broker) -> None:
    """Nobody sees BCC, neither who is named there nor the others."""
    client = broker.connect()
    q, one = broker.names("q", "one")
    for queue in q, one:
        client.declare(queue)
    client.publish("", q, "a", headers={"BCC": [one], "mine": 1})
    client.publish("", q, "b", headers={"BCC": [one]})
    for queue in q, one:
        client.get(queue)
        client.get(queue)


@differential()
def test_cc_and_bcc(broker: Broker) -> None:
    client = broker.connect()
    q, one, two = broker.names("q", "one", "two")
    for queue in q, one, two:
        client.declare(queue)
    client.publish("", q, "a", headers={"BCC": [two], "CC": [one]})
    for queue in q, one, two:
        client.get(queue)


@differential()
def test_each_queue_once(broker: Broker) -> None:
    client = broker.connect()
    q, one = broker.names("q", "one")
    for queue in q, one:
        client.declare(queue)
    client.publish("", q, "a", headers={"CC": [q, one, one], "BCC": [one, q]})
    client.count(q)
    client.count(one)


@differential()
def test_routed_by_cc_alone(broker: Broker) -> None:
    """A mandatory message is routed if any key is."""
    client = broker.connect()
    one, nowhere = broker.names("one", "nowhere")
    client.declare(one)
    client.publish("", nowhere, "a", mandatory=True, headers={"CC": [one]})
    client.publish("", nowhere, "b", mandatory=True, headers={"BCC": [one]})
    client.publish("", nowhere, "c", mandatory=True, headers={"CC": [nowhere], "BCC": [nowhere]})
    client.get(one)
    client.get(one)


@differential()
def test_by_exchanges_of_each_type(broker: Broker) -> None:
    client = broker.connect()
    q, r, direct, topic, fanout, headers = broker.names("q", "r", "direct", "topic", "fanout", "headers")
    for queue in q, r:
        client.declare(queue)
    for exchange in direct, topic, fanout, headers:
        client.declare_exchange(exchange, exchange.rsplit(".", 1)[1])
    client.bind(q, direct, "q")
    client.bind(r, direct, "r")
    client.publish(direct, "q", "a", headers={"CC": ["r"]})
    client.bind(q, topic, "q.*")
    client.bind(r, topic, "*.r")
    client.publish(topic, "q.x", "b", headers={"CC": ["x.r"]})
    client.publish(topic, "q.r", "c", headers={"BCC": ["q.r"]})
    client.bind(q, fanout)
    client.publish(fanout, "", "d", headers={"CC": ["r"]})
    client.bind(q, headers, "", {"a": 1})
    client.publish(headers, "", "e", headers={"a": 1, "CC": ["r"]})
    for queue in q, r:
        client.get_all(queue)


@differential()
def test_through_bound_exchanges(broker: Broker) -> None:
    client = broker.connect()
    q, outer, inner = broker.names("q", "outer", "inner")
    client.declare(q)
    client.declare_exchange(outer, "fanout")
    client.declare_exchange(inner, "direct")
    client.bind_exchange(inner, outer)
    client.bind(q, inner, "cc")
    client.publish(outer, "key", "a", mandatory=True, headers={"CC": ["cc"]})
    client.get(q)


@differential()
def test_wrong_types(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    wrong: list[Any] = ["q", 5, long(5), True, 1.0, None, b"q", timestamp(5), {"q": 1}]
    for name in "CC", "BCC":
        for value in wrong:
            client.publish("", q, "a", headers={name: value})
    client.count(q)


@differential()
def test_wrong_types_in_the_array(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    for name in "CC", "BCC":
        for value in ([], [5], [None], [["q"]], ["q", 5], [b"q"], [""]):
            client.publish("", q, "a", headers={name: value})
    client.count(q)


@differential()
def test_names_in_other_cases_mean_nothing(broker: Broker) -> None:
    client = broker.connect()
    q, one = broker.names("q", "one")
    for queue in q, one:
        client.declare(queue)
    client.publish("", q, "a", headers={"cc": [one], "Bcc": [one], "bcc": "text"})
    client.get(q)
    client.count(one)


# With dead letters


@differential()
def test_death_tells_the_keys(broker: Broker) -> None:
    """routing-keys has the own key and CC, and not BCC."""
    client = broker.connect()
    q, one, dead, fanout = broker.names("q", "one", "dead", "fanout")
    client.declare_exchange(fanout, "fanout")
    client.declare(dead)
    client.bind(dead, fanout)
    client.declare(one)
    client.declare(q, {"x-dead-letter-exchange": fanout})
    client.publish("", q, "a", headers={"CC": ["cc"], "BCC": [one]})
    client.reject(client.get(q, ack=False))
    broker.take(dead)
    client.get(one)


@differential(
    differs(
        rabbitmq="""\
get for bcc: 'a' from direct with 'q', 0 left
    header CC: ["cc"]
    death 1: {count=long 1, exchange="", queue="q", reason="rejected", routing-keys=["q", "cc"], time=timestamp}
    header x-first-death-exchange: ""
    header x-first-death-queue: "q"
    header x-first-death-reason: "rejected"
    header x-last-death-exchange: ""
    header x-last-death-queue: "q"
    header x-last-death-reason: "rejected"
""",
        amqpd="get for bcc: empty",
        because="blind copies are made once: what is BCC is not in the message any more",
    )
)
def test_dead_letter_goes_by_cc_again(broker: Broker) -> None:
    """Without a key for dead letters, the keys of the message are used once more."""
    client = broker.connect()
    q, for_key, for_cc, for_bcc, direct = broker.names("q", "for key", "for cc", "for bcc", "direct")
    client.declare_exchange(direct, "direct")
    for queue, key in (for_key, q), (for_cc, "cc"), (for_bcc, "bcc"):
        client.declare(queue)
        client.bind(queue, direct, key)
    client.declare(q, {"x-dead-letter-exchange": direct})
    client.publish("", q, "a", headers={"CC": ["cc"], "BCC": ["bcc"]})
    client.reject(client.get(q, ack=False))
    broker.take(for_key)
    broker.take(for_cc)
    client.get(for_bcc)


@differential()
def test_key_for_dead_letters_replaces_cc(broker: Broker) -> None:
    """With a key for dead letters, CC is taken from the message."""
    client = broker.connect()
    q, for_cc, dead = broker.names("q", "for cc", "dead")
    client.declare(for_cc)
    client.declare(dead)
    client.declare(q, dead_letters_to(dead))
    client.publish("", q, "a", headers={"CC": [for_cc + ".not"], "mine": 1})
    client.reject(client.get(q, ack=False))
    broker.take(dead)
    client.count(for_cc)


@differential()
def test_died_where_cc_brought_it(broker: Broker) -> None:
    """The keys of the death are the message's, not the one that led to this queue."""
    client = broker.connect()
    q, nowhere, dead = broker.names("q", "nowhere", "dead")
    client.declare(dead)
    client.declare(q, dead_letters_to(dead))
    client.publish("", nowhere, "a", headers={"CC": [q]})
    client.reject(client.get(q, ack=False))
    broker.take(dead)


@differential()
def test_died_twice_with_cc(broker: Broker) -> None:
    client = broker.connect()
    q, second, dead = broker.names("q", "second", "dead")
    client.declare(dead)
    client.declare(second, dead_letters_to(dead))
    client.declare(q, dead_letters_to(second))
    client.publish("", q, "a", headers={"CC": ["cc"]})
    client.reject(client.get(q, ack=False))
    client.consume(second, "c")
    client.reject(client.receive()[0])
    broker.take(dead)
