"""Draws a dashboard from what a Prometheus has, in the look of Grafana: the pictures of the README.

    python -m grafana.render grafana/dashboards/overview.json docs/overview.png --minutes 5

Panels are where the dashboard has them, with its titles, units, legends and colours, and what they show comes from
their own expressions. It is a picture and no second Grafana: what our dashboards do not use is not here. ``make
monitor`` has a Prometheus with something to see.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import click
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator
from PIL import Image

from grafana import COLUMNS
from grafana.expressions import fill
from grafana.live import Prometheus, Series
from grafana.units import show

DPI = 100
WIDTH_PX = 1600
UNIT_PX, GAP_PX = 38, 8  # a unit of a dashboard's height, and how much of it is the gap below
HEADER_PX = 64
LINE_PX = 26  # of a table
AXIS_PX, LEGEND_PX, LETTER_PX = 28, 19, 6.4  # below a curve: the times, a line of the legend, a letter in it
LEGEND_LINES = 4
POINTS = 150  # of a curve
STEPS_S = (10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 86_400)  # between what is written below

CANVAS, PANEL, BORDER, GRID, TEXT, FAINT = "#111217", "#181b1f", "#2c3036", "#2a2d33", "#d8d9da", "#8e9098"
COLOURS = {"green": "#73bf69", "yellow": "#fade2a", "orange": "#ff9830", "red": "#f2495c", "blue": "#5794f2"}
CURVES = ("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#b877d9", "#5794f2", "#ffa6b0", "#37872d", "#fade2a", "#705da0")
"""Grafana's classic palette without its red, which is for limits."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Period:
    """What is asked: whom, from when to when, and for which instance, virtual host and queue."""

    prometheus: Prometheus
    start: float
    end: float
    variables: dict[str, str]

    @property
    def length(self) -> float:
        return self.end - self.start

    @property
    def step(self) -> float:
        return self.length / POINTS

    def ranges(self, panel: Json) -> Iterator[tuple[str, Series]]:
        """Each curve with its name."""
        for target in panel["targets"]:
            expression = fill(target["expr"], **self.variables)
            for series in self.prometheus.query_range(expression, self.start, self.end, self.step):
                yield _named(target["legendFormat"], series.labels), series

    def now(self, expression: str) -> list[Series]:
        return self.prometheus.query(fill(expression, **self.variables))


def _named(legend: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda label: labels.get(label[1], ""), legend)


# Kinds of panels ------------------------------------------------------------------------------------------------------


def draw_timeseries(axes: Axes, panel: Json, period: Period) -> None:
    unit, custom = panel["fieldConfig"]["defaults"]["unit"], panel["fieldConfig"]["defaults"]["custom"]
    is_stacked = custom.get("stacking", {}).get("mode") == "normal"
    opacity = custom["fillOpacity"] / 100
    curves = list(period.ranges(panel))
    times = [period.start + number * period.step for number in range(POINTS + 1)]
    ground = [0.0] * len(times)
    entries: list[tuple[str, str]] = []
    colours = iter(CURVES * (1 + len(curves) // len(CURVES)))
    for name, series in curves:
        known = {round((at - period.start) / period.step): value for at, value in series.points if math.isfinite(value)}
        values = [known.get(number, math.nan) for number in range(len(times))]  # where nothing is known, is a gap
        is_limit = name.startswith("limit")
        colour = COLOURS["red"] if is_limit else next(colours)
        entries.append((f"{name}  {show(series.value, unit)}", colour))
        if is_limit:
            axes.plot(times, values, color=colour, linewidth=1.2, linestyle=(0, (6, 4)))
            continue
        if is_stacked:
            values = [value + below for value, below in zip(values, ground, strict=True)]
        axes.plot(times, values, color=colour, linewidth=1.2)
        axes.fill_between(times, ground, values, color=colour, alpha=opacity, linewidth=0)
        if is_stacked:
            ground = values
    axes.set_ylim(bottom=0, top=panel["fieldConfig"]["defaults"].get("max"))
    axes.yaxis.set_major_locator(_values(axes.get_ylim()[1], unit))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: show(value, unit)))
    axes.grid(color=GRID, linewidth=0.7)
    _scale(axes, period)
    if entries:
        _legend(axes, entries)
    else:
        _say_nothing(axes, panel)


