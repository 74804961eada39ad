"""Statistics for tests, in which only what matters is named: all else is 0, or nothing."""

from collections.abc import Generator, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from amqpd.broker.statistics import (
    DROP_REASONS,
    SIZES,
    BrokerStatistics,
    ConsumerStatistics,
    ExchangeStatistics,
    Handovers,
    QueueStatistics,
    SessionStatistics,
    Tally,
)
from amqpd.histogram import TIMES_S, Distribution, nothing
from amqpd.metrics.collector import StatisticsCollector
from amqpd.metrics.pages import AGGREGATED, Page
from amqpd.metrics.rates import Reading
from amqpd.metrics.snapshot import Snapshot
from amqpd.metrics.statistics import ConnectionStatistics, JournalStatistics, ServerStatistics

Read = TypeVar("Read")


def distribution(*values: float, bounds: Sequence[float] = TIMES_S) -> Distribution:
    """What a histogram has after these values."""
    edges = (*bounds, float("inf"))
    counts = [0] * len(edges)
    for value in values:
        counts[next(index for index, bound in enumerate(edges) if value <= bound)] += 1
    return Distribution(tuple(bounds), tuple(counts), float(sum(values)))


def queue(name: str, **values: Any) -> QueueStatistics:
    usual: dict[str, Any] = {
        "vhost": "/",
        "type": "classic",
        "durable": True,
        "exclusive": False,
        "ready": 0,
        "ready_bytes": 0,
        "ready_in_memory": 0,
        "ready_in_memory_bytes": 0,
        "unacked": 0,
        "unacked_bytes": 0,
        "consumers": 0,
        "published": 0,
        "refused": 0,
        "handovers": Handovers(),
        "ready_age_s": None,
        "unacked_age_s": None,
        "waits": nothing(TIMES_S),
        "acks": nothing(TIMES_S),
        "blocked_s": 0.0,
    }
    return QueueStatistics(name=name, **{**usual, **values})


def exchange(name: str, **values: Any) -> ExchangeStatistics:
    usual: dict[str, Any] = {
        "vhost": "/",
        "type": "direct",
        "bindings": 0,
        "published": 0,
        "confirmed": 0,
        "unroutable": (0, 0, 0, 0),
    }
    return ExchangeStatistics(name=name, **{**usual, **values})


def consumer(tag: str, queue: str, **values: Any) -> ConsumerStatistics:
    usual: dict[str, Any] = {
        "vhost": "/",
        "no_ack": False,
        "prefetch_count": 0,
        "unacked": 0,
        "handovers": Handovers(),
    }
    return ConsumerStatistics(tag=tag, queue=queue, **{**usual, **values})


def session(client: str, number: int, **values: Any) -> SessionStatistics:
    usual: dict[str, Any] = {
        "vhost": "/",
        "user": "guest",
        "consumers": (),
        "unacked": 0,
        "unconfirmed": 0,
        "uncommitted": 0,
        "acks_uncommitted": 0,
        "prefetch_count": 0,
        "published": 0,
        "confirmed": 0,
        "unroutable_returned": 0,
        "unroutable_dropped": 0,
        "handovers": Handovers(),
    }
    return SessionStatistics(client=client, number=number, **{**usual, **values})


def connection(name: str, **values: Any) -> ConnectionStatistics:
    usual: dict[str, Any] = {
        "vhost": "/",
        "user": "guest",
        "client": "pika",
        "client_version": "1.3.2",
        "client_name": "billing",
        "blocked": False,
        "channels": 0,
        "octets_in": 0,
        "octets_out": 0,
        "reads": 0,
        "writes": 0,
        "pending": 0,
    }
    return ConnectionStatistics(name=name, **{**usual, **values})


def journal(file: str, **values: Any) -> JournalStatistics:
    usual: dict[str, Any] = {
        "commits": nothing(TIMES_S),
        "groups": nothing((1.0, 10.0)),
        "octets_written": 0,
        "messages_written": 0,
        "reads": 0,
        "read_s": 0.0,
        "octets_read": 0,
        "messages_read": 0,
        "octets_in_file": 0,
        "waiting": 0,
        "waiting_limit": 0,
    }
    return JournalStatistics(file=file, **{**usual, **values})


def broker(**values: Any) -> BrokerStatistics:
    counts = {field.name: 0 for field in fields(BrokerStatistics)}
    usual: dict[str, Any] = {
        "messages_dropped": {
            (kind, reason, forwarded): 0
            for kind in ("classic", "quorum")
            for reason in DROP_REASONS
            for forwarded in (False, True)
        },
        "message_sizes": nothing(SIZES),
        "gone": Tally({}),
        "memory_alarm": False,
        "disk_alarm": False,
        "vhosts": ("/",),
        "queues": (),
        "reply_queues": (),
        "exchanges": (),
        "sessions": (),
    }
    return BrokerStatistics(**{**counts, **usual, **values})


def server(**values: Any) -> ServerStatistics:
    usual: dict[str, Any] = {
        "node": "amqpd@here",
        "cluster": "home",
        "uptime_s": 0.0,
        "loop_lag": nothing((0.01, 0.1)),
        "gc_pauses": nothing((0.01, 0.1)),
        "octets_in": 0,
        "octets_out": 0,
        "reads": 0,
        "writes": 0,
        "journals": (),
        "connections": (),
        "not_ready": (),
    }
    return ServerStatistics(**{**usual, **values})


def snapshot(
    broker: BrokerStatistics | None = None,
    server: ServerStatistics | None = None,
    taken_s: float = 100.0,
    earlier: Reading | None = None,
) -> Snapshot:
    return Snapshot(broker or _broker(), server or _server(), taken_s, earlier)


_broker = broker
_server = server


def in_turns(read: Read, turns: int = 3) -> Generator[None, None, Read]:
    """What ``survey`` and ``observe`` are: it takes some turns until they have it."""
    for _ in range(turns):
        yield
    return read


def scrape(
    read: Snapshot, page: Page = AGGREGATED, prefix: str = "amqpd"
) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of the page, by its name and labels."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for metric in StatisticsCollector(read, page, prefix).collect():
        for sample in metric.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"{key} is there twice"
            found[key] = sample.value
    return found


def value(read: Snapshot, name: str, page: Page = AGGREGATED, prefix: str = "amqpd", **labels: str) -> float | None:
    """The value of one sample; None: it is not there."""
    return scrape(read, page, prefix).get((name, frozenset(labels.items())))


def names(read: Snapshot, page: Page = AGGREGATED, prefix: str = "amqpd") -> set[str]:
    """The names of the families, whether they have samples or not."""
    found = [metric.name for metric in StatisticsCollector(read, page, prefix).collect()]
    assert len(found) == len(set(found)), "a family is there twice"
    return set(found)
