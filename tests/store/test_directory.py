"""The data directory: made, locked, and refused with its octets untouched when it is not for us."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from amqpd.store import StoreUnusable, environment, open_store
from amqpd.store.codec import record_key
from amqpd.store.directory import FORMAT_VERSION, LOCK, MAIN, SPILL, open_to_read
from amqpd.store.environment import FORMAT, Batch, Environment
from tests.store.support import QUEUE, persistent

as_root = os.geteuid() == 0


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """A directory in which a broker has run, with a queue and a message of some size."""
    directory = tmp_path / "data"
    with open_store(directory) as store:
        store.save(QUEUE)
        log = store.open_log(QUEUE)
        log.append(1, persistent("x" * 100_000), 100_000, False)
        store.main.environment.commit(store.main.cut())
    return directory


def files(directory: Path) -> dict[str, bytes | None]:
    """All files with their octets; but LMDB's lock files, which it makes and marks before it looks at anything."""
    found = {path.name: path for path in directory.iterdir() if path.name not in (LOCK, f"{MAIN}-lock")}
    return {name: None if path.is_dir() else path.read_bytes() for name, path in found.items()}


def refused(directory: Path) -> str:
    """Why it is; and nothing in it has changed."""
    before = files(directory)
    with pytest.raises(StoreUnusable) as caught, open_store(directory):
        pass
    assert files(directory) == before
    text = str(caught.value)
    assert text.startswith(f"data directory {directory}: ")
    return text.removeprefix(f"data directory {directory}: ")


def test_a_directory_is_made(tmp_path: Path) -> None:
    directory = tmp_path / "in" / "data"
    with open_store(directory) as store:
        assert list(store.records()) == []
        assert sorted(path.name for path in directory.iterdir()) == sorted(
            [LOCK, MAIN, f"{MAIN}-lock", SPILL, f"{SPILL}-lock"]
        )
        assert (directory / LOCK).read_text() == f"{os.getpid()}\n"
        assert [oct(path.stat().st_mode & 0o077) for path in (directory, directory / MAIN)] == ["0o0", "0o0"]
    assert sorted(path.name for path in directory.iterdir()) == sorted([LOCK, MAIN, f"{MAIN}-lock"])


def test_it_is_used_again(used: Path) -> None:
    for _ in range(2):
        with open_store(used) as store:
            assert list(store.records()) == [QUEUE]
            assert store.main.environment.get(FORMAT) == b"%d" % FORMAT_VERSION


def test_what_spilled_in_a_broker_that_crashed_is_thrown_away(used: Path) -> None:
    (used / SPILL).write_bytes(b"anything")
    with open_store(used) as store:
        assert list(store.spill.environment.heads()) == []
    assert not (used / SPILL).exists()


def test_a_file_whose_making_was_interrupted_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / f"{MAIN}.new").write_bytes(b"anything")
    with open_store(tmp_path) as store:
        assert list(store.records()) == []
    assert sorted(files(tmp_path)) == [MAIN]


# In use


def test_two_brokers_do_not_share_a_directory(used: Path) -> None:
    program = (
        "import sys, pathlib; from amqpd.store import open_store\n"
        "with open_store(pathlib.Path(sys.argv[1])): print('ready', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(used)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        assert refused(used) == (
            f"in use by another amqpd (process {other.pid}); stop that one, or choose another directory (--data-dir)"
        )
        with open_to_read(used) as reading:  # but one can look
            assert len(reading.topology()) == 1
        other.communicate()
    with open_store(used):
        pass


def test_a_directory_is_free_again_when_opening_it_has_failed(used: Path) -> None:
    whole = (used / MAIN).read_bytes()
    (used / MAIN).write_bytes(b"garbage" * 10_000)
    refused(used)
    (used / MAIN).write_bytes(whole)
    with open_store(used):
        pass


def test_what_the_broker_raises_is_not_the_directorys(used: Path) -> None:
    with pytest.raises(OSError, match="of the broker"), open_store(used):
        raise OSError("of the broker")
    with open_store(used):
        pass


def test_an_older_format_is_raised(used: Path) -> None:
    change(used, FORMAT, b"1")
    with open_store(used) as store:
        assert store.main.environment.get(FORMAT) == b"%d" % FORMAT_VERSION


# Not ours


def test_a_newer_format(used: Path) -> None:
    change(used, FORMAT, b"%d" % (FORMAT_VERSION + 1))
    assert refused(used) == (
        f"written by a newer amqpd (format {FORMAT_VERSION + 1}; this one reads up to {FORMAT_VERSION}); start that "
        "version, or choose another directory (--data-dir)"
    )


