"""The HTTP side of the metrics: uvicorn in the daemon's event loop, serving the application of metrics/."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import uvicorn

from amqpd.broker.broker import Broker
from amqpd.metrics.app import metrics_app


class _MetricsServer(uvicorn.Server):
    """uvicorn without its own signal handlers: the daemon has them."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_metrics(broker: Broker, listening: socket.socket) -> None:
    """Answer scrapes on a socket that listens, until cancelled."""
    application = metrics_app(broker.statistics)
    config = uvicorn.Config(application, log_config=None, log_level="warning", lifespan="off", access_log=False)
    server = _MetricsServer(config)
    try:
        await server.serve(sockets=[listening])
    finally:
        if server.started:
            server.force_exit = True  # nobody waits for a scrape that is still going on
            with anyio.CancelScope(shield=True):
                await server.shutdown()
