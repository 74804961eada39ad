"""What RabbitMQ says to every argument of a declaration, a binding and a consumer: each type of value, each bound.

Each scenario is a table of declarations, and its transcript the table of the answers.
"""

from collections.abc import Iterable
from typing import Any

from interop.differential.broker import Broker
from interop.differential.compare import differential, differs
from interop.differential.fields import (
    byte,
    decimal,
    long,
    short,
    single,
    timestamp,
    unsignedbyte,
    unsignedint,
    unsignedshort,
)
from interop.differential.words import arguments

INTEGERS = [byte(5), unsignedbyte(5), short(5), unsignedshort(5), 5, unsignedint(5), long(5)]
BOUNDS = [-1, 0, 1, 255, 256, 2**31 - 1, 2**31, 4_294_967_295, 315_360_000_000, 315_360_000_001, 2**63 - 1, -(2**63)]
OTHERS = ["5", "", True, 5.0, single(5.0), None, b"5", timestamp(5), decimal((0, 5)), [5], {"five": 5}]
TEXTS = ["", "text", b"text", 5, long(5), True, 5.0, None, timestamp(5), ["text"], {"text": 1}]

TTL, EXPIRES, LENGTH, LENGTH_BYTES = "x-message-ttl", "x-expires", "x-max-length", "x-max-length-bytes"
DLX, DLX_KEY = "x-dead-letter-exchange", "x-dead-letter-routing-key"

REFUSED = (
    "declare q {{{0}}}: 406 PRECONDITION_FAILED - invalid arg '{1}' for queue 'q' in vhost '/' "
    "of queue type rabbit_classic_queue (channel, queue.declare)"
)
NO_INTEGER = (
    "406 PRECONDITION_FAILED - invalid arg '{}' for queue 'q' in vhost '/': "
    '"expected integer, got {}" (channel, queue.declare)'
)


def declare_each(broker: Broker, argument: str, values: Iterable[Any], **others: Any) -> None:
    """Declare a queue with each of these values, and with these other arguments."""
    client = broker.connect()
    (q,) = broker.names("q")
    for value in values:
        client.declare(q, {argument: value, **arguments(**others)})
        broker.forget(q)


def redeclare_each(broker: Broker, *pairs: tuple[dict[str, Any] | None, dict[str, Any] | None]) -> None:
    """Declare a queue with the first arguments, and then with the second."""
    client = broker.connect()
    (q,) = broker.names("q")
    for first, second in pairs:
        client.declare(q, first)
        client.declare(q, second)
        broker.forget(q)


# Queues, argument by argument


@differential()
def test_message_ttl(broker: Broker) -> None:
    declare_each(broker, TTL, INTEGERS + BOUNDS + OTHERS)


@differential()
def test_expires(broker: Broker) -> None:
    declare_each(broker, EXPIRES, INTEGERS + BOUNDS + OTHERS)


@differential()
def test_max_length(broker: Broker) -> None:
    declare_each(broker, LENGTH, INTEGERS + BOUNDS + OTHERS)


@differential()
def test_max_length_bytes(broker: Broker) -> None:
    declare_each(broker, LENGTH_BYTES, INTEGERS + BOUNDS + OTHERS)


@differential()
def test_max_priority(broker: Broker) -> None:
    declare_each(broker, "x-max-priority", INTEGERS + BOUNDS + OTHERS)


@differential()
def test_overflow(broker: Broker) -> None:
    known = ["drop-head", "reject-publish", "reject-publish-dlx"]
    declare_each(broker, "x-overflow", [*known, "DROP-HEAD", "drop-tail", *TEXTS])


@differential()
def test_dead_letter_exchange(broker: Broker) -> None:
    declare_each(broker, DLX, ["amq.fanout", *TEXTS])


@differential()
def test_dead_letter_routing_key(broker: Broker) -> None:
    declare_each(broker, DLX_KEY, TEXTS, dead_letter_exchange="")


@differential()
def test_dead_letter_routing_key_without_exchange(broker: Broker) -> None:
    declare_each(broker, DLX_KEY, ["key", "", 5])


