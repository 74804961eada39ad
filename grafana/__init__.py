"""What Prometheus and Grafana need to watch amqpd: dashboards as code, and the files that they are written to.

``python -m grafana`` writes ``dashboards/*.json``. Those are what people import, so they are checked in, and a test
holds them equal to the code. README.md here says how to use them.

Nothing of the daemon imports this package, and it imports nothing of the daemon: what the two share is the names of the
metrics, and tests hold them together.
"""

from pathlib import Path

FOLDER = Path(__file__).parent / "dashboards"
"""Where the dashboards are written."""

COLUMNS = 24
"""Of Grafana's grid: the width of a dashboard."""
