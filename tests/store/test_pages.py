"""Whether all pages are there: what LMDB does with the file is the judge."""

import random
import signal
import struct
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from amqpd.store.environment import END, Batch, Environment, Sweep
from amqpd.store.pages import is_whole
from tests.store.support import chunks_of, persistent

PAGE = 4096


def test_a_new_file_is_whole(tmp_path: Path) -> None:
    Environment(tmp_path / "file.mdb").close()
    assert is_whole(tmp_path / "file.mdb")


def test_a_store_is_whole_after_each_commit_though_its_file_may_be_shorter_than_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Environment, "_make_room", lambda environment, batch: None)  # which makes it longer
    chance = random.Random(3)
    path = tmp_path / "file.mdb"
    environment = Environment(path, sync=False)
    position = floor = 1
    shorter = 0
    for _ in range(150):
        bodies = ["x" * chance.choice([1, 50, 1000, 3000, 20_000, 100_000])] * chance.randrange(1, 5)
        batch = Batch(chunks=chunks_of(1, position, persistent(*bodies)))
        position += len(bodies)
        floor = chance.randrange(floor, position + 1)
        batch.sweeps = [Sweep(1, 0, floor)]
        environment.commit(batch)
        shorter += environment.octets > path.stat().st_size
        assert is_whole(path)
        assert environment.is_whole
        assert all(not environment.read(1, first, END, 1)[1] for _, first, _ in environment.heads())
    environment.close()
    assert shorter


@pytest.mark.parametrize("seed", range(4))
def test_a_file_is_whole_if_and_only_if_lmdb_can_use_all_of_it(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    path = tmp_path / "file.mdb"
    with lmdb.open(str(path), map_size=1 << 24, subdir=False, sync=False) as environment:
        for _ in range(8):
            with environment.begin(write=True) as transaction:
                for _ in range(60):
                    key = b"%d" % chance.randrange(300)
                    if chance.random() < 0.6:
                        transaction.put(key, bytes(chance.choice([10, 1500, 3000, 9000, 50_000])))
                    else:
                        transaction.delete(key)
    octets = path.read_bytes()
    needed = len(octets) // PAGE
    while is_whole(path):
        needed -= 1
        path.write_bytes(octets[: needed * PAGE])
    assert use_all(path) == signal.SIGBUS
    path.write_bytes(octets[: (needed + 1) * PAGE])
    assert use_all(path) == 0


USE_ALL = """
import lmdb, sys
environment = lmdb.open(sys.argv[1], map_size=1 << 24, subdir=False)
with environment.begin(write=True) as transaction:
    for key, value in list(transaction.cursor()):
        assert not any(value)
        transaction.delete(key)
"""


def use_all(path: Path) -> int:
    """Read all there is, and delete it. Returns the signal that ended the process that did."""
    return -subprocess.run([sys.executable, "-c", USE_ALL, str(path)], check=False).returncode


def test_a_file_that_refers_in_circles_is_not_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.mdb"
    environment = Environment(path)
    for number in range(200):
        environment.commit(Batch({b"t%d" % number: bytes(100)}))
    environment.close()
    assert is_whole(path)
    octets = bytearray(path.read_bytes())
    metas = [struct.unpack_from("=QQQ", octets, PAGE * meta + 128) for meta in (0, 1)]
    number = max((transaction, root) for root, _, transaction in metas)[1]
    node = number * PAGE + int.from_bytes(octets[number * PAGE + 16 :][:2], "little")
    octets[node : node + 6] = number.to_bytes(6, "little")  # the root's first child is the root
    path.write_bytes(octets)
    assert not is_whole(path)
