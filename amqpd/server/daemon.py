"""The life of the process: start, serve, drain.

anyio holds it together: a task group has the ticker, the metrics and the wait for a signal, and its end is the end of
them all. A connection needs no task; see pump.py. SIGTERM and SIGINT drain: no new connections, connection.close (320)
to every client, and the socket closed when it answers or when the limit for that is over. A second signal is from
someone who does not want to wait for that.
"""

import asyncio
import gc
import signal
import socket
from collections.abc import AsyncIterator

import anyio
import structlog
from anyio.abc import TaskStatus

from amqpd import __version__
from amqpd.broker.broker import Broker
from amqpd.config import Settings
from amqpd.server.listening import BACKLOG, listen, raise_file_limit, shown
from amqpd.server.pump import Pump, Pumps
from amqpd.server.scrape import serve_metrics

TICK_S = 0.5
"""How often connections learn the time: a heartbeat is at least 1 s, and due when half of it is over."""

GC_THRESHOLDS = (5_000, 500, 100)
"""Old objects are looked through seldom: messages are no garbage and have no cycles, so that looking for some among a
million waiting ones would be for nothing. Young ones often: what construct makes to parse a cold method refers to
itself, and holds the octets it was parsed from."""

log = structlog.get_logger()


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. CannotListen: an address is taken or is not this machine's."""
    anyio.run(serve, settings, backend_options={"use_uvloop": _has_uvloop()})


async def serve(settings: Settings, *, task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED) -> None:
    """Run a broker in the present event loop until SIGTERM or SIGINT. Tells its port when it listens."""
    raise_file_limit(settings.connection_max)
    broker = Broker(
        default_user=settings.default_user,
        default_password=settings.default_pass,
        loopback_users=settings.loopback_users,
        connection_max=settings.connection_max,
    )
    pumps = Pumps(broker, settings.limits())
    with (
        listen("port", settings.host, settings.port) as amqp_socket,
        listen("metrics_port", settings.metrics_host, settings.metrics_port) as metrics_socket,
        anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals,
    ):
        server = await asyncio.get_running_loop().create_server(lambda: Pump(pumps), sock=amqp_socket, backlog=BACKLOG)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_tick, pumps)
                tasks.start_soon(serve_metrics, broker, metrics_socket)
                _collect_garbage_seldom()
                _announce(settings, amqp_socket, metrics_socket)
                task_status.started(amqp_socket.getsockname()[1])
                received = await anext(signals)
                log.info("draining", signal=received.name, connections=len(pumps.open))
                server.close()
                await _drain(pumps, settings.close_timeout_s, signals)
                tasks.cancel_scope.cancel()
        finally:
            server.close()
            pumps.abort()
    log.info("stopped")


async def _tick(pumps: Pumps) -> None:
    while True:
        await anyio.sleep(TICK_S)
        pumps.tick(anyio.current_time())


async def _drain(pumps: Pumps, timeout_s: float, signals: AsyncIterator[signal.Signals]) -> None:
    """Ask every peer to leave, and wait until all have, the time is over, or another signal comes."""

    async def hurry() -> None:
        await anext(signals)
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.cancel_scope.deadline = anyio.current_time() + timeout_s
        tasks.start_soon(hurry)
        await pumps.shut_down("shutdown")
        tasks.cancel_scope.cancel()
    pumps.abort()
    await anyio.sleep(0)  # the aborted ones leave


def _announce(settings: Settings, amqp_socket: socket.socket, metrics_socket: socket.socket) -> None:
    log.warning("in_memory", reason="queues and messages, durable ones too, do not survive the end of this process")
    host, port = amqp_socket.getsockname()[:2]
    log.info(
        "listening",
        host=host,
        port=port,
        metrics=f"http://{shown(metrics_socket.getsockname())}/metrics",
        version=__version__,
        loop=type(asyncio.get_running_loop()).__module__.partition(".")[0],
    )


def _collect_garbage_seldom() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _has_uvloop() -> bool:
    try:
        import uvloop  # noqa: F401
    except ImportError:
        return False
    return True
