"""One page's families, for Prometheus: which of them it has, and how it reads them.

On ``/metrics`` all objects are one, on ``/metrics/per-object`` each is a row; ``/metrics/detailed`` has the rows of
those families that are asked for. A collector is made for one scrape and holds its snapshot, so it may be read in any
thread.

Every family is there from the start, with 0 where nothing has happened yet: a rate over a counter that appears late
misses its first steps.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from amqpd.metrics.columns import Column, Labels, family, label_value
from amqpd.metrics.families import CLUSTER, DETAILED_ONLY, OBJECTS, RABBITMQ_ONLY, WHOLE
from amqpd.metrics.info import RABBITMQ, build_info, identity_info
from amqpd.metrics.pages import PROCESS_FAMILIES, PROCESS_LIMITS, Page
from amqpd.metrics.process import (
    file_alarm,
    interpreter_families,
    process_families,
    socket_families,
    with_memory_used,
)
from amqpd.metrics.snapshot import Snapshot
from amqpd.metrics.tables import Family, Kind, Table, Value

AnyTable = Table[Any]
Families = Mapping[str, Family[Any]]
"""Families of one table, by their names."""

Make = Callable[[Kind, str, str, Labels, Sequence[Value]], Metric]


class StatisticsCollector(Collector):
    """All families of one page, their names beginning with ``prefix``."""

    def __init__(self, snapshot: Snapshot, page: Page, prefix: str = "amqpd") -> None:
        self._snapshot = snapshot
        self._page = page
        self._prefix = prefix
        self._whole = (*WHOLE, *RABBITMQ_ONLY) if prefix == RABBITMQ else WHOLE

    def collect(self) -> Iterator[Metric]:
        yield identity_info(self._prefix, self._snapshot.server, self._page.endpoint)
        yield build_info(self._prefix)
        if self._page.endpoint == "detailed":
            yield from self._detailed()
            return
        for table in self._whole:
            yield from self._rows(table, _all_of(table), family, self._prefix)
        for table in OBJECTS:
            if self._page.endpoint == "per-object":
                yield from self._rows(table, _all_of(table), Column, self._prefix)
            else:
                yield from self._combined(table)
        process = list(self._process(self._prefix))
        yield from process
        yield file_alarm(self._prefix, process)
        yield from interpreter_families()

    def _detailed(self) -> Iterator[Metric]:
        """Under the prefixes that RabbitMQ has here, so that a server may be asked for this page and another."""
        prefix = f"{self._prefix}_detailed"
        asked_for = [(table, _asked_for(table, self._page)) for table in (*self._whole, *OBJECTS, *DETAILED_ONLY)]
        tables = {name: table for table, families in asked_for for name in families}  # of the same, the last one
        for table, families in asked_for:
            make = family if table in self._whole else Column
            chosen = {name: each for name, each in families.items() if tables[name] is table}
            yield from self._rows(table, chosen, make, prefix)
        for table in CLUSTER:
            yield from self._rows(table, _asked_for(table, self._page), Column, f"{self._prefix}_cluster")
        if self._page.families & {PROCESS_FAMILIES, PROCESS_LIMITS}:
            for metric in self._process(prefix):
                name = PROCESS_LIMITS if metric.name.startswith(f"{prefix}_process_max_") else PROCESS_FAMILIES
                if name in self._page.families:
                    yield metric

    def _rows(self, table: AnyTable, families: Families, make: Make, prefix: str) -> Iterator[Metric]:
        """These families of a table, row by row."""
        if not families:
            return
        rows = self._selected(table, table.rows(self._snapshot))
        labels = Labels(table.labels, [table.label_values(row) for row in rows])
        for name, each in families.items():
            values = [each.read(row) for row in rows]
            yield make(each.kind, f"{prefix}_{name}", each.documentation, labels, values)

    def _selected(self, table: AnyTable, rows: Sequence[Any]) -> Sequence[Any]:
        """Those that the page is for. Only queues can be selected, as in RabbitMQ."""
        vhosts, queues = self._page.vhosts, self._page.queues
        if table.labels[:2] != ("vhost", "queue") or not (vhosts or queues):
            return rows
        selected = []
        for row in rows:
            vhost, queue = map(label_value, table.label_values(row)[:2])
            if (not vhosts or vhost in vhosts) and (not queues or queue in queues):
                selected.append(row)
        return selected

    def _combined(self, table: AnyTable) -> Iterator[Metric]:
        """Each family of a table with all rows as one, if that says something."""
        rows = table.rows(self._snapshot)
        for name, each in _all_of(table).items():
            value: Value = None
            if each.ever is not None:
                value = each.ever(self._snapshot)
            elif each.combine is not None:
                value = each.combine([each.read(row) for row in rows])
            if value is not None:
                yield family(each.kind, f"{self._prefix}_{name}", each.documentation, ALL_AS_ONE, [value])

    def _process(self, prefix: str) -> Iterator[Metric]:
        process = process_families(prefix)
        if self._prefix == RABBITMQ:
            broker = self._snapshot.broker
            process = with_memory_used(prefix, process, broker.memory_used)
            yield from socket_families(prefix, process, broker.connections)
        yield from process


ALL_AS_ONE = Labels((), [()])


def _all_of(table: AnyTable) -> Families:
    return {each.name: each for families in table.families.values() for each in families}


def _asked_for(table: AnyTable, page: Page) -> Families:
    return {each.name: each for name, families in table.families.items() if name in page.families for each in families}
