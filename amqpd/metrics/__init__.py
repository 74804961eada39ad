"""Metrics for Prometheus: reads the statistics of broker and server, and turns them into families when a scrape asks.

Nothing is counted here, and the broker knows nothing of Prometheus: its counters are plain ints. In the order of
reading: :mod:`~amqpd.metrics.tables`, what a family is declared with; :mod:`~amqpd.metrics.families`, all of them;
:mod:`~amqpd.metrics.collector`, which of them a page has, and how it reads them; :mod:`~amqpd.metrics.exposition`, the
text; :mod:`~amqpd.metrics.app`, HTTP.
"""

from amqpd.metrics.app import metrics_app

__all__ = ["metrics_app"]