def change(directory: Path, key: bytes, value: bytes | None) -> None:
    environment = Environment(directory / MAIN)
    environment.commit(Batch({key: value}))
    environment.close()


ADVICE = ". Nothing was changed. Restore it from a backup, or move it away to start with an empty one"


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (FORMAT, None, f"{MAIN} does not say what format it has"),
        (FORMAT, b"", f"{MAIN} has format b''"),
        (FORMAT, b"one", f"{MAIN} has format b'one'"),
        (record_key(QUEUE), b"", "wrong checksum: a record"),
    ],
)
def test_something_in_it_is_damaged(used: Path, key: bytes, value: bytes | None, reason: str) -> None:
    change(used, key, value)
    assert refused(used) == f"damaged: {reason}{ADVICE}"


@pytest.mark.parametrize("octets", [b"garbage" * 100_000, b"x", bytes(8192), bytes(1_000_000)])
def test_a_file_that_is_none_of_lmdb(used: Path, octets: bytes) -> None:
    (used / MAIN).write_bytes(octets)
    text = refused(used)
    assert text.startswith(f"damaged: {MAIN}: ")
    assert text.endswith(ADVICE)


def test_an_empty_file(used: Path) -> None:
    (used / MAIN).write_bytes(b"")
    assert refused(used) == f"damaged: {MAIN} is empty{ADVICE}"


@pytest.mark.parametrize("size", [1, 100, 4095, 4096, 4097, 8191, 8192, 12288, -8192, -4096, -1])
def test_a_file_that_is_cut_off(used: Path, size: int) -> None:
    """Somewhere at its beginning, or so many octets before the end of what is in it."""
    with open_to_read(used) as environment:
        left = size if size > 0 else environment.octets + size
    os.truncate(used / MAIN, left)
    text = refused(used)
    assert text.startswith(f"damaged: {MAIN}")
    assert text.endswith(ADVICE)
    if left > 8192:  # there are the two pages without which LMDB does not begin
        assert text == f"damaged: {MAIN} is cut off at {left} octets{ADVICE}"


def test_what_was_only_reserved_may_be_cut_off(used: Path) -> None:
    with open_to_read(used) as environment:
        os.truncate(used / MAIN, environment.octets)
    with open_store(used) as store:
        assert list(store.records()) == [QUEUE]


def test_octets_behind_the_end_do_no_harm(used: Path) -> None:
    with (used / MAIN).open("ab") as file:
        file.write(bytes(10_000))
    with open_store(used) as store:
        assert list(store.records()) == [QUEUE]


# The file system


@pytest.mark.parametrize("name", [MAIN, LOCK, SPILL])
def test_a_directory_where_a_file_should_be(used: Path, name: str) -> None:
    (used / name).unlink(missing_ok=True)
    (used / name).mkdir()
    assert refused(used)
    assert (used / name).is_dir()


def test_a_file_where_the_directory_should_be(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"mine")
    with pytest.raises(StoreUnusable, match=r"File exists; choose another one \(--data-dir\)"):
        open_store(tmp_path / "data").__enter__()
    assert (tmp_path / "data").read_bytes() == b"mine"


@pytest.mark.skipif(as_root, reason="root may do everything")
@pytest.mark.parametrize("name", ["", MAIN, LOCK])
def test_no_permission(used: Path, name: str) -> None:
    (used / name).chmod(0)
    try:
        with pytest.raises(StoreUnusable, match="Permission denied"), open_store(used):
            pass
    finally:
        (used / name).chmod(0o700)


def failing(what: str) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise environment.WriteFailed(what)

    return fail


@pytest.mark.parametrize("new", [True, False])
def test_a_disk_that_is_full_at_the_start(
    used: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new: bool
) -> None:
    directory = tmp_path / "new" if new else used
    with monkeypatch.context() as patched:
        patched.setattr(Environment, "commit", failing("No space left on device"))
        with pytest.raises(StoreUnusable, match="cannot be written: No space left on device"), open_store(directory):
            pass
    assert (directory / MAIN).exists() == (not new)
    with open_store(directory):
        pass


# Only to read


def test_there_is_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match=f"there is no {MAIN} in it"), open_to_read(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_is_damaged_cannot_be_read_either(used: Path) -> None:
    (used / MAIN).write_bytes(b"")
    with pytest.raises(StoreUnusable, match="damaged"), open_to_read(used):
        pass
    assert (used / MAIN).read_bytes() == b""
