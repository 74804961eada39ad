"""Which messages of a log are gone: a floor below which all are, and intervals above it.

Messages are mostly settled in order, so mostly there is nothing but the floor. What is settled out of order lies in
intervals between those that are still unacked; two that touch become one, and one that touches the floor raises it. So
there are never more intervals than unacked messages, and adding one costs the same however many there are.
"""

from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence

Interval = tuple[int, int]
"""Positions from the first up to, and without, the second."""


class Gone:
    """The positions that are gone. ``floor``: all below it."""

    __slots__ = ("_in_order", "_starts", "_stops", "floor")

    def __init__(self, floor: int = 1, intervals: Iterable[Interval] = ()) -> None:
        self.floor = floor
        self._stops: dict[int, int] = dict(intervals)  # start to stop
        self._starts: dict[int, int] = {stop: start for start, stop in self._stops.items()}  # and back
        self._in_order: list[Interval] | None = None

    @property
    def intervals(self) -> list[Interval]:
        """Those above the floor, in order."""
        if self._in_order is None:
            self._in_order = sorted(self._stops.items())
        return self._in_order

    def add(self, start: int, stop: int) -> None:
        """These positions are gone, of which none was before, unless below the floor."""
        start = max(start, self.floor)
        if start >= stop:
            return
        stops, starts = self._stops, self._starts
        self._in_order = None
        if stop in stops:
            stop = stops.pop(stop)
            del starts[stop]
        if start == self.floor:
            self.floor = stop
            return
        if start in starts:
            start = starts.pop(start)
        stops[start] = stop
        starts[stop] = start

    def add_all(self, positions: Sequence[int]) -> None:
        """The same for positions one by one, which mostly follow on each other."""
        if isinstance(positions, range):
            self.add(positions.start, positions.stop)
            return
        first = stop = positions[0]
        for position in positions:
            if position != stop:
                self.add(first, stop)
                first = position
            stop = position + 1
        self.add(first, stop)

    def cover(self, start: int, stop: int) -> None:
        """These positions are gone, and some of them were before. Looks at all intervals."""
        overlapping = [(a, b) for a, b in self._stops.items() if a <= stop and b >= start]
        for a, b in overlapping:
            del self._stops[a], self._starts[b]
        self._in_order = None
        self.add(min([start, *(a for a, _ in overlapping)]), max([stop, *(b for _, b in overlapping)]))

    def raise_to(self, floor: int) -> None:
        """All positions below are gone."""
        for start, stop in self.intervals:
            if start > floor:
                break
            del self._stops[start], self._starts[stop]
            floor = max(floor, stop)
        self._in_order = None
        self.floor = max(floor, self.floor)

    def without(self, intervals: Sequence[Interval]) -> "Gone":
        """The same, but for the positions in these intervals, which are in order and begin at 1 or later."""
        all_gone = ((0, self.floor), *self.intervals)
        (_, floor), *rest = (left for start, stop in all_gone for left in left_of(start, stop, intervals))
        return Gone(floor, rest)


def intervals_of(positions: Iterable[int]) -> list[Interval]:
    """These positions, from 1 on, as intervals in order."""
    found = Gone(0)
    in_order = sorted(positions)
    if in_order:
        found.add_all(in_order)
    return found.intervals


def left_of(start: int, stop: int, intervals: Sequence[Interval]) -> Iterator[Interval]:
    """What of the positions from ``start`` up to ``stop`` lies in none of the intervals, which are in order."""
    for index in range(max(0, bisect(intervals, (start, start)) - 1), len(intervals)):
        a, b = intervals[index]
        if a >= stop:
            break
        if a > start:
            yield start, a
        start = max(start, b)
    if start < stop:
        yield start, stop
