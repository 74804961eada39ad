"""``--sweep NAME=1,10,100``: one workload with each of several values, to see how a cost grows, or that it does not."""

from collections.abc import Iterable

from amqpd.bench.errors import WrongOption
from amqpd.bench.trials import Trial
from amqpd.bench.workload import RANGES, Workload, with_options

SWEPT = sorted(name for name in RANGES if name not in ("rate", "duration", "warm_up"))


def parse_sweep(text: str) -> tuple[str, list[int]]:
    """The field of the workload, and its values. Raises WrongOption."""
    name, _, values = text.partition("=")
    field = name.strip().replace("-", "_")
    if field not in SWEPT:
        raise WrongOption("sweep", f"{name!r} is not one of {', '.join(each.replace('_', '-') for each in SWEPT)}")
    try:
        return field, [int(value) for value in values.split(",")]
    except ValueError:
        raise WrongOption("sweep", f"{values!r} is not numbers with commas") from None


def swept(workloads: Iterable[Workload], field: str, values: Iterable[int]) -> list[Trial]:
    """A trial for each value. Raises WrongOption for one that a workload cannot have."""
    values = list(values)
    return [
        Trial(each, value)
        for workload in workloads
        for value in values
        for each in with_options([workload], **{field: value})
    ]
