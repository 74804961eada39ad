"""Has a message become dearer?  ``make bench-check``, or ``python -m tests.instructions``.

Counts what a message costs in each flow (flows.py) and compares it with the committed baseline. Seconds would not do:
they differ by more than any regression that one wants to find, from run to run and from machine to machine.

Instructions of the processor are compared if the baseline has them for the very interpreter that runs: they are all
there is, C code, copies and what mypyc makes included, but another build of the same Python has others. Otherwise, and
where there is no valgrind, it is the bytecodes of the interpreter: they depend on nothing but the minor version of
Python, and miss what happens in C. Both are in the baseline of the pure build, so that there is always one that can
fail. The compiled build has no bytecodes; with an interpreter that the baseline does not know it cannot be compared,
and that is the one case that passes without a comparison.

``make bench-baseline`` renews the baseline for both builds and one interpreter. The bytecodes of the other versions are
renewed by ``python3.12 -m tests.instructions --write`` and so on, with amqpd's dependencies installed.

``--flow mixed`` counts one flow, ``--count nanoseconds`` gives a first idea of what it means in time. A count that is
asked for by name is only told: nothing fails.

Where things lie in memory is part of an instruction count: CPython looks methods up in a cache whose places go by the
addresses of their names, and when two that every message needs share a place, each message costs 400 instructions more.
That is luck, and a longer path to the interpreter can bring it. So a flow that seems worse is counted again with memory
laid out differently, and the least count is its cost: a regression is there in all of them.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click

import amqpd
from amqpd.build import COMPILED, INTERPRETER
from tests.instructions import baseline
from tests.instructions.baseline import BUILD, HEADING, LIMIT, Comparison, Costs
from tests.instructions.counting import COUNTS, MARK
from tests.instructions.flows import FLOWS

ROOT = Path(__file__).parents[2]

TUNABLES = (
    "glibc.cpu.hwcaps=-AVX2,-AVX2_Usable,-AVX_Fast_Unaligned_Load,-AVX512F,-AVX512VL,-ERMS,-FSRM"
    ":glibc.cpu.x86_non_temporal_threshold=0x40000000"
)
"""Has glibc copy memory with what all x86-64 processors have. Otherwise copying takes four times as many instructions
on one as on another."""

ENVIRONMENT = {
    "PATH": os.defpath,
    "PYTHONHASHSEED": "0",
    "PYTHONPATH": os.pathsep.join((str(Path(str(amqpd.__file__)).parents[1]), str(ROOT))),
    "PYTHONSAFEPATH": "1",  # the build that is imported here, and not the one in the present directory
    "GLIBC_TUNABLES": TUNABLES,
}

VALGRIND = shutil.which("valgrind")

LAYOUTS = 4
"""In how many layouts of memory a flow may show that it is no worse. One in six was unlucky when it was tried."""


def measure(count: str, flows: list[str], layout: int = 0) -> Costs:
    """What a message costs in each of these flows; with as many processes as there are processors, but for times.

    ``layout``: each number moves what is in memory elsewhere, by variables that Python reads before anything else.
    """
    environment = ENVIRONMENT | {f"LAYOUT_{number}": "x" * 16 * layout for number in range(3 * layout)}
    command = [sys.executable, "-m", "tests.instructions.counting", count]
    if count == "instructions":
        command = [str(VALGRIND), "--quiet", "--tool=callgrind", f"--dump-before={MARK}", *command]
    workers = 1 if count == "nanoseconds" else min(len(flows), os.cpu_count() or 1)
    with TemporaryDirectory() as directory:
        processes = [
            subprocess.Popen(
                [*command, *flows[worker::workers]], cwd=directory, env=environment, stdout=subprocess.PIPE, text=True
            )
            for worker in range(workers)
        ]
        lines = [line.split() for process in processes for line in process.communicate()[0].splitlines()]
    if any(process.returncode for process in processes):
        raise click.ClickException("a flow could not be counted")
    costs = {flow: float(cost) for flow, cost in lines}
    return {flow: costs[flow] for flow in flows}


def available() -> list[str]:
    """What can be counted and compared here, the better first."""
    return ["instructions"] * (VALGRIND is not None) + ["bytecodes"] * (not COMPILED)


def check(counts: list[str], flows: list[str]) -> int:
    """Compare by the first of these counts that the baseline has, and say what comes of it: 0 if nothing is worse."""
    for count in counts:
        before = baseline.load(count)
        if before is not None:
            return tell(count, before, measure_fairly(count, before, flows))
        click.echo(f"No baseline of {count} for {baseline.key(count)}.")
    if not COMPILED:
        click.echo("FAILED: nothing to compare with. Run make bench-baseline, and commit what it writes.")
        return 1
    if VALGRIND is None:
        click.echo("FAILED: there is no valgrind, and nothing else counts what compiled code does.")
        return 1
    show("instructions", {}, measure("instructions", flows))
    click.echo(
        "NOT COMPARED: the baseline knows the compiled build with other interpreters only. THIS CHECKED NOTHING."
    )
    return 0


def measure_fairly(count: str, before: Costs, flows: list[str]) -> Costs:
    """What a message costs, and for flows that seem worse the least of some layouts of memory."""
    costs = dict(measure(count, flows))
    for layout in range(1, LAYOUTS):
        worse = baseline.judge(baseline.compare(before, costs)).worse
        if not worse:
            break
        click.echo(f"Counting again, with memory laid out differently: {', '.join(worse)}.")
        for flow, cost in measure(count, worse, layout).items():
            costs[flow] = min(costs[flow], cost)
    return costs


def show(count: str, before: Costs, now: Costs) -> list[Comparison]:
    comparisons = baseline.compare(before, now)
    click.echo(f"{count} per message, {BUILD}, {INTERPRETER}\n\n{HEADING}")
    for comparison in comparisons:
        click.echo(comparison)
    click.echo()
    return comparisons


def tell(count: str, before: Costs, now: Costs) -> int:
    verdict = baseline.judge(show(count, before, now))
    if verdict.better:
        click.echo(
            f"Better by more than {LIMIT:g} %: {', '.join(verdict.better)}. "
            "Run make bench-baseline and commit what it writes, so that it stays so."
        )
    if verdict.unknown:
        click.echo(f"FAILED: the baseline does not have {', '.join(verdict.unknown)}. Run make bench-baseline.")
    if verdict.worse:
        click.echo(f"FAILED: worse by more than {LIMIT:g} %: {', '.join(verdict.worse)}.")
    return 0 if verdict.passes else 1


@click.command()
@click.option("--flow", "flows", type=click.Choice(list(FLOWS)), multiple=True, help="Only this one; may be repeated.")
@click.option("--count", type=click.Choice(list(COUNTS)), help="What to count. The default is what can be compared.")
@click.option("--write", is_flag=True, help="Make the present costs the baseline for this build and interpreter.")
def main(flows: tuple[str, ...], count: str | None, write: bool) -> None:
    """Count what a message costs, and compare it with the baseline."""
    names = list(flows or FLOWS)
    if write and (flows or count):
        raise click.UsageError("a baseline has all flows, and all that can be counted")
    if count == "instructions" and VALGRIND is None:
        raise click.UsageError("instructions are counted by valgrind, which is not here")
    if VALGRIND is None:
        click.echo("There is no valgrind (on Debian and Ubuntu: apt-get install valgrind), so no instructions.")
    if write:
        for each in available():
            costs = measure(each, names)
            show(each, baseline.load(each) or {}, costs)
            baseline.save(each, costs)
    elif count is not None:
        show(count, baseline.load(count) or {}, measure(count, names))
    else:
        sys.exit(check(available(), names))


if __name__ == "__main__":
    main()
