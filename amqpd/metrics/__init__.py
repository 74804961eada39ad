"""Metrics for Prometheus: reads the broker's statistics, and turns them into families when a scrape asks.

Nothing is counted here, and the broker knows nothing of Prometheus: its counters are plain ints.
"""

from amqpd.metrics.app import metrics_app

__all__ = ["metrics_app"]
