"""The lines of a column: what prometheus_client would write for it, octet by octet, in a fortieth of the time.

Labels are escaped once for a page, numbers are mostly like others, and so are histograms, above all where nothing
happened. What is left for a line is to be joined with the others.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import accumulate, islice
from typing import Any

from amqpd.metrics.columns import Column, number_text

ROWS = 500
"""So many are joined in one call, which holds the interpreter's lock while the event loop waits: for some 50
microseconds, with histograms half a millisecond."""

HISTOGRAMS_REMEMBERED = 100

Rows = list[tuple[str, Any]]
"""Labels and values; each value is there."""


def lines(column: Column) -> Iterator[bytes]:
    """All samples of ``column``, in pieces; the same in both formats."""
    write = _histograms(column.name) if column.type == "histogram" else _numbers(column)
    rows = zip(column.labels.texts, column.values, strict=True)
    present = (row for row in rows if row[1] is not None)
    while some := list(islice(present, ROWS)):
        yield write(some).encode()


class _Numbers(dict[float, str]):
    """Numbers as they are written."""

    def __missing__(self, number: float) -> str:
        text = self[number] = number_text(number)
        return text


def _numbers(column: Column) -> Callable[[Rows], str]:
    head = f"{column.name}_total{{" if column.type == "counter" else f"{column.name}{{"
    numbers = _Numbers()
    return lambda rows: head + f"\n{head}".join([labels + numbers[value] for labels, value in rows]) + "\n"


def _histograms(name: str) -> Callable[[Rows], str]:
    numbers = _Numbers()

    @lru_cache(HISTOGRAMS_REMEMBERED)
    def between(bounds: tuple[float, ...], counts: tuple[int, ...], total: float) -> list[str]:
        """What stands between the labels, which are the same in all lines of a histogram."""
        cumulative = list(accumulate(counts))
        values = [*map(numbers.__getitem__, cumulative), numbers[cumulative[-1]], number_text(total)]
        heads = _heads(name, bounds)
        return [heads[0], *map("{}\n{}".format, values, (*heads[1:], ""))]

    def write(rows: Rows) -> str:
        return "".join([labels.join(between(value.bounds, value.counts, value.total)) for labels, value in rows])

    return write


@lru_cache(HISTOGRAMS_REMEMBERED)
def _heads(name: str, bounds: tuple[float, ...]) -> tuple[str, ...]:
    """What the lines of a histogram begin with. Labels are sorted, and le comes before all that objects have (not
    before channel and connection, of which there are no histograms)."""
    buckets = [f'{name}_bucket{{le="{bound}",' for bound in (*map(number_text, bounds), "+Inf")]
    return (*buckets, f"{name}_count{{", f"{name}_sum{{")
