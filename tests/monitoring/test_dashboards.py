"""Every expression of every panel is asked of a real Prometheus that watches a broker with the demonstration's load.

Each must be what its panel draws: curves with names and values, one number for a stat, buckets for a heatmap, lines
that something tells apart for a table. RabbitMQ's own Overview is asked in the same way, of a broker that names its
metrics as RabbitMQ does.
"""

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from grafana import render
from grafana.expressions import Expression, expressions, fill
from grafana.live import Prometheus, PrometheusProcess, Series
from interop.broker_process import BrokerProcess
from tests.monitoring.support import INTERVAL, Watcher, target, until

PACE = "4"
RATES_OVER = "30s"
QUEUE = "orders"
LABEL = re.compile(r"\{\{(\w+)\}\}")
ENDLESS = "amqpd_detailed_queue_seconds_until_empty"
"""May be infinite: the queue is not shrinking."""

CALM = re.compile(
    r"connections?_blocked|alarms|ALERTS|attempts_failed|pending|uncommitted|until_empty|io_read|store_read"
    r"|channel_prefetch|queue_get|queue_messages_delivered_total|message_size_bytes_bucket|gc_"
    r"|dead_lettered_expired_\S+ dead_letter_strategy!=|dead_lettered_[^e]\S+ dead_letter_strategy=\""
)
"""What may be zero all the time: troubles that there are not, what the roles do not do (with the queue ``orders``), and
garbage, which is collected seldom. All else moves."""

DASHBOARDS = Path(render.__file__).parent / "dashboards"
RABBITMQ = json.loads((Path(__file__).parent / "rabbitmq_overview.json").read_text("utf-8"))["expressions"]

Judge = Callable[[list[Series]], str | None]
"""Says what is wrong with an answer; None: nothing."""


@pytest.fixture
def play() -> Iterator[Callable[[BrokerProcess], None]]:
    """Has the demonstration play on a broker."""
    with ExitStack() as stack:

        def begin(broker: BrokerProcess) -> None:
            process = subprocess.Popen([sys.executable, "-m", "grafana.demonstration", broker.url, PACE])
            stack.callback(process.wait)
            stack.callback(process.kill)

        yield begin


def answered(prometheus: Prometheus, questions: Mapping[str, Judge]) -> None:
    """Ask until there was a good answer to each. Of those that had none, what is wrong is shown."""
    wrong: dict[str, str | None] = dict.fromkeys(questions, "not asked")

    def all_are() -> bool:
        for question in list(wrong):
            wrong[question] = questions[question](prometheus.query(question))
            if wrong[question] is None:
                del wrong[question]
        return not wrong

    with suppress(TimeoutError):
        until(all_are)
    assert wrong == {}


def judge(expression: Expression, found: list[Series]) -> str | None:
    """Why the panel of this expression could not draw it."""
    names = [tuple(sorted(each.labels.items())) for each in found]
    # Not a number: nothing was observed.
    values = [each.value for each in found if not math.isnan(each.value) or "gc_pause" in expression.expr]
    wanted = set(LABEL.findall(expression.legend))
    if not values:
        return "nothing"
    if len(set(names)) != len(names) or not all(wanted <= set(each.labels) for each in found):
        return f"no names: {names}"
    if not any(values) and not CALM.search(expression.expr):
        return "only zeros"
    if any(map(math.isinf, values)) and ENDLESS not in expression.expr:
        return f"no values: {values}"
    if expression.type == "stat" and len(found) != 1:
        return f"several: {names}"
    if expression.type == "heatmap" and not sum(values) > 0:
        return "no observations"
    return None


def test_every_panel_has_something_to_draw(
    start: Callable[..., BrokerProcess],
    watch: Callable[..., Watcher],
    play: Callable[[BrokerProcess], None],
    tmp_path: Path,
) -> None:
    broker = start()
    watcher = watch(broker)
    play(broker)
    asked = [(fill(each.expr, vhost="/", queue=QUEUE, interval=RATES_OVER), each) for each in expressions()]
    assert len(asked) > 100
    answered(watcher, {question: partial(judge, expression) for question, expression in asked})
    for dashboard in ("overview", "queues"):  # between them they have all kinds of panels
        picture = tmp_path / f"{dashboard}.png"
        options = ["--prometheus", watcher.url, "--minutes", "0.5", "--interval", RATES_OVER, "--queue", QUEUE]
        command = [str(DASHBOARDS / f"{dashboard}.json"), str(picture), *options]
        assert CliRunner().invoke(render.main, command, catch_exceptions=False).exit_code == 0
        assert picture.stat().st_size > 50_000


def test_rabbitmqs_own_overview_has_something_to_draw(
    start: Callable[..., BrokerProcess], play: Callable[[BrokerProcess], None], tmp_path: Path
) -> None:
    """Only /metrics is scraped, in one job: up to 3.13 that dashboard does not tell several of one instance apart."""
    broker = start("--metrics-prefix", "rabbitmq", "--cluster-name", "rabbit")
    config = tmp_path / "prometheus.yml"
    scrape = {"job_name": "rabbitmq", "scrape_interval": INTERVAL, "static_configs": [{"targets": [target(broker)]}]}
    config.write_text(json.dumps({"scrape_configs": [scrape]}), "utf-8")
    play(broker)
    prometheus = PrometheusProcess(config, tmp_path / "data")
    try:
        questions = [filled(expression) for panels in RABBITMQ.values() for _, expression in panels]
        answered(prometheus, {question: partial(judge_number, question) for question in questions})
    finally:
        prometheus.stop()


def filled(expression: str) -> str:
    """With what the dashboard's variables come to. Who is not in Kubernetes has no namespace."""
    for variable, value in (("$rabbitmq_cluster", "rabbit"), ("$namespace", ""), ("$endpoint", "aggregated")):
        expression = expression.replace(variable, value)
    return fill(expression, interval=RATES_OVER)


def judge_number(expression: str, found: list[Series]) -> str | None:
    values = [each.value for each in found]
    if len(values) != 1 or not math.isfinite(values[0]):
        return f"no number: {values}"
    return None if values[0] or CALM.search(expression) else "only zeros"
