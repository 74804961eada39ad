"""Runs a workload against a broker: leads the roles through the phases and makes figures of what they counted.

``run`` is the way in; ``_RUNS`` says what each kind of workload does. All deadlines are set here.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from amqpd.bench.churn import churn
from amqpd.bench.client import ANSWER_TIMEOUT_S, Connection
from amqpd.bench.consumer import PROCESSES_MAX, consume
from amqpd.bench.idle import rest
from amqpd.bench.process import Meter
from amqpd.bench.producer import END_TIMEOUT_S, produce
from amqpd.bench.results import Product, Result, latency_figures
from amqpd.bench.roles import Crew, Desk, Phase, Role
from amqpd.bench.round_trips import converse
from amqpd.bench.topology import Topology, declared
from amqpd.bench.url import BrokerURL
from amqpd.bench.workload import Kind, Workload
from amqpd.wire import methods as m

Play = Callable[[Desk], None]

BODIES_SHOWN_FROM = 10_000  # octets: from there on MB/s says more than messages
DRAIN_TIMEOUT_S = 10.0  # for what was published to be consumed; whoever measures an overload does not want to wait
SLOWEST_MESSAGES = 1000  # a second: a broker that is slower than that does not get to the end of a backlog
SLOWEST_CONNECTIONS = 10
SETTLE_S = 1.0  # a broker at rest has done by then what it does after opening a connection or taking a message


@dataclass(frozen=True, slots=True)
class Run:
    """One workload, about to run against one broker."""

    broker: BrokerURL
    topology: Topology
    meter: Meter
    progress: Callable[[Crew], None]

    @property
    def workload(self) -> Workload:
        return self.topology.workload

    def roles(self, name: str, play: Play, count: int) -> list[Role]:
        return [
            Role(f"{name} {number + 1}" if count > 1 else name, play, number, count, self.broker, self.topology)
            for number in range(count)
        ]

    def crew(self, *roles: list[Role], seconds: float) -> Crew:
        """Processes for these roles, and for connections at rest; ``seconds`` is what they need at the very most."""
        everybody = [role for several in roles for role in several]
        if self.workload.connections and self.workload.kind != "idle":
            everybody += self.roles("idle connections", rest, 1)
        return Crew(everybody, seconds + 300, self.progress)


def run(broker: BrokerURL, workload: Workload, meter: Meter, progress: Callable[[Crew], None]) -> Result:
    """Raises BenchError, and Unmeasurable when the meter's processes end."""
    topology = Topology(workload, f"amqpd-bench-{secrets.token_hex(4)}")
    return _RUNS[workload.kind](Run(broker, topology, meter, progress))


def product_of(broker: BrokerURL) -> Product:
    with Connection(broker).open() as connection:
        properties = connection.server_properties
    return Product(_text(properties.get("product")), _text(properties.get("version")))


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


# The window -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Reading:
    """What had been counted at a moment."""

    at: float
    cpu_s: float
    counts: dict[Play, int]


def _read(run: Run, crew: Crew) -> _Reading:
    counts = {role.play: 0 for role in crew.roles}
    return _Reading(time.monotonic(), run.meter.cpu_s(), {play: crew.count(play) for play in counts})


class _Window:
    """The time between two readings, and the rates in it."""

    def __init__(self, begin: _Reading, end: _Reading) -> None:
        self.seconds = end.at - begin.at
        self.cpu_s = end.cpu_s - begin.cpu_s
        self._counts = {play: end.counts[play] - begin.counts[play] for play in end.counts}

    def count(self, play: Play) -> int:
        return self._counts.get(play, 0)

    def rate(self, play: Play) -> float:
        return self.count(play) / self.seconds


def _measure(run: Run, crew: Crew) -> _Window:
    """From the start of the roles to the end of the measuring."""
    workload = run.workload
    crew.wait_ready()
    crew.label = "warming up"
    crew.turn(Phase.WARMING_UP)
    crew.pause(workload.warm_up)
    crew.label = "measuring"
    crew.turn(Phase.MEASURING)
    begin = _read(run, crew)
    crew.pause(workload.duration)
    return _Window(begin, _read(run, crew))


def _costs(run: Run, window: _Window, *counted: Play) -> dict[str, float]:
    """What the broker used: CPU for each of the first that were counted at all, and memory."""
    if not run.meter:
        return {}
    count = next((window.count(play) for play in counted if window.count(play)), 0)
    figures: dict[str, float] = {"memory": run.meter.memory()}
    if count:
        figures["cpu"] = window.cpu_s / count
    return figures


def _latencies(crew: Crew) -> dict[str, float]:
    return latency_figures(report.latencies for report in crew.reports())


def _shares(crew: Crew, window: _Window) -> dict[str, float]:
    reports = crew.reports()
    return {role.name: report.cpu_s / window.seconds for role, report in zip(crew.roles, reports, strict=True)}


# The kinds of workloads -----------------------------------------------------------------------------------------------


