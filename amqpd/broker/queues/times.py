"""How long the messages of a queue wait and how long its consumers take, as far as that is measured.

Only what takes longer than the first bucket is observed here. How many were delivered for the first time, and how many
acknowledged, the queue counts anyway: all the others of those are in the first bucket, except what was counted while
nothing was measured.
"""

from amqpd.histogram import TIMES_S, Distribution, Histogram


class Times:
    """The two histograms. ``delivered`` (for the first time) and ``acked`` are what the queue has counted by now."""

    __slots__ = ("_left_out", "_stopped_at", "acks", "waits")

    def __init__(self) -> None:
        self.waits = Histogram(TIMES_S)
        self.acks = Histogram(TIMES_S)
        self._left_out = (0, 0)
        self._stopped_at: tuple[int, int] | None = (0, 0)

    def start(self, delivered: int, acked: int) -> None:
        """From now on it is measured."""
        delivered_before, acked_before = self._stopped_at or (delivered, acked)
        deliveries, acks = self._left_out
        self._left_out = (deliveries + delivered - delivered_before, acks + acked - acked_before)
        self._stopped_at = None

    def stop(self, delivered: int, acked: int) -> None:
        """From now on it is not."""
        self._stopped_at = (delivered, acked)

    def distributions(self, delivered: int, acked: int) -> tuple[Distribution, Distribution]:
        delivered, acked = self._stopped_at or (delivered, acked)
        deliveries, acks = self._left_out
        return self.waits.distribution_among(delivered - deliveries), self.acks.distribution_among(acked - acks)
