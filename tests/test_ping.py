"""``amqpd ping`` as something that looks after a broker runs it: against brokers, and against what is none."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result

from amqpd import __version__
from amqpd.cli import main
from amqpd.wire.constants import FRAME_METHOD, PROTOCOL_HEADER
from amqpd.wire.fast import encode_frame
from interop.broker_process import BrokerProcess
from interop.raw import Peer

PATIENCE_S = 20.0


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No amqpd.toml lies about, and no variable of whoever runs the tests has a say."""
    monkeypatch.chdir(tmp_path)
    for variable in list(os.environ):
        if variable.startswith("AMQPD_"):
            monkeypatch.delenv(variable)


def ping(*arguments: str, environment: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, ["ping", *arguments], env=environment, prog_name="amqpd")


def refusal(result: Result) -> str:
    """Why not, which is one line on standard error, with the exit code 1."""
    assert (result.exit_code, result.stdout) == (1, "")
    [line] = result.stderr.splitlines()
    return line


@contextmanager
def broker(*options: str) -> Iterator[BrokerProcess]:
    process = BrokerProcess(0, *options)
    try:
        yield process
    finally:
        process.kill()


def metrics_port(process: BrokerProcess) -> str:
    return str(urlsplit(process.metrics).port)


@contextmanager
def something(answer: bytes, ends: bool = True) -> Iterator[tuple[str, list[bytes]]]:
    """What listens, and says this to whoever has said something; its port, and what it was told."""
    heard: list[bytes] = []
    done = threading.Event()

    def serve() -> None:
        connected, _ = listening.accept()
        with connected:
            heard.append(connected.recv(4096))
            connected.sendall(answer)
            if not ends:
                done.wait(PATIENCE_S)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield str(listening.getsockname()[1]), heard
        done.set()
        thread.join()


# A broker -------------------------------------------------------------------------------------------------------------


def test_a_broker_says_what_it_is() -> None:
    with broker() as process:
        port = str(process.address[1])
        result = ping("--port", port)
        assert (result.exit_code, result.output) == (0, f"127.0.0.1:{port}: amqpd {__version__}\n")
        result = ping(environment={"AMQPD_PORT": port, "AMQPD_HOST": "0.0.0.0"})
        assert (result.exit_code, result.output) == (0, f"0.0.0.0:{port}: amqpd {__version__}\n")
        assert process.stop() == 0
        events = [json.loads(line)["event"] for line in process.log]
        assert events == ["in_memory", "listening", "draining", "stopped"]  # who only pings is no news


def test_a_broker_is_ready() -> None:
    with broker() as process:
        port = metrics_port(process)
        result = ping("--ready", "--metrics-port", port)
        assert (result.exit_code, result.output) == (0, f"127.0.0.1:{port}: ready\n")


def test_a_broker_whose_memory_is_low_answers_and_is_not_ready() -> None:
    with broker("--memory-high-watermark", "0") as process:
        assert ping("--port", str(process.address[1])).exit_code == 0
        port = metrics_port(process)
        eventually(lambda: ping("--ready", "--metrics-port", port).exit_code == 1)
        line = refusal(ping("--ready", "--metrics-port", port))
        assert line == f"Error: 127.0.0.1:{port}: not ready: memory"


def test_a_broker_that_drains_is_not_ready_and_says_so() -> None:
    with broker("--memory-high-watermark", "0", "--close-timeout-s", "3600") as process:
        port = metrics_port(process)
        peer = Peer(process.address).open()  # and does not answer to connection.close
        process.terminate()
        eventually(lambda: "draining" in ping("--ready", "--metrics-port", port).stderr)
        line = refusal(ping("--ready", "--metrics-port", port))
        assert line == f"Error: 127.0.0.1:{port}: not ready: draining, memory"
        refusal(ping("--port", str(process.address[1])))
        peer.close()


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# No broker ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--port"], ["--ready", "--metrics-port"]])
def test_nothing_is_there(arguments: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
    assert refusal(ping(*arguments, port)) == f"Error: 127.0.0.1:{port}: Connection refused"


def test_a_host_that_nobody_knows() -> None:
    line = refusal(ping("--host", "nobody.invalid"))
    assert line.startswith("Error: nobody.invalid:5672: ")


def start(properties: bytes) -> bytes:
    """connection.start with these server-properties, encoded."""
    return encode_frame(FRAME_METHOD, 0, b"\0\x0a\0\x0a\0\x09" + properties + b"\0\0\0\5PLAIN\0\0\0\5en_US")


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "says b'HTTP/1.1 400 Bad'"),
        (b"AMQP\0\1\0\0", r"says b'AMQP\x00\x01\x00\x00'"),
        (b"", "closes the connection"),
        (
            encode_frame(FRAME_METHOD, 0, b"\0\x0a\0\x32\0\0"),
            r"says b'\x01\x00\x00\x00\x00\x00\x06\x00\n\x002\x00\x00\xce'",
        ),
        (start(b"\0\0\0\4abcd")[:-1] + b"\0", r"says b'\x01\x00\x00\x00\x00\x00 "),
        (start(b"\0\0\0\4abcd"), r"says b'\x01\x00\x00\x00\x00\x00 "),
    ],
    ids=["http", "AMQP 1.0", "nothing", "another method", "no frame", "no table"],
)
def test_something_that_is_no_broker(answer: bytes, shown: str) -> None:
    with something(answer) as (port, heard):
        line = refusal(ping("--port", port))
    assert line.startswith(f"Error: 127.0.0.1:{port}: no AMQP 0-9-1 broker: it {shown}")
    assert heard == [PROTOCOL_HEADER]


