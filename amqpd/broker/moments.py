"""When numbered things happened, well enough to say how long ago that was.

Numbers grow with time (positions in a queue, delivery tags of a session), so one *mark*, a number and its moment,
stands for all that follow until the next mark. There is a mark for a millisecond at most, and there are some hundred
at most: when they are too many, those go whose neighbours are near, compared with how long ago they were. So what
happened just now is known to a millisecond and what happened an hour ago to a quarter of an hour, always too long
rather than too short.

A moment is in seconds, by the clock of whoever feeds the broker (``Agenda.moment``). Nothing here asks for the time.
"""

from bisect import bisect_right

from amqpd.histogram import Histogram

RESOLUTION_S = 0.001
"""What is shorter is not told from nothing: it is the first bucket of the histograms that are fed from here."""

MARKS_MAX = 160
"""About 11 KB. Thinned out they are some 80 if the oldest is of yesterday, so that thinning is seldom."""

ENDLESS = 1 << 62

SHARE = 4
"""A mark may stand for what happened within this part of its age."""


class Moments:
    """The marks. The first one stands for all numbers before the second.

    Who asks is mostly told the same as the last time: that all numbers from ``begin`` to before ``end`` happened at
    ``since``. So that can be looked at first.
    """

    __slots__ = ("_moments", "_numbers", "begin", "end", "latest", "newest", "since")

    def __init__(self, moment: float) -> None:
        self.newest = 0  # the number of the newest mark
        self.latest = moment  # and its moment
        self._numbers = [0]
        self._moments = [moment]
        self.begin = 0
        self.end = 0
        self.since = moment

    def note(self, number: int, moment: float) -> None:
        """From ``number`` on, they happen now. It is not less than any that was noted before."""
        if moment - self.latest < RESOLUTION_S:
            return
        if len(self._numbers) >= MARKS_MAX:
            self._thin(moment)
        if self.end > number:
            self.end = number
        self.newest, self.latest = number, moment
        self._numbers.append(number)
        self._moments.append(moment)

    def of(self, number: int) -> float:
        """When it happened."""
        return self._moments[self._at(number)]

    def measure(self, first: int, stop: int, moment: float, histogram: Histogram) -> None:
        """Observe how long ago those from ``first`` to before ``stop`` happened, where that can be told from now."""
        while first < stop:
            if not self.begin <= first < self.end:
                self._turn_to(first)
            end = min(self.end, stop)
            elapsed = moment - self.since
            if elapsed > RESOLUTION_S:
                histogram.observe(elapsed, end - first)
            first = end

    def forget(self, number: int) -> None:
        """Nobody will ask for what is before ``number``."""
        if len(self._numbers) > 1 and number >= self._numbers[1]:
            at = self._at(number)
            del self._numbers[:at], self._moments[:at]

    def _turn_to(self, number: int) -> None:
        at = self._at(number)
        following = at + 1
        self.begin, self.since = self._numbers[at], self._moments[at]
        self.end = self._numbers[following] if following < len(self._numbers) else ENDLESS
        if not at:
            self.begin = 0

    def _at(self, number: int) -> int:
        return max(bisect_right(self._numbers, number) - 1, 0)

    def _thin(self, now: float) -> None:
        """Leave out marks where the one before can stand for what they stand for; not the first, and not the last."""
        self.end = 0
        numbers, moments = [self._numbers[0]], [self._moments[0]]
        for at in range(1, len(self._numbers) - 1):
            following = self._moments[at + 1]
            if following - moments[-1] > (now - following) / SHARE:
                numbers.append(self._numbers[at])
                moments.append(self._moments[at])
        self._numbers, self._moments = [*numbers, self._numbers[-1]], [*moments, self._moments[-1]]
