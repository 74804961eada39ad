"""What all dashboards have in common: their frame, their variables, and how they become JSON.

Panels are laid out in rows of 24 columns, in the order in which they are given. Everything that Grafana would else make
up, as the numbers of the panels, is fixed here, so that links to panels hold and the same code gives the same octets.
"""

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from grafana import COLUMNS
from grafana.panels import DATASOURCE

TAG = "amqpd"

Rows = dict[str, list[model.Panel]]
"""Titles, each with the panels below it."""

Variable = Builder[model.VariableModel]


class Alerts(model.AnnotationQuery):
    """Marks where an alert was firing. The texts are Prometheus' part of an annotation, which the SDK leaves out."""

    def to_json(self) -> dict[str, object]:
        texts = {"titleFormat": "{{alertname}}", "tagKeys": "severity,instance,vhost,queue,exchange,file"}
        return {**super().to_json(), **texts}


def query(name: str, label: str, expression: str, *, several: bool = True) -> Variable:
    """A variable whose values Prometheus has. One that takes ``several`` begins with all of them."""
    variable = (
        build.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query({"query": expression, "refId": name})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)  # what has gone is offered for the time when it was there
        .sort(model.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
        .multi(several)
        .include_all(several)
    )
    if several:
        variable.current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
    return variable


def board(uid: str, title: str, description: str, rows: Rows, *variables: Variable) -> model.Dashboard:
    """A dashboard. The data source and the instances can be chosen on each, before the other ``variables``."""
    dashboard = (
        build.Dashboard(f"amqpd / {title}")
        .uid(uid)
        .description(description)
        .tags([TAG])
        .editable()
        .timezone("browser")
        .time("now-1h", "now")
        .refresh("15s")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(
            build.DashboardLink("amqpd")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
        .with_variable(build.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(query("instance", "Instance", "label_values(amqpd_identity_info, instance)"))
    )
    for variable in variables:
        dashboard.with_variable(variable)
    built = dashboard.build()
    built.annotations = model.AnnotationContainer(
        [
            Alerts(
                name="Alerts",
                datasource=DATASOURCE,
                icon_color="red",
                expr='ALERTS{alertname=~"Amqpd.+", alertstate="firing", instance=~"$instance"}',
            )
        ]
    )
    built.panels = _lay_out(rows)
    return built


def encode(dashboard: model.Dashboard) -> str:
    return JSONEncoder(indent=2, sort_keys=True, ensure_ascii=False).encode(dashboard) + "\n"


def _lay_out(rows: Rows) -> list[model.Panel | model.RowPanel]:
    laid: list[model.Panel | model.RowPanel] = []
    y = 0
    for title, panels in rows.items():
        laid.append(model.RowPanel(title=title, id_val=len(laid) + 1, grid_pos=model.GridPos(h=1, w=COLUMNS, y=y)))
        x, y, height = 0, y + 1, 0
        for panel in panels:
            place = panel.grid_pos
            assert place is not None
            if x + place.w > COLUMNS:
                x, y, height = 0, y + height, 0
            place.x, place.y = x, y
            x, height = x + place.w, max(height, place.h)
            panel.id_val = len(laid) + 1
            laid.append(panel)
        y += height
    return laid
