"""Processes that play the roles of a run, and how they are led.

Must not know what a role does: a role is a function that takes its ``Desk``.

Strategy: what is told often goes through shared memory, a phase from the leader to all and one count from each role;
what is told once goes through a pipe for each role: that it is ready, what it found, or why it failed. Roles are
spawned, not forked, so they are the same on every system. A role that is not heard of any more ends by itself: the
kernel's alarm clock sees to that.
"""

import ctypes
import os
import signal
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from multiprocessing import connection as mp_connection
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from types import TracebackType
from typing import Any, Self

from amqpd.bench.client import ANSWER_TIMEOUT_S, LOOK_S, Connection
from amqpd.bench.errors import BenchError
from amqpd.bench.topology import Topology
from amqpd.bench.url import BrokerURL

STEP_S = 0.25  # how often the leader looks at the roles
OTHER_FILES = 50  # of a process, beside its sockets, are fewer
GRACE_S = 5.0  # for a role to end when the run is over

_SPAWN = get_context("spawn")
_READY = "ready"


class Phase(IntEnum):
    """What the roles do at a time; it only goes up."""

    STARTING = 0
    WARMING_UP = 1
    MEASURING = 2
    DRAINING = 3  # producers end, what they have sent is consumed
    OVER = 4


@dataclass(frozen=True, slots=True)
class Role:
    """One process: what it is called, what it does, and its number among ``of`` that do the same."""

    name: str
    play: Callable[["Desk"], None]
    number: int
    of: int
    broker: BrokerURL
    topology: Topology


@dataclass(frozen=True, slots=True)
class Report:
    """What a role found: its CPU time while measuring, in seconds, and latencies in nanoseconds."""

    cpu_s: float
    latencies: bytes  # of an array("q")


@dataclass(frozen=True, slots=True)
class Failure:
    text: str


class Desk:
    """A role's view of the run."""

    def __init__(self, role: Role, place: int, phase: Any, counts: Any, pipe: Pipe) -> None:
        self.role = role
        self.workload = role.topology.workload
        self.latencies = array("q")  # nanoseconds
        self.measuring = False
        self._place = place
        self._phase = phase
        self._seen: int = Phase.STARTING
        self._counts = counts
        self._pipe = pipe
        self._cpu_s = 0.0

    def connect(self) -> Connection:
        return Connection(self.role.broker).open()

    def ready(self) -> None:
        """Say that all is prepared, and wait for the start."""
        self._pipe.send(_READY)
        while self.look() == Phase.STARTING:
            time.sleep(0.001)

    def look(self) -> int:
        """The phase."""
        phase: int = self._phase.value
        if phase != self._seen:
            self._turn(phase)
        return phase

    def add(self, count: int) -> None:
        """So many more messages, round trips or connections."""
        self._counts[self._place] += count

    def report(self) -> None:
        self._turn(Phase.OVER)
        self._pipe.send(Report(self._cpu_s, self.latencies.tobytes()))

    def fail(self, text: str) -> None:
        self._pipe.send(Failure(text))

    def _turn(self, phase: int) -> None:
        if self.measuring:
            self._cpu_s += time.process_time()
        self._seen = phase
        self.measuring = phase == Phase.MEASURING
        if self.measuring:
            self._cpu_s -= time.process_time()


def _play(role: Role, place: int, phase: Any, counts: Any, pipe: Pipe, limit_s: float) -> None:
    """What runs in a role's process."""
    signal.setitimer(signal.ITIMER_REAL, limit_s)  # and nothing handles SIGALRM
    desk = Desk(role, place, phase, counts, pipe)
    try:
        role.play(desk)
        desk.report()
    except BenchError as error:
        desk.fail(str(error))
    except OSError as error:
        desk.fail(error.strerror or str(error))


