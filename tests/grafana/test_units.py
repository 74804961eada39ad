"""Values as Grafana would write them."""

import math

import pytest

from grafana.units import show


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "short", "0"),
        (999.6, "short", "1000"),
        (1234, "short", "1.23 K"),
        (5e12, "short", "5000 Bil"),
        (240, "mps", "240 msg/s"),
        (0.5, "percentunit", "50 %"),
        (1536, "bytes", "1.5 KiB"),
        (2e6, "decbytes", "2 MB"),
        (512, "Bps", "512 B/s"),
        (0, "s", "0 s"),
        (25e-6, "s", "25 µs"),
        (0.0123, "s", "12.3 ms"),
        (90, "s", "1.5 min"),
        (86_400, "dtdurations", "1 d"),
        (math.inf, "s", "∞"),
        (math.nan, "bytes", "-"),
    ],
)
def test_a_value_in_its_unit(value: float, unit: str, text: str) -> None:
    assert show(value, unit) == text
