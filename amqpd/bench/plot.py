"""Draws results with matplotlib, which is imported here alone and only when something is to be drawn.

Trials of scenarios become bars, in units of the compared broker where there is one; a sweep becomes lines. What is
drawn is the first figure of a workload that says how fast it was, or in a sweep what each message cost.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from amqpd.bench.errors import WrongOption
from amqpd.bench.report import show
from amqpd.bench.results import FIGURES
from amqpd.bench.trials import Contender, Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ENDINGS = (".png", ".svg")
SPEEDS = ("consumed", "published", "round_trips", "connections")
_COLOURS = ("#2a6f97", "#c0803a")


def check_plot(file: str) -> None:
    """Before a run, that its result can be drawn after it. Raises WrongOption."""
    if Path(file).suffix not in ENDINGS:
        raise WrongOption("plot", f"{file!r} does not end with {' or '.join(ENDINGS)}")
    if not Path(file).absolute().parent.is_dir():
        raise WrongOption("plot", f"there is no directory {str(Path(file).parent)!r}")
    if find_spec("matplotlib") is None:
        raise WrongOption("plot", "matplotlib is not installed: pip install 'amqpd[plot]'")


def draw(file: str, contenders: Sequence[Contender], trials: Sequence[Trial], sweep: str) -> None:
    """``sweep`` is what is swept, or empty."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(10, 5), layout="constrained")
    axes = drawing.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    if sweep:
        _draw_lines(axes, contenders, trials)
        axes.set_xlabel(sweep)
    elif len(contenders) > 1:
        _draw_ratios(axes, contenders, trials)
    else:
        _draw_bars(axes, contenders[0], trials)
    drawing.savefig(file)


def _draw_bars(axes: "Axes", broker: Contender, trials: Sequence[Trial]) -> None:
    """A bar for each trial, on a scale that has room for thousands and for millions."""
    values = [trial.figures()[speed_of(trial)] for trial in trials]
    bars = axes.bar(range(len(trials)), values, 0.6, color=_COLOURS[0])
    axes.bar_label(bars, [f"{value:,.0f}" for value in values], fontsize=7, padding=2)
    axes.set_title(str(broker.product))
    axes.set_yscale("log")
    axes.set_ylabel("per second")
    _name_bars(axes, trials)


def _draw_ratios(axes: "Axes", contenders: Sequence[Contender], trials: Sequence[Trial]) -> None:
    """Two bars for each trial in units of the second broker, with how far the ratios of the rounds lie apart."""
    trials = [trial for trial in trials if speed_of(trial) in trial.ratios()]
    ratios = [trial.ratios()[speed_of(trial)] for trial in trials]
    middles = [ratio.middle for ratio in ratios]
    spread = [[ratio.middle - ratio.least for ratio in ratios], [ratio.most - ratio.middle for ratio in ratios]]
    ours, theirs = contenders
    left, right = ([place + shift for place in range(len(trials))] for shift in (-0.2, 0.2))
    bars = axes.bar(left, middles, 0.4, label=str(ours.product), color=_COLOURS[0], yerr=spread, ecolor="black")
    labels = [f"{ratio.middle:.1f} x\n{_shown(trial, 0)}" for trial, ratio in zip(trials, ratios, strict=True)]
    axes.bar_label(bars, labels, fontsize=7, padding=2)
    bars = axes.bar(right, [1.0] * len(trials), 0.4, label=str(theirs.product), color=_COLOURS[1])
    axes.bar_label(bars, [_shown(trial, 1) for trial in trials], fontsize=7, padding=2)
    axes.set_ylabel(f"times {theirs.product}: median, min to max of the rounds")
    axes.legend(frameon=False)
    _name_bars(axes, trials)


def _shown(trial: Trial, broker: int) -> str:
    name = speed_of(trial)
    return show(FIGURES[name], trial.figures(broker)[name])


def _name_bars(axes: "Axes", trials: Sequence[Trial]) -> None:
    names = [f"{trial.workload.name}\n{FIGURES[speed_of(trial)].heading}" for trial in trials]
    axes.set_xticks(range(len(trials)), names, fontsize=7)


def _draw_lines(axes: "Axes", contenders: Sequence[Contender], trials: Sequence[Trial]) -> None:
    """What each message costs: of the broker's CPU where it was seen, of time otherwise."""
    seen = all("cpu" in trial.figures(number) for trial in trials for number in range(len(contenders)))
    for number, broker in enumerate(contenders):
        for name in dict.fromkeys(trial.workload.name for trial in trials):
            points = [trial for trial in trials if trial.workload.name == name]
            costs = [_cost_us(trial, number, seen) for trial in points]
            label = f"{broker.product}, {name}"
            axes.plot([trial.point or 0 for trial in points], costs, marker="o", label=label)
    axes.set_xscale("symlog" if any(trial.point == 0 for trial in trials) else "log")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("broker's CPU for each message, us" if seen else "time for each message, us")
    axes.legend(frameon=False)


def _cost_us(trial: Trial, number: int, cpu: bool) -> float:
    figures = trial.figures(number)
    return figures["cpu"] * 1e6 if cpu else 1e6 / max(figures[speed_of(trial)], 1e-9)


def speed_of(trial: Trial) -> str:
    """The figure that says how fast a workload ran."""
    return next(name for name in SPEEDS if name in trial.figures())
