"""How fast messages go through each queue: what a scrape has read, compared with what an earlier one had.

A broker that keeps no averages costs a message nothing. Prometheus has ``rate()`` for most of this; here it is for who
looks at a page without one, and for what no ``rate()`` can tell, such as the time until a queue is empty.

Two readings are kept, whoever scrapes: comparing with the last one would let each of two scrapers shorten the other's
window, down to nothing if they come at the same time. A reading gives way to the next after ``WINDOW_S``, and with it
all queues that have gone.
"""

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from amqpd.broker.statistics import QueueStatistics

WINDOW_S = 5.0
"""Of what is shorter, chance decides: a queue that gets one message a second would have a rate of 0 or of many."""


class Mark(NamedTuple):
    """Where the counters of a queue stood, and how much was ready."""

    published: float
    delivered: float
    acked: float
    ready: float
    blocked_s: float

    @classmethod
    def of(cls, queue: QueueStatistics) -> Self:
        return cls(queue.published, queue.delivered, queue.acked, queue.ready, queue.blocked_s)


@dataclass(frozen=True, slots=True)
class Reading:
    """The marks of all queues at one moment, by vhost and name. They are kept as arrays,
    which the garbage collector does not look through."""

    taken_s: float
    marks: Mapping[str, Mapping[str, Sequence[float]]]

    @classmethod
    def of(cls, taken_s: float, queues: Sequence[QueueStatistics]) -> Self:
        marks: dict[str, dict[str, Sequence[float]]] = {}
        for queue in queues:
            marks.setdefault(queue.vhost, {})[queue.name] = array("d", Mark.of(queue))
        return cls(taken_s, marks)

    def mark(self, queue: QueueStatistics) -> Mark | None:
        """Where this queue stood, if it was there."""
        kept = self.marks.get(queue.vhost, {}).get(queue.name)
        return None if kept is None else Mark(*kept)


class Readings:
    """The two that are kept: the last one to compare with, and the one before it as long as that is too young."""

    def __init__(self) -> None:
        self._last: Reading | None = None
        self._before: Reading | None = None

    def earlier(self, now_s: float) -> Reading | None:
        """The one to compare with, at least ``WINDOW_S`` old; None if there was none yet."""
        return self._last if self.is_due(now_s) else self._before

    def is_due(self, now_s: float) -> bool:
        """Whether a new one would be kept."""
        return self._last is None or now_s - self._last.taken_s >= WINDOW_S

    def keep(self, reading: Reading) -> None:
        if self.is_due(reading.taken_s):
            self._before, self._last = self._last, reading


class QueueRates(NamedTuple):
    """One queue, per second since the earlier reading. ``capacity`` is the share of that time in which a message did
    not have to wait for a consumer to take it; 0 without consumers. ``until_empty_s`` is 0 if nothing is ready,
    infinite if that does not become less."""

    vhost: str
    name: str
    publish: float
    delivery: float
    ack: float
    capacity: float
    until_empty_s: float


def queue_rates(queues: Sequence[QueueStatistics], now_s: float, earlier: Reading | None) -> list[QueueRates]:
    """The rates of all ``queues``; 0 for one of which there is no earlier reading."""
    if earlier is None:
        return [_rates(queue, None, 1.0) for queue in queues]
    elapsed_s = now_s - earlier.taken_s
    return [_rates(queue, earlier.mark(queue), elapsed_s) for queue in queues]


def _rates(queue: QueueStatistics, before: Mark | None, elapsed_s: float) -> QueueRates:
    now = Mark.of(queue)
    if before is None or now.published < before.published or now.blocked_s < before.blocked_s:
        before = now  # a queue is new, or was deleted and declared again: nothing is known of it yet
    blocked = min((now.blocked_s - before.blocked_s) / elapsed_s, 1.0)
    return QueueRates(
        queue.vhost,
        queue.name,
        publish=(now.published - before.published) / elapsed_s,
        delivery=max(now.delivered - before.delivered, 0) / elapsed_s,
        ack=max(now.acked - before.acked, 0) / elapsed_s,
        capacity=1.0 - blocked if queue.consumers else 0.0,
        until_empty_s=_until_empty(now.ready, (before.ready - now.ready) / elapsed_s),
    )


def _until_empty(ready: float, shrinks_by: float) -> float:
    if ready == 0:
        return 0.0
    return ready / shrinks_by if shrinks_by > 0 else math.inf
