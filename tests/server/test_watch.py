"""What is measured, and when it is an alarm."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import structlog
from structlog.typing import EventDict

from amqpd.broker.alarms import Alarms
from amqpd.server import watch
from amqpd.server.watch import Watch, disk_free, memory_there_is, memory_used

PAGE = os.sysconf("SC_PAGE_SIZE")
MACHINE = os.sysconf("SC_PHYS_PAGES") * PAGE
MIB = 1 << 20

has_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system has no /proc")


class World(NamedTuple):
    """A machine as the test says."""

    root: Path

    def uses(self, pages: int) -> None:
        """The process has so many pages of its own, and maps a file."""
        self.writes("proc/self/statm", f"99999 {pages + 5000} 5000 1 0 88888 0\n")

    def writes(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def alarms() -> Alarms:
    return Alarms()


def seen(log: list[EventDict]) -> list[tuple[str, ...]]:
    return [tuple(entry[key] for key in ("event", "log_level", "resource", "value", "limit")) for entry in log]


# Memory ---------------------------------------------------------------------------------------------------------------


def test_memory_is_low_from_the_watermark_on(world: World, alarms: Alarms) -> None:
    looks = Watch(alarms, 100 * PAGE, 0, None, world.root)
    world.uses(99)
    with structlog.testing.capture_logs() as log:
        looks.tick()
        assert not alarms.blocking
        world.uses(100)
        looks.tick()
        looks.tick()
        assert alarms.reason == "low on memory"
        assert (alarms.memory_used, alarms.memory_limit) == (100 * PAGE, 100 * PAGE)
        world.uses(99)
        looks.tick()
        looks.tick()
        assert not alarms.blocking
        assert alarms.memory_used == 99 * PAGE
    assert seen(log) == [
        ("alarm_set", "warning", "memory", 100 * PAGE, 100 * PAGE),
        ("alarm_cleared", "info", "memory", 99 * PAGE, 100 * PAGE),
    ]


@pytest.mark.parametrize(
    ("watermark", "limit"),
    [(0.0, 0), (0.5, MACHINE // 2), (1.0, MACHINE), (1.5, 1), (2.0, 2), (1e9, 1_000_000_000)],
)
def test_a_watermark_is_a_share_or_octets(alarms: Alarms, world: World, watermark: float, limit: int) -> None:
    Watch(alarms, watermark, 0, None, world.root)
    assert alarms.memory_limit == limit


def test_a_watermark_of_0_blocks_at_once_as_in_rabbitmq(alarms: Alarms) -> None:
    Watch(alarms, 0.0, 0, None).tick()
    assert alarms.reason == "low on memory"


def test_where_memory_cannot_be_measured_that_is_said_once(world: World, alarms: Alarms) -> None:
    looks = Watch(alarms, 0.6, 0, None, world.root)
    with structlog.testing.capture_logs() as log:
        looks.tick()
        looks.tick()
    assert [(entry["event"], entry["log_level"], entry["resource"]) for entry in log] == [
        ("not_measured", "warning", "memory")
    ]
    assert not alarms.blocking


@has_proc
def test_memory_in_use_is_what_the_kernel_calls_anonymous() -> None:
    """A mapped file does not count, as the store's does not; what is allocated does. In a process of its own: others
    may give back at the same time."""
    program = f"""
import mmap, tempfile
from amqpd.server.watch import memory_used
before = memory_used()
with tempfile.TemporaryFile() as file:
    file.truncate(64 * {MIB})
    mapped = mmap.mmap(file.fileno(), 0)
    assert sum(mapped[i] for i in range(0, len(mapped), 4096)) == 0
    assert memory_used() - before < 8 * {MIB}, "mapped"
held = bytearray(b"x") * (64 * {MIB})
assert 56 * {MIB} < memory_used() - before < 72 * {MIB}, "allocated"
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(watch.__file__).parent.parent.parent)


