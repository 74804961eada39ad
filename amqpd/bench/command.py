"""The command ``amqpd bench``: its options, and what they come to.

An option of a workload is a field of ``Workload`` with the same name, so what it may be is said there. Nothing of this
leaves a traceback on the terminal. What does the work is imported only where it begins, since whoever starts a broker
comes by here as well.
"""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from amqpd.bench.errors import BenchError, WrongOption
from amqpd.bench.scenarios import SCENARIOS
from amqpd.bench.url import BrokerURL, parse_url
from amqpd.bench.workload import Workload, with_options

if TYPE_CHECKING:
    from amqpd.bench.trials import Trial

ALL = "all"
ROUNDS = 3  # of a comparison


def _url(ctx: click.Context, param: click.Parameter, value: str | None) -> BrokerURL | None:
    try:
        return None if value is None else parse_url(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


def _pids(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        return tuple(int(pid) for pid in value.split(",") if pid)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not process ids with commas", ctx, param) from None


def bench(
    scenarios: tuple[str, ...],
    url: BrokerURL,
    compare: BrokerURL | None,
    rounds: int | None,
    pid: tuple[int, ...],
    compare_pid: tuple[int, ...],
    sweep: str | None,
    plot: str | None,
    as_json_: bool,
    list_: bool,
    **options: Any,
) -> None:
    """Measure a broker of AMQP 0-9-1, or compare two.

    \b
    With the names of scenarios (or "all") it runs those, and options of the workload change them;
    without a name it runs the workload that the options describe.

    Figures are rates and latency percentiles in a window after a warm-up. With --pid also what the broker used: CPU for
    each message (delivery, round trip or connection) and memory: all of it, and that of each waiting message or open
    connection.
    """
    if list_:
        click.echo(list_scenarios())
        return

    from amqpd.bench.plot import check_plot, draw
    from amqpd.bench.process import UNSEEN, can_see
    from amqpd.bench.progress import Progress
    from amqpd.bench.report import Report, as_json
    from amqpd.bench.trials import contender, run_trials

    if compare_pid and compare is None:
        raise click.UsageError("--compare-pid is of the broker at --compare, which is not given")
    if (pid or compare_pid) and not can_see():
        click.echo(UNSEEN, err=True)
        pid = compare_pid = ()
    given = {name: value for name, value in options.items() if value is not None}
    with _told_to_click():
        field, trials = _trials(scenarios, given, sweep)
        if plot is not None:
            check_plot(plot)
        contenders = [contender(url, pid)] + ([contender(compare, compare_pid)] if compare is not None else [])
    report = Report(contenders, field.replace("_", "-"))
    with _told_to_click(), _ended_by_sigterm():
        say = _say_nothing if as_json_ else _say
        say(report.begin())
        for trial in run_trials(contenders, trials, rounds or (ROUNDS if compare else 1), Progress(sys.stderr)):
            say(report.rows(trial))
        say(report.end())
    if plot is not None:
        draw(plot, contenders, trials, field.replace("_", "-"))
    if as_json_:
        click.echo(json.dumps(as_json(contenders, trials), indent=2))


def _trials(scenarios: tuple[str, ...], options: dict[str, Any], sweep: str | None) -> "tuple[str, list[Trial]]":
    """What is swept, if anything is, and what is to be run."""
    from amqpd.bench.sweep import parse_sweep, swept
    from amqpd.bench.trials import Trial

    names = list(SCENARIOS) if ALL in scenarios else scenarios
    workloads = with_options([SCENARIOS[name] for name in names] or [Workload()], **options)
    if sweep is None:
        return "", [Trial(workload) for workload in workloads]
    field, values = parse_sweep(sweep)
    if field in options:
        raise WrongOption(field, "is swept")
    return field, swept(workloads, field, values)


def list_scenarios() -> str:
    return "\n".join(f"{workload.name:<14} {workload.description}" for workload in SCENARIOS.values())


def _say(lines: Iterator[str]) -> None:
    for line in lines:
        click.echo(line)


def _say_nothing(lines: Iterator[str]) -> None:
    for _ in lines:
        pass


@contextmanager
def _told_to_click() -> Iterator[None]:
    try:
        yield
    except WrongOption as error:
        raise click.BadParameter(str(error), param_hint=f"'--{error.option.replace('_', '-')}'") from error
    except BenchError as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the run in order, as Ctrl-C does: the broker gets rid of what was declared."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _option(name: str, kind: Any, text: str, metavar: str | None = None) -> click.Option:
    return click.Option([f"--{name}"], type=kind, default=None, metavar=metavar, help=text)


def _switch(name: str, text: str) -> click.Option:
    return click.Option([f"--{name}/--no-{name}"], default=None, help=text)


_WORKLOAD_OPTIONS = [
    _option("producers", int, "connections that publish, each a process", "N"),
    _option("consumers", int, "connections that consume; queues are divided among them", "N"),
    _option("queues", int, "queues", "N"),
    _option(
        "exchange-type",
        click.Choice(["default", "direct", "fanout", "topic", "headers"]),
        "what messages are published to; default: the exchange without a name",
    ),
    _option("bindings", int, "bindings of the exchange, in all; each message matches one of them", "N"),
    _option("routing-keys", int, "different routing keys of messages", "N"),
    _switch("mixed", "give each of 10,000 messages other properties"),
    _option("size", int, "octets of a body", "N"),
    _option("confirm", int, "publisher confirms, with so many outstanding at most; 0: none", "WINDOW"),
    _switch("ack", "acknowledge deliveries"),
    _option("ack-every", int, "deliveries acknowledged at once; 1: each by itself; 0: a quarter of the prefetch", "N"),
    _option("prefetch", int, "deliveries that a consumer may have unacknowledged", "N"),
    _switch("persistent", "durable queues and persistent messages"),
    _option("rate", float, "messages a second, of all producers together; 0: as fast as they can", "N"),
    _option("connections", int, "connections at rest beside the load", "N"),
    _option("in-flight", int, "rpc: round trips at one time", "N"),
    _option("messages", int, "backlog: messages in, then out", "N"),
    _option("duration", float, "seconds measured", "S"),
    _option("warm-up", float, "seconds before them", "S"),
]

command = click.Command(
    "bench",
    callback=bench,
    help=bench.__doc__,
    epilog="\b\nScenarios:\n" + list_scenarios(),
    params=[
        click.Argument(["scenarios"], nargs=-1, type=click.Choice([*SCENARIOS, ALL]), metavar="[SCENARIO]..."),
        click.Option(
            ["--url"],
            callback=_url,
            default="amqp://guest:guest@127.0.0.1:5672/%2F",
            show_default=True,
            metavar="URL",
            help="the broker",
        ),
        click.Option(["--compare"], callback=_url, metavar="URL", help="another broker; ratios are of the first to it"),
        click.Option(
            ["--rounds"],
            type=click.IntRange(min=1),
            metavar="N",
            help=f"how often to run each; medians are shown  [default: 1, {ROUNDS} with --compare]",
        ),
        click.Option(
            ["--pid"],
            callback=_pids,
            default="",
            metavar="PID,...",
            help="the broker's processes, on this machine: what they use is shown",
        ),
        click.Option(
            ["--compare-pid"], callback=_pids, default="", metavar="PID,...", help="the processes of the other broker"
        ),
        click.Option(["--sweep"], metavar="OPTION=1,10,...", help="run with each of these values of an option below"),
        click.Option(["--plot"], metavar="FILE", help="draw the result: a .png or .svg"),
        click.Option(["--json", "as_json_"], is_flag=True, help="print all of it as JSON, and nothing else"),
        click.Option(["--list", "list_"], is_flag=True, help="list the scenarios"),
        *_WORKLOAD_OPTIONS,
    ],
)
