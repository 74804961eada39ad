"""The two brokers: amqpd is started for the run, RabbitMQ is where ``RABBITMQ_URL`` says."""

import os

import pytest


@pytest.fixture(scope="session")
def rabbitmq_url() -> str:
    """A RabbitMQ with the user guest, the vhost "/" and its plugins for exchanges, or no test."""
    if "RABBITMQ_URL" not in os.environ:
        pytest.skip("there is no RabbitMQ to compare with: RABBITMQ_URL names none")
    return os.environ["RABBITMQ_URL"]


@pytest.fixture(scope="session")
def brokers(rabbitmq_url: str, request: pytest.FixtureRequest) -> tuple[str, str]:
    """RabbitMQ, and what is compared with it; none is started where there is no RabbitMQ."""
    return rabbitmq_url, request.getfixturevalue("url")
