"""Exchanges: recent history, alternate exchanges, and exchanges bound to exchanges."""

from interop.differential.broker import Broker
from interop.differential.compare import differential
from interop.differential.fields import byte, long

# x-recent-history


@differential()
def test_recent_history(broker: Broker) -> None:
    """A new binding gets the last messages, in order, as they were published."""
    client = broker.connect()
    x, early, late = broker.names("x", "early", "late")
    client.declare_exchange(x, "x-recent-history", {"x-recent-history-length": 2})
    client.declare(early)
    client.bind(early, x)
    for body in "abc":
        client.publish(x, "key " + body, body, headers={"mine": 1}, content_type="text/plain")
    client.declare(late)
    client.bind(late, x)
    broker.take(early, 3)
    broker.take(late, 2)
    client.publish(x, "key d", "d")
    broker.take(late)


@differential()
def test_recent_history_goes_to_each_binding(broker: Broker) -> None:
    """A second binding of a queue brings it again; the same binding once more does not."""
    client = broker.connect()
    x, q = broker.names("x", "q")
    client.declare_exchange(x, "x-recent-history")
    client.publish(x, "", "a", mandatory=True)
    client.declare(q)
    client.bind(q, x, "one")
    broker.take(q)
    client.bind(q, x, "one")
    client.bind(q, x, "two")
    broker.take(q)
    client.count(q)
    client.publish(x, "", "b")
    broker.take(q)
    client.count(q)


@differential()
def test_recent_history_no_store(broker: Broker) -> None:
    client = broker.connect()
    x, q = broker.names("x", "q")
    client.declare_exchange(x, "x-recent-history")
    for value in True, False, "true", 1, None:
        client.publish(x, "", str(value), headers={"x-recent-history-no-store": value})
    client.publish(x, "", "last")
    client.declare(q)
    client.bind(q, x)
    broker.take(q, 5)
    client.count(q)


@differential()
def test_recent_history_has_20(broker: Broker) -> None:
    client, many = broker.connect(), broker.connect(unseen=True)
    x, q = broker.names("x", "q")
    client.declare_exchange(x, "x-recent-history")
    for number in range(25):
        many.publish(x, "", str(number))
    client.declare(q)
    client.bind(q, x)
    broker.take(q, 20)
    client.count(q)


@differential()
def test_recent_history_length(broker: Broker) -> None:
    client = broker.connect()
    (x,) = broker.names("x")
    for length in (1, 0, -1, "2", "text", 5.0, True, None, long(2), byte(2)):
        client.declare_exchange(x, "x-recent-history", {"x-recent-history-length": length})
        broker.forget(x)


@differential()
def test_recent_history_to_an_exchange(broker: Broker) -> None:
    client = broker.connect()
    x, fanout, q = broker.names("x", "fanout", "q")
    client.declare_exchange(x, "x-recent-history")
    client.declare_exchange(fanout, "fanout")
    client.publish(x, "", "a")
    client.declare(q)
    client.bind(q, fanout)
    client.bind_exchange(fanout, x)
    client.publish(x, "", "b")
    client.count(q)
    broker.let_pass(20)
    client.get_all(q)


# Alternate exchanges


@differential()
def test_alternate_exchange(broker: Broker) -> None:
    """What is routed nowhere goes there, with its key and its exchange as they were."""
    client = broker.connect()
    x, alternate, q, rest = broker.names("x", "alternate", "q", "rest")
    client.declare_exchange(alternate, "fanout")
    client.declare_exchange(x, "direct", {"alternate-exchange": alternate})
    client.declare(q)
    client.bind(q, x, "known")
    client.declare(rest)
    client.bind(rest, alternate)
    client.publish(x, "known", "a", mandatory=True)
    client.publish(x, "unknown", "b", mandatory=True)
    client.get(q)
    client.get(rest)
    client.get(rest)


@differential()
def test_alternate_exchange_routes_nowhere_too(broker: Broker) -> None:
    client = broker.connect()
    x, alternate = broker.names("x", "alternate")
    client.declare_exchange(alternate, "direct")
    client.declare_exchange(x, "direct", {"alternate-exchange": alternate})
    client.publish(x, "key", "a", mandatory=True)


@differential()
def test_alternate_exchange_of_an_alternate_exchange(broker: Broker) -> None:
    client = broker.connect()
    first, second, third, q = broker.names("first", "second", "third", "q")
    client.declare_exchange(third, "fanout")
    client.declare_exchange(second, "direct", {"alternate-exchange": third})
    client.declare_exchange(first, "direct", {"alternate-exchange": second})
    client.declare(q)
    client.bind(q, third)
    client.publish(first, "key", "a", mandatory=True)
    client.get(q)


