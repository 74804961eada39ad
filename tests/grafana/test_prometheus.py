"""prometheus.yml and the alerts, as far as promtool can judge them; tests/monitoring runs them."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from grafana.expressions import expressions, fill
from tests.grafana import families, promql

FOLDER = Path(__file__).parents[2] / "grafana" / "prometheus"
CONFIG: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text("utf-8"))
JOBS = {job["job_name"]: job for job in CONFIG["scrape_configs"]}
[GROUP] = yaml.safe_load((FOLDER / "alerts.yml").read_text("utf-8"))["groups"]
ALERTS: dict[str, Any] = {rule["alert"]: rule for rule in GROUP["rules"]}
CLIENTS = "amqpd-connections"
"""The dashboard, and the job."""

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="there is no promtool (Debian: prometheus)"
)
every_alert = pytest.mark.parametrize("rule", ALERTS.values(), ids=ALERTS)


def of_alerts() -> set[str]:
    """What the alerts ask for."""
    return {metric for rule in ALERTS.values() for metric in promql.metrics(rule["expr"])}


def promtool(*arguments: str, folder: Path = FOLDER) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_prometheus_takes_the_configuration() -> None:
    promtool("check", "config", "prometheus.yml")


@needs_promtool
def test_the_alerts_fire_and_clear_as_alerts_test_says() -> None:
    promtool("test", "rules", "alerts_test.yml")


@needs_promtool
def test_prometheus_understands_every_expression_of_the_dashboards(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel_{number}", "expr": fill(query.expr, queue="orders")}
        for number, query in enumerate(expressions())
    ]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", "rules.yml", folder=tmp_path)


def test_all_jobs_scrape_the_same_targets() -> None:
    assert {name: job["metrics_path"] for name, job in JOBS.items()} == {
        "amqpd": "/metrics",
        "amqpd-objects": "/metrics/detailed",
        CLIENTS: "/metrics/detailed",
    }
    found = {file for job in JOBS.values() for each in job["file_sd_configs"] for file in each["files"]}
    assert found == {"targets.yml"}
    assert yaml.safe_load((FOLDER / "targets.yml").read_text("utf-8")) == [{"targets": ["127.0.0.1:15692"]}]


def test_the_objects_are_scraped_with_the_families_that_are_asked_for_and_no_more() -> None:
    """A family costs a value for each of its objects, every 15 seconds."""
    asked = {metric for query in expressions() for metric in promql.metrics(query.expr)}
    asked |= of_alerts()
    asked &= families.DETAILED.keys()
    scraped = [*JOBS["amqpd-objects"]["params"]["family"], *JOBS[CLIENTS]["params"]["family"]]
    assert len(set(scraped)) == len(scraped)
    given = {name: {metric for metric in asked if name in families.DETAILED[metric]} for name in scraped}
    assert set().union(*given.values()) == asked
    for name in scraped:
        assert set().union(*(given[other] for other in scraped if other != name)) < asked, f"{name} can be left out"


def test_what_is_by_connection_can_be_left_out() -> None:
    """Its names do not last, and no alert and no other dashboard needs them."""
    others = {metric for query in expressions() for metric in promql.metrics(query.expr) if query.dashboard != CLIENTS}
    for metric in (others | of_alerts()) & families.DETAILED.keys():
        assert families.DETAILED[metric] & set(JOBS["amqpd-objects"]["params"]["family"]), metric


def test_a_broker_that_is_down_is_seen_by_each_job() -> None:
    [jobs] = re.findall(r'job=~"(.*?)"', ALERTS["AmqpdDown"]["expr"])
    assert jobs.split("|") == list(JOBS)


@every_alert
def test_an_alert_says_how_bad_it_is_what_it_saw_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["for"].endswith("m")
    assert rule["labels"]["severity"] in {"critical", "warning"}
    texts = rule["annotations"]
    assert "{{ $labels." in texts["summary"]
    assert texts["description"].endswith(".")
    assert texts["runbook"].endswith(".")


@every_alert
def test_an_alert_looks_at_what_amqpd_gives(rule: dict[str, Any]) -> None:
    assert promql.metrics(rule["expr"]) <= families.NAMES
    assert promql.labels(rule["expr"]) <= families.LABELS


@every_alert
def test_an_alert_is_seen_to_fire_and_to_be_silent(rule: dict[str, Any]) -> None:
    tests = yaml.safe_load((FOLDER / "alerts_test.yml").read_text("utf-8"))["tests"]
    expected = [
        bool(check["exp_alerts"])
        for test in tests
        for check in test["alert_rule_test"]
        if check["alertname"] == rule["alert"]
    ]
    assert expected[0] is False  # not at once
    assert True in expected
    assert expected[-1] is False  # and not for ever
