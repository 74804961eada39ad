"""The types of exchanges that there are: how one is checked and made."""

from collections.abc import Callable
from dataclasses import replace

from amqpd.broker.deduplication import check_deduplication
from amqpd.broker.exchanges.delayed import DelayedExchange
from amqpd.broker.exchanges.exchange import DirectExchange, Exchange, FanoutExchange
from amqpd.broker.exchanges.hashing import (
    ConsistentHashExchange,
    ModulusHashExchange,
    RandomExchange,
    check_hash_arguments,
)
from amqpd.broker.exchanges.headers import HeadersExchange
from amqpd.broker.exchanges.recent_history import RecentHistoryExchange, check_history_arguments
from amqpd.broker.exchanges.topic import TopicExchange
from amqpd.broker.host import Host
from amqpd.broker.records import ExchangeRecord
from amqpd.errors import CommandInvalid, PreconditionFailed
from amqpd.wire.tables import type_name


def check_exchange_type(record: ExchangeRecord) -> None:
    """CommandInvalid: there is no such type."""
    if record.type not in EXCHANGE_TYPES:
        raise CommandInvalid(f"unknown exchange type '{record.type}'")


def check_exchange(record: ExchangeRecord) -> None:
    """CommandInvalid or PreconditionFailed: an exchange like this cannot be made here."""
    check_exchange_type(record)
    subject = f"exchange '{record.name}' in vhost '{record.vhost}'"
    if not isinstance(record.arguments.get("alternate-exchange", ""), str):
        alternate = record.arguments["alternate-exchange"]
        raise PreconditionFailed(f"invalid type '{type_name(alternate)}' for arg 'alternate-exchange' in {subject}")
    check_deduplication(subject, record.arguments)
    if record.type in ARGUMENT_CHECKS:
        ARGUMENT_CHECKS[record.type](record)


def make_exchange(record: ExchangeRecord, host: Host) -> Exchange:
    """The live exchange for a record that was checked."""
    return EXCHANGE_TYPES[record.type](record, host)


def _inner(record: ExchangeRecord) -> ExchangeRecord:
    """What a delayed message exchange is apart from the delays. PreconditionFailed: it does not say so."""
    kind = record.arguments.get("x-delayed-type")
    if not isinstance(kind, str):
        raise PreconditionFailed("Invalid argument, 'x-delayed-type' must be an existing exchange type")
    if kind == DelayedExchange.type:
        raise PreconditionFailed(f"Invalid argument, '{kind}' can't be used for 'x-delayed-type'")
    return replace(record, type=kind)


def _check_delayed(record: ExchangeRecord) -> None:
    check_exchange(_inner(record))


def _make_delayed(record: ExchangeRecord, host: Host) -> Exchange:
    return DelayedExchange(record, host, make_exchange(_inner(record), host))


EXCHANGE_TYPES: dict[str, Callable[[ExchangeRecord, Host], Exchange]] = {
    DirectExchange.type: DirectExchange,
    FanoutExchange.type: FanoutExchange,
    TopicExchange.type: TopicExchange,
    HeadersExchange.type: HeadersExchange,
    ConsistentHashExchange.type: ConsistentHashExchange,
    ModulusHashExchange.type: ModulusHashExchange,
    RandomExchange.type: RandomExchange,
    RecentHistoryExchange.type: RecentHistoryExchange,
    DelayedExchange.type: _make_delayed,
}

ARGUMENT_CHECKS: dict[str, Callable[[ExchangeRecord], None]] = {
    ConsistentHashExchange.type: check_hash_arguments,
    RecentHistoryExchange.type: check_history_arguments,
    DelayedExchange.type: _check_delayed,
}
"""Of the types whose arguments mean something."""
