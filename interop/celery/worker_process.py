"""Starts Celery workers and stops them, each a process as ``celery worker`` starts it.

A worker says when it is ready, and that line of its log is waited for. It ends by SIGTERM, which lets it finish what it
runs, or by SIGKILL, as on a machine that fails.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import IO, Any

from interop.celery.app import SETTINGS, App

START_TIMEOUT_S = 30.0  # it needs a second or two; a busy machine needs more
STOP_TIMEOUT_S = 20.0
ANSWER_TIMEOUT_S = 20.0  # only a worker that does not answer takes it
ROOT = Path(__file__).parents[2]


class Worker:
    """A running ``celery worker`` of an app; ``options`` are further ones of the command line.

    ``name`` is its node name; ``log`` holds what it wrote so far, for a failing test to show.
    """

    def __init__(self, app: App, *options: str) -> None:
        self.app = app
        self.name = f"{uuid.uuid4().hex[:8]}@interop"
        self.log: list[str] = []
        self._ready = threading.Event()
        command = [sys.executable, "-m", "celery", "-A", "interop.celery.app", "worker"]
        command += ["--hostname", self.name, "--loglevel", "INFO", *options]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {SETTINGS: json.dumps(app.settings)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # the processes of its pool are killed with it
        )
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._read_log, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        if not self._ready.wait(START_TIMEOUT_S) or self._process.poll() is not None:
            self.kill()
            raise RuntimeError("the worker is not ready:\n" + "\n".join(self.log))

    def ask(self, question: str) -> Any:
        """What it answers to one of ``celery inspect``'s questions."""
        inspect = self.app.control.inspect([self.name], timeout=ANSWER_TIMEOUT_S, limit=1)
        return getattr(inspect, question)()[self.name]

    def tell(self, command: str, *arguments: object) -> Any:
        """What it answers to one of ``celery control``'s commands."""
        send = getattr(self.app.control, command)
        (reply,) = send(*arguments, destination=[self.name], reply=True, timeout=ANSWER_TIMEOUT_S, limit=1)
        return reply[self.name]

    def cancel_consumer(self, queue: str) -> None:
        """Have it consume no more from a queue. It answers the command before it carries it out."""
        assert self.tell("cancel_consumer", queue) == {"ok": f"no longer consuming from {queue}"}
        while queue in self.queues():
            pass

    def queues(self) -> list[str]:
        """The queues from which it consumes."""
        return [queue["name"] for queue in self.ask("active_queues")]

    def terminate(self) -> None:
        """Ask for a warm shutdown, as an operator does; ``wait`` says how that ended."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """The exit code. A worker that does not end in time is killed, and the wait fails."""
        try:
            return self._process.wait(STOP_TIMEOUT_S)
        finally:
            self.kill()

    def kill(self) -> None:
        """End it as a crash does: it acknowledges nothing any more, and does not say goodbye."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()

    def _read_log(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self.log.append(line.rstrip("\n"))
                if line.endswith(f"{self.name} ready.\n"):
                    self._ready.set()
        self._ready.set()  # or never will be
