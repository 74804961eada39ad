"""Results as text for people and as JSON for machines.

Tables are written row by row as results come: columns have their widths before the first row. A new head is written
where the next row has other columns.
"""

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from amqpd import __version__
from amqpd.bench.results import FIGURES, Figure, Ratio
from amqpd.bench.scenarios import SCENARIOS
from amqpd.bench.trials import Contender, Trial

UNDER_FULL_LOAD = (
    "Latency is that under full load: mostly the time that messages wait in queues and sockets.\n"
    "With --rate it is that of a broker that keeps up."
)

_WIDTH = 10  # of a column at least


class Report:
    """The lines of a benchmark, trial by trial. ``sweep`` is what is swept, if anything is."""

    def __init__(self, contenders: Sequence[Contender], sweep: str = "") -> None:
        self._contenders = contenders
        self._sweep = sweep
        self._first_width = max(len(name) for name in SCENARIOS)
        if sweep:
            self._first_width += len(" 10,000")
        if len(contenders) > 1:
            self._first_width += 1 + max(len(figure.heading) for figure in FIGURES.values())
        self._columns: list[str] = []
        self._full_load = False

    def begin(self) -> Iterator[str]:
        yield " compared with ".join(str(broker) for broker in self._contenders)

    def rows(self, trial: Trial) -> Iterator[str]:
        yield from self._comparison(trial) if len(self._contenders) > 1 else self._row(trial)
        yield from notices(trial)
        self._full_load |= trial.under_full_load

    def end(self) -> Iterator[str]:
        if self._full_load:
            yield ""
            yield UNDER_FULL_LOAD

    def _row(self, trial: Trial) -> Iterator[str]:
        figures = trial.figures()
        yield from self._heading(self._sweep or "scenario", [FIGURES[name].column for name in figures])
        yield self._line(self._name(trial), [show(FIGURES[name], value) for name, value in figures.items()])

    def _comparison(self, trial: Trial) -> Iterator[str]:
        ours, theirs = trial.figures(0), trial.figures(1)
        names = [broker.product.short for broker in self._contenders]
        yield from self._heading(self._sweep, [*names, "ratio: min", "median", "max"])
        for name, ratio in trial.ratios().items():
            figure = FIGURES[name]
            cells = [show(figure, ours[name]), show(figure, theirs[name]), *show_ratio(ratio)]
            yield self._line(f"{self._name(trial)} {figure.heading}", cells)

    def _heading(self, first: str, columns: list[str]) -> Iterator[str]:
        if columns != self._columns:
            self._columns = columns
            yield ""
            yield self._line(first, columns)

    def _line(self, first: str, cells: Sequence[str]) -> str:
        columns = [cell.rjust(max(len(heading), _WIDTH)) for cell, heading in zip(cells, self._columns, strict=True)]
        return "  ".join([first.ljust(self._first_width), *columns])

    def _name(self, trial: Trial) -> str:
        return trial.workload.name if trial.point is None else f"{trial.workload.name} {trial.point:,}"


def notices(trial: Trial) -> Iterator[str]:
    """What has to be known of a trial's figures before they are believed."""
    for results in trial.results:
        busiest: dict[str, float] = {}
        for result in results:
            for name, share in result.busy.items():
                busiest[name] = max(share, busiest.get(name, 0.0))
            if result.missing:
                yield f"  {result.broker}: {result.missing:,} confirmed messages had not been delivered in the end"
        for name, share in busiest.items():
            broker = f"{results[0].broker}: " if len(trial.results) > 1 else ""
            if trial.workload.in_turn:
                yield f"  {broker}{share:.0%} of each latency is the CPU time of the load generator's {name}"
            else:
                yield f"  {broker}{name} used {share:.0%} of a core: the broker may be faster than shown"


def show(figure: Figure, value: float) -> str:
    match figure.unit:
        case "seconds":
            return _show_seconds(value)
        case "octets":
            return _show_octets(value)
        case "octets per second":
            return f"{value / 1e6:,.0f}"
    return f"{value:,.0f}"


def show_ratio(ratio: Ratio) -> list[str]:
    return [f"{value:.2f}" for value in (ratio.least, ratio.middle, ratio.most)]


def _show_seconds(value: float) -> str:
    for unit, seconds in (("s", 1.0), ("ms", 1e-3)):
        if value >= seconds:
            return f"{value / seconds:.3g} {unit}" if value < 1000 * seconds else f"{value / seconds:,.0f} {unit}"
    return f"{value / 1e-6:.3g} us"


def _show_octets(value: float) -> str:
    for unit, octets in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if abs(value) >= 10 * octets:
            return f"{value / octets:,.0f} {unit}"
    return f"{value:,.0f} B"


def as_json(contenders: Sequence[Contender], trials: Sequence[Trial]) -> dict[str, Any]:
    """All there is, raw: seconds, octets, and numbers a second. Ratios are of the first broker to the second."""
    return {
        "amqpd": __version__,
        "machine": {"system": platform.platform(), "processors": os.cpu_count(), "python": platform.python_version()},
        "brokers": [
            {"product": broker.product.name, "version": broker.product.version, "address": str(broker.url)}
            for broker in contenders
        ],
        "trials": [_trial_as_json(trial) for trial in trials],
    }


def _trial_as_json(trial: Trial) -> dict[str, Any]:
    return {
        "workload": asdict(trial.workload),
        "point": trial.point,
        "under_full_load": trial.under_full_load,
        "brokers": [
            {
                "median": trial.figures(number),
                "rounds": [
                    {
                        "figures": result.figures,
                        "published": result.published,
                        "consumed": result.consumed,
                        "roles": result.roles,
                        "busy": sorted(result.busy),
                    }
                    for result in results
                ],
            }
            for number, results in enumerate(trial.results)
        ],
        "ratios": {
            name: {"min": ratio.least, "median": ratio.middle, "max": ratio.most}
            for name, ratio in trial.ratios().items()
        },
    }
