"""A power cut at any moment leaves the state before a commit or the one after it.

What a disk can have after a power cut is what was synced, and of what was written since, anything: some of it, in any
order, down to parts of pages, for a disk writes sectors. LMDB's documentation says: "Data pages use a copy-on-write
strategy so no active data pages are ever overwritten, which also provides resistance to corruption and eliminates the
need of any special recovery procedures after a system crash". In its mdb.c, ``mdb_txn_commit`` writes in this order,
as ``strace -e trace=pwrite64,writev,fdatasync,msync,ftruncate`` shows too:

1. ``mdb_page_flush``: the pages of the transaction, which are new ones at the end of the file, or such as neither of
   the two states uses to which the meta pages lead.
2. ``mdb_env_sync``: fdatasync.
3. ``mdb_env_write_meta``: 120 octets in one of the two meta pages, which take turns, by one pwrite to a descriptor
   that was opened with O_DSYNC. They name the roots of the trees and the number of the transaction; the higher number
   counts. They lie within one sector, of 512 octets at least, which a disk writes whole or not at all.

So a cut between states A and B leaves one of

- A, with any of the pages that differ in B, each whole or torn: before 2 is through. That must be A.
- all of B but its meta page: between 2 and 3. That must be A.
- B: after 3.

Here such files are made from what lies in the file after each of many commits, and a broker's store is opened on them.
It must be exactly A or B: all keys and values, all checksums right, and what recovery counts.
"""

import random
from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from amqpd.broker.store import Kept
from amqpd.store import codec, environment, open_store
from amqpd.store.codec import CHUNKS, RETURNS, decode_chunk
from amqpd.store.directory import MAIN
from amqpd.store.environment import END, Environment
from amqpd.store.recovery import recover
from amqpd.wire.tables import Table
from tests.broker.support import PERSISTENT, Peer
from tests.store.support import Host

PAGE = 4096
SECTOR = 512
META_PAGES = (0, 1)

QUEUES: dict[str, Table] = {
    "q": {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "r", "x-delivery-limit": 9},
    "r": {"x-message-ttl": 1000},
    "s": {},
}

COMMITS = 30
PREFIXES = 6  # of the pages of a commit, in the order of their numbers
SUBSETS = 4  # at random


class State(NamedTuple):
    """The file after a commit, what is in it, and what a broker would find."""

    octets: bytes
    contents: dict[bytes, bytes]
    kept: dict[int, Kept]


def pages_of(octets: bytes) -> list[bytes]:
    return [octets[start : start + PAGE] for start in range(0, len(octets), PAGE)]


def contents_of(file: Environment) -> State:
    found = recover(file)
    kept = {log: kept for log, (kept, _) in found.logs.items()}
    return State(file.path.read_bytes(), dict(file.walk()), kept)


def act(chance: random.Random, peer: Peer, unacked: list[int], tags: Iterator[int]) -> None:
    """Something that is written, by a client with some queues."""
    session, queue = peer.session, chance.choice(list(QUEUES))
    session.declare_queue(queue, durable=True, arguments=QUEUES[queue])
    match chance.randrange(12):
        case 0:
            session.purge_queue(queue)
        case 1:
            session.delete_queue(queue)
        case 2:
            session.bind(queue, "amq.topic", f"key.{chance.randrange(50)}")
        case 3 | 4 | 5 if unacked:
            session.complete(unacked.pop(chance.randrange(len(unacked))))
        case 6 | 7 if session.get(queue) is not None:
            unacked.append(next(tags))
        case 8 if unacked:
            session.discard(unacked.pop(chance.randrange(len(unacked))))
        case 9 if unacked:
            session.requeue(unacked.pop(chance.randrange(len(unacked))))
        case _:
            size = chance.choice([0, 10, 100, 2000, 5000, 40_000, 600_000])
            for _ in range(chance.randrange(1, 4)):
                session.publish("", queue, chance.randbytes(size), PERSISTENT)


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> list[State]:
    """After one commit after the other."""
    directory = tmp_path_factory.mktemp("data")
    with open_store(directory):
        pass
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(environment, "RESERVE", 4 * PAGE)  # which is zeros: so there is less to copy
        return list(states_in(directory))


def states_in(directory: Path) -> Iterator[State]:
    chance = random.Random(3)
    host = Host(directory)
    peer = host.join()
    last = contents_of(host.main)
    yield last
    unacked: list[int] = []
    tags = count(1)
    for _ in range(COMMITS):
        for _ in range(chance.randrange(1, 6)):
            act(chance, peer, unacked, tags)
        host.writer.write()
        state = contents_of(host.main)
        if state.octets != last.octets:  # unless there was nothing to write
            yield state
        last = state
    host.end()


