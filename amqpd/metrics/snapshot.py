"""What one scrape has read: everything that its page is made of, so that it may be made in another thread."""

from dataclasses import dataclass
from functools import cached_property

from amqpd.broker.statistics import BrokerStatistics, Handovers, Tally
from amqpd.metrics.rates import Reading
from amqpd.metrics.statistics import ServerStatistics


@dataclass(frozen=True)
class Snapshot:
    """``taken_s`` is when, by the clock of ``earlier``: what an earlier scrape had read, if there was one."""

    broker: BrokerStatistics
    server: ServerStatistics
    taken_s: float
    earlier: Reading | None

    @cached_property
    def tally(self) -> Tally:
        """What all queues have counted that there ever were."""
        return self.broker.tally()

    @cached_property
    def handovers(self) -> Handovers:
        """Those of all queues that there ever were, of any type."""
        total = Handovers()
        for handovers in self.tally.handovers.values():
            total = total.plus(handovers)
        return total
