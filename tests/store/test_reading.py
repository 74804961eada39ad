"""A page: what of the disk is wanted, and how far it reaches."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from amqpd.store import codec, reading
from amqpd.store.environment import END, Batch
from amqpd.store.gone import Interval
from amqpd.store.reading import Reading
from tests.store.support import Faulty, chunks_of, persistent, told, transient


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faulty]:
    """Of queue 1, positions 1 to 9 in chunks of three; every third message is transient."""
    file = Faulty(tmp_path / "file.mdb")
    for first in (1, 4, 7):
        run = [*persistent("x", "x"), *transient("x")]
        file.commit(Batch(chunks=chunks_of(1, first, run)))
    yield file
    file.close()


def positions(
    file: Faulty, start: int = 1, stop: int = 10, old: int = 1, gone: list[Interval] | None = None
) -> tuple[list[int], int]:
    """What is in the page, and where the next begins."""
    taken: list[Reading] = []
    waiting = Reading(file, 1, start, stop, old, gone or [], taken.append)
    waiting.run()
    assert taken == []
    waiting.finish()
    assert taken == [waiting]
    assert waiting.damages == []
    return [position for position, _ in told(waiting.page)], waiting.page.stop


def test_all_there_is(file: Faulty) -> None:
    assert positions(file) == ([1, 2, 3, 4, 5, 6, 7, 8, 9], 10)
    assert positions(file, stop=END) == ([1, 2, 3, 4, 5, 6, 7, 8, 9], END)


def test_octets_are_those_of_all_its_chunks(file: Faulty) -> None:
    size = len(file.read_chunk(1, 1).octets)
    page = Reading(file, 1, 5, 10, 1, [], lambda _: None)
    assert page.octets == 0
    page.run()
    assert page.octets == 2 * size


def test_from_the_middle_of_a_chunk(file: Faulty) -> None:
    assert positions(file, start=5) == ([5, 6, 7, 8, 9], 10)
    assert positions(file, start=10) == ([], 10)


def test_up_to_where_it_was_known_to_be_on_the_disk(file: Faulty) -> None:
    assert positions(file, stop=7) == ([1, 2, 3, 4, 5, 6], 7)
    assert positions(file, start=7, stop=7) == ([], 7)


def test_a_page_ends_with_a_chunk(file: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(file.read_chunk(1, 1).octets)
    for octets, found in ((1, 3), (size, 3), (size + 1, 6), (2 * size, 6), (3 * size, 9)):
        monkeypatch.setattr(reading, "PAGE_SIZE", octets)
        assert positions(file) == (list(range(1, found + 1)), found + 1)
    monkeypatch.setattr(reading, "PAGE_SIZE", 3 * size + 1)
    assert positions(file) == ([1, 2, 3, 4, 5, 6, 7, 8, 9], 10)


def test_of_what_is_old_only_what_is_persistent_and_not_gone(file: Faulty) -> None:
    assert positions(file, old=6) == ([1, 2, 4, 5, 6, 7, 8, 9], 10)
    assert positions(file, old=10) == ([1, 2, 4, 5, 7, 8], 10)
    assert positions(file, old=10, gone=[(2, 3), (4, 8), (20, 30)]) == ([1, 8], 10)
    assert positions(file, start=4, old=10, gone=[(2, 3), (4, 5)]) == ([5, 7, 8], 10)
    assert positions(file, old=5, gone=[(2, 9)]) == ([1, 5, 6, 7, 8, 9], 10)  # what is new is another's


def test_a_page_of_which_nothing_is_wanted_leads_on(file: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE_SIZE", 1)
    assert positions(file, old=10, gone=[(1, 4)]) == ([], 4)


def test_what_cannot_be_decoded_is_told_and_the_rest_is_there(file: Faulty) -> None:
    octets = file.read_chunk(1, 4).octets
    file.commit(Batch(chunks=[(1, 4, octets[:-1])]))  # with a right checksum
    waiting = Reading(file, 1, 1, 10, 1, [], lambda reading: None)
    waiting.run()
    assert [str(damage) for damage in waiting.damages] == ["a chunk that ends in a record, at position 5"]
    assert [position for position, _ in told(waiting.page)] == [1, 2, 3, 4, 5, 7, 8, 9]
    assert waiting.page.stop == 10


def test_a_reading_that_was_never_run_has_nothing(file: Faulty) -> None:
    waiting = Reading(file, 1, 1, 10, 1, [], lambda reading: None)
    assert waiting.page == ([], 10)


def test_one_large_message_is_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "PIECE_SIZE", 50)
    file = Faulty(tmp_path / "large.mdb")
    file.commit(Batch(chunks=chunks_of(1, 1, [*persistent("x" * codec.CHUNK_SIZE), *persistent("y")])))
    monkeypatch.setattr(reading, "PAGE_SIZE", 1000)
    assert positions(file, stop=3) == ([1], 2)
    assert positions(file, start=2, stop=3) == ([2], 3)
    file.close()
