"""How often what came up: counts in buckets that are fixed beforehand, so that observing costs no more than a search.

On the lowest floor: the broker has histograms of times and sizes, the server of its own. Made for Prometheus, whose
histograms are the same, but counted cumulatively.
"""

from bisect import bisect_left
from dataclasses import dataclass

TIMES_S = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0, 600.0, 3600.0)
"""Seconds that messages wait and consumers take: from what is no delay to anybody to what somebody is called for."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram at one moment.

    ``counts[n]`` observations were at most ``bounds[n]``, and more than the bound before; the last one, which has no
    bound, were more than all. ``total`` is the sum of what was observed.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        return sum(self.counts)


class Histogram:
    """Counts observations; see :class:`Distribution`."""

    __slots__ = ("_bounds", "_counts", "_first", "_total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._first = bounds[0]
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def observe(self, value: float, count: int = 1) -> None:
        """``value`` came up, so many times."""
        index = 0 if value <= self._first else bisect_left(self._bounds, value)
        self._counts[index] += count
        self._total += value * count

    def observe_alike(self, least: float, greatest: float, count: int, total: float) -> bool:
        """So many values came up, between these two. False: they belong into several buckets, nothing was counted."""
        index = bisect_left(self._bounds, greatest)
        if index and bisect_left(self._bounds, least) != index:
            return False
        self._counts[index] += count
        self._total += total
        return True

    def absorb(self, other: Distribution) -> None:
        """Take over what another one of the same bounds has counted."""
        for index, count in enumerate(other.counts):
            self._counts[index] += count
        self._total += other.total

    def distribution(self) -> Distribution:
        return Distribution(self._bounds, tuple(self._counts), self._total)

    def distribution_among(self, count: int) -> Distribution:
        """As if so many had been observed: those that are in no higher bucket are in the first, and add nothing to the
        sum."""
        told = self._counts[1:]
        return Distribution(self._bounds, (max(count - sum(told), 0), *told), self._total)


def nothing(bounds: tuple[float, ...]) -> Distribution:
    """What a histogram has before anything is observed."""
    return Distribution(bounds, (0,) * (len(bounds) + 1), 0.0)
