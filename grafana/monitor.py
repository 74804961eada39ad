"""What ``make monitor`` runs: a broker with the demonstration's load and a Prometheus that watches it, until Ctrl-C.

All of it listens on loopback, keeps its data in a temporary directory, and is gone afterwards. Without Prometheus the
broker and its load run all the same. Grafana comes with docker only, so what is said of it depends on there being one.
"""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import URLError
from urllib.request import urlopen

import click

from grafana.live import HOW_TO_INSTALL, PROGRAM, PrometheusProcess, configure

MEMORY = 256 << 20  # so that a picture shows where the limit is
INTERVAL = "2s"  # who looks on is not made to wait
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python with these arguments. What it has to complain about goes to this terminal."""
    # In a session of its own Ctrl-C does not reach it: the load ends before the broker does.
    process = subprocess.Popen([sys.executable, *arguments], start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)
        process.kill()  # does nothing to a process that has ended
        process.wait()


@contextmanager
def broker(port: int, metrics_port: int, directory: Path) -> Iterator[None]:
    """A broker that is ready."""
    options = {"port": port, "metrics-port": metrics_port, "data-dir": directory, "memory-high-watermark": MEMORY}
    arguments = ["--log-level=warning", *(f"--{key}={value}" for key, value in options.items())]
    with running("-P", "-m", "amqpd", "serve", *arguments) as process:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not is_ready(f"http://127.0.0.1:{metrics_port}/health/ready"):
            if process.poll() is not None:
                raise click.ClickException("the broker has ended")
            if time.monotonic() > deadline:
                raise click.ClickException("the broker is not ready")
            time.sleep(0.05)
        yield


def is_ready(url: str) -> bool:
    try:
        with urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except (URLError, ConnectionError, TimeoutError):
        return False


@contextmanager
def prometheus(port: int, metrics_port: int, directory: Path) -> Iterator[str]:
    """One that watches the broker: where it is, or why it is not there."""
    if PROGRAM is None:
        yield HOW_TO_INSTALL
        return
    config = configure(directory, INTERVAL, f"127.0.0.1:{metrics_port}")
    try:
        process = PrometheusProcess(config, directory / "data", port)
    except RuntimeError as error:
        yield str(error)
        return
    try:
        yield process.url
    finally:
        process.stop()


def grafana() -> str:
    """How to see the dashboards."""
    if has_docker():
        return "docker compose -f grafana/docker-compose.yml up  (with a broker and a Prometheus of its own)"
    return "import grafana/dashboards/*.json where you have one, with this Prometheus as their data source"


def has_docker() -> bool:
    """The program alone is not enough: its daemon must run, and it must know compose."""
    docker = shutil.which("docker")
    questions = (["info"], ["compose", "version"])
    return docker is not None and all(
        subprocess.run([docker, *question], capture_output=True).returncode == 0 for question in questions
    )


# Debian's package of Prometheus has a service on 9090, which is not ours.
@click.command()
@click.option("--port", default=5672, show_default=True, help="port for AMQP")
@click.option("--metrics-port", default=15692, show_default=True, help="port of /metrics")
@click.option("--prometheus-port", default=19090, show_default=True, help="port of Prometheus")
def main(port: int, metrics_port: int, prometheus_port: int) -> None:
    """A broker with something to see, and a Prometheus that sees it."""
    interrupts: list[int] = []  # an exception in the midst of a start would leave behind what was started
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: interrupts.append(number))
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="amqpd-")))
        stack.enter_context(broker(port, metrics_port, directory / "broker"))
        url = f"amqp://guest:guest@127.0.0.1:{port}/"
        click.echo(f"AMQP        {url}")
        click.echo(f"metrics     http://127.0.0.1:{metrics_port}/metrics")
        watching = stack.enter_context(prometheus(prometheus_port, metrics_port, directory / "prometheus"))
        click.echo(f"Prometheus  {watching}")
        click.echo(f"Grafana     {grafana()}")
        click.echo("Ctrl-C ends it.")
        load = stack.enter_context(running("-m", "grafana.demonstration", url))
        while not interrupts:
            if load.poll() is not None:
                raise click.ClickException("the load has ended")
            time.sleep(0.1)


if __name__ == "__main__":
    main()
