"""The daemon as a process: what only the end of one shows."""

import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from amqpd.wire.methods import ConnectionClose, ConnectionCloseOk
from tests.server.support import END, PATIENCE_S, Place

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
async def running(*options: str) -> AsyncIterator[Process]:
    command = [
        sys.executable,
        "-m",
        "amqpd",
        "serve",
        "--port",
        "0",
        "--metrics-port",
        "0",
        "--log-format",
        "json",
        "--in-memory",
    ]
    with anyio.fail_after(PATIENCE_S):
        async with await anyio.open_process([*command, *options]) as process:
            try:
                yield process
            finally:
                if process.returncode is None:
                    process.kill()


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


async def test_an_address_that_is_taken_is_told_without_a_traceback() -> None:
    async with running() as one:
        *_, listening = [event async for event in _until_it_listens(one)]
        port = str(listening["port"])
        async with running("--port", port) as two:
            assert two.stderr is not None
            told = "".join([text async for text in TextReceiveStream(two.stderr)])
            assert await two.wait() == 1
    assert told == (
        f"Error: cannot listen on 127.0.0.1:{port}: Address already in use; "
        "another program has it (setting port takes another, 0 a free one)\n"
    )
