"""How long ago something happened, by a few marks."""

from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.moments import MARKS_MAX, RESOLUTION_S, SHARE, Moments
from amqpd.histogram import Histogram

BOUNDS = (0.001, 1.0, 10.0, 100.0)

steps = st.lists(st.tuples(st.integers(1, 50), st.floats(0, 100)), min_size=1, max_size=1000)


def noted(*marks: tuple[int, float]) -> Moments:
    moments = Moments(0.0)
    for number, moment in marks:
        moments.note(number, moment)
    return moments


def measured(moments: Moments, first: int, stop: int, moment: float) -> tuple[int, ...]:
    histogram = Histogram(BOUNDS)
    moments.measure(first, stop, moment, histogram)
    return histogram.distribution().counts


def test_a_mark_stands_for_all_numbers_until_the_next() -> None:
    moments = noted((10, 1.0), (20, 2.0))
    assert [moments.of(number) for number in (9, 10, 19, 20, 1000)] == [0.0, 1.0, 1.0, 2.0, 2.0]


def test_a_range_is_measured_by_all_its_marks() -> None:
    moments = noted((10, 50.0), (20, 95.0), (30, 99.5))
    assert measured(moments, 15, 32, 100.0) == (0, 2, 10, 5, 0)


def test_what_takes_less_than_a_millisecond_is_not_observed() -> None:
    assert measured(noted((10, 50.0)), 10, 20, 50.0005) == (0, 0, 0, 0, 0)


def test_what_follows_a_mark_within_a_millisecond_belongs_to_it() -> None:
    moments = noted((10, 1.0), (11, 1.0005))
    assert moments.of(11) == 1.0


def test_a_new_mark_ends_what_was_asked_for_last() -> None:
    moments = noted((10, 50.0))
    assert measured(moments, 10, 11, 60.0) == (0, 0, 1, 0, 0)
    moments.note(15, 70.0)
    assert measured(moments, 14, 16, 75.0) == (0, 0, 1, 1, 0)


def test_what_is_forgotten_does_not_change_the_rest() -> None:
    moments = noted((10, 1.0), (20, 2.0), (30, 3.0))
    moments.forget(25)
    assert [moments.of(number) for number in (25, 30)] == [2.0, 3.0]


@given(steps)
def test_the_error_is_a_part_of_the_time_that_it_is_ago_and_never_too_short(steps: list[tuple[int, float]]) -> None:
    moments, happened = Moments(0.0), dict[int, float]()
    number, now = 0, 0.0
    for further, passed in steps:
        number, now = number + further, now + passed
        moments.note(number, now)
        happened[number] = now
    for number, moment in happened.items():
        error = moment - moments.of(number)
        assert 0 <= error <= max((now - moment) / SHARE, RESOLUTION_S)


def test_they_are_few_after_a_day_of_traffic() -> None:
    moments, now = Moments(0.0), 0.0
    for number in range(1, 20_000):
        now += 86_400 / 20_000
        moments.note(number, now)
    assert len(moments._numbers) <= MARKS_MAX
