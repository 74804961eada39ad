"""Definitions in files: read when the daemon starts and on SIGHUP, and by the commands that work on a data directory.

What is in them is the business of ``amqpd.broker.definitions``. Passwords in clear text and hashes are never shown: of
an item, only its place and its name are.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from amqpd.broker.broker import DEFAULT_VHOST, Broker
from amqpd.broker.definitions import DefinitionsUnusable, Imported, export_definitions, import_definitions
from amqpd.broker.records import VHostRecord
from amqpd.store import StoreUnusable
from amqpd.store.codec import Damaged, decode_record
from amqpd.store.directory import damaged, open_store, open_to_read
from amqpd.store.journal import Journal

SIZE_MAX = 64 << 20
"""Octets of a file: some 200,000 queues with their bindings. JSON takes ten times its size when it is read."""

MakeBroker = Callable[..., Broker]


def read_definitions(path: Path) -> Any:
    """The JSON in a file. DefinitionsUnusable: it cannot be read, is too large, or is none."""
    try:
        with path.open("rb") as file:
            octets = file.read(SIZE_MAX + 1)
    except OSError as error:
        raise DefinitionsUnusable([f"{path} cannot be read: {error.strerror}"]) from error
    if len(octets) > SIZE_MAX:
        raise DefinitionsUnusable([f"{path} is larger than {SIZE_MAX:,} octets"])
    try:
        return json.loads(octets.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DefinitionsUnusable([f"{path} is not JSON: {error}"]) from None


def write_definitions(path: Path, definitions: dict[str, Any]) -> None:
    """Nobody else may read the file: there are hashes of passwords in it. One that is there is replaced."""

    def private(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_EXCL, 0o600)

    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with open(new, "w", encoding="ascii", opener=private) as file:
        file.write(as_text(definitions) + "\n")
    new.replace(path)


def as_text(definitions: dict[str, Any]) -> str:
    return json.dumps(definitions, indent=2, allow_nan=False)


def export_from(directory: Path, vhost: str | None = None) -> dict[str, Any]:
    """What is kept in a data directory, of which a broker may be running. StoreUnusable: nothing, or no such vhost."""
    with open_to_read(directory) as environment:
        try:
            records = [decode_record(value)[0] for value in environment.topology()]
        except Damaged as error:
            raise damaged(directory, str(error)) from error
    if vhost not in (None, DEFAULT_VHOST) and VHostRecord(str(vhost)) not in records:
        raise StoreUnusable(f"data directory {directory}: there is no vhost '{vhost}' in it")
    return export_definitions(records, vhost)


def import_into(directory: Path, path: Path, make_broker: MakeBroker, vhost: str | None = None) -> Imported:
    """Have definitions kept in a data directory, of which no broker may be running. StoreUnusable; WriteFailed."""
    definitions = read_definitions(path)
    with open_store(directory) as store:
        broker = make_broker(store)
        try:
            imported = import_definitions(broker, definitions, vhost, at_start=True)
        except DefinitionsUnusable:
            store.abandon()
            raise
        broker.close()
        store.close()
        _write(store.main, broker)
    return imported


def _write(journal: Journal, broker: Broker) -> None:
    while journal.has_changes:
        batch = journal.cut()
        journal.environment.commit(batch)
        journal.is_written(batch, broker.agenda)
