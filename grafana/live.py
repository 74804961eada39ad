"""A Prometheus that runs: what is asked of it, and one that is started on this machine.

What starts one here is for tests and for ``make monitor``: it listens on loopback, and where it keeps its data is for
its starter to remove. Its log is read to the end by a thread, so that a full pipe never stops it, and that it is ready
is waited for, not slept for.
"""

import json
import queue
import re
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

START_TIMEOUT_S = 20.0  # it takes some 50 ms, and a busy machine longer
STOP_TIMEOUT_S = 20.0
ANSWER_TIMEOUT_S = 20.0

LISTENING = re.compile(r'msg="Listening on" address=(\S+)')
READY = 'msg="Server is ready to receive web requests."'

CONFIGURATION = Path(__file__).parent / "prometheus"
INTERVALS = re.compile(r"(?<=_interval: )\w+")

PROGRAM = shutil.which("prometheus")
"""None where it is not installed."""

HOW_TO_INSTALL = "Prometheus is not installed (on Debian and Ubuntu: apt-get install prometheus)"


class Refused(Exception):
    """What Prometheus says about a question that it does not answer."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line of an answer: its labels, and pairs of a time (seconds since 1970) and a value."""

    labels: dict[str, str]
    points: list[tuple[float, float]]

    @property
    def value(self) -> float:
        """The last."""
        return self.points[-1][1]


class Prometheus:
    """The one that answers at ``url``. Every question may raise ``OSError`` and ``Refused``."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its HTTP API."""
        try:
            with urlopen(f"{self.url}/api/v1/{path}?{urlencode(parameters)}", timeout=ANSWER_TIMEOUT_S) as answer:
                return json.load(answer)["data"]
        except HTTPError as error:
            with error:
                raise Refused(json.load(error)["error"]) from None

    def query(self, expression: str) -> list[Series]:
        """What an expression is now: a series of one point for each line, or for a scalar one without labels."""
        data = self.get("query", query=expression)
        if data["resultType"] == "scalar":
            return [Series({}, [_point(data["result"])])]
        return [Series(each["metric"], [_point(each["value"])]) for each in data["result"]]

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[Series]:
        """What an expression was from ``start`` to ``end``, every ``step`` seconds."""
        data = self.get("query_range", query=expression, start=str(start), end=str(end), step=str(step))
        return [Series(each["metric"], [_point(point) for point in each["values"]]) for each in data["result"]]


class PrometheusProcess(Prometheus):
    """One that was started here, with this file as its configuration. ``port`` 0 takes a free one.

    Raises ``RuntimeError`` with its last words if it does not start.
    """

    def __init__(self, config: Path, data: Path, port: int = 0) -> None:
        assert PROGRAM is not None, HOW_TO_INSTALL
        command = [PROGRAM, f"--config.file={config}", f"--storage.tsdb.path={data}"]
        command += [f"--web.listen-address=127.0.0.1:{port}"]
        self.log: list[str] = []
        self._ready: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        # In a session of its own Ctrl-C does not reach it; its starter says when it ends.
        self._process = subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True
        )
        assert self._process.stderr is not None
        self._reader = threading.Thread(target=self._read_log, args=(self._process.stderr,), daemon=True)
        self._reader.start()
        address = None
        try:
            address = self._ready.get(timeout=START_TIMEOUT_S)
        except queue.Empty:
            pass
        finally:
            if address is None:
                self._end()
        if address is None:
            raise RuntimeError("Prometheus does not start:\n" + "\n".join(self.log[-3:]))
        super().__init__(f"http://{address}")

    def stop(self) -> int:
        """The exit code. One that does not end in time is killed, and this fails."""
        self._process.terminate()
        try:
            return self._process.wait(STOP_TIMEOUT_S)
        finally:
            self._end()

    def _end(self) -> None:
        self._process.kill()  # does nothing to a process that has ended
        self._process.wait()
        self._reader.join()

    def _read_log(self, stream: IO[str]) -> None:
        said: dict[str, str] = {}
        with stream:
            for line in stream:
                self.log.append(line.rstrip("\n"))
                if found := LISTENING.search(line):
                    said["address"] = found[1]
                elif READY in line:
                    said["ready"] = line
                else:
                    continue
                if len(said) == 2:  # two of its threads say so, in any order
                    self._ready.put(said["address"])
        self._ready.put(None)


def configure(directory: Path, interval: str, *targets: str) -> Path:
    """A copy of our configuration of Prometheus, which looks at these so often: the file to start it with."""
    shutil.copytree(CONFIGURATION, directory, dirs_exist_ok=True)
    (directory / "targets.yml").write_text("".join(f"- targets: [{target!r}]\n" for target in targets), "utf-8")
    config = directory / "prometheus.yml"
    config.write_text(INTERVALS.sub(interval, config.read_text("utf-8")), "utf-8")
    return config


def _point(pair: list[Any]) -> tuple[float, float]:
    at, value = pair
    return float(at), float(value)