def differing(before: State, after: State) -> dict[int, bytes]:
    """The pages that the commit wrote, but for the meta page."""
    old, new = pages_of(before.octets), pages_of(after.octets)
    return {
        number: page
        for number, page in enumerate(new)
        if number not in META_PAGES and (number >= len(old) or page != old[number])
    }


def with_pages(octets: bytes, pages: dict[int, bytes]) -> bytes:
    """A file with some pages written over; behind its end, what was not written is zeros."""
    file = bytearray(octets)
    for number, page in pages.items():
        start = number * PAGE
        file += bytes(max(0, start + len(page) - len(file)))
        file[start : start + len(page)] = page
    return bytes(file)


def torn(chance: random.Random, page: bytes) -> bytes:
    """The first sectors of a page."""
    return page[: SECTOR * chance.randrange(1, PAGE // SECTOR)]


def check(directory: Path, octets: bytes, expected: State) -> None:
    """A broker that starts on this file finds that state, and nothing damaged."""
    (directory / MAIN).write_bytes(octets)
    with open_store(directory) as store:
        file = store.main.environment
        _, contents, kept = contents_of(file)
        assert contents == expected.contents
        assert kept == expected.kept
        for queue in {codec.split_piece_key(key)[0] for key in contents if key.startswith(CHUNKS)}:
            chunks, damages = file.read(queue, 1, END, 1 << 60)
            assert damages == []
            assert all(list(decode_chunk(chunk)) for chunk in chunks)


def commits(states: list[State]) -> Iterator[tuple[random.Random, State, State]]:
    for number, (before, after) in enumerate(pairwise(states)):
        yield random.Random(number), before, after


def test_the_states_are_worth_it(states: list[State]) -> None:
    """There are messages, deletions, small and large commits, and pages that are used again."""
    sizes = [len(differing(before, after)) for _, before, after in commits(states)]
    assert min(sizes) < 10
    assert max(sizes) > 400
    assert any(
        min(differing(before, after), default=END) * PAGE < len(before.octets) for _, before, after in commits(states)
    )
    assert any(key.startswith(RETURNS) for state in states for key in state.contents)
    assert any(kept.timed for state in states for kept in state.kept.values())
    assert any(before.contents.keys() - after.contents.keys() for _, before, after in commits(states))
    assert sum(before.contents != after.contents for _, before, after in commits(states)) > COMMITS // 2
    assert len({str(sorted(state.kept.items())) for state in states}) > COMMITS // 2


def test_every_state_is_whole_by_itself(states: list[State], tmp_path: Path) -> None:
    for state in states:
        check(tmp_path, state.octets, state)


def test_a_cut_while_pages_are_written_one_after_the_other(states: list[State], tmp_path: Path) -> None:
    for chance, before, after in commits(states):
        pages = sorted(differing(before, after).items())
        ends = range(len(pages)) if len(pages) <= PREFIXES else sorted(chance.sample(range(len(pages)), PREFIXES))
        for end in ends:
            number, page = pages[end]
            check(tmp_path, with_pages(before.octets, dict(pages[:end])), before)
            check(tmp_path, with_pages(before.octets, dict(pages[:end]) | {number: torn(chance, page)}), before)


def test_a_cut_that_leaves_any_of_the_pages_torn_or_whole(states: list[State], tmp_path: Path) -> None:
    for chance, before, after in commits(states):
        pages = differing(before, after)
        for _ in range(SUBSETS):
            share, tearing = chance.random(), chance.random()
            some = {
                number: torn(chance, page) if chance.random() < tearing else page
                for number, page in pages.items()
                if chance.random() < share
            }
            check(tmp_path, with_pages(before.octets, some), before)


def test_a_cut_before_the_meta_page_and_after_it(states: list[State], tmp_path: Path) -> None:
    for _, before, after in commits(states):
        all_but_meta = with_pages(before.octets, differing(before, after))
        check(tmp_path, all_but_meta, before)
        old, new = pages_of(before.octets), pages_of(after.octets)
        changed = [number for number in META_PAGES if old[number] != new[number]]
        assert len(changed) == 1
        number = changed[0]
        assert old[number][SECTOR:] == new[number][SECTOR:]  # one sector
        check(tmp_path, with_pages(all_but_meta, {number: new[number]}), after)
