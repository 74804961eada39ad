"""Copies of a store: a smaller one in its own place, and one elsewhere while a broker runs.

A copy holds what LMDB had at one moment, and no free pages. It is synced before anything relies on it.
"""

import os
from pathlib import Path

from amqpd.store.codec import Damaged
from amqpd.store.directory import MAIN, locked, open_store, open_to_read, sync_directory
from amqpd.store.environment import Environment, StoreUnusable, WriteFailed

COPY = f"{MAIN}.new"


def compact(directory: Path) -> tuple[int, int]:
    """Give free space back to the system: octets of the store's file before and after.

    Nobody else may have the directory. However it ends, there is the old file or the new one. StoreUnusable: not this
    directory, or not enough space for the copy, or the file is damaged.
    """
    with open_to_read(directory) as environment, locked(directory):
        main, copy = directory / MAIN, directory / COPY
        copy.unlink(missing_ok=True)
        _copy(environment, copy)
        sizes = main.stat().st_size, copy.stat().st_size
        copy.replace(main)
        # The lock file counts the transactions of the old file, and is used on while a tool has that open.
        (directory / f"{MAIN}-lock").unlink(missing_ok=True)
        sync_directory(directory)
    return sizes


def back_up(directory: Path, destination: Path) -> int:
    """Copy a store into another directory, new or empty, in which a broker can start: octets of its file.

    StoreUnusable: as for :func:`compact`, or something is there already.
    """
    with open_to_read(directory) as environment:
        try:
            destination.mkdir(mode=0o700, parents=True, exist_ok=True)
            is_empty = not any(destination.iterdir())
        except OSError as error:
            raise StoreUnusable(f"{destination}: {error.strerror}; choose a directory that is new or empty") from error
        if not is_empty:
            raise StoreUnusable(f"{destination}: not empty, and nothing in it is overwritten; choose another directory")
        _copy(environment, destination / MAIN)
    # As a broker would find it: then it is good. And it must not say any more what was handed out up to an orderly
    # stop, since when it is used, more may have been.
    with open_store(destination):
        sync_directory(destination)
    return (destination / MAIN).stat().st_size


def _copy(environment: Environment, path: Path) -> None:
    """All of it or, whatever comes between, no such file."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            environment.copy(descriptor)
            os.fsync(descriptor)
        except BaseException:
            path.unlink()
            raise
        finally:
            os.close(descriptor)
    except (OSError, WriteFailed) as error:
        raise StoreUnusable(
            f"{path} cannot be written: {error}. It needs {environment.octets_in_use:,} octets of free space"
        ) from error
    except Damaged as error:
        raise StoreUnusable(f"{environment.path} cannot be copied: {error}; amqpd store check tells more") from error
