"""``python -m grafana`` writes the dashboards."""

from grafana import FOLDER
from grafana.board import encode
from grafana.connections import CONNECTIONS
from grafana.overview import OVERVIEW
from grafana.queues import QUEUES
from grafana.runtime import RUNTIME

DASHBOARDS = {
    "overview.json": OVERVIEW,
    "queues.json": QUEUES,
    "connections.json": CONNECTIONS,
    "runtime.json": RUNTIME,
}


def main() -> None:
    for name, dashboard in DASHBOARDS.items():
        (FOLDER / name).write_text(encode(dashboard), "utf-8")


if __name__ == "__main__":
    main()
