"""The few expressions that all dashboards are made of.

Each is summed over what is not asked for, so that it means the same when metrics are scraped with labels of objects
(/metrics/per-object), and for several instances together. ``where`` is more to select by, after the instance.

Rates are taken over ``$__rate_interval``: four scrapes, so that one that is missed leaves no hole.
"""

INSTANCE = 'instance=~"$instance"'
"""What every expression selects by."""

Series = tuple[str, str]
"""A legend, in which ``{{label}}`` stands for the label's value, and the expression."""


def select(metric: str, where: str = "") -> str:
    return f"{metric}{{{', '.join(filter(None, (INSTANCE, where)))}}}"


def total(metric: str, by: str = "", where: str = "") -> str:
    """A gauge now."""
    return f"sum{_by(by)}({select(metric, where)})"


def greatest(metric: str, by: str = "", where: str = "") -> str:
    """Of what cannot be added: ages, states, limits."""
    return f"max{_by(by)}({select(metric, where)})"


def rate(counter: str, by: str = "", where: str = "") -> str:
    """How fast a counter grows, each second."""
    return f"sum{_by(by)}(rate({select(counter, where)}[$__rate_interval]))"


def buckets(histogram: str, where: str = "") -> str:
    """How many observations fall into each bucket, each second, for a heatmap."""
    return rate(histogram + "_bucket", "le", where)


def quantile(share: float, histogram: str, by: str = "", where: str = "") -> str:
    """What the given share of the observations did not exceed, interpolated within a bucket.

    Where nothing was observed there is none, and the curve has a gap.
    """
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({share}, {rate(histogram + '_bucket', labels, where)})"


def quantiles(histogram: str, by: str = "", where: str = "") -> tuple[Series, ...]:
    """The usual three, each with its legend."""
    suffix = "".join(f" {{{{{label}}}}}" for label in by.split(", ") if label)
    return tuple(
        (name + suffix, quantile(share, histogram, by, where))
        for name, share in (("median", 0.5), ("90 %", 0.9), ("99 %", 0.99))
    )


def _by(labels: str) -> str:
    return f" by ({labels}) " if labels else ""
