"""Whatever applications do, the broker raises nothing but the errors of AMQP, and loses count of nothing.

To look further: ``SEEDS=5000 make test ARGS=tests/fuzz/test_broker.py``.
"""

import os

import pytest

from tests.fuzz.broker import Crowd

SEEDS = int(os.environ.get("SEEDS", "300"))


@pytest.mark.timeout(60 + SEEDS)
@pytest.mark.parametrize("seeds", [range(first, SEEDS, 10) for first in range(10)], ids=str)
def test_a_crowd(seeds: range) -> None:
    for seed in seeds:
        crowd = Crowd(seed)
        try:
            for _ in range(400):
                crowd.act()
            crowd.leave()
        except Exception as error:
            error.add_note(f"with seed {seed}")
            raise
