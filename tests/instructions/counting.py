"""Runs flows and counts what a message costs: ``python -m tests.instructions.counting COUNT FLOW...``.

Each flow runs in a process of its own, forked from this one, so that none sees what another has left behind, and the
modules are loaded once. It is warmed up first: caches are full then, and CPython has specialized the bytecode.

*instructions* are those of the processor, all of them, counted by valgrind's callgrind, under which this process then
has to run. Before and after what counts ``getppid`` is called, which nothing else does; callgrind is told to write into
a file, at each of these calls, what it has counted since the last. The second file has what counts.

*bytecodes* are those of the interpreter, told by its tracing. The work of C code is not seen.

*nanoseconds* are the best of some rounds. They repeat within some percent at best, and are for trying things out.

The garbage collector is off: a flow leaves no cycles behind, and in which of two runs a collection comes would be the
largest difference between them.
"""

import gc
import os
import sys
import traceback
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from time import perf_counter_ns
from types import CodeType, FrameType
from typing import Any

from tests.instructions.flows import FLOWS, Flow
from tests.instructions.server import play

MARK = "getppid"
"""The function of the C library at whose calls callgrind writes down what it has counted."""

Run = Callable[[], None]


def count_instructions(run: Run) -> int:
    os.getppid()
    run()
    os.getppid()
    return read_total(Path(f"callgrind.out.{os.getpid()}.2").read_text())


def read_total(profile: str) -> int:
    """The instructions in a profile of callgrind."""
    return next(int(line.removeprefix("totals: ")) for line in profile.splitlines() if line.startswith("totals: "))


def count_bytecodes(run: Run) -> int:
    return (_count_by_tracing if sys.version_info < (3, 12) else _count_by_monitoring)(run)


def _count_by_tracing(run: Run) -> int:
    executed = 0

    def enter(frame: FrameType, event: str, argument: Any) -> Any:
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return step

    def step(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal executed
        executed += event == "opcode"
        return step

    sys.settrace(enter)
    run()
    sys.settrace(None)
    return executed


def _count_by_monitoring(run: Run) -> int:
    """What CPython 3.12 has instead; its tracing misses bytecodes."""
    executed = 0

    def step(code: CodeType, offset: int) -> None:
        nonlocal executed
        executed += 1

    monitoring = sys.monitoring
    tool, event = monitoring.PROFILER_ID, monitoring.events.INSTRUCTION
    monitoring.use_tool_id(tool, __name__)
    monitoring.register_callback(tool, event, step)
    monitoring.set_events(tool, event)
    run()
    monitoring.set_events(tool, 0)
    monitoring.free_tool_id(tool)
    return executed


def count_nanoseconds(run: Run) -> int:
    start = perf_counter_ns()
    run()
    return perf_counter_ns() - start


COUNTS = {
    "instructions": (count_instructions, 1),
    "bytecodes": (count_bytecodes, 1),
    "nanoseconds": (count_nanoseconds, 20),
}
"""Each with how many rounds it takes."""


def measure(flow: Flow, count: str) -> float:
    """What a message costs. RuntimeError: the messages have not gone the way of the flow."""
    count_one, rounds = COUNTS[count]
    server = flow.server()
    turns = flow.begin(server)
    reads_of = [[read for turn in islice(turns, flow.turns) for read in turn] for _ in range(1 + rounds)]
    play(reads_of[0])
    messages = flow.turns * flow.messages
    delivered = server.broker.statistics().messages_delivered
    best = min(count_one(lambda reads=reads: play(reads)) for reads in reads_of[1:])
    delivered = server.broker.statistics().messages_delivered - delivered
    if delivered != rounds * messages * flow.copies:
        raise RuntimeError(f"{flow.name}: {delivered} deliveries of {rounds * messages} messages")
    return best / messages


def main(count: str, *names: str) -> int:
    gc.collect()
    gc.freeze()
    gc.disable()
    for name in names:
        pid = os.fork()
        if not pid:
            os._exit(_report(FLOWS[name], count))
        if os.waitpid(pid, 0)[1]:
            return 1
    return 0


def _report(flow: Flow, count: str) -> int:
    try:
        sys.stdout.write(f"{flow.name} {measure(flow, count)}\n")
        sys.stdout.flush()
    except Exception:  # noqa: BLE001 - it is told, and this process must not go on where its parent does
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
