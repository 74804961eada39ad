"""The names that amqpd gives to Prometheus, from where amqpd declares them."""

from collections.abc import Iterable, Iterator
from typing import Any

from amqpd.metrics.families import OBJECTS, WHOLE
from amqpd.metrics.process import interpreter_families, process_families
from amqpd.metrics.tables import Table

SUFFIXES = {"gauge": ("",), "counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}

IDENTITY = {
    "amqpd_identity_info": {"amqpd_node", "amqpd_cluster", "amqpd_cluster_permanent_id", "amqpd_endpoint"},
    "amqpd_build_info": {"version", "build", "python_version", "python_implementation"},
    "amqpd_alarms_file_descriptor_limit": set(),
}
PROMETHEUS = {"up", "ALERTS", "scrape_duration_seconds", "scrape_samples_scraped"}

EVERYWHERE = {"instance", "job"}
OF_ALERTS = {"alertname", "alertstate", "severity"}
OF_HISTOGRAMS = {"le"}
OF_COLLECTIONS = {"generation"}


def _names(tables: Iterable[Table[Any]], prefix: str, *, together: bool = False) -> Iterator[tuple[str, str]]:
    """Each sample's name, with that of its family in /metrics/detailed."""
    for table in tables:
        for group, families in table.families.items():
            for family in families:
                if together and family.combine is None and family.ever is None:
                    continue
                yield from ((f"{prefix}_{family.name}{suffix}", group) for suffix in SUFFIXES[family.kind])


AGGREGATED = {name for name, _ in (*_names(WHOLE, "amqpd"), *_names(OBJECTS, "amqpd", together=True))}
"""What /metrics has: of objects only what can be said of all together."""

DETAILED: dict[str, set[str]] = {}
"""What /metrics/detailed has, each with the families to ask for."""

for _name, _group in _names(OBJECTS, "amqpd_detailed"):
    DETAILED.setdefault(_name, set()).add(_group)

OF_PROCESS = {
    f"{family.name}{suffix}"
    for family in (*process_families("amqpd"), *interpreter_families())
    for suffix in SUFFIXES.get(family.type, ("",))
}

NAMES = AGGREGATED | set(DETAILED) | OF_PROCESS | set(IDENTITY) | PROMETHEUS

LABELS = {
    *EVERYWHERE,
    *OF_ALERTS,
    *OF_HISTOGRAMS,
    *OF_COLLECTIONS,
    *(label for labels in IDENTITY.values() for label in labels),
    *(label for table in (*WHOLE, *OBJECTS) for label in table.labels),
}
