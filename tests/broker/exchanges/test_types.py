"""Which exchanges can be declared, and in which words others are refused."""

import pytest

from amqpd.broker.exchanges.types import EXCHANGE_TYPES, check_exchange
from amqpd.broker.records import ExchangeRecord
from amqpd.errors import CommandInvalid, PreconditionFailed
from amqpd.wire.numbers import Long, Timestamp, UnsignedInt
from amqpd.wire.tables import FieldValue, Table
from tests.broker.support import Peer, refused


def check(kind: str, **arguments: FieldValue) -> None:
    named = {name.replace("_", "-"): value for name, value in arguments.items()}
    check_exchange(ExchangeRecord("/", "x", kind, arguments=named))


def test_all_types_can_be_declared_and_used(peer: Peer) -> None:
    peer.session.declare_queue("q")
    for kind in EXCHANGE_TYPES:
        peer.session.declare_exchange(kind, kind, arguments={"x-delayed-type": "fanout"})
        peer.session.bind("q", kind, "1")
        peer.session.publish(kind, "1", kind.encode())
        peer.session.delete_exchange(kind)
    assert peer.empty("q") == list(EXCHANGE_TYPES)


def test_an_unknown_type_costs_the_connection() -> None:
    with refused(CommandInvalid, "unknown exchange type 'odd'"):
        check("odd")


@pytest.mark.parametrize(("value", "word"), [(1, "signedint"), (True, "bool"), (None, "void")])
def test_an_alternate_exchange_is_named_by_text(value: FieldValue, word: str) -> None:
    with refused(
        PreconditionFailed, f"invalid type '{word}' for arg 'alternate-exchange' in exchange 'x' in vhost '/'"
    ):
        check("x-consistent-hash", alternate_exchange=value, hash_property="of no kind")  # what is found first


@pytest.mark.parametrize(
    "arguments",
    [{}, {"hash-header": "id"}, {"hash-header": ""}]
    + [{"hash-property": name} for name in ("message_id", "correlation_id", "timestamp")],
)
def test_arguments_of_a_consistent_hash_exchange(arguments: Table) -> None:
    check_exchange(ExchangeRecord("/", "x", "x-consistent-hash", arguments=arguments))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"hash-property": "reply_to"}, "Unsupported property: reply_to"),
        ({"hash-property": ""}, "Unsupported property: "),
        ({"hash-header": "", "hash-property": ""}, "hash-header and hash-property are mutually exclusive"),
        ({"hash-header": 1}, "invalid type 'signedint' for arg 'hash-header' in exchange 'x' in vhost '/'"),
        ({"hash-property": None}, "invalid type 'void' for arg 'hash-property' in exchange 'x' in vhost '/'"),
    ],
)
def test_wrong_arguments_of_a_consistent_hash_exchange(arguments: Table, text: str) -> None:
    with refused(PreconditionFailed, text):
        check_exchange(ExchangeRecord("/", "x", "x-consistent-hash", arguments=arguments))


@pytest.mark.parametrize(
    ("length", "shown"),
    [
        (0, "0"),
        (-1, "-1"),
        (UnsignedInt(5), "5"),
        (Timestamp(5), "5"),
        (5.0, "5.0"),
        ("5", '<<"5">>'),
        (True, "true"),
        (None, "undefined"),
        ([1, "a"], '[{signedint,1},{longstr,<<"a">>}]'),
    ],
)
def test_a_history_has_a_positive_length(length: FieldValue, shown: str) -> None:
    with refused(PreconditionFailed, f"Invalid argument {shown}, 'x-recent-history-length' must be a positive integer"):
        check("x-recent-history", x_recent_history_length=length)


def test_a_history_may_be_long() -> None:
    check("x-recent-history", x_recent_history_length=Long(1 << 40))


@pytest.mark.parametrize("arguments", [{}, {"x-delayed-type": 1}, {"x-delayed-type": None}])
def test_a_delayed_message_exchange_says_how_it_routes(arguments: Table) -> None:
    with refused(PreconditionFailed, "Invalid argument, 'x-delayed-type' must be an existing exchange type"):
        check_exchange(ExchangeRecord("/", "x", "x-delayed-message", arguments=arguments))


def test_it_routes_as_a_type_that_there_is_and_that_takes_its_arguments() -> None:
    with refused(PreconditionFailed, "Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'"):
        check("x-delayed-message", x_delayed_type="x-delayed-message")
    with refused(CommandInvalid, "unknown exchange type 'odd'"):
        check("x-delayed-message", x_delayed_type="odd")
    with refused(PreconditionFailed, "Unsupported property: odd"):
        check("x-delayed-message", x_delayed_type="x-consistent-hash", hash_property="odd")


def test_any_type_may_look_for_duplicates() -> None:
    with refused(PreconditionFailed, "invalid arg 'x-cache-size' for exchange 'x' in vhost '/': {value_zero,0}"):
        check("topic", x_message_deduplication=True, x_cache_size=0)
