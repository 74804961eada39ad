"""How long the messages of a queue wait and how long its consumers take, as far as that is measured.

Observed is only what takes time. All that was counted otherwise (delivered for the first time, acknowledged) took none,
and is in the first bucket; but for what was counted while nothing was measured.
"""

from amqpd.histogram import TIMES_S, Distribution, Histogram


class Times:
    """The two histograms. They are told how many were delivered and acknowledged when it matters."""

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
