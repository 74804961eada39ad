"""Statistics for tests, in which only the counts that matter are named."""

from dataclasses import fields
from typing import Any

from amqpd.broker.statistics import BrokerStatistics, QueueStatistics


def queue_statistics(name: str, **counts: int) -> QueueStatistics:
    values: dict[str, Any] = {field.name: 0 for field in fields(QueueStatistics)}
    return QueueStatistics(**{**values, "vhost": "/", "name": name, "durable": True, **counts})


def broker_statistics(*queues: QueueStatistics, **counts: int | None) -> BrokerStatistics:
    values: dict[str, Any] = {field.name: 0 for field in fields(BrokerStatistics)}
    return BrokerStatistics(**{**values, "memory_alarm": False, "disk_alarm": False, **counts, "queues": queues})
