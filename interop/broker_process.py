"""Starts and stops amqpd as a user would: as a process of its own, found by its log.

Nothing of amqpd is imported here; these tests know it only by its command line, its JSON log and its port. Standard
error is read to its end by a thread, so that a full pipe never stops the broker, and the ``listening`` event is waited
for, not slept for.
"""

import json
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

START_TIMEOUT_S = 20.0  # a cold interpreter on a busy machine; an idle one needs well under a second
STOP_TIMEOUT_S = 20.0


class BrokerProcess:
    """One running ``amqpd serve`` on loopback, in memory unless it has a data directory.

    ``port`` 0 takes a free port; ``options`` are further ones of the command line. ``address`` is the host and port it
    listens on, ``metrics`` the URL of its metrics; ``log`` holds the log lines so far, for a failing test to show.
    """

    def __init__(self, port: int = 0, *options: str, data_dir: Path | None = None) -> None:
        command = [sys.executable, "-m", "amqpd", "serve", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--in-memory"] if data_dir is None else ["--data-dir", str(data_dir)]
        command += ["--metrics-port", "0", "--log-format", "json", *options]
        self.log: list[str] = []
        self._listening: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        assert self._process.stderr is not None
        self._reader = threading.Thread(target=self._read_log, args=(self._process.stderr,), daemon=True)
        self._reader.start()
        try:
            event = self._listening.get(timeout=START_TIMEOUT_S)
        except queue.Empty:
            event = None
        if event is None:
            self._end()
            raise RuntimeError("amqpd does not listen:\n" + "\n".join(self.log))
        self.address: tuple[str, int] = (event["host"], event["port"])
        self.metrics: str = event["metrics"]

    @property
    def url(self) -> str:
        host, port = self.address
        return f"amqp://guest:guest@{host}:{port}/"

    @property
    def pid(self) -> int:
        return self._process.pid

    def terminate(self) -> None:
        """Ask it to drain, as an operator does; ``wait`` says how that ended."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """The exit code. A broker that does not end in time is killed, and the wait fails."""
        try:
            return self._process.wait(STOP_TIMEOUT_S)
        finally:
            self._end()

    def stop(self) -> int:
        self.terminate()
        return self.wait()

    def kill(self) -> None:
        """End it as a crash does: with no time to do anything."""
        self._end()

    def _end(self) -> None:
        self._process.kill()  # does nothing to a process that has ended
        self._process.wait()
        self._reader.join()

    def _read_log(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self.log.append(line.rstrip("\n"))
                event = _parse(line)
                if event.get("event") == "listening":
                    self._listening.put(event)
        self._listening.put(None)


def _parse(line: str) -> dict[str, Any]:
    """A log line's fields; none for a line that is not JSON, such as an interpreter's warning."""
    try:
        fields = json.loads(line)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}