def test_what_greets_first_is_no_broker_and_that_is_known_at_once() -> None:
    with something(b"220 mail\r\n", ends=False) as (port, _):
        line = refusal(ping("--port", port, "--timeout", "3600"))
    assert line == f"Error: 127.0.0.1:{port}: no AMQP 0-9-1 broker: it says b'220 mail\\r\\n'"


def test_a_broker_that_says_strange_things_of_itself() -> None:
    table = b"\7productS\0\0\0\5\x1b[31m"
    with something(start(len(table).to_bytes(4, "big") + table)) as (port, _):
        result = ping("--port", port)
    assert (result.exit_code, result.output) == (0, f"127.0.0.1:{port}: '\\x1b[31m'\n")


def test_a_broker_that_says_a_lot_of_itself() -> None:
    table = b"\7productS\0\0\xea\x60" + b"a" * 60_000
    with something(start(len(table).to_bytes(4, "big") + table)) as (port, _):
        result = ping("--port", port)
    assert (result.exit_code, result.output) == (0, f"127.0.0.1:{port}: {'a' * 64}\n")


@pytest.mark.parametrize(("arguments", "octets"), [(["--port"], b"\1\0\0"), (["--ready", "--metrics-port"], b"HTTP")])
@pytest.mark.parametrize("begins", [True, False])
def test_one_that_hangs(arguments: list[str], octets: bytes, begins: bool) -> None:
    with something(octets if begins else b"", ends=False) as (port, _):
        line = refusal(ping(*arguments, port, "--timeout", "0.05"))
    assert line == f"Error: 127.0.0.1:{port}: no answer within 0.05 s"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\n\r\nnothing here",
        b"HTTP/1.0 200 OK\r\n\r\n[]",
        b"HTTP/1.0 200 OK\r\n\r\n" + b"[" * 60_000,
        b'HTTP/1.0 200 OK\r\n\r\n{"reasons": null}',
        b'HTTP/1.0 200 OK\r\n\r\n{"reasons": 5}',
        b'HTTP/1.0 200 OK\r\n\r\n{"reasons": "abc"}',
        b'HTTP/1.0 200 OK\r\n\r\n{"reasons": [1]}',
        b'HTTP/1.0 500 Internal Server Error\r\n\r\n{"reasons": []}',
        b'HTTP/1.0 503 Service Unavailable\r\n\r\n{"reasons": []}',
        b'200 OK\r\n\r\n{"reasons": []}',
        b"",
    ],
    ids=["404", "list", "deep", "null", "number", "text", "numbers", "500", "503", "no HTTP", "nothing"],
)
def test_a_port_that_knows_nothing_of_readiness(answer: bytes) -> None:
    with something(answer) as (port, heard):
        line = refusal(ping("--ready", "--metrics-port", port))
    first = answer.partition(b"\r\n")[0]
    assert line == f"Error: 127.0.0.1:{port}: no metrics port of amqpd: it says {first!r}"
    assert heard[0].startswith(b"GET /health/ready HTTP/1.0\r\n")


def test_reasons_are_shown_as_they_are_only_if_they_can_be() -> None:
    reasons = json.dumps({"reasons": ["memory", "\x1b[31m", "a" * 10_000]}).encode()
    with something(b"HTTP/1.1 503 Service Unavailable\r\n\r\n" + reasons) as (port, _):
        line = refusal(ping("--ready", "--metrics-port", port))
    assert line == f"Error: 127.0.0.1:{port}: not ready: memory, '\\x1b[31m', {'a' * 64}"


def test_an_answer_without_end_is_cut_short() -> None:
    with something(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(100_000), ends=False) as (port, _):
        line = refusal(ping("--ready", "--metrics-port", port, "--timeout", "3600"))
    assert "no metrics port of amqpd" in line


# How it is used -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--port", "x"], ["--timeout", "0"], ["--heartbeat-s", "1"]])
def test_wrong_use_is_another_exit_code(arguments: list[str]) -> None:
    assert ping(*arguments).exit_code == 2


def test_the_file_says_where(tmp_path: Path) -> None:
    with something(b"") as (port, _):
        (tmp_path / "amqpd.toml").write_text(f"port = {port}\n")
        assert f"127.0.0.1:{port}" in refusal(ping())


def test_help_has_the_exit_codes() -> None:
    text = " ".join(ping("--help").output.split())
    assert "The exit code is 0 if it does, 1 if it does not, and 2 if the settings cannot be used." in text
