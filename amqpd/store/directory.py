"""The data directory: whose it is, whether we can read what lies there, and what lies where.

A broker locks its directory, so that there are never two. Tools that only read may come beside it: LMDB shows them
the state of one moment. Whatever is wrong is found before anything is written, and told with what to do.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import lmdb

from amqpd.store.codec import Damaged
from amqpd.store.environment import FORMAT, Batch, Environment, StoreUnusable, WriteFailed
from amqpd.store.store import DurableStore

MAIN = "store.mdb"
SPILL = "spill.mdb"
LOCK = "amqpd.lock"

FORMAT_VERSION = 2
"""Of what lies in the store. Raised when an older amqpd could not read it any more. Format 1 had no lanes, no deadlines
and fewer kinds of records; all it has means the same in format 2."""

_FORMAT = b"%d" % FORMAT_VERSION


@contextmanager
def open_store(directory: Path) -> Iterator[DurableStore]:
    """The store in a directory, made if there is none, for a broker of its own. StoreUnusable: not this directory."""
    with ExitStack() as stack:
        stack.enter_context(locked(directory))
        try:
            if not (directory / MAIN).exists():
                _create(directory)
            main = stack.enter_context(_opened_main(directory))
            _remove_spill(directory)
            stack.callback(_remove_spill, directory)
            spill = stack.enter_context(_opened(directory / SPILL, sync=False))
            store = DurableStore(main, spill)
            if main.get(FORMAT) != _FORMAT:  # what is written from now on, an older amqpd could not read
                main.commit(Batch({FORMAT: _FORMAT}))
        except (Damaged, lmdb.Error) as error:
            raise damaged(directory, str(error)) from error
        except (OSError, WriteFailed) as error:
            raise StoreUnusable(f"data directory {directory}: cannot be written: {error}") from error
        yield store


@contextmanager
def open_to_read(directory: Path) -> Iterator[Environment]:
    """The main file in a directory, of which a broker may be running. StoreUnusable: there is none to read."""
    if not (directory / MAIN).exists():
        raise StoreUnusable(
            f"data directory {directory}: there is no {MAIN} in it, so no broker has stored anything here"
        )
    with _opened_main(directory, readonly=True) as environment:
        yield environment


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Have a directory, made if there is none, to oneself."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnusable(
            f"data directory {directory}: {error.strerror}; choose another one (--data-dir), or none (--in-memory)"
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(lock, 20).decode("ascii", "replace").strip() or "?"
            raise StoreUnusable(
                f"data directory {directory}: in use by another amqpd (process {owner}); stop that one, or choose "
                "another directory (--data-dir)"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        os.close(lock)  # and so unlocked, as it is however the process ends


def sync_directory(directory: Path) -> None:
    """Files that were made, renamed or deleted here are so after a power cut too; syncing a file does not say that."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def damaged(directory: Path, reason: str) -> StoreUnusable:
    return StoreUnusable(
        f"data directory {directory}: damaged: {reason}. Nothing was changed. Restore it from a backup, or move it "
        "away to start with an empty one"
    )


def _create(directory: Path) -> None:
    """A new main file. It gets its name when it is whole: so there is never one that says nothing, but for a reason."""
    path = directory / f"{MAIN}.new"
    path.unlink(missing_ok=True)
    with _opened(path) as environment:
        environment.commit(Batch({FORMAT: _FORMAT}))
    path.with_name(f"{path.name}-lock").unlink()
    path.rename(directory / MAIN)
    sync_directory(directory)
    sync_directory(directory.parent)


@contextmanager
def _opened_main(directory: Path, readonly: bool = False) -> Iterator[Environment]:
    """The main file, which is there, and one that we can read."""
    path = directory / MAIN
    if not path.stat().st_size:  # LMDB would take it for a new one
        raise damaged(directory, f"{MAIN} is empty")
    with _opened(path, readonly=readonly) as environment:
        try:
            _check(environment, path)
        except lmdb.Error as error:
            raise damaged(directory, f"{MAIN}: {error}") from error
        yield environment


@contextmanager
def _opened(path: Path, sync: bool = True, readonly: bool = False) -> Iterator[Environment]:
    directory = path.parent
    try:
        environment = Environment(path, sync, readonly)
    except (lmdb.InvalidError, lmdb.CorruptedError, lmdb.VersionMismatchError, lmdb.NotFoundError) as error:
        raise damaged(directory, f"{path.name}: {error}") from error
    except lmdb.Error as error:
        raise StoreUnusable(f"data directory {directory}: {path.name} cannot be opened: {error}") from error
    try:
        yield environment
    finally:
        environment.close()


def _check(environment: Environment, path: Path) -> None:
    directory = path.parent
    if not environment.is_whole:
        raise damaged(directory, f"{path.name} is cut off at {path.stat().st_size} octets")
    written = environment.get(FORMAT)
    if written is None:
        raise damaged(directory, f"{path.name} does not say what format it has")
    if not written.isdigit():
        raise damaged(directory, f"{path.name} has format {written!r}")
    if int(written) > FORMAT_VERSION:
        raise StoreUnusable(
            f"data directory {directory}: written by a newer amqpd (format {int(written)}; this one reads up to "
            f"{FORMAT_VERSION}); start that version, or choose another directory (--data-dir)"
        )


def _remove_spill(directory: Path) -> None:
    for name in (SPILL, f"{SPILL}-lock"):
        (directory / name).unlink(missing_ok=True)
