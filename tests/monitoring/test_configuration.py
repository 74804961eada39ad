"""What Prometheus itself says of our configuration and of our rules, and the rules' own tests."""

import subprocess

import pytest

from grafana.live import CONFIGURATION


@pytest.mark.parametrize(
    "question", ["check config prometheus.yml", "check rules alerts.yml", "test rules alerts_test.yml"]
)
def test_promtool_finds_nothing_wrong(question: str) -> None:
    result = subprocess.run(["promtool", *question.split()], cwd=CONFIGURATION, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "SUCCESS" in result.stdout
