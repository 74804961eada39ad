"""``make monitor``: what it starts is there, and after Ctrl-C nothing of it is."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from grafana.live import HOW_TO_INSTALL, Prometheus, Refused
from tests.monitoring.support import until


class Terminal:
    """Runs it as a shell does, as a group of processes that gets Ctrl-C together."""

    def __init__(self, port: int | None = None, **environment: str) -> None:
        free, self.metrics_port, prometheus_port = free_ports(3)
        self.port = free if port is None else port
        command = [sys.executable, "-m", "grafana.monitor", f"--port={self.port}"]
        command += [f"--metrics-port={self.metrics_port}", f"--prometheus-port={prometheus_port}"]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
            env=os.environ | environment,
        )

    def reads(self) -> dict[str, str]:
        """What it says, by the first word."""
        assert self.process.stdout is not None
        said: dict[str, str] = {}
        for line in self.process.stdout:
            word, _, rest = line.strip().partition(" ")
            said[word] = rest.strip()
            if word == "Ctrl-C":
                break
        return said

    def children(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def presses_ctrl_c(self) -> None:
        children = self.children()
        os.killpg(self.process.pid, signal.SIGINT)
        assert self.process.wait(timeout=30) == 0
        assert self.process.stdout is not None
        assert self.process.stdout.read() == ""
        assert not [child for child in children if Path(f"/proc/{child}").exists()]

    def close(self) -> None:
        """Whatever has become of it: one that still runs ends its children when it is told to end."""
        self.process.terminate()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process.wait(timeout=60)


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    with ExitStack() as stack:

        def run(port: int | None = None, **environment: str) -> Terminal:
            terminal = Terminal(port, **environment)
            stack.callback(terminal.close)
            return terminal

        yield run


def test_a_broker_with_a_load_and_a_prometheus_that_watches_it(terminal: Callable[..., Terminal]) -> None:
    monitor = terminal()
    said = monitor.reads()
    assert said["AMQP"] == f"amqp://guest:guest@127.0.0.1:{monitor.port}/"
    assert said["metrics"] == f"http://127.0.0.1:{monitor.metrics_port}/metrics"
    prometheus = Prometheus(said["Prometheus"])
    until(lambda: prometheus.query("amqpd_global_messages_received_total > 10"))
    until(lambda: prometheus.query('amqpd_detailed_queue_consumers{queue="orders"} == 3'))
    with pytest.raises(Refused, match="parse error"):
        prometheus.query("amqpd_ready(")
    until(lambda: len(monitor.children()) == 3)
    monitor.presses_ctrl_c()


def test_without_prometheus_there_is_the_broker_with_its_load(terminal: Callable[..., Terminal]) -> None:
    monitor = terminal(PATH="/nowhere")
    assert monitor.reads()["Prometheus"] == HOW_TO_INSTALL
    until(lambda: len(monitor.children()) == 2)
    monitor.presses_ctrl_c()


def test_a_port_that_is_taken(terminal: Callable[..., Terminal]) -> None:
    """The broker says so, and that is the end."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        monitor = terminal(other.getsockname()[1])
        assert monitor.reads()["Error:"] == "the broker has ended"
        assert monitor.process.wait(timeout=30) == 1
