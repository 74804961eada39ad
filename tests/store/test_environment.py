"""One file of LMDB: batches whole or not at all, chunks back as they were, sweeps that may take their time."""

import errno
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from amqpd.broker.message import Message
from amqpd.store import codec, environment
from amqpd.store.codec import Chunk, Damaged, decode_chunk, encode_state, piece_key, state_key
from amqpd.store.environment import END, RESERVE, Batch, Environment, Sweep, WriteFailed
from amqpd.store.gone import Gone
from tests.store.support import Faulty, chunks_of, persistent


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Faulty]:
    environment = Faulty(tmp_path / "file.mdb")
    yield environment
    environment.close()


def batch_of(queue: int, first: int, messages: list[Message]) -> Batch:
    return Batch(chunks=chunks_of(queue, first, messages))


def put(file: Environment, queue: int, first: int, *bodies: str) -> None:
    """One chunk."""
    file.commit(batch_of(queue, first, persistent(*bodies)))


def heads(file: Environment) -> list[tuple[int, int, int]]:
    return [(queue, first, head.last) for queue, first, head in file.heads()]


def read(file: Environment, queue: int, start: int = 1, stop: int = END, octets: int = 1 << 60) -> str:
    """The bodies of what is read, chunk by chunk."""
    chunks, damages = file.read(queue, start, stop, octets)
    assert damages == []
    return " ".join(bodies(chunk) for chunk in chunks)


def bodies(chunk: Chunk) -> str:
    return "".join(message.body.decode() for _, message in decode_chunk(chunk))


# Batches


def test_a_batch_of_every_kind(file: Faulty) -> None:
    file.commit(Batch({b"t1": b"one", b"t2": b"two", state_key(7): encode_state(Gone(3, [(5, 6)]), 4)}))
    put(file, 7, 1, *"ab")
    batch = batch_of(7, 3, persistent(*"cd"))
    batch.changes = {b"t1": None, b"t3": b"three", b"t4": None}
    batch.sweeps = [Sweep(7, 1, 3)]
    file.commit(batch)
    assert batch.sweeps == []
    assert file.topology() == [b"two", b"three"]
    assert (file.get(b"t2"), file.get(b"t1")) == (b"two", None)
    ((queue, (gone, delivered)),) = file.states().items()
    assert (queue, gone.floor, gone.intervals, delivered) == (7, 3, [(5, 6)], 4)
    assert heads(file) == [(7, 3, 4)]
    assert read(file, 7) == "cd"


def test_a_batch_that_fails_has_done_nothing_and_can_be_written_again(file: Faulty) -> None:
    put(file, 7, 1, "a")
    batch = batch_of(7, 2, persistent("b"))
    batch.changes = {b"t1": b"one"}
    batch.sweeps = [Sweep(7, 1, 2)]
    file.next("fails")
    with pytest.raises(WriteFailed, match="No space left on device"):
        file.commit(batch)
    assert (file.topology(), read(file, 7)) == ([], "a")
    assert batch.sweeps == [Sweep(7, 1, 2)]
    file.commit(batch)
    assert (file.topology(), read(file, 7)) == ([b"one"], "b")


def test_what_was_written_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    for body in "abc":
        file = Environment(tmp_path / "file.mdb")
        put(file, ord(body), 1, body)
        file.close()
    file = Environment(tmp_path / "file.mdb", readonly=True)
    assert [read(file, ord(body)) for body in "abc"] == ["a", "b", "c"]
    with pytest.raises(WriteFailed):
        put(file, 1, 1, "d")
    file.close()


def test_the_map_grows_and_what_was_to_be_swept_then_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "MAP_SIZE_MIN", 1 << 16)
    file = Environment(tmp_path / "file.mdb")
    put(file, 1, 1, "a")
    batch = batch_of(1, 2, persistent("b" * 1_000_000))
    batch.sweeps = [Sweep(1, 1, 2)]
    file.commit(batch)
    assert heads(file) == [(1, 2, 2)]
    assert file.octets > 1 << 16
    file.close()
    file = Environment(tmp_path / "file.mdb")  # with a map that is large enough from the start
    assert read(file, 1) == "b" * 1_000_000
    file.close()


