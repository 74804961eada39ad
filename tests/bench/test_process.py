"""The figures of a process, held against what it knows of itself."""

import os
import time
from pathlib import Path

import pytest

from amqpd.bench.process import Meter, Unmeasurable

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are seen in /proc")


def test_cpu_is_user_and_system_time() -> None:
    meter = Meter([os.getpid()])
    used = time.process_time()
    assert meter.cpu_s() == pytest.approx(used, abs=0.1)


def test_memory_is_what_a_process_has_to_itself() -> None:
    meter = Meter([os.getpid()])
    before = meter.memory()
    block = b"x" * (64 << 20)
    assert meter.memory() - before == pytest.approx(len(block), rel=0.1)


def test_processes_add_up() -> None:
    assert Meter([os.getpid()] * 2).memory() == pytest.approx(2 * Meter([os.getpid()]).memory(), rel=0.1)


def test_without_processes_nothing_is_measured() -> None:
    assert not Meter()
    assert Meter().cpu_s() == Meter().memory() == 0


def test_a_process_that_is_gone() -> None:
    with pytest.raises(Unmeasurable):
        Meter([999_999_999]).memory()