@has_proc
def test_an_alarm_is_over_when_its_messages_are_gone() -> None:
    """The C library keeps what was freed; the alarm has it give that back."""
    program = f"""
from amqpd.broker.alarms import Alarms
from amqpd.server.watch import Watch, memory_used
alarms = Alarms()
looks = Watch(alarms, memory_used() + 100 * {MIB}, 0, None)
looks.tick()
assert not alarms.blocking
bodies, others = [], []
for number in range(200_000):
    bodies.append(bytes(1000))
    if number % 100 == 0:
        others.append(bytes(1000))  # lives on, among those that go
looks.tick()
assert alarms.blocking
bodies.clear()
looks.tick()
assert not alarms.blocking, alarms.memory_used
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(watch.__file__).parent.parent.parent)


# How much memory there is ---------------------------------------------------------------------------------------------


def test_without_control_groups_it_is_the_machine_s(world: World) -> None:
    assert memory_there_is(world.root) == MACHINE


@pytest.mark.parametrize(
    ("groups", "files", "there_is"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "4096000\n"}, 4_096_000),
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "8192000\n"}, 8_192_000),
        ("0::/a/b\n", {"a/b/memory.max": "max\n"}, MACHINE),
        ("0::/\n", {"memory.max": "4096000\n"}, 4_096_000),
        ("0::/of/the/host\n", {"memory.max": "4096000\n"}, 4_096_000),
        ("4:cpu,memory:/a\n1:cpu:/b\n", {"memory/a/memory.limit_in_bytes": "4096000\n"}, 4_096_000),
        ("4:memory:/of/the/host\n", {"memory/memory.limit_in_bytes": "4096000\n"}, 4_096_000),
        ("4:memory:/a\n", {"memory/a/memory.limit_in_bytes": "9223372036854771712\n"}, MACHINE),
        ("4:memory:/a\n0::/a\n", {"memory/a/memory.limit_in_bytes": "4096\n", "a/memory.max": "8192\n"}, 4096),
        ("1:cpu:/a\n", {"memory/a/memory.limit_in_bytes": "4096\n"}, MACHINE),
    ],
)
def test_it_is_the_least_that_a_control_group_allows(
    world: World, groups: str, files: dict[str, str], there_is: int
) -> None:
    world.writes("proc/self/cgroup", groups)
    for path, text in files.items():
        world.writes(f"sys/fs/cgroup/{path}", text)
    assert memory_there_is(world.root) == there_is


@has_proc
def test_the_real_figures_are_plausible() -> None:
    assert MIB < memory_used() < memory_there_is() <= MACHINE


# Disk -----------------------------------------------------------------------------------------------------------------


def test_disk_is_low_below_the_limit(
    world: World, alarms: Alarms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.uses(1)
    free = {tmp_path: 1000}
    monkeypatch.setattr(watch, "disk_free", lambda directory: free[directory])
    looks = Watch(alarms, 1.0, 1000, tmp_path, world.root)
    with structlog.testing.capture_logs() as log:
        looks.tick()
        assert not alarms.blocking
        free[tmp_path] = 999
        looks.tick()
        looks.tick()
        assert alarms.reason == "low on disk"
        assert (alarms.disk_free, alarms.disk_free_limit) == (999, 1000)
        free[tmp_path] = 1000
        looks.tick()
        assert not alarms.blocking
    assert seen(log) == [("alarm_set", "warning", "disk", 999, 1000), ("alarm_cleared", "info", "disk", 1000, 1000)]


def test_what_the_store_has_found_is_not_taken_back(
    world: World, alarms: Alarms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.uses(1)
    alarms.set("disk", "store")
    looks = Watch(alarms, 1.0, 1000, tmp_path, world.root)
    for free in (2000, 0, 2000):
        monkeypatch.setattr(watch, "disk_free", lambda _, free=free: free)
        looks.tick()
        assert alarms.is_low("disk")


def test_in_memory_there_is_no_disk(world: World, alarms: Alarms) -> None:
    world.uses(1)
    Watch(alarms, 1.0, 10**15, None, world.root).tick()
    assert not alarms.blocking
    assert (alarms.disk_free, alarms.disk_free_limit) == (None, None)


def test_a_disk_that_cannot_be_asked_changes_nothing_and_that_is_said_once(
    world: World, alarms: Alarms, tmp_path: Path
) -> None:
    world.uses(1)
    directory = tmp_path / "data"
    directory.mkdir()
    looks = Watch(alarms, 1.0, 10**15, directory, world.root)
    looks.tick()
    assert alarms.is_low("disk")
    directory.rmdir()
    with structlog.testing.capture_logs() as log:
        looks.tick()
        looks.tick()
    assert [(entry["event"], entry["resource"]) for entry in log] == [("not_measured", "disk")]
    assert str(directory) in log[0]["reason"]
    assert alarms.is_low("disk")


def test_free_space_is_what_is_left_for_everybody(tmp_path: Path) -> None:
    found = os.statvfs(tmp_path)
    assert abs(disk_free(tmp_path) - found.f_bavail * found.f_frsize) < 256 * MIB  # others write meanwhile
