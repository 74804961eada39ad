"""What a message cost when the baseline was made, what it costs now, and whether that is too much.

``baseline.json`` has for each count what it was by flow, under a key of what it depends on: the build of amqpd, and for
bytecodes the minor version of Python, for instructions the very build of the interpreter and the C library.
"""

import json
import platform
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from amqpd.build import COMPILED

BASELINE = Path(__file__).with_name("baseline.json")

LIMIT = 5.0
"""Percent above the baseline from which on it is a regression, and below it from which on the baseline is out of date.

The same code has the same count again and again. Other code lies elsewhere in memory, and CPython's caches go by
addresses: that may make one percent.
"""

BUILD = "compiled" if COMPILED else "pure"

Costs = Mapping[str, float]
"""By flow, of one message."""


def key(count: str) -> str:
    """Under which this interpreter's costs are kept."""
    name, version = platform.python_implementation(), platform.python_version()
    if count == "bytecodes":
        return f"{BUILD}, {name} {version.rpartition('.')[0]}"
    options = sha256(str(sysconfig.get_config_var("CONFIG_ARGS")).encode()).hexdigest()[:8]
    compiler, libc = platform.python_compiler(), " ".join(platform.libc_ver())
    return f"{BUILD}, {name} {version} ({options}), {compiler}, {libc}, {platform.machine()}"


def load(count: str) -> Costs | None:
    """The baseline for this interpreter; None: there is none."""
    return _load().get(count, {}).get(key(count))


def save(count: str, costs: Costs) -> None:
    """Make this the baseline for this interpreter. Those of others stay."""
    entries = _load()
    entries.setdefault(count, {})[key(count)] = {flow: round(cost, 1) for flow, cost in costs.items()}
    BASELINE.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n", "utf-8")


def _load() -> dict[str, dict[str, dict[str, float]]]:
    return json.loads(BASELINE.read_text("utf-8")) if BASELINE.exists() else {}


@dataclass(frozen=True)
class Comparison:
    """One flow. ``before`` None: the baseline does not have it."""

    flow: str
    before: float | None
    now: float

    @property
    def percent(self) -> float | None:
        return None if self.before is None else 100 * (self.now - self.before) / self.before

    def __str__(self) -> str:
        before = "-" if self.before is None else f"{self.before:,.0f}"
        percent = "-" if self.percent is None else f"{self.percent:+.2f} %"
        return f"{self.flow:<12} {before:>12} {self.now:>12,.0f} {percent:>12}"


HEADING = f"{'flow':<12} {'baseline':>12} {'now':>12} {'difference':>12}"


def compare(before: Costs, now: Costs) -> list[Comparison]:
    return [Comparison(flow, before.get(flow), cost) for flow, cost in now.items()]


@dataclass(frozen=True)
class Verdict:
    """Names of flows. ``unknown``: the baseline does not have them, so it is not complete, and nothing is passed."""

    worse: list[str]
    better: list[str]
    unknown: list[str]

    @property
    def passes(self) -> bool:
        return not (self.worse or self.unknown)


def judge(comparisons: list[Comparison]) -> Verdict:
    known = [(comparison.flow, comparison.percent) for comparison in comparisons if comparison.percent is not None]
    return Verdict(
        worse=[flow for flow, percent in known if percent > LIMIT],
        better=[flow for flow, percent in known if percent < -LIMIT],
        unknown=[comparison.flow for comparison in comparisons if comparison.before is None],
    )
