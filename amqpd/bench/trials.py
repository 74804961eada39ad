"""A benchmark as a whole: each workload against one broker, or against two in turn, for some rounds.

Two brokers take turns within each round, so that what else the machine does meets both alike; a ratio is of one round,
and how far the ratios of the rounds lie apart says what it is worth.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from amqpd.bench.measuring import product_of, run
from amqpd.bench.process import Meter
from amqpd.bench.progress import Progress
from amqpd.bench.results import FIGURES, Product, Ratio, Result, ratio_of
from amqpd.bench.url import BrokerURL
from amqpd.bench.workload import Workload


@dataclass(frozen=True, slots=True)
class Contender:
    """A broker that is measured."""

    url: BrokerURL
    product: Product
    meter: Meter

    def __str__(self) -> str:
        return f"{self.product} at {self.url}"


def contender(url: BrokerURL, pids: Sequence[int]) -> Contender:
    """Raises BenchError if there is no broker, and Unmeasurable if its processes cannot be seen."""
    meter = Meter(pids)
    meter.memory()
    return Contender(url, product_of(url), meter)


@dataclass(frozen=True, slots=True)
class Trial:
    """The results of one workload: for each broker those of all rounds, the compared broker's last."""

    workload: Workload
    point: int | None = None  # of a sweep
    results: list[list[Result]] = field(default_factory=list)

    @property
    def under_full_load(self) -> bool:
        """Whether latencies are those of queues that were kept full."""
        return self.workload.kind == "flow" and not self.workload.rate and "latency_p50" in self.figures()

    def figures(self, broker: int = 0) -> dict[str, float]:
        """The median of each figure, in the order they are shown in."""
        rounds = [result.figures for result in self.results[broker]]
        return {
            name: median(figures[name] for figures in rounds)
            for name in FIGURES
            if rounds and all(name in figures for figures in rounds)
        }

    def ratios(self) -> dict[str, Ratio]:
        """The first broker's figures to the second's, where both have them."""
        if len(self.results) < 2:
            return {}
        ours, theirs = self.results
        shared = [name for name in self.figures(0) if name in self.figures(1)]
        ratios = {
            name: ratio_of([each.figures[name] for each in ours], [each.figures[name] for each in theirs])
            for name in shared
        }
        return {name: ratio for name, ratio in ratios.items() if ratio is not None}


def run_trials(
    contenders: Sequence[Contender], trials: Sequence[Trial], rounds: int, progress: Progress
) -> Iterator[Trial]:
    """Run them one after the other; each is given out when it has its results."""
    for trial in trials:
        trial.results.extend([] for _ in contenders)
        for number in range(rounds):
            for results, broker in zip(trial.results, contenders, strict=True):
                progress.title = _title(trial, broker, number, rounds)
                results.append(run(broker.url, trial.workload, broker.meter, progress))
        progress.clear()
        yield trial


def _title(trial: Trial, broker: Contender, number: int, rounds: int) -> str:
    point = "" if trial.point is None else f" {trial.point:,}"
    return f"{trial.workload.name}{point}, {broker.product}, round {number + 1} of {rounds}"
