"""Counts in buckets."""

from hypothesis import given
from hypothesis import strategies as st

from amqpd.histogram import Distribution, Histogram, nothing

BOUNDS = (1.0, 10.0, 100.0)

values = st.lists(st.integers(0, 200), min_size=1)


def counts_of(histogram: Histogram) -> tuple[int, ...]:
    return histogram.distribution().counts


def test_what_is_as_much_as_a_bound_is_below_it() -> None:
    histogram = Histogram(BOUNDS)
    for value in (0, 1, 1.5, 10, 11, 100, 101, 5000):
        histogram.observe(value)
    assert counts_of(histogram) == (2, 2, 2, 2)
    assert histogram.distribution().total == 5224.5
    assert histogram.distribution().count == 8


def test_the_same_can_be_observed_many_times() -> None:
    histogram = Histogram(BOUNDS)
    histogram.observe(5, 3)
    assert histogram.distribution() == Distribution(BOUNDS, (0, 3, 0, 0), 15)


@given(values)
def test_many_alike_are_as_many_one_by_one(observed: list[int]) -> None:
    together, singly = Histogram(BOUNDS), Histogram(BOUNDS)
    for value in observed:
        singly.observe(value)
    if together.observe_alike(min(observed), max(observed), len(observed), sum(observed)):
        assert together.distribution() == singly.distribution()
    else:
        assert together.distribution() == nothing(BOUNDS)
        assert counts_of(singly).count(0) < len(BOUNDS)


def test_what_belongs_into_several_buckets_is_not_alike() -> None:
    assert Histogram(BOUNDS).observe_alike(2, 10, 3, 20)
    assert not Histogram(BOUNDS).observe_alike(1, 10, 3, 20)


def test_one_takes_over_what_another_has_counted() -> None:
    one, other = Histogram(BOUNDS), Histogram(BOUNDS)
    one.observe(5)
    other.observe(5)
    other.observe(500)
    one.absorb(other.distribution())
    assert one.distribution() == Distribution(BOUNDS, (0, 2, 0, 1), 510)


def test_what_was_not_told_is_in_the_first_bucket() -> None:
    histogram = Histogram(BOUNDS)
    histogram.observe(5, 2)
    assert histogram.distribution_among(10) == Distribution(BOUNDS, (8, 2, 0, 0), 10)


def test_before_anything_is_observed_all_is_0() -> None:
    assert Histogram(BOUNDS).distribution() == nothing(BOUNDS)