@differential()
def test_dead_letter_strategy(broker: Broker) -> None:
    declare_each(broker, "x-dead-letter-strategy", ["at-most-once", "at-least-once", "never", *TEXTS])


@differential()
def test_single_active_consumer(broker: Broker) -> None:
    declare_each(broker, "x-single-active-consumer", [True, False, "true", "", 1, 0, 1.0, None, [True], {"true": True}])


@differential()
def test_queue_type(broker: Broker) -> None:
    declare_each(broker, "x-queue-type", ["classic", "CLASSIC", "undefined", "lazy", *TEXTS])


@differential()
def test_queue_mode(broker: Broker) -> None:
    declare_each(broker, "x-queue-mode", ["default", "lazy", "eager", *TEXTS])


@differential()
def test_queue_version(broker: Broker) -> None:
    declare_each(broker, "x-queue-version", [1, 2, 3, 0, -1, *OTHERS])


@differential(
    differs(
        rabbitmq=REFUSED.format("x-delivery-limit=3", "x-delivery-limit"),
        amqpd="declare q {x-delivery-limit=3}: ok q, 0 ready, 0 consumers",
        because="any queue may have a limit of deliveries",
    ),
    differs(
        rabbitmq=REFUSED.format('x-queue-leader-locator="client-local"', "x-queue-leader-locator"),
        amqpd='declare q {x-queue-leader-locator="client-local"}: ok q, 0 ready, 0 consumers',
        because="RabbitMQ 4 takes it for classic queues too; on one node it means nothing",
    ),
    differs(
        rabbitmq="declare q {x-stream-filter-size-bytes=16}: ok q, 0 ready, 0 consumers",
        amqpd=REFUSED.format("x-stream-filter-size-bytes=16", "x-stream-filter-size-bytes"),
        because="3.10 does not know it yet; RabbitMQ since 3.13 refuses it",
    ),
)
def test_arguments_of_other_queue_types(broker: Broker) -> None:
    """A classic queue refuses what RabbitMQ knows as another type's."""
    client = broker.connect()
    (q,) = broker.names("q")
    for argument, value in {
        "x-delivery-limit": 3,
        "x-quorum-initial-group-size": 3,
        "x-max-in-memory-length": 3,
        "x-max-in-memory-bytes": 3,
        "x-queue-leader-locator": "client-local",
        "x-initial-cluster-size": 3,
        "x-max-age": "1h",
        "x-stream-max-segment-size-bytes": 1000,
        "x-stream-filter-size-bytes": 16,
        "x-queue-master-locator": "min-masters",
        "x-ha-policy": "all",
        "x-consumer-timeout": 1000,
        "x-cancel-on-ha-failover": True,
    }.items():
        client.declare(q, {argument: value})
        broker.forget(q)


@differential(
    *(
        differs(
            rabbitmq=REFUSED.format(f"x-delivery-limit={value}", "x-delivery-limit"),
            amqpd=f"declare q {{x-delivery-limit={value}}}: {answer}",
            because="any queue may have a limit of deliveries, and its value is looked at",
        )
        for value, answer in {
            "0": "ok q, 0 ready, 0 consumers",
            "-1": "ok q, 0 ready, 0 consumers",
            "5": "ok q, 0 ready, 0 consumers",
            "long 5": "ok q, 0 ready, 0 consumers",
            '"5"': NO_INTEGER.format("x-delivery-limit", "longstr"),
            "void": NO_INTEGER.format("x-delivery-limit", "void"),
        }.items()
    )
)
def test_delivery_limit_of_a_classic_queue(broker: Broker) -> None:
    declare_each(broker, "x-delivery-limit", [0, -1, 5, long(5), "5", None])


