"""What arguments may be: complaints are compared to the letter with what RabbitMQ 3.10 says."""

from contextlib import suppress
from decimal import Decimal

import pytest

from amqpd.broker.records import QueueRecord
from amqpd.broker.topology.arguments import (
    QUEUE_CHECKS,
    check_consumer_arguments,
    check_queue_arguments,
    check_server_named,
)
from amqpd.errors import PreconditionFailed
from amqpd.wire.numbers import Byte, Float, Long, LongLong, Short, Timestamp, UnsignedByte, UnsignedInt, UnsignedShort
from amqpd.wire.tables import FieldValue, Table
from tests.broker.support import refused

QUORUM = {"x-queue-type": "quorum"}
DEAD_LETTERING = {"x-dead-letter-exchange": "x"}


def queue(arguments: Table, durable: bool = True, exclusive: bool = False, auto_delete: bool = False) -> QueueRecord:
    return QueueRecord("/", "q", durable, exclusive, auto_delete, arguments)


def test_a_queue_needs_no_arguments() -> None:
    check_queue_arguments(queue({}))
    check_queue_arguments(queue({}, durable=False, exclusive=True, auto_delete=True))


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        ("x-message-ttl", (0, 1, 315_360_000_000)),
        ("x-expires", (1, 315_360_000_000)),
        ("x-max-length", (0, 2**62)),
        ("x-max-length-bytes", (0, 2**62)),
        ("x-overflow", ("drop-head", "reject-publish", "reject-publish-dlx")),
        ("x-dead-letter-exchange", ("", "x")),
        ("x-delivery-limit", (-1, 0, 20)),
        ("x-max-priority", (0, 1, 255)),
        ("x-single-active-consumer", (True, False)),
        ("x-queue-type", ("classic", "quorum")),
        ("x-queue-mode", ("default", "lazy")),
        ("x-queue-version", (1, 2)),
        ("x-queue-leader-locator", ("client-local", "balanced", "random", "least-leaders")),
        ("x-queue-master-locator", ("min-masters", 1)),
        ("x-consumer-timeout", (0, 1_800_000)),
        ("x-consumer-timeout-action", ("requeue", "channel-close")),
        ("x-whatever", (None, 1, "text", [], {})),
        ("no-x-at-all", (None,)),
    ],
)
def test_what_a_queue_may_have(argument: str, values: tuple[FieldValue, ...]) -> None:
    for value in values:
        check_queue_arguments(queue({argument: value}))


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        ("x-dead-letter-strategy", ("at-most-once", "at-least-once")),
        ("x-delivery-limit", (-1, 0, 20)),
        ("x-max-in-memory-length", (0, 5)),
        ("x-max-in-memory-bytes", (0, 5)),
        ("x-quorum-initial-group-size", (1, 3)),
        ("x-message-ttl", (134_217_728_000,)),  # of Celery's native delayed delivery
        ("x-overflow", ("reject-publish",)),
    ],
)
def test_what_a_quorum_queue_may_have(argument: str, values: tuple[FieldValue, ...]) -> None:
    for value in values:
        check_queue_arguments(queue(QUORUM | {argument: value}))


@pytest.mark.parametrize("kind", [int, Byte, UnsignedByte, Short, UnsignedShort, UnsignedInt, Long, LongLong])
def test_an_integer_may_have_any_width(kind: type[int]) -> None:
    check_queue_arguments(queue({"x-max-length": kind(5)}))


NO_INTEGERS: list[tuple[FieldValue, str]] = [
    ("5", "longstr"),
    (b"5", "binary"),
    (True, "bool"),
    (5.0, "double"),
    (Float(5.0), "float"),
    (Decimal(5), "decimal"),
    (Timestamp(5), "timestamp"),
    ([5], "array"),
    ({"5": 5}, "table"),
    (None, "void"),
]


@pytest.mark.parametrize(("value", "kind"), NO_INTEGERS)
@pytest.mark.parametrize(
    "argument",
    [
        "x-message-ttl",
        "x-expires",
        "x-max-length",
        "x-max-length-bytes",
        "x-max-priority",
        "x-queue-version",
        "x-delivery-limit",
        "x-consumer-timeout",
    ],
)
def test_what_is_no_integer(argument: str, value: FieldValue, kind: str) -> None:
    with refused(
        PreconditionFailed, f"invalid arg '{argument}' for queue 'q' in vhost '/': \"expected integer, got {kind}\""
    ):
        check_queue_arguments(queue({argument: value}))


