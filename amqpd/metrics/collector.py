"""A snapshot of the broker as Prometheus families.

The families are declared in tables: name, field of the statistics, what it says. Names and labels are RabbitMQ's with
``amqpd_`` for ``rabbitmq_``, so that whoever knows its dashboards knows these; the process's own metrics come from
prometheus_client's collectors, under RabbitMQ's names too (``amqpd_process_open_fds``).

A collector is made for one scrape and holds its snapshot, so it may be read in any thread. All families are there from
the start, with 0 where nothing happened yet: a rate over a counter that appears late misses its first steps.
"""

import platform
from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from amqpd import __version__
from amqpd.broker.statistics import BrokerStatistics

PREFIX = "amqpd_"


class Family(NamedTuple):
    """``kind`` adds ``_total`` to the name of a counter, as the format asks."""

    kind: type[GaugeMetricFamily] | type[CounterMetricFamily]
    name: str
    field: str
    documentation: str


GAUGE = GaugeMetricFamily
COUNTER = CounterMetricFamily

BROKER = (
    Family(GAUGE, "connections", "connections", "Connections open now"),
    Family(
        GAUGE,
        "connections_blocked",
        "connections_blocked",
        "Connections that published and are not read: see the alarms",
    ),
    Family(GAUGE, "channels", "channels", "Channels open now"),
    Family(GAUGE, "consumers", "consumers", "Consumers there are now"),
    Family(GAUGE, "exchanges", "exchanges", "Exchanges there are now"),
    Family(COUNTER, "connections_opened", "connections_opened", "Connections opened"),
    Family(COUNTER, "connections_closed", "connections_closed", "Connections closed"),
    Family(COUNTER, "channels_opened", "channels_opened", "Channels opened"),
    Family(COUNTER, "channels_closed", "channels_closed", "Channels closed"),
    Family(COUNTER, "queues_declared", "queues_declared", "Declarations of queues, also of those there already"),
    Family(COUNTER, "queues_created", "queues_created", "Queues created"),
    Family(COUNTER, "queues_deleted", "queues_deleted", "Queues deleted"),
    Family(COUNTER, "messages_dropped_expired", "messages_dropped_expired", "Messages that expired in a queue"),
    Family(COUNTER, "messages_dropped_maxlen", "messages_dropped_maxlen", "Messages that were too many for a queue"),
    Family(COUNTER, "messages_dropped_rejected", "messages_dropped_rejected", "Messages that consumers rejected"),
    Family(
        COUNTER,
        "messages_dropped_delivery_limit",
        "messages_dropped_delivery_limit",
        "Messages that came back to a queue too often",
    ),
)

RESOURCES = (
    Family(GAUGE, "alarms_memory_used_watermark", "memory_alarm", "1 if memory is low, and publishers are blocked"),
    Family(
        GAUGE, "alarms_free_disk_space_watermark", "disk_alarm", "1 if disk space is low, and publishers are blocked"
    ),
    Family(GAUGE, "memory_used_bytes", "memory_used", "Memory that counts: resident, without mapped files"),
    Family(GAUGE, "resident_memory_limit_bytes", "memory_limit", "Use of memory above which publishers are blocked"),
    Family(GAUGE, "disk_space_available_bytes", "disk_free", "Free space where the store is"),
    Family(
        GAUGE, "disk_space_available_limit_bytes", "disk_free_limit", "Free space below which publishers are blocked"
    ),
)

PROTOCOL_LABELS = {"protocol": "amqp091"}
PROTOCOL = (
    Family(COUNTER, "global_messages_received", "messages_published", "Messages received from publishers"),
    Family(COUNTER, "global_messages_routed", "messages_routed", "Messages routed to a queue, once for each queue"),
    Family(COUNTER, "global_messages_confirmed", "messages_confirmed", "Messages confirmed to publishers"),
    Family(COUNTER, "global_messages_rejected", "messages_rejected", "Messages refused by a full queue, with a nack"),
    Family(
        COUNTER,
        "global_messages_unroutable_returned",
        "messages_unroutable_returned",
        "Mandatory messages that no queue took, returned to their publishers",
    ),
    Family(
        COUNTER,
        "global_messages_unroutable_dropped",
        "messages_unroutable_dropped",
        "Messages that no queue took, dropped",
    ),
)