def test_the_map_cannot_grow_and_then_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LMDB gives its environment up then, and so it is opened anew."""
    monkeypatch.setattr(environment, "MAP_SIZE_MIN", 1 << 16)
    file = Environment(tmp_path / "file.mdb", sync=False)
    put(file, 1, 1, "a")
    limits = resource.getrlimit(resource.RLIMIT_AS)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    batch = batch_of(1, 2, persistent("b" * 20_000_000))
    try:
        resource.setrlimit(resource.RLIMIT_AS, (in_use + 10_000_000, limits[1]))
        with pytest.raises(WriteFailed, match="Cannot allocate memory"):
            file.commit(batch)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert read(file, 1) == "a"
    file.commit(batch)
    assert heads(file) == [(1, 1, 1), (1, 2, 2)]
    file.close()


def test_a_large_body(file: Faulty) -> None:
    body = "0123456789" * 400_000
    put(file, 1, 1, body)
    put(file, 1, 2, "b")
    assert read(file, 1) == f"{body} b"
    assert file.read_chunk(1, 2).octets.endswith(b"b")
    assert bodies(file.read_chunk(1, 1)) == body
    assert heads(file) == [(1, 1, 1), (1, 2, 2)]
    file.commit(Batch(sweeps=[Sweep(1, 1, 2)]))
    assert heads(file) == [(1, 2, 2)]
    assert read(file, 1) == "b"


# Room


def test_messages_leave_a_reserve_behind_them(file: Faulty) -> None:
    put(file, 1, 1, "a" * 100_000)
    assert file.path.stat().st_size >= file.octets + RESERVE
    size = file.path.stat().st_size
    file.commit(Batch({b"t1": bytes(100)}))
    put(file, 1, 2, "b")
    assert file.path.stat().st_size == size  # there is enough for a while
    put(file, 1, 3, "c" * 2 * RESERVE)
    assert file.path.stat().st_size >= file.octets + RESERVE


def test_its_size_is_the_files_whatever_lmdb_says(file: Faulty) -> None:
    before = file.octets_in_file
    assert before == file.path.stat().st_size
    file.commit(Batch(chunks=chunks_of(1, 1, persistent(bytes(100_000)))))
    assert file.octets_in_file == file.path.stat().st_size > before + RESERVE


def test_a_file_that_is_used_again_and_again_has_its_reserve_in_its_free_pages(file: Faulty) -> None:
    sizes: set[int] = set()
    for position in range(1, 100):
        put(file, 1, position, "a" * 1_000_000)
        file.commit(Batch(sweeps=[Sweep(1, 0, position)]))
        sizes.add(file.path.stat().st_size)
    assert len(sizes) == 1


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_there_is_no_room_for_messages_and_yet_for_deletions(
    file: Faulty, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    put(file, 1, 1, "a")
    monkeypatch.setattr(os, "posix_fallocate", refusing(reason))
    with pytest.raises(WriteFailed, match=f"{file.path}: {os.strerror(reason)}"):
        put(file, 1, 2, "b" * 2 * RESERVE)
    assert heads(file) == [(1, 1, 1)]
    file.commit(Batch(sweeps=[Sweep(1, 0, 2)]))
    assert heads(file) == []


def refusing(reason: int) -> Callable[[int, int, int], None]:
    def refuse(descriptor: int, offset: int, length: int) -> None:
        raise OSError(reason, os.strerror(reason))

    return refuse


def test_a_file_system_that_cannot_reserve(file: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "posix_fallocate", refusing(errno.EOPNOTSUPP))
    put(file, 1, 1, "a" * 2 * RESERVE)
    monkeypatch.delattr(os, "posix_fallocate")
    put(file, 1, 2, "b" * 2 * RESERVE)
    assert heads(file) == [(1, 1, 1), (1, 2, 2)]


# Reading


@pytest.fixture
def chunks(file: Faulty) -> Faulty:
    """Of queue 2, three chunks with gaps between, and neighbours before and behind."""
    put(file, 1, 1, *"xyz")
    put(file, 2, 10, *"abc")
    put(file, 2, 13, *"de")
    put(file, 2, 20, *"fgh")
    put(file, 3, 1, *"xyz")
    return file


@pytest.mark.parametrize(
    ("start", "found"),
    [
        (1, "abc de fgh"),
        (10, "abc de fgh"),
        (11, "abc de fgh"),  # from the middle of a chunk: that chunk
        (12, "abc de fgh"),
        (13, "de fgh"),
        (14, "de fgh"),
        (15, "fgh"),  # from between two
        (20, "fgh"),
        (22, "fgh"),
        (23, ""),
        (END - 1, ""),
    ],
)
def test_reading_begins_with_the_chunk_that_has_the_position(chunks: Faulty, start: int, found: str) -> None:
    assert read(chunks, 2, start) == found


@pytest.mark.parametrize(("stop", "found"), [(10, ""), (11, "abc"), (13, "abc"), (14, "abc de"), (20, "abc de")])
def test_reading_ends_before_a_position(chunks: Faulty, stop: int, found: str) -> None:
    assert read(chunks, 2, 1, stop) == found


def test_reading_ends_when_it_is_enough_but_never_without_anything(chunks: Faulty) -> None:
    size = len(chunks.read_chunk(2, 10).octets)
    assert read(chunks, 2, 1, END, 1) == "abc"
    assert read(chunks, 2, 1, END, size) == "abc"
    assert read(chunks, 2, 1, END, size + 1) == "abc de"
    assert read(chunks, 2, 15, END, 1) == "fgh"  # the chunk before, which was looked at, does not count


@pytest.mark.parametrize("queue", [0, 4])
def test_a_queue_that_has_nothing(chunks: Faulty, queue: int) -> None:
    assert read(chunks, queue) == ""
    with pytest.raises(Damaged):
        chunks.read_chunk(queue, 1)


def test_an_empty_file(file: Faulty) -> None:
    assert (heads(file), read(file, 1), file.topology(), file.states(), file.get(b"m")) == ([], "", [], {}, None)
    file.commit(Batch(sweeps=[Sweep(1, 0, END)]))


def test_other_things_in_the_file_are_no_chunks(file: Faulty) -> None:
    for key in (b"a", b"b", b"d", b"m", b"s" * 9, b"t"):
        file.commit(Batch({key: b"value"}))
    assert (heads(file), read(file, 1)) == ([], "")
    put(file, 1, 1, "a")
    assert (heads(file), read(file, 1), read(file, 1, 2)) == ([(1, 1, 1)], "a", "")


# Damage


def read_damaged(file: Environment, queue: int, start: int = 1) -> tuple[str, list[str]]:
    chunks, damages = file.read(queue, start, END, 1 << 60)
    return " ".join(bodies(chunk) for chunk in chunks), [str(damage) for damage in damages]


def test_a_chunk_with_a_wrong_checksum_is_passed_over_and_told(chunks: Faulty) -> None:
    key = piece_key(2, 13)
    octets = chunks.get(key)
    assert octets is not None
    chunks.commit(Batch({key: octets[:-1] + b"E"}))
    assert read_damaged(chunks, 2) == ("abc fgh", ["wrong checksum: queue id 2, position 13, piece 0"])
    with pytest.raises(Damaged, match="wrong checksum"):
        chunks.read_chunk(2, 13)


@pytest.mark.parametrize(
    ("lost", "damage"),
    [
        ([0], "a chunk without a head: queue id 2, position 13"),
        ([0, 1], "a chunk without a head: queue id 2, position 13"),
        ([0, 1, 2], None),
        ([0, 2], "a chunk without a head: queue id 2, position 13"),
    ],
)
@pytest.mark.parametrize("start", [1, 13, 14])
def test_a_chunk_without_its_first_piece(
    file: Faulty, monkeypatch: pytest.MonkeyPatch, lost: list[int], damage: str | None, start: int
) -> None:
    monkeypatch.setattr(codec, "PIECE_SIZE", 40)
    put(file, 2, 10, *"abc")
    put(file, 2, 13, "d" * 20, "e" * 20)
    put(file, 2, 20, *"fgh")
    assert file.get(piece_key(2, 13, 2)) is not None
    assert file.get(piece_key(2, 13, 3)) is None
    file.commit(Batch({piece_key(2, 13, piece): None for piece in lost}))
    found, damages = read_damaged(file, 2, start)
    assert found == ("abc fgh" if start == 1 else "fgh")
    assert damages == ([] if damage is None else [damage])


def test_a_piece_in_the_middle_is_lost(file: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "PIECE_SIZE", 40)
    put(file, 2, 13, "d" * 20, "e" * 20)
    put(file, 2, 20, *"fgh")
    file.commit(Batch({piece_key(2, 13, 1): None}))
    chunks, damages = file.read(2, 1, END, 1 << 60)
    assert [str(damage) for damage in damages] == ["a chunk without a head: queue id 2, position 13"]
    with pytest.raises(Damaged, match="a chunk that ends in a record"):
        bodies(chunks[0])
    assert bodies(chunks[1]) == "fgh"


# Sweeps


def swept(file: Faulty, *sweeps: Sweep, at_most: int = 1000) -> list[Sweep]:
    """What is left of sweeps."""
    batch = Batch(sweeps=list(sweeps), sweep_max=at_most)
    file.commit(batch)
    return batch.sweeps


@pytest.mark.parametrize(
    ("start", "stop", "left"),
    [
        (0, 10, [10, 13, 20]),
        (0, 12, [10, 13, 20]),  # a chunk goes when all of it is gone
        (0, 13, [13, 20]),
        (0, 15, [20]),
        (0, 22, [20]),
        (0, END, []),
        (10, 13, [13, 20]),
        (11, 23, [10]),  # the one that began before stays
        (14, 20, [10, 13, 20]),
        (14, 23, [10, 13]),
    ],
)
def test_a_sweep_takes_the_chunks_that_lie_within(chunks: Faulty, start: int, stop: int, left: list[int]) -> None:
    assert swept(chunks, Sweep(2, start, stop)) == []
    assert [first for queue, first, _ in heads(chunks) if queue == 2] == left
    assert [queue for queue, _, _ in heads(chunks) if queue != 2] == [1, 3]


def test_a_large_sweep_goes_on_with_the_next_batch(file: Faulty) -> None:
    for position in range(1, 11):
        put(file, 1, position, "a")
    put(file, 2, 1, "b")
    left = swept(file, Sweep(1, 0, 9), Sweep(2, 0, 9), at_most=3)
    assert left == [Sweep(1, 4, 9), Sweep(2, 0, 9)]
    left = swept(file, *left, at_most=3)
    assert left == [Sweep(1, 7, 9), Sweep(2, 0, 9)]
    left = swept(file, *left, at_most=3)
    assert left == []
    assert heads(file) == [(1, 9, 9), (1, 10, 10)]


def test_a_sweep_does_not_end_within_a_chunk(file: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "PIECE_SIZE", 120)
    for position in (1, 2, 3):
        put(file, 1, position, "a" * 150)  # two pieces each
    assert swept(file, Sweep(1, 0, 4), at_most=3) == [Sweep(1, 3, 4)]
    assert heads(file) == [(1, 3, 3)]
    assert read(file, 1) == "a" * 150
    assert swept(file, Sweep(1, 3, 4)) == []
    assert file.octets_in_use == 0


def test_a_sweep_that_fails_is_still_to_be_done(file: Faulty) -> None:
    put(file, 1, 1, "a")
    sweeps = [Sweep(1, 0, 2)]
    batch = Batch(sweeps=sweeps)
    file.next("fails")
    with pytest.raises(WriteFailed):
        file.commit(batch)
    assert (batch.sweeps, heads(file)) == ([Sweep(1, 0, 2)], [(1, 1, 1)])