@pytest.mark.parametrize(
    ("argument", "value", "complaint"),
    [
        ("x-message-ttl", -1, "{value_negative,-1}"),
        ("x-message-ttl", 315_360_000_001, "{value_too_large,315360000001}"),
        ("x-expires", -1, "{value_negative,-1}"),
        ("x-expires", 0, "{value_zero,0}"),
        ("x-expires", 315_360_000_001, "{value_too_large,315360000001}"),
        ("x-max-length", -1, "{value_negative,-1}"),
        ("x-max-length-bytes", -1, "{value_negative,-1}"),
        ("x-overflow", "drop-tail", "invalid_overflow"),
        ("x-overflow", 1, "{unacceptable_type,signedint}"),
        ("x-dead-letter-routing-key", "k", "routing_key_but_no_dlx_defined"),
        ("x-dead-letter-routing-key", 2**31, "{unacceptable_type,long}"),
        ("x-max-priority", -1, "{value_negative,-1}"),
        ("x-max-priority", 256, "{max_value_exceeded,256}"),
        ("x-single-active-consumer", 1, "{unacceptable_type,signedint}"),
        ("x-single-active-consumer", "true", "{unacceptable_type,longstr}"),
        ("x-single-active-consumer", None, "{unacceptable_type,void}"),
        ("x-queue-type", "foo", "\"unsupported queue type 'foo'\""),
        ("x-queue-type", "stream", "\"unsupported queue type 'stream'\""),
        ("x-queue-type", "{}", "\"unsupported queue type '{}'\""),
        ("x-queue-type", b"classic", "{unacceptable_type,binary}"),
        ("x-queue-mode", "eager", "\"unsupported queue mode 'eager'\""),
        ("x-queue-mode", True, "{unacceptable_type,bool}"),
        ("x-queue-version", -1, "{value_negative,-1}"),
        ("x-queue-version", 0, "\"unsupported queue version '0'\""),
        ("x-queue-version", 3, "\"unsupported queue version '3'\""),
        ("x-queue-leader-locator", "near", "invalid_queue_locator_arg"),
        ("x-consumer-timeout", -1, "{value_negative,-1}"),
        ("x-consumer-timeout-action", "cancel", "invalid_consumer_timeout_action"),
        ("x-consumer-timeout-action", 1, "{unacceptable_type,signedint}"),
    ],
)
def test_what_a_queue_may_not_have(argument: str, value: FieldValue, complaint: str) -> None:
    with refused(PreconditionFailed, f"invalid arg '{argument}' for queue 'q' in vhost '/': {complaint}"):
        check_queue_arguments(queue({argument: value}))


@pytest.mark.parametrize(
    ("argument", "value", "complaint"),
    [
        ("x-dead-letter-strategy", "sometimes", "invalid_dlx_strategy"),
        ("x-dead-letter-strategy", 1, "{unacceptable_type,signedint}"),
        ("x-quorum-initial-group-size", 0, "{value_zero,0}"),
        ("x-max-in-memory-length", -1, "{value_negative,-1}"),
        ("x-max-in-memory-bytes", "1", '"expected integer, got longstr"'),
    ],
)
def test_what_a_quorum_queue_may_not_have(argument: str, value: FieldValue, complaint: str) -> None:
    with refused(PreconditionFailed, f"invalid arg '{argument}' for queue 'q' in vhost '/': {complaint}"):
        check_queue_arguments(queue(QUORUM | {argument: value}))


def test_a_dead_letter_exchange_is_named_by_text() -> None:
    with refused(
        PreconditionFailed, "invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'"
    ):
        check_queue_arguments(queue({"x-dead-letter-exchange": 5}))


@pytest.mark.parametrize("key", ["", "k", "é" * 127])
def test_a_routing_key_for_dead_letters_goes_with_an_exchange(key: str) -> None:
    check_queue_arguments(queue(DEAD_LETTERING | {"x-dead-letter-routing-key": key}))


def test_a_routing_key_for_dead_letters_must_fit_a_method() -> None:
    with refused(
        PreconditionFailed, "invalid arg 'x-dead-letter-routing-key' for queue 'q' in vhost '/': {value_too_long,256}"
    ):
        check_queue_arguments(queue(DEAD_LETTERING | {"x-dead-letter-routing-key": "é" * 128}))


# Types of queues ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argument",
    [
        "x-dead-letter-strategy",
        "x-max-in-memory-length",
        "x-max-in-memory-bytes",
        "x-quorum-initial-group-size",
        "x-max-age",
        "x-stream-max-segment-size-bytes",
        "x-stream-filter-size-bytes",
        "x-initial-cluster-size",
    ],
)
def test_what_a_classic_queue_does_not_know(argument: str) -> None:
    said = f"invalid arg '{argument}' for queue 'q' in vhost '/' of queue type rabbit_classic_queue"
    for arguments in ({argument: None}, {argument: 1, "x-queue-type": "classic"}):
        with refused(PreconditionFailed, said):
            check_queue_arguments(queue(arguments))


@pytest.mark.parametrize(
    "argument",
    [
        "x-max-priority",
        "x-queue-mode",
        "x-queue-version",
        "x-queue-master-locator",
        "x-max-age",
        "x-initial-cluster-size",
    ],
)
def test_what_a_quorum_queue_does_not_know(argument: str) -> None:
    with refused(
        PreconditionFailed, f"invalid arg '{argument}' for queue 'q' in vhost '/' of queue type rabbit_quorum_queue"
    ):
        check_queue_arguments(queue(QUORUM | {argument: 1}))


