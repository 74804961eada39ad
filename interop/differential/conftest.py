"""The two brokers: amqpd is started for the run, RabbitMQ is where ``RABBITMQ_URL`` says.

Where there is none, no scenario is collected, and one line at the end of the run says so.
"""

import os
from pathlib import Path

import pytest

RABBITMQ_URL = os.environ.get("RABBITMQ_URL")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    return True if RABBITMQ_URL is None and collection_path.name.startswith("test_") else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if RABBITMQ_URL is None:
        terminalreporter.line(
            "SKIPPED interop/differential: there is no RabbitMQ to compare with: RABBITMQ_URL names none", yellow=True
        )


@pytest.fixture(scope="session")
def rabbitmq_url() -> str:
    """A RabbitMQ with the user guest, the vhost "/" and its plugins for exchanges."""
    assert RABBITMQ_URL is not None, "nothing is collected without one"
    return RABBITMQ_URL


@pytest.fixture(scope="session")
def brokers(rabbitmq_url: str, url: str) -> tuple[str, str]:
    """RabbitMQ, and what is compared with it."""
    return rabbitmq_url, url
