"""What the server observes of itself, put together for the metrics: the half that the broker does not know.

Connections are looked at a few at a time, so that ten thousand of them do not keep messages waiting. Whether clients
are welcome now is told at once, since whoever asks that may not wait long.
"""

import asyncio
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager

from amqpd.broker.alarms import TOLD
from amqpd.histogram import Histogram
from amqpd.metrics.statistics import ConnectionStatistics, ServerStatistics
from amqpd.server.measures import LoopLag, garbage_pauses
from amqpd.server.persister import Persister
from amqpd.server.pump import Pumps, Traffic

AT_A_TIME = 32
"""Connections looked at in a row: a tenth of a millisecond."""


class Observation:
    """What is known of a server from its start on. ``persisters`` write its store; none: it keeps all in memory."""

    def __init__(
        self, node: str, cluster: str, pumps: Pumps, persisters: Sequence[Persister], lag: Histogram, pauses: Histogram
    ) -> None:
        self._node = node
        self._cluster = cluster
        self._pumps = pumps
        self._persisters = persisters
        self._lag = lag
        self._pauses = pauses
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.time()

    def not_ready(self) -> tuple[str, ...]:
        """Why no client should be sent here now: "draining", and the alarms that block publishers. Empty: it may."""
        alarms = self._pumps.broker.alarms
        low = tuple(resource for resource in TOLD if alarms.is_low(resource))
        return ("draining", *low) if self._pumps.draining else low

    def observe(self) -> Generator[None, None, ServerStatistics]:
        """Yields after every few connections, and returns the snapshot."""
        connections: list[ConnectionStatistics] = []
        traffic = Traffic()
        traffic.add(self._pumps.gone)  # now: who goes while the others are looked at is one of these
        for pump in list(self._pumps.open):
            traffic.add(pump.traffic)
            connections.append(pump.statistics())
            if len(connections) % AT_A_TIME == 0:
                yield
        return ServerStatistics(
            node=self._node,
            cluster=self._cluster,
            uptime_s=self._loop.time() - self._start,
            loop_lag=self._lag.distribution(),
            gc_pauses=self._pauses.distribution(),
            journals=tuple(persister.statistics() for persister in self._persisters),
            connections=tuple(connections),
            octets_in=traffic.octets_in,
            octets_out=traffic.octets_out,
            reads=traffic.reads,
            writes=traffic.writes,
            not_ready=self.not_ready(),
        )


@contextmanager
def observing(node: str, cluster: str, pumps: Pumps, persisters: Sequence[Persister]) -> Iterator[Observation]:
    """An observation in the present event loop, and what it needs to be measured, while this lasts."""
    lag = LoopLag()
    try:
        with garbage_pauses() as pauses:
            yield Observation(node, cluster, pumps, persisters, lag.histogram, pauses)
    finally:
        lag.stop()
