"""Every expression of the dashboards that are checked in, for who asks Prometheus without Grafana: tests, pictures."""

import json
from dataclasses import dataclass

from grafana import FOLDER


@dataclass(frozen=True, slots=True)
class Expression:
    """One query of a panel, whose ``type`` is timeseries, stat, heatmap or table; ``unit`` is Grafana's name of it."""

    dashboard: str
    panel: str
    type: str
    unit: str
    legend: str
    expr: str


def expressions() -> list[Expression]:
    """All, in the order of the panels. ``dashboard`` is the uid."""
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        dashboard = json.loads(path.read_text("utf-8"))
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                unit = panel["fieldConfig"]["defaults"]["unit"]
                legend = target["legendFormat"]
                found.append(Expression(dashboard["uid"], panel["title"], panel["type"], unit, legend, target["expr"]))
    return found


def fill(expr: str, *, instance: str = ".+", vhost: str = ".*", queue: str = "", interval: str = "1m") -> str:
    """The expression with values for Grafana's variables. ``instance`` and ``vhost`` are regular expressions, ``queue``
    is a name; ``interval`` is what rates are taken over, and the range of what is added up over the whole time."""
    values = {
        "$__rate_interval": interval,
        "$__range": interval,
        "$instance": instance,
        "$vhost": vhost,
        "$queue": queue,
    }
    for variable, value in values.items():
        expr = expr.replace(variable, value)
    return expr
