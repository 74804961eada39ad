"""The HTTP side of the metrics: uvicorn in the daemon's event loop, serving the application of metrics/."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import uvicorn

from amqpd.broker.broker import Broker
from amqpd.metrics.app import metrics_app
from amqpd.server.observation import Observation

TICK_S = 1.0
"""How often uvicorn is given the time, for the Date of its answers."""


class _MetricsServer(uvicorn.Server):
    """uvicorn without its own signal handlers, since the daemon has them, and without waking up ten times a second to
    see whether it shall stop: it is cancelled then."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        while True:
            await self.on_tick(0)
            await anyio.sleep(TICK_S)


async def serve_metrics(broker: Broker, observation: Observation, prefix: str, listening: socket.socket) -> None:
    """Answer scrapes, and questions after its health, on a socket that listens, until cancelled."""
    application = metrics_app(broker.survey, observation.observe, observation.not_ready, prefix)
    config = uvicorn.Config(application, log_config=None, log_level="warning", lifespan="off", access_log=False)
    server = _MetricsServer(config)
    try:
        await server.serve(sockets=[listening])
    finally:
        if server.started:
            server.force_exit = True  # nobody waits for a scrape that is still going on
            with anyio.CancelScope(shield=True):
                await server.shutdown()
