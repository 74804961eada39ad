"""The life of the process: start, serve, drain.

anyio holds it together: a task group has the ticker, the metrics and the wait for a signal, and its end is the end of
them all. A connection needs no task; see pump.py. SIGTERM and SIGINT drain: no new connections, connection.close (320)
to every client, and the socket closed when it answers or when the limit for that is over. A second signal is from
someone who does not want to wait for that. Then the store learns how far each queue was handed out; any other end, a
crash or a failure of ours, is what the store is made for.
"""

import asyncio
import ctypes
import gc
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import structlog
from anyio.abc import TaskStatus

from amqpd import __version__
from amqpd.broker.broker import Broker
from amqpd.broker.definitions import DefinitionsUnusable, import_definitions
from amqpd.build import BUILD
from amqpd.config import Settings
from amqpd.errors import AMQPError
from amqpd.server.alarm_clock import AlarmClock, steady_clock
from amqpd.server.definitions import read_definitions
from amqpd.server.listening import BACKLOG, listen, raise_file_limit, shown
from amqpd.server.observation import observing
from amqpd.server.persister import SWITCH_INTERVAL_S, Persister, Worker
from amqpd.server.pump import Pump, Pumps
from amqpd.server.scrape import serve_metrics
from amqpd.server.watch import Watch
from amqpd.store import DurableStore, open_store
from amqpd.store.directory import damaged

TICK_S = 0.5
"""How often connections learn the time: a heartbeat is at least 1 s, and due when half of it is over."""

GC_THRESHOLDS = (5_000, 500, 100)
"""Old objects are looked through seldom: messages are no garbage and have no cycles, so that looking for some among a
million waiting ones would be for nothing. Young ones often: what construct makes to parse a cold method refers to
itself, and holds the octets it was parsed from."""

MALLOPT = ((-3, 4 << 20), (-1, 64 << 20))
"""M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of glibc's malloc. Otherwise the memory of every large message goes back to the
system when it has been sent, and comes back a page fault at a time: 1 ms for 1 MiB, twenty times the copying."""

