"""What the broker makes of a publish: what it checks, what it refuses, what it hands on as it is."""

from interop.differential.broker import Broker
from interop.differential.compare import differential
from interop.differential.fields import byte, decimal, long, short, single, timestamp, unsignedint


@differential()
def test_user_id(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    for user in "guest", "bob", "", "GUEST":
        client.send(q, "a", user_id=user)
    client.count(q)
    client.get(q)


@differential()
def test_delivery_mode(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    for mode in 0, 1, 2, 3, 255:
        client.send(q, "a", delivery_mode=mode)
    client.get_all(q)


@differential()
def test_priority(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    for priority in 0, 9, 255:
        client.send(q, "a", priority=priority)
    client.get_all(q)


@differential()
def test_expiration(broker: Broker) -> None:
    """Digits, and no more than ten years of them."""
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    for expiration in (
        "60000",
        "+60000",
        "060000",
        "abc",
        "",
        "-1",
        "-0",
        "1000x",
        "x1000",
        "1000 ",
        " 1000",
        "1000.5",
        "1e3",
        "0x10",
        "315360000000",
        "315360000001",
        "12 abc",
        "60_000",
        "\u0661",
    ):
        client.send(q, "a", expiration=expiration)
    client.count(q)


@differential()
def test_expiration_is_looked_at_before_the_route(broker: Broker) -> None:
    client = broker.connect()
    client.publish("", "nowhere at all", "a", mandatory=True, expiration="abc")
    client.publish("no such exchange", "", "a", expiration="abc")
    client.publish("amq.fanout", "", "a", user_id="bob", expiration="abc")
    client.publish("amq.fanout", "", "a", user_id="bob", headers={"CC": 5})
    client.publish("amq.fanout", "", "a", expiration="abc", headers={"CC": 5})
    client.publish("amq.fanout", "", "a", delivery_mode=3, headers={"CC": 5})
    client.publish("amq.fanout", "", "a", delivery_mode=3, expiration="abc")


@differential()
def test_refused_publish_reaches_nobody(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    client.send(q, "good")
    client.send(q, "bad", expiration="abc")
    client.send(q, "good again")
    client.get_all(q)


@differential()
def test_exchanges_that_take_no_publish(broker: Broker) -> None:
    client = broker.connect()
    (x,) = broker.names("x")
    client.publish(x, "", "a")
    client.declare_exchange(x, "fanout", internal=True)
    client.publish(x, "", "a")
    client.publish(x, "", "a", mandatory=True)
    client.publish("amq.rabbitmq.trace", "", "a")


@differential()
def test_reserved_names(broker: Broker) -> None:
    client = broker.connect()
    client.declare("amq.mine")
    client.declare("amq.")
    client.declare("amq")
    client.delete("amq")
    client.declare("AMQ.mine")
    client.delete("AMQ.mine")
    client.declare("amq.mine", passive=True)
    client.delete("amq.mine")
    client.declare_exchange("amq.mine")
    client.declare_exchange("amq.direct", "direct", durable=True)
    client.declare_exchange("amq.direct", "fanout", durable=True)
    client.declare_exchange("amq.mine", passive=True)
    client.delete_exchange("amq.mine")
    client.delete_exchange("amq.direct")
    client.delete_exchange("amq.direct", if_unused=True)
    client.declare_exchange("amq.rabbitmq.trace", "topic", durable=True, internal=True)
    client.delete_exchange("amq.rabbitmq.trace")


@differential()
def test_default_exchange(broker: Broker) -> None:
    client = broker.connect()
    q, x = broker.names("q", "x")
    client.declare(q)
    client.declare_exchange(x, "fanout")
    client.declare_exchange("", "direct", durable=True)
    client.declare_exchange("", "direct", passive=True)
    client.delete_exchange("")
    client.bind(q, "", q)
    client.unbind(q, "", q)
    client.bind_exchange("", x)
    client.bind_exchange(x, "")


@differential()
def test_names_are_any_text(broker: Broker) -> None:
    client = broker.connect()
    names = broker.names("with space", "ümläut", "日本", "a/b", "#.*", "'quoted'", "long " * 40)
    for name in names:
        client.declare(name)
        client.declare(name, {"x-max-length": 5})
        client.publish("", name, "a", mandatory=True)
        client.get(name)
        client.declare_exchange(name)
        client.declare_exchange(name, "fanout")


@differential()
def test_properties_are_handed_on(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    client.send(
        q,
        "a",
        headers={
            "byte": byte(-1),
            "short": short(-1),
            "signedint": -1,
            "unsignedint": unsignedint(1),
            "long": long(-1),
            "float": single(0.5),
            "double": 0.5,
            "bool": True,
            "longstr": "text",
            "binary": b"octets",
            "void": None,
            "timestamp": timestamp(1_500_000_000),
            "decimal": decimal((2, 314)),
            "array": [1, "two", [3], {"four": 4}],
            "table": {"a": {"b": {"c": []}}},
            "": "no name",
        },
    )
    client.get(q)
    client.send(q, "b", headers={})
    client.get(q)
    client.send(q, "", content_type="")
    client.get(q)
    client.send(q, bytes(300_000), cluster_id="c", timestamp=2**40, type="ü")
    client.get(q)


@differential()
def test_persistent_in_a_durable_queue(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, durable=True)
    client.send(q, "persistent", delivery_mode=2)
    client.send(q, "transient", delivery_mode=1)
    client.get(q)
    client.get(q)
