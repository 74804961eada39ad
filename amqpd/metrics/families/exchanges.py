"""The families of an exchange."""

from dataclasses import dataclass

from amqpd.broker.statistics import UNROUTABLE as OUTCOMES
from amqpd.broker.statistics import ExchangeStatistics
from amqpd.metrics.snapshot import Snapshot
from amqpd.metrics.tables import Table, counter


def exchange_name(exchange: ExchangeStatistics) -> str:
    """As it is shown: to Prometheus a label without a value is none, and errors call the default exchange so too."""
    return exchange.name or "amq.default"


def unroutable(exchange: ExchangeStatistics, outcome: str) -> int:
    """Messages that reached no queue, for whatever reason."""
    return sum(
        count for (its_outcome, _), count in zip(OUTCOMES, exchange.unroutable, strict=True) if its_outcome == outcome
    )


EXCHANGES: Table[ExchangeStatistics] = Table(
    labels=("vhost", "exchange"),
    rows=lambda snapshot: snapshot.broker.exchanges,
    label_values=lambda exchange: (exchange.vhost, exchange_name(exchange)),
    families={
        "exchange_metrics": (
            counter(
                "exchange_messages_published",
                "Messages published to the exchange",
                lambda exchange: exchange.published,
                ever=lambda snapshot: snapshot.broker.messages_published,
            ),
            counter(
                "exchange_messages_confirmed",
                "Messages published to the exchange and confirmed",
                lambda exchange: exchange.confirmed,
                ever=lambda snapshot: snapshot.broker.messages_confirmed,
            ),
            counter(
                "exchange_messages_unroutable_returned",
                "Mandatory messages that no queue took, returned to their publishers",
                lambda exchange: unroutable(exchange, "returned"),
                ever=lambda snapshot: snapshot.broker.messages_unroutable_returned,
            ),
            counter(
                "exchange_messages_unroutable_dropped",
                "Messages that no queue took, dropped",
                lambda exchange: unroutable(exchange, "dropped"),
                ever=lambda snapshot: snapshot.broker.messages_unroutable_dropped,
            ),
        )
    },
)


@dataclass(frozen=True, slots=True)
class Unroutable:
    """What no queue took of an exchange's messages: what became of it, and why."""

    exchange: ExchangeStatistics
    outcome: str
    reason: str
    count: int


def _unroutable(snapshot: Snapshot) -> list[Unroutable]:
    return [
        Unroutable(exchange, outcome, reason, count)
        for exchange in snapshot.broker.exchanges
        for (outcome, reason), count in zip(OUTCOMES, exchange.unroutable, strict=True)
    ]


UNROUTABLE: Table[Unroutable] = Table(
    labels=("vhost", "exchange", "outcome", "reason"),
    rows=_unroutable,
    label_values=lambda row: (row.exchange.vhost, exchange_name(row.exchange), row.outcome, row.reason),
    families={
        "exchange_metrics": (
            counter(
                "exchange_messages_unroutable",
                "Messages that no queue took: nothing is bound (of the default exchange: there is no such queue), or "
                "nothing that is bound wants them",
                lambda row: row.count,
            ),
        )
    },
)