QUEUE_TYPE_LABELS = {**PROTOCOL_LABELS, "queue_type": "rabbit_classic_queue"}  # the name that dashboards ask for
QUEUE_TYPE = (
    Family(COUNTER, "global_messages_delivered", "messages_delivered", "Messages delivered to consumers or got"),
    Family(COUNTER, "global_messages_redelivered", "messages_redelivered", "Messages delivered again"),
    Family(COUNTER, "global_messages_acknowledged", "messages_acked", "Messages acknowledged by consumers"),
)

QUEUE_LABELS = ("vhost", "queue")
QUEUE = (
    Family(GAUGE, "queue_messages_ready", "ready", "Messages ready to be delivered"),
    Family(GAUGE, "queue_messages_unacked", "unacked", "Messages delivered and not acknowledged yet"),
    Family(GAUGE, "queue_messages_ready_bytes", "ready_bytes", "Size of the messages ready to be delivered"),
    Family(GAUGE, "queue_consumers", "consumers", "Consumers of the queue"),
    Family(COUNTER, "queue_messages_published", "published", "Messages that came into the queue"),
    Family(COUNTER, "queue_messages_delivered", "delivered", "Messages delivered to consumers or got"),
    Family(COUNTER, "queue_messages_redelivered", "redelivered", "Messages delivered again"),
    Family(COUNTER, "queue_messages_acked", "acked", "Messages acknowledged by consumers"),
)

PROCESS = CollectorRegistry()
ProcessCollector(namespace="amqpd", registry=PROCESS)
PlatformCollector(registry=PROCESS)
GCCollector(registry=PROCESS)


class StatisticsCollector(Collector):
    """All families of one scrape."""

    def __init__(self, statistics: BrokerStatistics) -> None:
        self._statistics = statistics

    def collect(self) -> Iterator[Metric]:
        yield _build_info()
        yield GaugeMetricFamily(PREFIX + "queues", "Queues there are now", value=len(self._statistics.queues))
        yield from self._totals(BROKER, {})
        yield from self._totals(RESOURCES, {})
        yield from self._totals(PROTOCOL, PROTOCOL_LABELS)
        yield from self._totals(QUEUE_TYPE, QUEUE_TYPE_LABELS)
        yield from self._queues()
        yield from PROCESS.collect()

    def _totals(self, families: tuple[Family, ...], labels: dict[str, str]) -> Iterator[Metric]:
        for kind, name, field, documentation in families:
            metric = kind(PREFIX + name, documentation, labels=tuple(labels))
            value = getattr(self._statistics, field)
            if value is not None:  # what there is none of has no value, and 0 would be one
                metric.add_metric(tuple(labels.values()), value)
            yield metric

    def _queues(self) -> Iterator[Metric]:
        queues = self._statistics.queues
        labels = [(label_value(queue.vhost), label_value(queue.name)) for queue in queues]
        for kind, name, field, documentation in QUEUE:
            metric = kind(PREFIX + name, documentation, labels=QUEUE_LABELS)
            for queue, values in zip(queues, labels, strict=True):
                metric.add_metric(values, getattr(queue, field))
            yield metric


def label_value(name: str) -> str:
    r"""``name`` as UTF-8 can carry it.

    AMQP's names are octets. Those that are no UTF-8 are lone surrogates in a str (PEP 383), which would break the whole
    scrape; a label shows such an octet as ``\xff``.
    """
    if name.isascii():
        return name
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _build_info() -> Metric:
    labels = {
        "version": __version__,
        "python_version": platform.python_version(),
        "python_implementation": platform.python_implementation(),
    }
    metric = GaugeMetricFamily(PREFIX + "build_info", "What runs here; the value is always 1", labels=tuple(labels))
    metric.add_metric(tuple(labels.values()), 1)
    return metric