def draw_heatmap(axes: Axes, panel: Json, period: Period) -> None:
    """The fuller a bucket, the brighter. Buckets that nothing fell into are left out at both ends."""
    unit = panel["fieldConfig"]["defaults"]["unit"]
    buckets = sorted((float(name), series) for name, series in period.ranges(panel))
    times = sorted({at for _, series in buckets for at, _ in series.points})
    rows, below = [], dict.fromkeys(times, 0.0)
    for _, series in buckets:
        upto = dict.fromkeys(times, 0.0) | dict(series.points)
        rows.append([max(0.0, upto[at] - below[at]) ** 0.5 for at in times])
        below = upto
    used = [number for number, row in enumerate(rows) if max(row, default=0) > 1e-3]
    if used and len(times) > 1:
        first, last = max(0, used[0] - 1), min(len(rows), used[-1] + 2)
        edges = [*times, times[-1] + times[-1] - times[-2]]
        cells = [[cell or math.nan for cell in row] for row in rows[first:last]]
        axes.pcolormesh(edges, range(last - first + 1), cells, cmap="Blues_r", shading="flat", rasterized=True)
        bounds = [show(bound, unit) for bound, _ in buckets[first:last]]
        axes.set_yticks(range(1, last - first + 1, 1 + (last - first) // 8), bounds[:: 1 + (last - first) // 8])
    else:
        _say_nothing(axes, panel)
    _scale(axes, period)


def draw_stat(axes: Axes, panel: Json, period: Period) -> None:
    """The number, and behind it how it came about."""
    axes.set_axis_off()
    defaults = panel["fieldConfig"]["defaults"]
    curves = [series for _, series in period.ranges(panel)]
    text, colour = defaults.get("noValue", ""), FAINT
    if curves:
        text, colour = _reading(curves[0].value, defaults)
    if panel["options"]["colorMode"] == "background":
        axes.set_facecolor(colour)
        colour = "#ffffff"
    elif points := [point for point in curves[0].points if math.isfinite(point[1])] if curves else []:
        times, values = zip(*points, strict=True)
        foot = min(values) - (max(values) - min(values) or 1)
        axes.plot(times, values, color=colour, linewidth=1, alpha=0.7)
        axes.fill_between(times, foot, values, color=colour, alpha=0.15, linewidth=0)
        axes.set_ylim(foot, max(values) + 1.5 * (max(values) - foot))
        axes.set_xlim(period.start, period.end)
    axes.text(0.5, 0.55, text, transform=axes.transAxes, ha="center", va="center", size=21, color=colour, weight="bold")


def draw_table(axes: Axes, panel: Json, period: Period) -> None:
    """One line for each set of labels, and in it all values that belong to them: what merge and organize make."""
    axes.set_axis_off()
    organize = panel["transformations"][-1]["options"]
    places = organize["indexByName"]
    names = {field: organize["renameByName"][field] for field in sorted(places, key=places.__getitem__)}
    lines = _lines(panel, period, names)
    [order] = panel["options"]["sortBy"]
    [by] = [field for field in names if names[field] == order["displayName"]]
    missing: Any = -math.inf if by.startswith("Value #") else ""
    lines.sort(key=lambda line: line.get(by, missing), reverse=order["desc"])
    fields = [field for field in names if not organize["excludeByName"].get(field)]
    room = axes.get_window_extent()
    rows = [
        [_cell(line.get(field, ""), names[field], panel) for field in fields]
        for line in [names, *lines[: int(room.height // LINE_PX) - 1]]
    ]
    widths = [max(len(text) for text, _ in column) + 3 for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        down = 1 - (number + 0.5) * LINE_PX / room.height
        for column, (text, colour) in enumerate(row):
            across = sum(widths[:column]) / sum(widths)
            colour, weight = ("#6e9fff", "bold") if number == 0 else (colour, "normal")
            axes.text(across, down, text, transform=axes.transAxes, va="center", size=8.5, color=colour, weight=weight)


def _lines(panel: Json, period: Period, names: dict[str, str]) -> list[dict[str, Any]]:
    """What a table has to tell, before it is put in order. A value belongs to all lines that its labels fit."""
    lines: list[dict[str, Any]] = []
    for target in panel["targets"]:
        for series in period.now(target["expr"]):
            labels = {label: value for label, value in series.labels.items() if label in names}
            same = [line for line in lines if all(line.get(label, labels[label]) == labels[label] for label in labels)]
            if not same:
                lines += (same := [{}])
            for line in same:
                line |= labels | {f"Value #{target['refId']}": series.value}
    return lines


def _cell(value: Any, column: str, panel: Json) -> tuple[str, str]:
    if not isinstance(value, float):
        return str(value), TEXT
    defaults = dict(panel["fieldConfig"]["defaults"])
    for override in panel["fieldConfig"]["overrides"]:
        if override["matcher"] == {"id": "byName", "options": column}:
            defaults |= {each["id"]: each["value"] for each in override["properties"]}
    return _reading(value, defaults)


def _reading(value: float, config: Json) -> tuple[str, str]:
    """A value as text, and its colour."""
    colour = TEXT
    for step in config.get("thresholds", {}).get("steps", ()):
        if step.get("value") is None or value >= step["value"]:
            colour = COLOURS.get(step["color"], TEXT)
    for mapping in config.get("mappings", ()):
        options = mapping["options"]
        if mapping["type"] == "value" and f"{value:g}" in options:
            found = options[f"{value:g}"]
            return found["text"], COLOURS.get(found.get("color"), colour)
        if mapping["type"] == "range" and value >= options["from"]:
            return options["result"]["text"], colour
    return show(value, config["unit"]), colour


KINDS: dict[str, Callable[[Axes, Json, Period], None]] = {
    "timeseries": draw_timeseries,
    "heatmap": draw_heatmap,
    "stat": draw_stat,
    "table": draw_table,
}


def clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%H:%M:%S")


def _scale(axes: Axes, period: Period) -> None:
    axes.set_xlim(period.start, period.end)
    axes.xaxis.set_major_locator(MultipleLocator(next(step for step in STEPS_S if period.length <= 6 * step)))
    latest = period.end - 0.05 * period.length  # what is later would stand over the edge
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: clock(at) if at < latest else ""))
    axes.set_axisbelow(True)


def _values(most: float, unit: str) -> MultipleLocator:
    """Steps for values up to this: of round numbers of the unit they are shown in."""
    base = 1
    if unit == "bytes" and most > 1:
        base = 1024 ** int(math.log(most, 1024))
    elif unit in ("s", "dtdurations"):
        base = next((seconds for seconds in (86_400, 3_600, 60) if most > 2 * seconds), 1)
    first, second, *_ = MaxNLocator(5).tick_values(0, most / base)
    return MultipleLocator((second - first) * base)


def _say_nothing(axes: Axes, panel: Json) -> None:
    text = panel["fieldConfig"]["defaults"].get("noValue", "no data")
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", size=10, color=FAINT)


def _legend(axes: Axes, entries: list[tuple[str, str]]) -> None:
    """Names and colours below, in as many lines as they need and may have; the axes give up that room."""
    room = axes.get_window_extent()
    across, line = 0.0, 0
    places: list[tuple[float, int]] = []
    for name, _ in entries:
        width = 30 + len(name) * LETTER_PX
        if across and across + width > room.width:
            across, line = 0.0, line + 1
        places.append((across, line))
        across += width
    box = axes.get_position()
    taken = min(line + 1, LEGEND_LINES) * LEGEND_PX * box.height / room.height
    axes.set_position((box.x0, box.y0 + taken, box.width, box.height - taken))
    height = axes.get_window_extent().height
    for (name, colour), (across, line) in zip(entries, places, strict=True):
        if line < LEGEND_LINES:
            x, y, dash = across / room.width, -(AXIS_PX + (line + 0.5) * LEGEND_PX) / height, 12 / room.width
            axes.plot([x, x + dash], [y, y], transform=axes.transAxes, color=colour, linewidth=2, clip_on=False)
            axes.text(x + 1.5 * dash, y, name, transform=axes.transAxes, va="center", size=8, color=TEXT)


# The picture ----------------------------------------------------------------------------------------------------------


def render(dashboard: Json, period: Period, rows: int) -> Figure:
    """The dashboard as far as so many units down."""
    panels = [panel for panel in dashboard["panels"] if panel["gridPos"]["y"] + panel["gridPos"]["h"] <= rows]
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    height = HEADER_PX + bottom * UNIT_PX + GAP_PX
    figure = Figure(figsize=(WIDTH_PX / DPI, height / DPI), dpi=DPI, facecolor=CANVAS)
    when = f"{clock(period.start)} to {clock(period.end)}"
    _write(figure, 2 * GAP_PX, HEADER_PX / 2, dashboard["title"], 15, TEXT)
    _write(figure, WIDTH_PX - 2 * GAP_PX, HEADER_PX / 2, when, 10, FAINT, align="right")
    for panel in panels:
        place = panel["gridPos"]
        left = GAP_PX + place.get("x", 0) * (WIDTH_PX - GAP_PX) / COLUMNS
        top = HEADER_PX + place.get("y", 0) * UNIT_PX
        width, room = place["w"] * (WIDTH_PX - GAP_PX) / COLUMNS - GAP_PX, place["h"] * UNIT_PX - GAP_PX
        if panel["type"] == "row":
            _write(figure, left + GAP_PX, top + room / 2, fill(panel["title"], **period.variables), 11, TEXT)
            continue
        box = _box(figure, left, top, width, room)
        _write(figure, left + 10, top + 16, panel["title"], 9.5, TEXT)
        margins = MARGINS[panel["type"]]
        axes = _axes(
            figure, left + margins[0], top + margins[1], width - margins[0] - 12, room - margins[1] - margins[2]
        )
        KINDS[panel["type"]](axes, panel, period)
        box.set_facecolor(axes.get_facecolor())
    return figure


MARGINS = {"timeseries": (72, 36, 36), "heatmap": (72, 36, 34), "stat": (12, 32, 8), "table": (12, 34, 4)}
"""Of the content in its panel: left, above and below."""


def _fraction(figure: Figure, left: float, top: float) -> tuple[float, float]:
    """Pixels from the left and from the top, as the shares that figures count in."""
    return left / WIDTH_PX, 1 - top / (figure.get_figheight() * DPI)


def _write(figure: Figure, left: float, top: float, text: str, size: float, colour: str, align: str = "left") -> None:
    figure.text(*_fraction(figure, left, top), text, size=size, color=colour, ha=align, va="center")


def _box(figure: Figure, left: float, top: float, width: float, height: float) -> FancyBboxPatch:
    pixels = figure.get_figheight() * DPI
    box = FancyBboxPatch((left, pixels - top - height), width, height, boxstyle="round,pad=0,rounding_size=4")
    box.set(transform=None, facecolor=PANEL, edgecolor=BORDER, linewidth=0.8, zorder=-1)
    figure.add_artist(box)
    return box


def _axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    x, y = _fraction(figure, left, top + height)
    axes = figure.add_axes((x, y, width / WIDTH_PX, height / (figure.get_figheight() * DPI)), facecolor=PANEL)
    axes.tick_params(colors=FAINT, labelsize=8, length=0, pad=6)
    axes.spines[:].set_visible(False)
    return axes


@click.command()
@click.argument("dashboard", type=click.Path(exists=True, path_type=Path))
@click.argument("picture", type=click.Path(path_type=Path))
@click.option("--prometheus", "url", default="http://127.0.0.1:19090", show_default=True, help="where it is asked")
@click.option("--minutes", default=5.0, show_default=True, help="how far back")
@click.option("--interval", default="10s", show_default=True, help="what rates are taken over: some scrapes")
@click.option("--rows", default=1_000, help="how many units of the dashboard's height, from the top")
@click.option("--vhost", default="/", show_default=True, help="the virtual host of queues")
@click.option("--queue", default="orders", show_default=True, help="the queue looked at")
def main(dashboard: Path, picture: Path, url: str, minutes: float, rows: int, **variables: str) -> None:
    """Draw PICTURE (a PNG) from the DASHBOARD's panels."""
    prometheus = Prometheus(url)
    try:
        [now] = prometheus.query("time()")
    except OSError as error:
        raise click.ClickException(f"no Prometheus answers at {url} ({error}); make monitor starts one") from error
    period = Period(prometheus, now.value - minutes * 60, now.value, variables)
    figure = render(json.loads(dashboard.read_text("utf-8")), period, rows)
    with BytesIO() as drawn:
        figure.savefig(drawn, format="png", facecolor=CANVAS)
        with Image.open(drawn) as image:
            colours = image.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
            colours.save(picture, optimize=True)  # a third of the octets, and the few colours as they were


if __name__ == "__main__":
    main()
