"""docs/metrics.md has every metric that there is on a page, as it is declared."""

import re
from pathlib import Path

import pytest

from amqpd.metrics.listing import OWN, page
from amqpd.metrics.pages import AGGREGATED, NAMES, PER_OBJECT, Page, detailed
from tests.metrics.samples import names, snapshot

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
SHOWN = set(re.findall(r"`(\w+)`", page()))
PROSE = ("amqpd_process_", "amqpd_detailed_process_", "python_")
"""How names begin that prometheus_client gives; the page says so in one sentence."""


def test_the_page_is_what_is_declared() -> None:
    assert DOCUMENT.read_text("utf-8") == page(), "python -m amqpd.metrics.listing >docs/metrics.md"


@pytest.mark.parametrize("which", [AGGREGATED, PER_OBJECT, detailed(("family", name) for name in NAMES)])
def test_whatever_is_on_a_page_is_listed(which: Page) -> None:
    found = {name.replace("_detailed_", "_") for name in names(snapshot(), which) if not name.startswith(PROSE)}
    assert not {name for name in found if not {name, f"{name}_total"} & SHOWN}


def test_what_is_marked_as_our_own_is_there() -> None:
    marked = re.findall(r"\| \*\*`amqpd_(\w+?)(?:_total)?`\*\* \|", page())
    assert sorted(marked) == sorted(OWN)
