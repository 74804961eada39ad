"""Values in the units of Grafana that the dashboards use, as it writes them."""

import math
from collections.abc import Sequence

NUMBERS = ("", "K", "Mil", "Bil")
SIZES = {
    "bytes": (1024, ("B", "KiB", "MiB", "GiB", "TiB")),
    "decbytes": (1000, ("B", "kB", "MB", "GB", "TB")),
    "Bps": (1000, ("B/s", "kB/s", "MB/s", "GB/s", "TB/s")),
}
RATES = {"mps": "msg/s", "ops": "ops/s", "iops": "io/s"}
TIMES = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1), ("ms", 1e-3), ("µs", 1e-6))


def show(value: float, unit: str) -> str:
    """A value in this unit; a dash for none."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "∞"
    if unit in ("s", "dtdurations"):
        return _time(value)
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit in SIZES:
        return _scaled(value, *SIZES[unit])
    return f"{_scaled(value, 1000, NUMBERS)} {RATES.get(unit, '')}".strip()


def _time(seconds: float) -> str:
    for name, length in TIMES:
        if abs(seconds) >= length:
            return f"{seconds / length:.3g} {name}"
    return "0 s"


def _scaled(value: float, step: int, names: Sequence[str]) -> str:
    power = 0
    while abs(value) >= step and power < len(names) - 1:
        value /= step
        power += 1
    number = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{number} {names[power]}".strip()