@differential()
def test_unknown_arguments_are_kept_and_not_looked_at(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    for value in INTEGERS + OTHERS:
        client.declare(q, {"x-mine": value, "mine": value})
        client.declare(q, {"x-mine": "another"})
        client.declare(q)
        broker.forget(q)


@differential()
def test_several_wrong_arguments(broker: Broker) -> None:
    """Which of them is told of."""
    client = broker.connect()
    (q,) = broker.names("q")
    for wrong in (
        {TTL: -1, EXPIRES: -1, LENGTH: -1},
        {LENGTH: -1, EXPIRES: -1, TTL: -1},
        {DLX_KEY: "key", TTL: -1},
        {"x-queue-type": "nonsense", TTL: -1},
        {"x-overflow": "nonsense", "x-max-priority": -1},
        {"x-delivery-limit": 5, TTL: -1},
        {"x-single-active-consumer": 1, "x-max-priority": 256, "x-overflow": 1, DLX: 1, DLX_KEY: 1, LENGTH_BYTES: -1},
    ):
        client.declare(q, wrong)
        broker.forget(q)


# Redeclaring a queue


@differential()
def test_redeclared_with_another_value(broker: Broker) -> None:
    redeclare_each(
        broker,
        *(
            ({argument: one}, {argument: other})
            for argument, one, other in (
                (TTL, 1000, 2000),
                (EXPIRES, 60000, 70000),
                (LENGTH, 10, 20),
                (LENGTH_BYTES, 10, 20),
                ("x-max-priority", 5, 6),
                ("x-overflow", "drop-head", "reject-publish"),
                (DLX, "amq.fanout", "amq.direct"),
                ("x-single-active-consumer", True, False),
                ("x-queue-mode", "default", "lazy"),
                ("x-queue-version", 1, 2),
            )
        ),
        ({DLX: "", DLX_KEY: "one"}, {DLX: "", DLX_KEY: "two"}),
    )


@differential()
def test_redeclared_with_and_without(broker: Broker) -> None:
    for_each = (
        {TTL: 1000},
        {EXPIRES: 60000},
        {LENGTH: 10},
        {LENGTH_BYTES: 10},
        {"x-max-priority": 5},
        {"x-overflow": "drop-head"},
        {"x-overflow": "reject-publish"},
        {DLX: "amq.fanout"},
        {DLX: ""},
        {"x-single-active-consumer": True},
        {"x-single-active-consumer": False},
        {"x-queue-mode": "default"},
        {"x-queue-version": 1},
        {"x-queue-type": "classic"},
        {"x-unknown": 1},
    )
    redeclare_each(broker, *((each, None) for each in for_each), *((None, each) for each in for_each))
    redeclare_each(broker, ({DLX: "", DLX_KEY: "key"}, {DLX: ""}), ({DLX: ""}, {DLX: "", DLX_KEY: "key"}))


@differential()
def test_redeclared_with_another_type_of_value(broker: Broker) -> None:
    """Numbers are compared by value, whatever their width."""
    redeclare_each(
        broker,
        *(({TTL: one}, {TTL: other}) for one in (5, long(5), byte(5)) for other in (*INTEGERS, long(6), "5", 5.0)),
        *(({"x-max-priority": 5}, {"x-max-priority": other}) for other in (byte(5), long(5), "5")),
        *(({DLX: "amq.fanout"}, {DLX: other}) for other in (b"amq.fanout", 5, None)),
    )


@differential(
    differs(
        rabbitmq="declare q {x-delivery-limit=5}: ok q, 0 ready, 0 consumers",
        amqpd="declare q {x-delivery-limit=5}: 406 PRECONDITION_FAILED - "
        "inequivalent arg 'x-delivery-limit' for queue 'q' in vhost '/': "
        "received the value '5' of type 'signedint' but current is none (channel, queue.declare)",
        because="any queue may have a limit of deliveries",
    )
)
def test_redeclared_with_a_wrong_value(broker: Broker) -> None:
    """Whether the argument is the same comes before whether it is right."""
    redeclare_each(
        broker,
        ({TTL: 1000}, {TTL: -1}),
        (None, {TTL: -1}),
        (None, {"x-max-priority": 256}),
        (None, {DLX_KEY: "key"}),
        (None, {"x-queue-type": "nonsense"}),
        (None, {"x-queue-type": "quorum"}),
        (None, {"x-delivery-limit": 5}),
        ({TTL: 1000, LENGTH: 5}, {TTL: 2000, LENGTH: 6}),
    )


@differential()
def test_redeclared_with_other_flags(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    flags: list[dict[str, bool]] = [{}, {"durable": True}, {"auto_delete": True}, {"exclusive": True}]
    for first in flags:
        for second in flags:
            client.declare(q, None, **first)
            client.declare(q, {TTL: 1000}, **second)
            client.declare(q, None, **second)
            client.delete(q)


@differential()
def test_passive_declaration_looks_at_nothing(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q, {TTL: -1}, passive=True)
    client.declare(q, {TTL: 1000})
    client.declare(q, {TTL: 2000}, passive=True)
    client.declare(q, {TTL: -1}, passive=True, durable=True, exclusive=True, auto_delete=True)


# Exchanges


@differential()
def test_alternate_exchange(broker: Broker) -> None:
    client = broker.connect()
    (x,) = broker.names("x")
    for value in ["amq.fanout", "nowhere", *TEXTS]:
        client.declare_exchange(x, "direct", {"alternate-exchange": value})
        broker.forget(x)


@differential()
def test_exchange_redeclared(broker: Broker) -> None:
    """Of the arguments, only the alternate exchange has to be the same."""
    client = broker.connect()
    (x,) = broker.names("x")
    ae = "alternate-exchange"
    for first, second in (
        ({ae: "amq.fanout"}, {ae: "amq.direct"}),
        ({ae: "amq.fanout"}, None),
        (None, {ae: "amq.fanout"}),
        ({ae: "amq.fanout"}, {ae: 5}),
        ({"mine": 1}, {"mine": 2}),
        ({"mine": 1}, None),
        (None, {"x-unknown": True}),
    ):
        client.declare_exchange(x, "direct", first)
        client.declare_exchange(x, "direct", second)
        broker.forget(x)


@differential()
def test_exchange_redeclared_with_other_flags(broker: Broker) -> None:
    client = broker.connect()
    (x,) = broker.names("x")
    flags: list[dict[str, bool]] = [{}, {"durable": True}, {"auto_delete": True}, {"internal": True}]
    for first in flags:
        for second in flags:
            client.declare_exchange(x, "direct", None, **first)
            client.declare_exchange(x, "direct", None, **second)
            broker.forget(x)
    client.declare_exchange(x, "direct")
    for type_ in "fanout", "topic", "headers", "x-random", "x-consistent-hash":
        client.declare_exchange(x, type_)


@differential()
def test_exchange_type_that_is_unknown(broker: Broker) -> None:
    client = broker.connect()
    (x,) = broker.names("x")
    for type_ in "nonsense-of-ours", "DIRECT":
        client.declare_exchange(x, type_)


# Bindings


@differential()
def test_x_match(broker: Broker) -> None:
    client = broker.connect()
    q, x = broker.names("q", "x")
    client.declare(q)
    client.declare_exchange(x, "headers")
    for value in ["all", "any", "all-with-x", "any-with-x", "ALL", *TEXTS]:
        client.bind(q, x, "", {"x-match": value, "a": 1})
    client.bind(q, x, "", {"a": 1})
    client.bind(q, x)
    client.bind(q, "amq.match", "", {"x-match": "nonsense"})
    client.bind(q, "amq.direct", "key", {"x-match": "nonsense"})
    client.bind_exchange("amq.fanout", x, "", {"x-match": "nonsense"})


# Consumers


@differential()
def test_consumer_priority(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    for number, value in enumerate(INTEGERS + BOUNDS + OTHERS):
        client.consume(q, f"c{number}", {"x-priority": value})


@differential()
def test_consumer_arguments_that_are_unknown(broker: Broker) -> None:
    client = broker.connect()
    (q,) = broker.names("q")
    client.declare(q)
    unknown: dict[str, Any] = {
        "mine": 1,
        "x-mine": [1],
        "x-cancel-on-ha-failover": True,
        "x-stream-offset": "first",
        "x-consumer-timeout": 60000,
    }
    for argument, value in unknown.items():
        client.consume(q, argument, {argument: value})
    client.consume(q, "wrong type", {"x-cancel-on-ha-failover": 5})
