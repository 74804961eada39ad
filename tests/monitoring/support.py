"""A Prometheus with our own configuration, in which time goes faster, and the words of the tests that ask it.

What is run is ``grafana/prometheus/``. Only this differs: the targets, which are in a file of their own; how often is
scraped and evaluated; and in the rules a minute is :data:`MINUTE_MS`. No expression is another one. What a test is told
to replace besides (a threshold) stands in that test.
"""

import re
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from grafana.live import PrometheusProcess, configure
from interop.broker_process import BrokerProcess

INTERVAL = "500ms"
MINUTE_MS = 500
JOBS = 3
"""Of prometheus.yml."""

PATIENCE_S = 40.0
"""For one thing to come true."""


def until(condition: Callable[[], object], *, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Do something again and again until this is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it does not come true")
        meanwhile()
        time.sleep(0.05)


def target(broker: BrokerProcess) -> str:
    return urlsplit(broker.metrics).netloc


def is_ready(broker: BrokerProcess) -> bool:
    return httpx.get(f"http://{target(broker)}/health/ready").is_success


class Watcher(PrometheusProcess):
    """A Prometheus that watches these targets. ``replaced`` are further texts of the rules, each there once."""

    def __init__(self, directory: Path, *targets: str, replaced: dict[str, str] | None = None) -> None:
        config = configure(directory, INTERVAL, *targets)
        rules = directory / "alerts.yml"
        rules.write_text(faster(replace(rules.read_text("utf-8"), replaced or {})), "utf-8")
        super().__init__(config, directory / "data")

    def firing(self, alert: str) -> list[dict[str, str]]:
        """The labels of each such alert that is firing."""
        return [found.labels for found in self.query(f'ALERTS{{alertname="{alert}", alertstate="firing"}}')]

    def sees(self) -> None:
        """Wait until all jobs have reached their target."""
        until(lambda: [up.value for up in self.query("up")] == [1] * JOBS)


def faster(rules: str) -> str:
    """With other minutes: in ``[5m]``, in ``for: 5m`` and in ``keep_firing_for: 5m``."""
    return re.sub(r"\b(\d+)m\b", lambda found: f"{int(found[1]) * MINUTE_MS}ms", rules)


def replace(text: str, replaced: dict[str, str]) -> str:
    for old, new in replaced.items():
        assert text.count(old) == 1, f"{old!r} is not once in the rules"
        text = text.replace(old, new)
    return text