class Crew:
    """The processes of a run. Leaving it ends them all.

    ``progress`` is called a few times a second with the crew, to show where it is.
    """

    def __init__(self, roles: Sequence[Role], limit_s: float, progress: Callable[["Crew"], None]) -> None:
        self.roles = roles
        self.seconds_left = 0.0
        self.label = ""
        self._progress = progress
        self._phase = _SPAWN.RawValue(ctypes.c_int, Phase.STARTING)
        self._counts = _SPAWN.RawArray(ctypes.c_longlong, len(roles))
        self._reports: dict[int, Report] = {}
        self._pipes: dict[Pipe, int] = {}
        self._ready = 0
        self.processes = []
        # Ctrl-C goes to all processes of a terminal: the leader alone takes it. What is ignored here, a child ignores
        # from its first instruction.
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            for place, role in enumerate(roles):
                receiver, sender = _SPAWN.Pipe(duplex=False)
                process = _SPAWN.Process(
                    target=_play, args=(role, place, self._phase, self._counts, sender, limit_s), daemon=True
                )
                process.start()
                sender.close()
                self.processes.append(process)
                self._pipes[receiver] = place
        finally:
            signal.signal(signal.SIGINT, handler)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._phase.value = Phase.OVER
        for process in self.processes:
            process.join(GRACE_S if kind is None else LOOK_S)
            process.kill()
            process.join()
            process.close()
        self.processes.clear()
        for pipe in self._pipes:
            pipe.close()

    def turn(self, phase: Phase) -> None:
        self._phase.value = phase

    def count(self, play: Callable[[Desk], None]) -> int:
        """The sum of the counts of those who play this."""
        return sum(self._counts[place] for place, role in enumerate(self.roles) if role.play is play)

    def counts(self) -> dict[str, int]:
        """The sums of the counts by what roles are called, without their numbers."""
        sums: dict[str, int] = {}
        for place, role in enumerate(self.roles):
            name = role.name.rstrip("0123456789 ")
            sums[name] = sums.get(name, 0) + self._counts[place]
        return sums

    def wait_ready(self) -> None:
        self.label = "preparing"
        self.wait(lambda: self._ready == len(self.roles), ANSWER_TIMEOUT_S * 2, "is not ready")

    def pause(self, seconds: float) -> None:
        """Let them work."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.seconds_left = left
            self._step(min(left, STEP_S))
        self.seconds_left = 0.0

    def wait(self, condition: Callable[[], bool], seconds: float, complaint: str, step_s: float = STEP_S) -> None:
        """Until this is so. Raises BenchError when it still is not after so many seconds."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise BenchError(f"after {seconds:.0f} s, {self._unfinished()} {complaint}")
            self._step(step_s)

    def finished(self, play: Callable[[Desk], None]) -> bool:
        """Whether all that play this have reported."""
        return all(place in self._reports for place, role in enumerate(self.roles) if role.play is play)

    def reports(self) -> list[Report]:
        """What each role found, in their order, when all have ended."""
        self.turn(Phase.OVER)
        self.wait(lambda: len(self._reports) == len(self.roles), ANSWER_TIMEOUT_S, "has not ended")
        return [self._reports[place] for place in range(len(self.roles))]

    def _unfinished(self) -> str:
        return next((role.name for place, role in enumerate(self.roles) if place not in self._reports), "a role")

    def _step(self, seconds: float) -> None:
        """Hear what roles say, for so long at most."""
        self._progress(self)
        if not self._pipes:
            time.sleep(seconds)
        for pipe in mp_connection.wait(list(self._pipes), seconds):
            assert isinstance(pipe, Pipe)
            self._hear(pipe)

    def _hear(self, pipe: Pipe) -> None:
        place = self._pipes[pipe]
        name = self.roles[place].name
        try:
            said = pipe.recv()
        except EOFError:
            self.processes[place].join(GRACE_S)
            raise BenchError(f"{name} ended in the midst of it: {self._ending(place)}") from None
        match said:
            case Failure():
                raise BenchError(f"{name}: {said.text}")
            case Report():
                self._reports[place] = said
                del self._pipes[pipe]
                pipe.close()
            case _:
                self._ready += 1

    def _ending(self, place: int) -> str:
        code = self.processes[place].exitcode
        if code == -signal.SIGALRM:
            return "its time was up"
        return f"exit code {code}"


def raise_file_limit(sockets: int) -> None:
    """Let this process have so many sockets. Raises BenchError if the system does not. Windows has no such limit."""
    wanted = sockets + OTHER_FILES
    if os.name != "posix":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise BenchError(f"needs {wanted:,} open files, and the system's limit is {hard:,} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
