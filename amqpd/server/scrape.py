"""The HTTP side of the metrics: uvicorn in the daemon's event loop, serving the application of metrics/."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from amqpd.broker.broker import Broker
from amqpd.metrics.app import metrics_app
from amqpd.server.observation import Observation

TICK_S = 1.0
"""How often uvicorn is given the time, for the Date of its answers, and who is silent is looked for."""

REQUEST_S = 10.0
"""A client has so long to say what it wants: as long as Prometheus, unless told otherwise, waits for the whole answer.
Each that is connected has a file descriptor, which a client of the broker may need."""

BACKLOG = 64
"""Connections that may wait to be accepted. All are accepted in one go, and messages wait meanwhile."""


class _MetricsServer(uvicorn.Server):
    """uvicorn without its own signal handlers, since the daemon has them, and without waking up ten times a second to
    see whether it shall stop: it is cancelled then. And it does not wait for requests for ever."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._silent: dict[tuple[H11Protocol, RequestResponseCycle | None], float] = {}

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        while True:
            await self.on_tick(0)
            self._drop_silent()
            await anyio.sleep(TICK_S)

    def _drop_silent(self) -> None:
        """Hang up on who has been without a request for too long. uvicorn does so only where nothing at all has come
        since its last answer: not before the first one, and not in the middle of the next request."""
        now = anyio.current_time()
        silent: list[tuple[H11Protocol, RequestResponseCycle | None]] = [
            (connection, connection.cycle)  # that of its last request, by which one can tell that there was another
            for connection in self.server_state.connections
            if isinstance(connection, H11Protocol) and (not connection.cycle or connection.cycle.response_complete)
        ]
        self._silent = {each: self._silent.get(each, now) for each in silent}
        for (connection, _), since in self._silent.items():
            if now - since > REQUEST_S:
                connection.transport.abort()


async def serve_metrics(broker: Broker, observation: Observation, prefix: str, listening: socket.socket) -> None:
    """Answer scrapes, and questions after its health, on a socket that listens, until cancelled."""
    application = metrics_app(broker.survey, observation.observe, observation.not_ready, prefix)
    config = uvicorn.Config(
        application,
        http=H11Protocol,  # the one that is there always
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # its warnings are of what clients send: they are told, and no others need to be
        access_log=False,
        backlog=BACKLOG,
    )
    server = _MetricsServer(config)
    try:
        await server.serve(sockets=[listening])
    finally:
        if server.started:
            server.force_exit = True  # nobody waits for a scrape that is still going on
            with anyio.CancelScope(shield=True):
                await server.shutdown()
