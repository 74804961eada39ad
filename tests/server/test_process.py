"""The daemon as a process: what only the end of one shows."""

import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from amqpd.store import open_store
from amqpd.store.environment import FORMAT
from amqpd.wire.methods import ConnectionClose, ConnectionCloseOk
from tests.server.support import END, PATIENCE_S, Place
from tests.store.running import tamper

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The process chooses its event loop itself, so this one does not matter."""
    return "asyncio"


async def events(process: Process) -> AsyncIterator[dict[str, Any]]:
    """What it logs, line by line, to its end."""
    assert process.stderr is not None
    rest = ""
    async for text in TextReceiveStream(process.stderr):
        *lines, rest = (rest + text).split("\n")
        for line in lines:
            yield json.loads(line)


@asynccontextmanager
async def running(*options: str, data_dir: Path | None = None) -> AsyncIterator[Process]:
    command = [sys.executable, "-m", "amqpd", "serve", "--port", "0", "--metrics-port", "0", "--log-format", "json"]
    command += ["--in-memory"] if data_dir is None else ["--data-dir", str(data_dir)]
    with anyio.fail_after(PATIENCE_S):
        async with await anyio.open_process([*command, *options]) as process:
            try:
                yield process
            finally:
                if process.returncode is None:
                    process.kill()


async def why_it_does_not_start(process: Process) -> str:
    """The reason that its log ends with, and has nothing else."""
    [event] = [event async for event in events(process)]
    assert (event["event"], event["level"]) == ("not_started", "error")
    assert await process.wait() == 1
    reason: str = event["reason"]
    return reason


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_with_exit_code_0(number: signal.Signals) -> None:
    async with running() as process:
        log = [event async for event in _until_it_listens(process)]
        place = Place((log[-1]["host"], log[-1]["port"]), [])
        peer = await place.connect()
        process.send_signal(number)
        assert (await peer.hear_method(ConnectionClose)).reply_code == 320
        await peer.says((0, ConnectionCloseOk()))
        await peer.hears(END)
        log = [event async for event in events(process)]
        assert await process.wait() == 0
        assert [event["event"] for event in log] == ["connection_opened", "draining", "connection_closed", "stopped"]
        place.leave()


async def _until_it_listens(process: Process) -> AsyncIterator[dict[str, Any]]:
    async for event in events(process):
        yield event
        if event["event"] == "listening":
            break


async def test_an_address_that_is_taken_is_told_in_an_event() -> None:
    async with running() as one:
        *_, listening = [event async for event in _until_it_listens(one)]
        port = str(listening["port"])
        async with running("--port", port) as two:
            reason = await why_it_does_not_start(two)
    assert reason == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use; "
        "another program has it (setting port takes another, 0 a free one)"
    )


# The data directory ---------------------------------------------------------------------------------------------------


async def test_a_directory_has_one_broker_at_a_time(tmp_path: Path) -> None:
    async with running(data_dir=tmp_path) as one:
        *_, listening = [event async for event in _until_it_listens(one)]
        assert listening["data"] == str(tmp_path)
        async with running(data_dir=tmp_path) as two:
            reason = await why_it_does_not_start(two)
        assert reason == (
            f"data directory {tmp_path}: in use by another amqpd (process {one.pid}); stop that one, or choose "
            "another directory (--data-dir)"
        )
        one.kill()
        await one.wait()
        async with running(data_dir=tmp_path) as three:
            assert [event async for event in _until_it_listens(three)]


def a_file(path: Path) -> None:
    path.write_text("something")


def of_the_future(path: Path) -> None:
    with open_store(path):
        pass
    tamper(path, {FORMAT: b"99"})


def damaged(path: Path) -> None:
    path.mkdir()
    (path / "store.mdb").write_bytes(b"something else" * 1000)


def cut_off(path: Path) -> None:
    with open_store(path):
        pass
    with (path / "store.mdb").open("r+b") as file:
        file.truncate(8192)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (a_file, "File exists; choose another one (--data-dir), or none (--in-memory)"),
        (of_the_future, "written by a newer amqpd (format 99; this one reads up to 2); start that version, or"),
        (damaged, "damaged: store.mdb: "),
        (cut_off, "damaged: store.mdb is cut off at 8192 octets"),
    ],
)
async def test_a_directory_that_cannot_be_used_is_told_in_an_event(
    tmp_path: Path, make: Callable[[Path], None], reason: str
) -> None:
    directory = tmp_path / "data"
    make(directory)
    async with running(data_dir=directory) as process:
        told = await why_it_does_not_start(process)
    assert told.startswith(f"data directory {directory}: {reason}")
