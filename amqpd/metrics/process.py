"""What the operating system and the interpreter know of the process, by prometheus_client's own collectors.

They read files of /proc, where there is one, so they have no place on the event loop.
"""

from collections.abc import Iterator
from functools import lru_cache

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

FILES_ALARM = 0.9
"""The share of the file descriptors in use above which the alarm is on. Each connection takes one."""

MEMORY_USED = "Memory that is compared with the limit: resident, without mapped files"

_INTERPRETER = CollectorRegistry()
PlatformCollector(registry=_INTERPRETER)
GCCollector(registry=_INTERPRETER)


def interpreter_families() -> Iterator[Metric]:
    yield from _INTERPRETER.collect()


def process_families(namespace: str) -> list[Metric]:
    """``process_open_fds``, ``process_resident_memory_bytes`` and so on; none where there is no /proc."""
    return list(_collector(namespace).collect())


@lru_cache
def _collector(namespace: str) -> ProcessCollector:
    return ProcessCollector(namespace=namespace, registry=None)


def file_alarm(prefix: str, process: list[Metric]) -> Metric:
    """RabbitMQ's third alarm; 0 where the number of files is not known."""
    values = {metric.name: metric.samples[0].value for metric in process}
    open_files = values.get(f"{prefix}_process_open_fds", 0.0)
    limit = values.get(f"{prefix}_process_max_fds", float("inf"))
    return GaugeMetricFamily(
        f"{prefix}_alarms_file_descriptor_limit",
        f"1 if more than {FILES_ALARM:.0%} of the file descriptors that there may be are in use; it blocks nobody",
        value=open_files > limit * FILES_ALARM,
    )


def with_memory_used(prefix: str, process: list[Metric], memory_used: int) -> list[Metric]:
    """``process`` as RabbitMQ has it: its dashboards take what is resident from the limit, and call the rest free. That
    would be wrong by all that is mapped of the store's files, which the system takes back when it needs memory."""
    name = f"{prefix}_process_resident_memory_bytes"
    used = GaugeMetricFamily(name, MEMORY_USED, value=memory_used)
    return [used if metric.name == name else metric for metric in process]


def socket_families(prefix: str, process: list[Metric], connections: int) -> Iterator[Metric]:
    """What dashboards for RabbitMQ up to 4.0 ask for: it had a share of the file descriptors set apart for sockets."""
    yield GaugeMetricFamily(f"{prefix}_process_open_tcp_sockets", "Connections open now", value=connections)
    for metric in process:
        if metric.name == f"{prefix}_process_max_fds":
            yield GaugeMetricFamily(
                f"{prefix}_process_max_tcp_sockets",
                "File descriptors that there may be",
                value=metric.samples[0].value,
            )
