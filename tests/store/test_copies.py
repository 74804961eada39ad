"""Copies: whole, usable at once, and never instead of something that was there before."""

import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from amqpd.store.check import check
from amqpd.store.copies import back_up, compact
from amqpd.store.directory import MAIN, open_to_read
from amqpd.store.environment import CLEAN, Environment, StoreUnusable
from tests.store.running import running

COPY = "store.mdb.new"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """With a queue "q" that had 2 MB, and has three messages left."""
    directory = tmp_path / "data"
    with running(directory) as peer:
        peer.declare("q")
        peer.keep("q", *(bytes(100_000) for _ in range(20)))
        peer.session.purge_queue("q")
        peer.keep("q", b"one", b"two", b"three")
    return directory


def empty(directory: Path) -> list[str]:
    """What is in the queue, when a broker starts there: taken out."""
    with running(directory) as peer:
        return peer.empty("q")


def tool(command: str, *arguments: str, **options: object) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "amqpd", "store", command, *arguments]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload,no-any-return]


# Compact --------------------------------------------------------------------------------------------------------------


def test_compacting_gives_space_back_and_keeps_what_is_there(directory: Path) -> None:
    size = (directory / MAIN).stat().st_size
    before, after = compact(directory)
    assert before == size > 2_000_000
    assert after == (directory / MAIN).stat().st_size < 100_000
    assert stat.S_IMODE((directory / MAIN).stat().st_mode) == 0o600
    assert sorted(file.name for file in directory.iterdir()) == ["amqpd.lock", MAIN]
    assert check(directory, lambda line: None)
    with open_to_read(directory) as environment:
        assert environment.get(CLEAN) is not None
    assert empty(directory) == ["one", "two", "three"]


def test_what_a_broker_has_open_is_not_compacted(directory: Path) -> None:
    with running(directory):
        process = tool("compact", "--data-dir", str(directory))
        assert process.wait() == 1
        told = process.communicate()[1]
        assert told.startswith(f"Error: data directory {directory}: in use by another amqpd (process {os.getpid()})")
    assert not (directory / COPY).exists()


def test_where_there_is_no_store_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match=r"there is no store\.mdb in it"):
        compact(tmp_path / "typo")
    assert not (tmp_path / "typo").exists()


def test_an_interrupted_compaction_leaves_the_old_file(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(environment: Environment, descriptor: int) -> None:
        os.write(descriptor, b"a part")
        raise KeyboardInterrupt

    monkeypatch.setattr(Environment, "copy", interrupted)
    before = (directory / MAIN).read_bytes()
    with pytest.raises(KeyboardInterrupt):
        compact(directory)
    assert (directory / MAIN).read_bytes() == before
    assert not (directory / COPY).exists()
    assert empty(directory) == ["one", "two", "three"]


def test_what_a_killed_compaction_has_left_is_in_nobodys_way(directory: Path) -> None:
    (directory / COPY).write_bytes(b"a part")
    compact(directory)
    assert not (directory / COPY).exists()
    assert empty(directory) == ["one", "two", "three"]


def small_files() -> None:
    """For a process that can write 8 KiB to a file, and no more."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


@pytest.mark.parametrize("command", ["compact", "backup"])
def test_there_is_no_space_for_the_copy(directory: Path, tmp_path: Path, command: str) -> None:
    arguments = {"compact": [], "backup": [str(tmp_path / "copy")]}[command]
    process = tool(command, "--data-dir", str(directory), *arguments, preexec_fn=small_files)
    told = process.communicate()[1]
    assert process.returncode == 1
    place = {"compact": directory / COPY, "backup": tmp_path / "copy" / MAIN}[command]
    assert told.startswith(f"Error: {place} cannot be written: ")
    assert "octets of free space" in told
    assert not place.exists()
    assert empty(directory) == ["one", "two", "three"]


READER = """
import sys
from pathlib import Path
from amqpd.store.directory import open_to_read
with open_to_read(Path(sys.argv[1])) as environment:
    print(len(environment.topology()), flush=True)
    input()
    print(len(environment.topology()), flush=True)
"""


def test_a_tool_that_still_reads_the_old_file_disturbs_nobody(directory: Path) -> None:
    """LMDB's lock file counts transactions, and would count those of the old file for the new one."""
    command = [sys.executable, "-c", READER, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "1\n"
        compact(directory)
        with running(directory) as peer:
            peer.declare("another")
            peer.keep("q", b"four")
        assert reader.communicate("\n")[0] == "1\n"
    assert check(directory, lambda line: None)
    assert empty(directory) == ["one", "two", "three", "four"]


# Back up --------------------------------------------------------------------------------------------------------------


def test_a_copy_while_a_broker_runs(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "far" / "copy"
    with running(data) as peer:
        peer.declare("q")
        peer.keep("q", b"one", b"two")
        process = tool("backup", "--data-dir", str(data), str(copy))
        told = process.communicate()[0]
        assert process.returncode == 0
        peer.keep("q", b"too late")
    assert told == f"{copy}: {(copy / MAIN).stat().st_size:,} octets\n"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o700
    assert stat.S_IMODE((copy / MAIN).stat().st_mode) == 0o600
    assert check(copy, lambda line: None)
    assert empty(copy) == ["one*", "two*"]  # they may have been handed out: nobody knows
    assert empty(data) == ["one", "two", "too late"]


def test_a_copy_of_a_stopped_broker_does_not_know_either_what_is_handed_out_later(
    directory: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    back_up(directory, copy)
    assert empty(directory) == ["one", "two", "three"]
    assert empty(copy) == ["one*", "two*", "three*"]


def a_file(path: Path) -> None:
    path.write_text("something")


def not_empty(path: Path) -> None:
    path.mkdir()
    (path / "something").write_text("something")


@pytest.mark.parametrize(("make", "reason"), [(a_file, "File exists"), (not_empty, "not empty")])
def test_nothing_is_overwritten(directory: Path, tmp_path: Path, make: Callable[[Path], None], reason: str) -> None:
    destination = tmp_path / "there"
    make(destination)
    before = sorted(tmp_path.rglob("there*"))
    with pytest.raises(StoreUnusable, match=f"{destination}: {reason}"):
        back_up(directory, destination)
    assert sorted(tmp_path.rglob("there*")) == before


def test_not_into_itself(directory: Path) -> None:
    with pytest.raises(StoreUnusable, match="not empty"):
        back_up(directory, directory)
    assert empty(directory) == ["one", "two", "three"]


def test_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match=r"there is no store\.mdb in it"):
        back_up(tmp_path / "data", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