log = structlog.get_logger()


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    CannotListen: an address is taken or is not this machine's. StoreUnusable: the data directory is not for us.
    DefinitionsUnusable: the definitions that it shall start with are wrong.
    """
    anyio.run(serve, settings, backend_options={"use_uvloop": _has_uvloop()})


async def serve(settings: Settings, *, task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED) -> None:
    """Run a broker in the present event loop until SIGTERM or SIGINT. Tells its port when it listens."""
    raise_file_limit(settings.connection_max)
    definitions = read_definitions(Path(settings.definitions)) if settings.definitions else None
    with (  # the store last: where a start fails before it, nothing has been touched
        anyio.open_signal_receiver(*_signals(settings)) as signals,
        listen("port", settings.host, settings.port) as amqp_socket,
        listen("metrics_port", settings.metrics_host, settings.metrics_port) as metrics_socket,
        _store(settings) as store,
    ):
        broker = make_broker(settings, store, asyncio.get_running_loop().time())
        _report_recovery(broker, store)
        if settings.definitions:
            _import_at_start(broker, store, settings.definitions, definitions)
        pumps = Pumps(broker, settings.limits(), settings.busy_poll_us)
        async with AsyncExitStack() as stack:
            stack.callback(AlarmClock(broker.timers, look=pumps.look, go_on=pumps.write).stop)
            persisters = await stack.enter_async_context(_persisting(store, pumps)) if store is not None else ()
            cluster = settings.cluster_name or settings.node_name
            observation = stack.enter_context(observing(settings.node_name, cluster, pumps, persisters))
            server = await asyncio.get_running_loop().create_server(
                lambda: Pump(pumps), sock=amqp_socket, backlog=BACKLOG
            )
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_tick, pumps, _watch(settings, broker))
                    tasks.start_soon(serve_metrics, broker, observation, settings.metrics_prefix, metrics_socket)
                    _collect_garbage_seldom()
                    _keep_freed_memory()
                    _announce(settings, amqp_socket, metrics_socket)
                    task_status.started(amqp_socket.getsockname()[1])
                    while (received := await anext(signals)) is signal.SIGHUP:
                        _import_again(pumps, settings.definitions)
                    log.info("draining", signal=received.name, connections=len(pumps.open))
                    server.close()
                    await _drain(pumps, settings.close_timeout_s, signals)
                    tasks.cancel_scope.cancel()
            finally:
                server.close()
                pumps.abort("shutdown")
    log.info("stopped")


@contextmanager
def _store(settings: Settings) -> Iterator[DurableStore | None]:
    """The store in the data directory, or None: all in memory."""
    if settings.in_memory:
        yield None
        return
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with open_store(Path(settings.data_dir)) as store:
        yield store


def make_broker(settings: Settings, store: DurableStore | None, moment: float = 0.0) -> Broker:
    """The broker, with what was kept, at a ``moment`` of the event loop. StoreUnusable: that does not fit together."""
    try:
        return Broker(
            store,
            default_user=settings.default_user,
            default_password=settings.default_pass,
            loopback_users=settings.loopback_users,
            connection_max=settings.connection_max,
            clock=steady_clock(),
            message_times=settings.message_times,
            moment=moment,
        )
    except (AMQPError, KeyError) as error:
        raise damaged(Path(settings.data_dir), f"its topology does not fit together: {error}") from error


def _report_recovery(broker: Broker, store: DurableStore | None) -> None:
    queues = broker.statistics().queues
    if store is not None and queues:
        log.info(
            "recovered",
            queues=len(queues),
            messages=sum(queue.ready for queue in queues),
            redelivered="what was delivered before" if store.was_closed else "all: the last end was not an orderly one",
        )


def _import(broker: Broker, file: str, definitions: Any, at_start: bool) -> None:
    """DefinitionsUnusable."""
    imported = import_definitions(broker, definitions, at_start=at_start)
    for reason in imported.left_out:
        log.warning("definition_left_out", item=reason)
    for reason in imported.without_effect:
        log.warning("definition_without_effect", item=reason)
    log.info("definitions_imported", file=file, changed=imported.changed)


def _import_at_start(broker: Broker, store: DurableStore | None, file: str, definitions: Any) -> None:
    """DefinitionsUnusable, and the store is as it was."""
    try:
        _import(broker, file, definitions, at_start=True)
    except DefinitionsUnusable:
        if store is not None:
            store.abandon()
        raise


def _import_again(pumps: Pumps, file: str) -> None:
    """On SIGHUP. What cannot be imported is logged, and harms nothing."""
    pumps.look()
    try:
        _import(pumps.broker, file, read_definitions(Path(file)), at_start=False)
    except DefinitionsUnusable as error:
        log.error("definitions_unusable", file=file, problems=error.problems)
    except Exception:  # a bug of ours, but no reason to stop
        log.exception("internal_error", file=file)
    pumps.broker.agenda.settle()
    pumps.write()


@asynccontextmanager
async def _persisting(store: DurableStore, pumps: Pumps) -> AsyncIterator[list[Persister]]:
    """While this lasts, what the store collects is written; and at its end, if that is an orderly one, all of it."""
    broker = pumps.broker
    files = {"store.mdb": store.main, "spill.mdb": store.spill}
    persisters: list[Persister] = []
    with ExitStack() as workers:
        reader = workers.enter_context(Worker("reader"))
        for name, journal in files.items():
            writer = workers.enter_context(Worker(f"writer of {name}"))
            persister = Persister(
                name, journal, broker.agenda, broker.alarms, writer, reader, look=pumps.look, go_on=pumps.write
            )
            persisters.append(persister)
        try:
            yield persisters
        finally:
            for persister in persisters:
                persister.stop()
    await anyio.sleep(0)  # what the workers have done last is told
    broker.close()
    store.close()
    persisters[0].write_the_rest()  # and not the other file, which ends with the process


def _watch(settings: Settings, broker: Broker) -> Watch:
    directory = None if settings.in_memory else Path(settings.data_dir)
    return Watch(broker.alarms, settings.memory_high_watermark, settings.disk_free_limit, directory)


async def _tick(pumps: Pumps, watch: Watch) -> None:
    while True:
        watch.tick()
        pumps.tick(anyio.current_time())
        await anyio.sleep(TICK_S)


async def _drain(pumps: Pumps, timeout_s: float, signals: AsyncIterator[signal.Signals]) -> None:
    """Ask every peer to leave, and wait until all have, the time is over, or another signal comes."""

    async def hurry() -> None:
        while await anext(signals) is signal.SIGHUP:
            pass
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.cancel_scope.deadline = anyio.current_time() + timeout_s
        tasks.start_soon(hurry)
        await pumps.shut_down("shutdown")
        tasks.cancel_scope.cancel()
    pumps.abort("shutdown")
    await anyio.sleep(0)  # the aborted ones leave


def _signals(settings: Settings) -> Iterator[signal.Signals]:
    """Without definitions SIGHUP means what it does to any process: that its terminal is gone."""
    yield from (signal.SIGTERM, signal.SIGINT)
    if settings.definitions:
        yield signal.SIGHUP


def _announce(settings: Settings, amqp_socket: socket.socket, metrics_socket: socket.socket) -> None:
    if settings.in_memory:
        log.warning("in_memory", reason="queues and messages, durable ones too, do not survive this process")
    host, port = amqp_socket.getsockname()[:2]
    log.info(
        "listening",
        host=host,
        port=port,
        data=None if settings.in_memory else str(Path(settings.data_dir).absolute()),
        metrics=f"http://{shown(metrics_socket.getsockname())}/metrics",
        version=__version__,
        build=BUILD,
        loop=type(asyncio.get_running_loop()).__module__.partition(".")[0],
    )


def _collect_garbage_seldom() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _keep_freed_memory() -> None:
    """Where the C library can be told so."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in MALLOPT:
            mallopt(option, value)


def _has_uvloop() -> bool:
    try:
        import uvloop  # noqa: F401
    except ImportError:
        return False
    return True
