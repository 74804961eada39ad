"""The kinds of panels that the dashboards are made of: what is the same in all panels of a kind stands here, once.

Each function returns a panel without a place; grafana.board gives it one. Widths are columns of Grafana's 24.

Every panel says in ``description`` what it shows and what to do when it looks bad, and in ``empty`` what it means that
there is nothing to show. A series whose legend begins with "limit" is drawn as a limit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common as build_common
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import heatmap as build_heatmap
from grafana_foundation_sdk.builders import stat as build_stat
from grafana_foundation_sdk.builders import table as build_table
from grafana_foundation_sdk.builders import timeseries as build_timeseries
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models import common, heatmap, units
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana import COLUMNS
from grafana.promql import Series, buckets

DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")

NOT_SCRAPED = "no data: does Prometheus scrape amqpd?"
NOT_OBSERVED = "no message in this time"

Steps = tuple[tuple[float | None, str], ...]
"""Colours, each from a value on; the first one from the beginning (None)."""

PLAIN: Steps = ((None, "text"),)
NONE_IS_GOOD: Steps = ((None, "green"), (1, "red"))

Words = Mapping[str, tuple[str, str]]
"""What is shown instead of a value, and its colour."""

NEVER = model.RangeMap(
    model.DashboardRangeMapOptions(
        from_val=365 * 86_400,
        to=None,
        result=model.ValueMappingResult(text="not shrinking"),
    )
)
"""Seconds until a queue is empty: infinitely many, or too many to be told apart from that."""


def timeseries(
    title: str,
    description: str,
    unit: str,
    *series: Series,
    width: int = 8,
    stacked: bool = False,
    most: float | None = None,
    empty: str = NOT_SCRAPED,
) -> model.Panel:
    """Curves over time from 0 up, or to ``most``."""
    panel = (
        build_timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .span(width)
        .height(8)
        .unit(unit)
        .min(0)
        .no_value(empty)
        .line_width(1)
        .fill_opacity(30 if stacked else 8)
        .show_points(common.VisibilityMode.NEVER)
        .stacking(
            build_common.StackingConfig().mode(common.StackingMode.NORMAL if stacked else common.StackingMode.NONE)
        )
        .legend(_legend())
        .tooltip(_tooltip())
        .override_by_regexp("^limit", _LIMIT)
    )
    if most is not None:
        panel.max(most)
    for query in _queries(series):
        panel.with_target(query)
    return panel.build()


def stat(
    title: str,
    description: str,
    unit: str,
    expression: str,
    *,
    width: int = 3,
    steps: Steps = PLAIN,
    words: Words | None = None,
    mapping: model.RangeMap | None = None,
    empty: str = "no data",
) -> model.Panel:
    """One number as it is now; with ``words`` it is a state, and coloured whole."""
    panel = (
        build_stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .span(width)
        .height(4)
        .unit(unit)
        .no_value(empty)
        .thresholds(_thresholds(steps))
        .graph_mode(common.BigValueGraphMode.NONE if words else common.BigValueGraphMode.AREA)
        .color_mode(common.BigValueColorMode.BACKGROUND if words else common.BigValueColorMode.VALUE)
        .reduce_options(build_common.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    if words:
        results = {value: model.ValueMappingResult(text=text, color=color) for value, (text, color) in words.items()}
        panel.mappings([model.ValueMap(results)])
    if mapping:
        panel.mappings([mapping])
    for query in _queries([(title, expression)]):
        panel.with_target(query)
    return panel.build()


def heat(
    title: str,
    description: str,
    unit: str,
    histogram: str,
    *,
    where: str = "",
    width: int = 8,
    empty: str = NOT_OBSERVED,
) -> model.Panel:
    """A histogram over time: the darker, the more observations between this bound and the one below it."""
    query = _query(0, "{{le}}", buckets(histogram, where)).format(PromQueryFormat.HEATMAP)
    return (
        build_heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .span(width)
        .height(8)
        .no_value(empty)
        .unit(unit)
        .calculate(False)
        .color(
            build_heatmap.HeatmapColorOptions()
            .mode(heatmap.HeatmapColorMode.SCHEME)
            .scheme("Blues")
            .scale(heatmap.HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .steps(64)
        )
        .filter_values(build_heatmap.FilterValueRange().le(1e-9))
        .y_axis(build_heatmap.YAxisConfig().unit(unit))
        .cell_values(build_heatmap.CellValues().unit(units.Short))
        .rows_frame(build_heatmap.RowsHeatmapOptions().layout(common.HeatmapCellLayout.AUTO))
        .show_legend()
        .mode(common.TooltipDisplayMode.SINGLE)
        .with_target(query)
        .build()
    )


@dataclass(frozen=True, slots=True)
class Column:
    """One of a table: its expression must have the same labels as those of the others, or more."""

    name: str
    expression: str
    unit: str = units.Short
    steps: Steps = PLAIN
    mapping: model.RangeMap | None = None


def table(
    title: str,
    description: str,
    labels: Mapping[str, str],
    *columns: Column,
    hidden: Iterable[str] = (),
    sort_by: str,
    descending: bool = True,
    links: Mapping[str, tuple[str, str]] | None = None,
    height: int = 9,
    empty: str = NOT_SCRAPED,
) -> model.Panel:
    """One line for each combination of labels, with a value from each column's expression.

    ``labels`` gives the columns in front their names. ``hidden`` are values that say nothing, the 1 of an info metric.
    ``links``: by column, the text of a link and where it leads.
    """
    panel = (
        build_table.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .span(COLUMNS)
        .height(height)
        .unit(units.Short)
        .no_value(empty)
        .filterable(True)
        .cell_height(common.TableCellHeight.SM)
        .sort_by([build_common.TableSortByFieldState().display_name(sort_by).desc(descending)])
    )
    for index, column in enumerate(columns):
        panel.with_target(_query(index, "", column.expression).instant().format(PromQueryFormat.TABLE))
        panel.override_by_name(column.name, _cell(column))
    for name, (text, url) in (links or {}).items():
        link = model.DashboardLink(title=text, url=url)
        panel.override_by_name(name, [model.DynamicConfigValue("links", [link])])
    fields = {f"Value #{_letter(index)}": column.name for index, column in enumerate(columns)}
    unseen = ["Time", *(field for field, name in fields.items() if name in hidden)]
    names = {**labels, **fields}
    organize = {
        "excludeByName": dict.fromkeys(unseen, True),
        "indexByName": {field: index for index, field in enumerate(names)},
        "renameByName": names,
    }
    return panel.transformations(
        [
            model.DataTransformerConfig(id_val="merge", options={}),
            model.DataTransformerConfig(id_val="organize", options=organize),
        ]
    ).build()


def _cell(column: Column) -> list[model.DynamicConfigValue]:
    properties = [model.DynamicConfigValue("unit", column.unit)]
    if column.steps is not PLAIN:
        properties.append(model.DynamicConfigValue("thresholds", _thresholds(column.steps).build()))
        properties.append(model.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
    if column.mapping is not None:
        properties.append(model.DynamicConfigValue("mappings", [column.mapping]))
    return properties


def _queries(series: Iterable[Series]) -> list[Dataquery]:
    return [_query(index, legend, expression) for index, (legend, expression) in enumerate(series)]


def _query(index: int, legend: str, expression: str) -> Dataquery:
    return Dataquery().datasource(DATASOURCE).ref_id(_letter(index)).legend_format(legend).expr(expression)


def _letter(index: int) -> str:
    """The name of a query within its panel."""
    return chr(ord("A") + index)


def _thresholds(steps: Steps) -> build.ThresholdsConfig:
    return (
        build.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=value, color=color) for value, color in steps])
    )


def _legend() -> build_common.VizLegendOptions:
    return (
        build_common.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(["lastNotNull"])
    )


def _tooltip() -> build_common.VizTooltipOptions:
    return build_common.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)


_LIMIT = [
    model.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": "red"}),
    model.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 8]}),
    model.DynamicConfigValue("custom.fillOpacity", 0),
    model.DynamicConfigValue("custom.stacking", {"mode": "none", "group": "A"}),
]
