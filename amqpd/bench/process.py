"""What the broker's processes cost: CPU time and memory, as Linux tells of any process.

Memory is what the process has to itself (RssAnon): pages of files may be many and cost nothing. RabbitMQ's own figures
or a container's would not compare.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from amqpd.bench.errors import BenchError

_PROC = Path("/proc")


UNSEEN = "there is no /proc on this system: CPU and memory of the broker are left out"


class Unmeasurable(BenchError):
    """There is no such process."""


def can_see() -> bool:
    """Whether this system shows processes in the way of Linux."""
    return (_PROC / "self/stat").exists()


class Meter:
    """Reads the processes of a broker; with none it measures nothing. Raises Unmeasurable for one that is not there."""

    def __init__(self, pids: Sequence[int] = ()) -> None:
        self._pids = pids

    def __bool__(self) -> bool:
        return bool(self._pids)

    def cpu_s(self) -> float:
        """User and system time since their start, of all together."""
        return sum(self._cpu_ticks(pid) for pid in self._pids) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Anonymous resident memory, in octets, of all together."""
        return sum(self._anonymous(pid) for pid in self._pids)

    def _cpu_ticks(self, pid: int) -> int:
        # proc(5): the name, in parentheses, may have anything in it; utime and stime are the 12th and 13th behind it.
        fields = _read(pid, "stat").rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def _anonymous(self, pid: int) -> int:
        for line in _read(pid, "status").splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
        raise Unmeasurable(f"process {pid} has no memory")


def _read(pid: int, file: str) -> str:
    try:
        return (_PROC / str(pid) / file).read_text("utf-8", "replace")
    except OSError as error:
        raise Unmeasurable(f"process {pid}: {error.strerror}") from error