def _run_flow(run: Run) -> Result:
    workload = run.workload
    consumers = run.roles("consumer", consume, min(workload.consumers, PROCESSES_MAX))
    producers = run.roles("producer", produce, workload.producers)
    with (
        declared(run.broker, run.topology),
        run.crew(consumers, producers, seconds=workload.warm_up + workload.duration) as crew,
    ):
        window = _measure(run, crew)
        figures = {"published": window.rate(produce)}
        if consumers:
            figures["consumed"] = window.rate(consume)
        if workload.size >= BODIES_SHOWN_FROM:
            figures["bodies"] = window.rate(consume if consumers else produce) * workload.size
        costs = _costs(run, window, consume, produce)
        published = _drain(run, crew)
        shares = _shares(crew, window)
        figures |= _latencies(crew) | costs
        return Result(workload, product_of(run.broker), figures, published, crew.count(consume), shares)


def _drain(run: Run, crew: Crew) -> int:
    """Let producers come to an end, and give consumers time for the rest; how many messages were published."""
    crew.label = "draining"
    crew.turn(Phase.DRAINING)
    crew.wait(lambda: crew.finished(produce), ANSWER_TIMEOUT_S + END_TIMEOUT_S + 10, "has not ended")
    published = crew.count(produce)
    if run.workload.consumers:
        end = time.monotonic() + DRAIN_TIMEOUT_S
        all_of_it = published * run.workload.copies
        crew.wait(
            lambda: crew.count(consume) >= all_of_it or time.monotonic() > end, DRAIN_TIMEOUT_S * 2, "", step_s=0.02
        )
    return published


def _run_rpc(run: Run) -> Result:
    workload = run.workload
    with (
        declared(run.broker, run.topology),
        run.crew(run.roles("client", converse, 1), seconds=workload.warm_up + workload.duration) as crew,
    ):
        window = _measure(run, crew)
        figures = {"round_trips": window.rate(converse)}
        costs = _costs(run, window, converse)
        crew.turn(Phase.DRAINING)
        shares = _shares(crew, window)
        figures |= _latencies(crew) | costs
        return Result(workload, product_of(run.broker), figures, crew.count(converse), crew.count(converse), shares)


def _run_churn(run: Run) -> Result:
    workload = run.workload
    clients = run.roles("client", churn, workload.producers)
    with run.crew(clients, seconds=workload.warm_up + workload.duration) as crew:
        window = _measure(run, crew)
        figures = {"connections": window.rate(churn)}
        costs = _costs(run, window, churn)
        shares = _shares(crew, window)
        figures |= _latencies(crew) | costs
        return Result(workload, product_of(run.broker), figures, roles=shares)


def _run_backlog(run: Run) -> Result:
    """All of it in, until the queues say that it is there, and then out."""
    workload = run.workload
    seconds = workload.messages / SLOWEST_MESSAGES + 60
    with declared(run.broker, run.topology):
        empty = run.meter.memory()
        producers = run.roles("producer", produce, workload.producers)
        with run.crew(producers, seconds=seconds) as crew, Connection(run.broker).open() as watch:
            into = _measure_all(run, crew, lambda: _waiting(run, watch) >= workload.messages * workload.copies, seconds)
            shares = _shares(crew, into)
        figures = {"published": workload.messages / into.seconds}
        if run.meter:
            time.sleep(SETTLE_S)
            full = run.meter.memory()
            figures |= {"memory": full, "memory_each": (full - empty) / workload.messages}
        consumed = 0
        if workload.consumers:
            consumers = run.roles("consumer", consume, min(workload.consumers, PROCESSES_MAX))
            with run.crew(consumers, seconds=seconds) as crew:
                all_of_it = workload.messages * workload.copies
                out = _measure_all(run, crew, lambda: crew.count(consume) >= all_of_it, seconds)
                shares |= _shares(crew, out)
                consumed = crew.count(consume)
            figures["consumed"] = consumed / out.seconds
            if run.meter:
                figures["cpu"] = (into.cpu_s + out.cpu_s) / workload.messages
        return Result(workload, product_of(run.broker), figures, workload.messages, consumed, shares)


def _measure_all(run: Run, crew: Crew, condition: Callable[[], bool], seconds: float) -> _Window:
    """From the start of the roles until this is so."""
    crew.wait_ready()
    crew.label = "measuring"
    begin = _read(run, crew)
    crew.turn(Phase.MEASURING)
    crew.wait(condition, seconds, "is not through", step_s=0.01)
    return _Window(begin, _read(run, crew))


def _waiting(run: Run, connection: Connection) -> int:
    """How many messages the queues have."""
    declares = (m.QueueDeclare(queue=queue, passive=True) for queue in run.topology.queues())
    return sum(connection.call(declare, m.QueueDeclareOk).message_count for declare in declares)


def _run_idle(run: Run) -> Result:
    workload = run.workload
    seconds = workload.connections / SLOWEST_CONNECTIONS + 60
    empty = run.meter.memory()
    with run.crew(run.roles("connections", rest, 1), seconds=seconds) as crew:
        opened = _measure_all(run, crew, lambda: crew.count(rest) >= workload.connections, seconds)
        figures = {"connections": workload.connections / opened.seconds}
        if run.meter:
            crew.pause(SETTLE_S)
            memory = run.meter.memory()
            figures |= {"memory": memory, "memory_each": (memory - empty) / workload.connections}
        return Result(workload, product_of(run.broker), figures, roles=_shares(crew, opened))


_RUNS: dict[Kind, Callable[[Run], Result]] = {
    "flow": _run_flow,
    "rpc": _run_rpc,
    "churn": _run_churn,
    "backlog": _run_backlog,
    "idle": _run_idle,
}
