"""A family with a sample of each of many objects, as what it is: a column of values beside one of labels.

To prometheus_client it is a Metric like any other, and its samples are made when somebody asks for them. Its own
exposition does, and takes 4 microseconds for each (OpenMetrics 7), two seconds and more for 10,000 queues;
:mod:`amqpd.metrics.exposition` does not. The tests do: that exposition is what ours is held against.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from amqpd.histogram import Distribution
from amqpd.metrics.tables import Kind, Value

number_text: Callable[[float], str] = floatToGoString
"""A number as Prometheus writes it."""


class Labels:
    """The labels of all rows of a table, made once for all its families. ``values`` are in the order of ``names``."""

    def __init__(self, names: tuple[str, ...], values: Sequence[tuple[str, ...]]) -> None:
        self.names = names
        self.values = [tuple(map(label_value, row)) for row in values]

    @cached_property
    def texts(self) -> list[str]:
        """As they stand in a line, in the order of their names and up to the value: ``queue="orders",vhost="/"} ``."""
        order = sorted(range(len(self.names)), key=self.names.__getitem__)
        template = ",".join(f'{self.names[index]}="%s"' for index in order) + "} "
        return [template % tuple([_escaped(row[index]) for index in order]) for row in self.values]


class Column(Metric):
    """One family, as a column. ``values`` has one for each of ``labels``; where it is None there is no sample."""

    def __init__(self, kind: Kind, name: str, documentation: str, labels: Labels, values: Sequence[Value]) -> None:
        super().__init__(name, documentation, kind)
        del self.samples  # in its place comes what makes them when they are asked for
        self.labels = labels
        self.values = values

    @cached_property
    def samples(self) -> list[Sample]:  # type: ignore[override]  # it can be written, but nobody would
        return family(self.type, self.name, self.documentation, self.labels, self.values).samples


FAMILIES: dict[str, Any] = {
    "gauge": GaugeMetricFamily,
    "counter": CounterMetricFamily,
    "histogram": HistogramMetricFamily,
}


def family(kind: str, name: str, documentation: str, labels: Labels, values: Sequence[Value]) -> Metric:
    """The family as prometheus_client has it."""
    metric = FAMILIES[kind](name, documentation, labels=labels.names)
    for row, value in zip(labels.values, values, strict=True):
        if isinstance(value, Distribution):
            metric.add_metric(row, buckets(value), value.total)
        elif value is not None:
            metric.add_metric(row, value)
    found: Metric = metric
    return found


def buckets(distribution: Distribution) -> list[tuple[str, float]]:
    """Bounds and counts as Prometheus has them: each count includes those before it."""
    bounds = [*map(number_text, distribution.bounds), "+Inf"]
    return list(zip(bounds, accumulate(distribution.counts), strict=True))


def label_value(name: str) -> str:
    r"""``name`` as UTF-8 can carry it.

    AMQP's names are octets. Those that are no UTF-8 are lone surrogates in a str (PEP 383), which would break the whole
    scrape; a label shows such an octet as ``\xff``.
    """
    if name.isascii():
        return name
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
