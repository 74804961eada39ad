"""Bodies as large as a client can send, and a stream of large ones that leaves no trace."""

import hashlib
from collections import deque
from pathlib import Path

import pytest

from amqpd.broker.agenda import Agenda
from amqpd.broker.records import QueueRecord
from amqpd.store import open_store
from amqpd.store.environment import RESERVE
from tests.broker.support import PERSISTENT
from tests.store.support import Host, Writer, persistent

MIB = 1 << 20


@pytest.mark.parametrize("mebioctets", [1, 64])
def test_a_large_message_comes_back(tmp_path: Path, mebioctets: int) -> None:
    body = hashlib.shake_256(b"seed").digest(MIB) * mebioctets
    host = Host(tmp_path)
    peer = host.join()
    peer.session.declare_queue("q", durable=True)
    for each in (b"before", body, b"after"):
        peer.session.publish("", "q", each, PERSISTENT)
    host.write()
    peer = host.crash()
    for each in (b"before", body, b"after"):
        got = peer.session.get("q", no_ack=True)
        assert got is not None
        assert got[2].body == each
    host.write()
    assert host.chunks() == []
    host.end()


@pytest.mark.parametrize("backlog", [1, 4])
@pytest.mark.parametrize("octets", [MIB, MIB + 100_000, 300_000])
def test_large_messages_that_stream_through_do_not_make_the_file_grow(
    tmp_path: Path, backlog: int, octets: int
) -> None:
    """Each is written before it is settled, and read back now and then."""
    path = tmp_path / "store.mdb"
    sizes: list[int] = []
    with open_store(tmp_path) as store:
        record = QueueRecord("/", "q", durable=True)
        store.save(record)
        log = store.open_log(record)
        writer = Writer(store.main, Agenda())
        waiting: deque[int] = deque()
        for position in range(1, 151):
            log.append(position, persistent(bytes(octets)), octets, False)
            waiting.append(position)
            if len(waiting) > backlog:
                log.remove([waiting.popleft()])
            assert writer.write()
            sizes.append(path.stat().st_size)
        ((first, messages),) = log.read_now(1).runs
        assert (first, messages[0].body) == (waiting[0], bytes(octets))
    assert sizes[-1] == sizes[40]
    assert sizes[-1] < 3 * (backlog + 2) * octets + 3 * RESERVE
