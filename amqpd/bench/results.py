"""What a run found, and the arithmetic of it.

A result is a dict of figures by name; ``FIGURES`` says what each is, how it is shown, and whether more of it is better.
So tables, comparisons, plots and JSON need not know the kinds of workloads.
"""

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from amqpd.bench.workload import Workload

Unit = Literal["per second", "seconds", "octets", "octets per second"]

BUSY = 0.9  # of a core: a role that used more may have been what was measured
BUSY_IN_TURN = 0.25  # where role and broker take turns, what a role uses is a part of each latency


@dataclass(frozen=True, slots=True)
class Figure:
    heading: str
    unit: Unit
    more_is_better: bool
    short: str = ""  # where the column before has the rest

    @property
    def column(self) -> str:
        return self.short or self.heading


# In the order they are shown in.
FIGURES = {
    "published": Figure("published/s", "per second", True),
    "consumed": Figure("consumed/s", "per second", True),
    "round_trips": Figure("round trips/s", "per second", True),
    "connections": Figure("connections/s", "per second", True),
    "bodies": Figure("bodies MB/s", "octets per second", True),
    "latency_p50": Figure("latency p50", "seconds", False),
    "latency_p99": Figure("latency p99", "seconds", False, "p99"),
    "latency_p99.9": Figure("latency p99.9", "seconds", False, "p99.9"),
    "latency_max": Figure("latency max", "seconds", False, "max"),
    "cpu": Figure("CPU each", "seconds", False),
    "memory": Figure("memory", "octets", False),
    "memory_each": Figure("memory each", "octets", False),
}


@dataclass(frozen=True, slots=True)
class Product:
    """What a broker says of itself in connection.start."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip() or "unknown broker"

    @property
    def short(self) -> str:
        """For the head of a column."""
        return self.name or "unknown"


@dataclass(frozen=True, slots=True)
class Result:
    """``figures`` in seconds, octets and per second. The totals are of the whole run, with warm-up and end."""

    workload: Workload
    broker: Product
    figures: dict[str, float]
    published: int = 0
    consumed: int = 0
    roles: dict[str, float] = field(default_factory=dict)  # by name: the share of a core that each used

    @property
    def busy(self) -> dict[str, float]:
        """The roles that used so much that the figures tell of them as well."""
        most = BUSY_IN_TURN if self.workload.in_turn else BUSY
        return {name: share for name, share in self.roles.items() if share > most}

    @property
    def missing(self) -> int:
        """Confirmed messages that were not delivered to a consumer in the end, though consumers waited for them."""
        if not (self.workload.confirm and self.workload.consumers):
            return 0
        return max(0, self.published * self.workload.copies - self.consumed)


def latency_figures(parts: Iterable[bytes]) -> dict[str, float]:
    """Percentiles over all roles. Each part is of an array("q") of nanoseconds; with none there are no figures."""
    times = array("q")
    for part in parts:
        times.frombytes(part)
    if not times:
        return {}
    ordered = sorted(times)
    return {
        "latency_p50": percentile(ordered, 0.5) / 1e9,
        "latency_p99": percentile(ordered, 0.99) / 1e9,
        "latency_p99.9": percentile(ordered, 0.999) / 1e9,
        "latency_max": ordered[-1] / 1e9,
    }


def percentile(ordered: Sequence[int], share: float) -> int:
    """The least of the values that so many of all do not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Ratio:
    """Of one broker's figure to another's: each round gives one."""

    least: float
    middle: float
    most: float


def ratio_of(ours: Sequence[float], theirs: Sequence[float]) -> Ratio | None:
    """Round by round; None where a round has nothing to divide by."""
    ratios = [one / other for one, other in zip(ours, theirs, strict=True) if other > 0]
    return Ratio(min(ratios), median(ratios), max(ratios)) if len(ratios) == len(ours) > 0 else None