@pytest.mark.parametrize(
    ("flags", "property_"),
    [
        ({"durable": False}, "non-durable"),
        ({"exclusive": True}, "exclusive-owner"),
        ({"auto_delete": True}, "auto-delete"),
        ({"durable": False, "exclusive": True}, "exclusive-owner"),
        ({"durable": False, "exclusive": True, "auto_delete": True}, "auto-delete"),
    ],
)
def test_a_quorum_queue_is_there_to_stay(flags: dict[str, bool], property_: str) -> None:
    with refused(PreconditionFailed, f"invalid property '{property_}' for queue 'q' in vhost '/'"):
        check_queue_arguments(queue(QUORUM, **flags))


def test_a_quorum_queue_has_a_name() -> None:
    with refused(PreconditionFailed, "Cannot declare a server-named queue for type rabbit_quorum_queue"):
        check_server_named(QueueRecord("/", "q", arguments=QUORUM))
    check_server_named(QueueRecord("/", "q"))
    check_server_named(QueueRecord("/", "q", arguments={"x-queue-type": "classic"}))


def test_a_queue_is_a_classic_one_unless_something_is_said() -> None:
    assert QueueRecord("/", "q").type == QueueRecord("/", "q", arguments={"x-queue-type": "classic"}).type == "classic"
    assert QueueRecord("/", "q", arguments=QUORUM).type == "quorum"


# Which of several -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "first"),
    [
        ({"x-max-length": -1, "x-expires": 0}, "x-expires"),
        ({"x-message-ttl": -1, "x-expires": 0}, "x-expires"),
        ({"x-overflow": "x", "x-dead-letter-routing-key": "k"}, "x-dead-letter-routing-key"),
        ({"x-message-ttl": -1, "x-queue-type": "foo"}, "x-queue-type"),
        ({"x-max-age": "5D", "x-single-active-consumer": 1}, "x-single-active-consumer"),
        ({"x-max-age": "5D", "x-initial-cluster-size": 3}, "x-max-age"),
        ({"x-initial-cluster-size": 3, "x-max-age": "5D"}, "x-initial-cluster-size"),
        (QUORUM | {"x-queue-mode": "lazy", "x-max-priority": -1, "x-max-length": 1}, "x-queue-mode"),
    ],
)
def test_the_first_complaint(arguments: Table, first: str) -> None:
    with pytest.raises(PreconditionFailed) as caught:
        check_queue_arguments(queue(arguments, durable=False))
    assert caught.value.text.startswith(f"invalid arg '{first}' for queue 'q'")


def test_the_dead_letter_exchange_is_looked_at_before_all_else() -> None:
    with pytest.raises(PreconditionFailed, match="invalid type 'signedint' for arg 'x-dead-letter-exchange'"):
        check_queue_arguments(queue({"x-queue-type": "foo", "x-dead-letter-exchange": 5}))


@pytest.mark.parametrize("argument", QUEUE_CHECKS)
@pytest.mark.parametrize("value", [value for value, _ in NO_INTEGERS] + [2**63 - 1, -(2**63), ""])
def test_no_value_is_worse_than_refused(argument: str, value: FieldValue) -> None:
    for others in ({}, QUORUM, DEAD_LETTERING):
        with suppress(PreconditionFailed):
            check_queue_arguments(queue({argument: value, **others}))


# Consumers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"x-priority": -5},
        {"x-priority": Short(10)},
        {"x-priority": 2**40},
        {"x-consumer-timeout": 0},
        {"x-cancel-on-ha-failover": True},
        {"x-whatever": None},
    ],
)
def test_what_a_consumer_may_have(arguments: Table) -> None:
    check_consumer_arguments("q", "/", arguments)


@pytest.mark.parametrize(
    ("argument", "value", "complaint"),
    [
        ("x-priority", "5", '"expected integer, got longstr"'),
        ("x-priority", True, '"expected integer, got bool"'),
        ("x-priority", None, '"expected integer, got void"'),
        ("x-consumer-timeout", -1, "{value_negative,-1}"),
        ("x-cancel-on-ha-failover", 1, "{unacceptable_type,signedint}"),
    ],
)
def test_what_a_consumer_may_not_have(argument: str, value: FieldValue, complaint: str) -> None:
    with refused(PreconditionFailed, f"invalid arg '{argument}' for queue 'q' in vhost '/': {complaint}"):
        check_consumer_arguments("q", "/", {argument: value})


def test_only_a_stream_has_offsets() -> None:
    said = "invalid arg 'x-stream-offset' for queue 'q' in vhost '/' of queue type rabbit_{}_queue"
    with refused(PreconditionFailed, said.format("classic")):
        check_consumer_arguments("q", "/", {"x-stream-offset": "first"})
    with refused(PreconditionFailed, said.format("quorum")):
        check_consumer_arguments("q", "/", {"x-stream-offset": 0}, "quorum")
