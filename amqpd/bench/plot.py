"""Draws results with matplotlib, which is imported here alone and only when something is to be drawn.

Trials of scenarios become bars, in units of the compared broker where there is one; a sweep becomes lines, one panel
for what a message costs the broker's CPU where that was seen, and one for the speed.
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
    from matplotlib.figure import Figure

ENDINGS = (".png", ".svg")
SPEEDS = ("consumed", "published", "round_trips", "connections")

# Of the palette by Okabe and Ito, whose colours differ for every kind of colour vision, and in lightness.
_BLUE, _ORANGE, _GREEN, _PURPLE = "#0072b2", "#e69f00", "#009e73", "#cc79a7"
_GREY = "#555555"
_LINES = [(_BLUE, "o", "-"), (_ORANGE, "s", "--"), (_GREEN, "^", "-."), (_PURPLE, "D", ":")]
_BAR = 0.38  # of the room that a trial has


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

    drawing = Figure(layout="constrained")
    if sweep:
        _draw_sweep(drawing, contenders, trials, sweep)
    elif len(contenders) > 1:
        _draw_ratios(drawing, contenders, trials)
    else:
        _draw_speeds(drawing, contenders[0], trials)
    for axes in drawing.axes:
        axes.spines[["top", "right"]].set_visible(False)
    drawing.savefig(file, dpi=150)


def speed_of(trial: Trial) -> str:
    """The figure that says how fast a workload ran."""
    return next(name for name in SPEEDS if name in trial.figures())


# Scenarios ------------------------------------------------------------------------------------------------------------


def _draw_speeds(drawing: "Figure", broker: Contender, trials: Sequence[Trial]) -> None:
    """A bar for each trial, on a scale that has room for thousands and for millions."""
    axes = _axes_for_bars(drawing, trials, 0.35)
    axes.set_title(str(broker.product), loc="left", weight="bold")
    bars = axes.barh(range(len(trials)), [trial.figures()[speed_of(trial)] for trial in trials], 0.7, color=_BLUE)
    axes.bar_label(bars, [_shown(trial, 0) for trial in trials], fontsize=8, padding=4)
    axes.set_xscale("log")
    axes.set_xlabel("per second")
    axes.margins(x=0.25, y=0.02)


def _draw_ratios(drawing: "Figure", contenders: Sequence[Contender], trials: Sequence[Trial]) -> None:
    """Two bars for each trial in units of the second broker, with how far the ratios of the rounds lie apart."""
    trials = [trial for trial in trials if speed_of(trial) in trial.ratios()]
    ratios = [trial.ratios()[speed_of(trial)] for trial in trials]
    ours, theirs = contenders
    axes = _axes_for_bars(drawing, trials, 0.5)
    axes.set_title(f"{ours.product} compared with {theirs.product}", loc="left", weight="bold")
    middles = [ratio.middle for ratio in ratios]
    spread = [[ratio.middle - ratio.least for ratio in ratios], [ratio.most - ratio.middle for ratio in ratios]]
    upper, lower = ([place + shift for place in range(len(trials))] for shift in (-_BAR / 2, _BAR / 2))
    bars = axes.barh(
        upper,
        middles,
        _BAR,
        label=str(ours.product),
        color=_BLUE,
        xerr=spread,
        error_kw={"elinewidth": 1, "capsize": 2},
    )
    labels = axes.bar_label(
        bars, [f"{middle:.1f}\N{MULTIPLICATION SIGN}" for middle in middles], padding=4, weight="bold"
    )
    for label, trial in zip(labels, trials, strict=True):
        axes.annotate(_shown(trial, 0), (1, 0.5), (6, 0), label, "offset points", va="center", fontsize=8, color=_GREY)
    bars = axes.barh(lower, [1.0] * len(trials), _BAR, label=str(theirs.product), color=_ORANGE)
    axes.bar_label(bars, [_shown(trial, 1) for trial in trials], fontsize=8, padding=4, color=_GREY)
    rounds = max(len(trial.results[0]) for trial in trials) if trials else 0
    axes.set_xlabel(f"speed, {theirs.product} = 1; median of {rounds} rounds, and the least and the most of them")
    axes.legend(frameon=False, loc="lower right")
    axes.margins(x=0.25, y=0.02)


def _axes_for_bars(drawing: "Figure", trials: Sequence[Trial], inches: float) -> "Axes":
    """Room for so many lying bars, the first on top, each with its name."""
    drawing.set_size_inches(9, 1.4 + inches * len(trials))
    axes = drawing.add_subplot()
    axes.set_yticks(range(len(trials)), [trial.workload.name for trial in trials])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    return axes


def _shown(trial: Trial, broker: int) -> str:
    name = speed_of(trial)
    return f"{show(FIGURES[name], trial.figures(broker)[name])} {FIGURES[name].heading}"


# Sweeps ---------------------------------------------------------------------------------------------------------------


def _draw_sweep(drawing: "Figure", contenders: Sequence[Contender], trials: Sequence[Trial], sweep: str) -> None:
    """What a message costs the broker, where it was seen, and how fast it was, over the values of the option."""
    costs = [(trial, number) for trial in trials for number in range(len(contenders))]
    figures = ["cpu"] if all("cpu" in trial.figures(number) for trial, number in costs) else []
    figures.append(speed_of(trials[0]))
    drawing.set_size_inches(1 + 5 * len(figures), 4)
    drawing.suptitle(" and ".join(str(broker.product) for broker in contenders), weight="bold")
    names = dict.fromkeys(trial.workload.name for trial in trials)
    lines = [(broker, name) for broker in range(len(contenders)) for name in names]
    for axes, figure in zip(drawing.subplots(1, len(figures), squeeze=False)[0], figures, strict=True):
        scale = 1e6 if figure == "cpu" else 1.0
        for number, (broker, name) in enumerate(lines):
            points = [trial for trial in trials if trial.workload.name == name]
            values = [trial.figures(broker)[figure] * scale for trial in points]
            colour, marker, style = _LINES[number % len(_LINES)]
            label = f"{contenders[broker].product.short}, {name}"
            axes.plot([trial.point for trial in points], values, style, color=colour, marker=marker, label=label)
        _scale(axes, sorted({trial.point or 0 for trial in trials}))
        axes.set_xlabel(sweep)
        axes.set_title("CPU of the broker, us each" if figure == "cpu" else FIGURES[figure].heading, fontsize=10)
    if len(lines) > 1:
        drawing.axes[0].legend(frameon=False)


def _scale(axes: "Axes", points: Sequence[int]) -> None:
    """Steps of equal ratio across, with the values that were measured; from nothing up."""
    axes.set_xscale("symlog" if points[0] == 0 else "log")
    axes.set_xticks(points, [f"{point:,}" for point in points])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter("{x:,.12g}")
    axes.grid(axis="y", color="#dddddd")
    axes.set_axisbelow(True)
