"""The arithmetic of figures."""

from array import array

import pytest

from amqpd.bench.results import Ratio, latency_figures, percentile, ratio_of
from tests.bench.support import OURS, compared, result, trial


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 1), (0.001, 1), (0.5, 50), (0.501, 51), (0.99, 99), (0.999, 100), (1.0, 100)]
)
def test_percentile_is_the_nearest_rank(share: float, value: int) -> None:
    assert percentile(range(1, 101), share) == value


def test_percentile_of_one() -> None:
    assert percentile([7], 0.5) == 7


def test_latencies_of_all_roles_are_ordered_together() -> None:
    parts = [array("q", range(1000, 0, -2)).tobytes(), array("q", range(1, 1000, 2)).tobytes(), b""]
    assert latency_figures(parts) == {
        "latency_p50": 500e-9,
        "latency_p99": 990e-9,
        "latency_p99.9": 999e-9,
        "latency_max": 1000e-9,
    }


def test_no_latencies_no_figures() -> None:
    assert latency_figures([b"", b""]) == {}


def test_ratios_are_of_rounds() -> None:
    assert ratio_of([10.0, 30.0, 20.0], [10.0, 10.0, 2.0]) == Ratio(1.0, 3.0, 10.0)


def test_there_is_no_ratio_to_nothing() -> None:
    assert ratio_of([1.0, 1.0], [1.0, 0.0]) is None
    assert ratio_of([], []) is None


def test_a_trial_shows_medians_and_ratios() -> None:
    assert compared().figures(0) == {"consumed": 400.0, "latency_p50": 0.01}
    assert compared().ratios() == {"consumed": Ratio(3.0, 4.0, 5.0), "latency_p50": Ratio(0.5, 0.5, 0.5)}


def test_a_figure_that_a_round_lacks_is_not_shown() -> None:
    rounds = [result(OURS, consumed=1.0, latency_p50=1.0), result(OURS, consumed=2.0)]
    assert trial(rounds).figures() == {"consumed": 1.5}
