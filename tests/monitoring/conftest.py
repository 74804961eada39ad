"""Brokers, and a Prometheus that watches them. What was started is stopped, even if the next thing does not start."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from grafana.live import HOW_TO_INSTALL, PROGRAM
from interop.broker_process import BrokerProcess
from tests.monitoring.support import Watcher, target


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Prometheus looks for its targets every five seconds only, and much is waited for on a machine that is busy."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(180))


@pytest.fixture(autouse=True, scope="session")
def _prometheus() -> None:
    if PROGRAM is None:
        pytest.skip(HOW_TO_INSTALL)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., BrokerProcess]]:
    """Starts a broker that keeps its data, with these options."""
    numbers = count(1)
    with ExitStack() as stack:

        def start_broker(*options: str) -> BrokerProcess:
            broker = BrokerProcess(0, *options, data_dir=tmp_path / f"broker-{next(numbers)}")
            stack.callback(broker.kill)
            return broker

        yield start_broker


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Watcher]]:
    """Starts a Prometheus that watches a broker. ``replaced``: texts of the alert rules, and what is there instead."""
    with ExitStack() as stack:

        def start_watcher(broker: BrokerProcess, replaced: dict[str, str] | None = None) -> Watcher:
            watcher = Watcher(tmp_path / "prometheus", target(broker), replaced=replaced)
            stack.callback(watcher.stop)
            return watcher

        yield start_watcher