@differential()
def test_alternate_exchanges_in_a_circle(broker: Broker) -> None:
    client = broker.connect()
    one, two = broker.names("one", "two")
    client.declare_exchange(one, "direct", {"alternate-exchange": two})
    client.declare_exchange(two, "direct", {"alternate-exchange": one})
    client.publish(one, "key", "a", mandatory=True)


@differential()
def test_alternate_exchange_that_is_not_there(broker: Broker) -> None:
    """It need not be there when it is named; what comes before it is lost."""
    client = broker.connect()
    x, late, q = broker.names("x", "late", "q")
    client.declare_exchange(x, "direct", {"alternate-exchange": late})
    client.publish(x, "key", "a", mandatory=True)
    client.declare_exchange(late, "fanout")
    client.declare(q)
    client.bind(q, late)
    client.publish(x, "key", "b", mandatory=True)
    client.delete_exchange(late)
    client.publish(x, "key", "c", mandatory=True)


@differential()
def test_alternate_exchange_behind_a_binding(broker: Broker) -> None:
    """An exchange bound to another has its own alternate; where that routes, the first has routed."""
    client = broker.connect()
    first, second, for_first, for_second, q, r = broker.names("first", "second", "for first", "for second", "q", "r")
    client.declare_exchange(for_first, "fanout")
    client.declare_exchange(for_second, "fanout")
    client.declare_exchange(first, "direct", {"alternate-exchange": for_first})
    client.declare_exchange(second, "direct", {"alternate-exchange": for_second})
    client.bind_exchange(second, first, "key")
    client.declare(q)
    client.bind(q, for_first)
    client.declare(r)
    client.bind(r, for_second)
    client.publish(first, "key", "a", mandatory=True)
    client.publish(first, "other", "b", mandatory=True)
    for queue in q, r:
        client.get_all(queue)


@differential()
def test_alternate_exchange_of_type_headers(broker: Broker) -> None:
    client = broker.connect()
    x, alternate, q = broker.names("x", "alternate", "q")
    client.declare_exchange(alternate, "headers")
    client.declare_exchange(x, "topic", {"alternate-exchange": alternate})
    client.declare(q)
    client.bind(q, alternate, "", {"a": 1})
    client.publish(x, "key", "a", mandatory=True, headers={"a": 1})
    client.publish(x, "key", "b", mandatory=True, headers={"a": 2})


# Exchanges bound to exchanges


@differential()
def test_circle_of_exchanges(broker: Broker) -> None:
    """A queue gets a message once, however many ways lead there."""
    client = broker.connect()
    one, two, q = broker.names("one", "two", "q")
    for exchange in one, two:
        client.declare_exchange(exchange, "fanout")
    client.declare(q)
    client.bind_exchange(two, one)
    client.bind_exchange(one, two)
    client.bind(q, one)
    client.bind(q, two)
    client.publish(one, "", "a", mandatory=True)
    client.count(q)


@differential()
def test_internal_exchange(broker: Broker) -> None:
    client = broker.connect()
    internal, outer, q = broker.names("internal", "outer", "q")
    client.declare_exchange(internal, "fanout", internal=True)
    client.declare_exchange(outer, "direct")
    client.bind_exchange(internal, outer, "key")
    client.declare(q)
    client.bind(q, internal)
    client.publish(internal, "key", "a")
    client.publish(outer, "key", "b", mandatory=True)
    client.get(q)


@differential()
def test_auto_delete_exchange(broker: Broker) -> None:
    """It goes with its last binding, to a queue or to an exchange, and never before it has had one."""
    client = broker.connect()
    x, source, q = broker.names("x", "source", "q")
    client.declare_exchange(source, "fanout")
    client.declare_exchange(x, "fanout", auto_delete=True)
    client.bind_exchange(x, source)
    client.declare(q)
    client.bind(q, x)
    client.bind(q, x, "another")
    client.unbind(q, x)
    client.declare_exchange(x, "fanout", passive=True)
    client.delete(q)
    client.declare_exchange(x, "fanout", passive=True)
    client.delete_exchange(source, if_unused=True)


@differential()
def test_delete_if_unused(broker: Broker) -> None:
    client = broker.connect()
    x, q = broker.names("x", "q")
    client.declare_exchange(x, "fanout")
    client.declare(q)
    client.bind(q, x)
    client.delete_exchange(x, if_unused=True)
    client.unbind(q, x)
    client.delete_exchange(x, if_unused=True)
    client.delete_exchange(x, if_unused=True)
