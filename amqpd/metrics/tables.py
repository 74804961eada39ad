"""What families are declared with: each once, in a table of those that are read from the same rows.

A row is whatever the statistics have one of for each combination of labels: a queue, a channel, a file of the store, or
the broker as a whole. Reading a table row by row, or all its rows as one, is what tells the pages apart
(:mod:`amqpd.metrics.collector`); the tables know nothing of that, of names' prefixes or of formats.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Literal, TypeVar

from amqpd.histogram import Distribution
from amqpd.metrics.snapshot import Snapshot

Row = TypeVar("Row")
Kind = Literal["gauge", "counter", "histogram"]
Combine = Callable[[Iterable[Any]], float]
"""Numbers to one."""

Value = float | Distribution | None
"""None: there is none, and 0 would be one."""


@dataclass(frozen=True, slots=True)
class Family(Generic[Row]):
    """One family: ``read`` gives the value of a row.

    Of all rows as one, ``ever`` gives the value if it is known to the broker as a whole, else ``combine`` from the
    values of the rows; if both are None there is none. A counter needs the former: a sum goes down when a row goes, and
    Prometheus would take that for a start from 0.
    """

    kind: Kind
    name: str
    documentation: str
    read: Callable[[Row], Value]
    combine: Combine | None = None
    ever: Callable[[Snapshot], Value] | None = None


def gauge(
    name: str,
    documentation: str,
    read: Callable[[Row], float | None],
    combine: Combine | None = sum,
) -> Family[Row]:
    return Family("gauge", name, documentation, read, combine)


def counter(
    name: str,
    documentation: str,
    read: Callable[[Row], float | None],
    ever: Callable[[Snapshot], float] | None = None,
) -> Family[Row]:
    """``name`` is without the ``_total`` that the samples of a counter have."""
    return Family("counter", name, documentation, read, ever=ever)


def histogram(
    name: str,
    documentation: str,
    read: Callable[[Row], Distribution | None],
    ever: Callable[[Snapshot], Distribution] | None = None,
) -> Family[Row]:
    return Family("histogram", name, documentation, read, ever=ever)


greatest: Combine = partial(max, default=0.0)
"""A way to combine values of which the sum says nothing, such as ages."""


@dataclass(frozen=True, slots=True)
class Table(Generic[Row]):
    """``label_values`` gives a row's, in the order of ``labels``. Families are by the name that ``/metrics/detailed``
    knows them under, which is RabbitMQ's where it has one; those under ``NOT_DETAILED`` cannot be asked for there."""

    labels: tuple[str, ...]
    rows: Callable[[Snapshot], Sequence[Row]]
    label_values: Callable[[Row], tuple[str, ...]]
    families: Mapping[str, tuple[Family[Row], ...]]


NOT_DETAILED = ""
