"""Who answers: the families whose labels say it all, and whose value is always 1."""

import platform
from importlib.metadata import version

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from amqpd import __version__
from amqpd.build import BUILD
from amqpd.metrics.columns import label_value
from amqpd.metrics.statistics import ServerStatistics

RABBITMQ = "rabbitmq"
"""The prefix with which amqpd is RabbitMQ to whoever looks."""


def identity_info(prefix: str, server: ServerStatistics, endpoint: str) -> Metric:
    """What RabbitMQ's dashboards join everything with. The permanent id of a cluster of one is its name."""
    labels = {"node": server.node, "cluster": server.cluster, "cluster_permanent_id": server.cluster}
    return _info(
        f"{prefix}_identity_info",
        "Which node this is, and which page",
        {f"{prefix}_{name}": value for name, value in {**labels, "endpoint": endpoint}.items()},
    )


def build_info(prefix: str) -> Metric:
    labels = {
        "version": __version__,
        "build": BUILD,
        "python_version": platform.python_version(),
        "python_implementation": platform.python_implementation(),
    }
    if prefix == RABBITMQ:
        labels = {
            "rabbitmq_version": __version__,
            "prometheus_plugin_version": __version__,
            "prometheus_client_version": version("prometheus-client"),
            "erlang_version": f"Python {platform.python_version()}",
        }
    return _info(f"{prefix}_build_info", "What runs here", labels)


def _info(name: str, documentation: str, labels: dict[str, str]) -> Metric:
    metric = GaugeMetricFamily(name, documentation, labels=tuple(labels))
    metric.add_metric([label_value(value) for value in labels.values()], 1)
    return metric
