"""What the check finds: all that is there, and all that is wrong with it."""

import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from amqpd.broker.records import BindingRecord, ExchangeRecord, QueueRecord, VHostRecord
from amqpd.store.check import Inspection, check
from amqpd.store.codec import (
    encode_record,
    encode_returns,
    encode_state,
    piece_key,
    record_key,
    returns_key,
    split_chunk,
    state_key,
)
from amqpd.store.directory import MAIN, open_to_read
from amqpd.store.gone import Gone
from amqpd.wire.tables import Table
from tests.store.running import running, tamper
from tests.store.support import timed

LARGE = 600_000  # three pieces


def inspected(directory: Path) -> list[str]:
    """What an inspection in this process tells, without the sizes of the file."""
    lines: list[str] = []
    with open_to_read(directory) as environment:
        Inspection(lines.append).inspect(environment, directory / MAIN)
    return lines[1:]


def problems(directory: Path) -> list[str]:
    """Those that a check finds, which must be as many as it says."""
    lines = inspected(directory)
    found = [line.removeprefix("problem: ") for line in lines if line.startswith("problem: ")]
    assert lines[-1] == {0: "no problems", 1: "1 problem"}.get(len(found), f"{len(found)} problems")
    return found


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """With queue "q", whose id is 1: messages at positions 1 to 3 in a chunk, and a large one at position 4; an
    exchange "e" bound to it."""
    with running(tmp_path) as peer:
        peer.declare("q")
        peer.session.declare_exchange("e", "fanout", durable=True)
        peer.session.bind("q", "e")
        peer.keep("q", b"one", b"two", b"three")
        peer.keep("q", bytes(LARGE))
    return tmp_path


def chunk_at(directory: Path, first: int) -> bytes:
    with open_to_read(directory) as environment:
        return environment.read_chunk(1, first).octets


# What is there --------------------------------------------------------------------------------------------------------


def test_what_is_there_is_told(directory: Path) -> None:
    assert inspected(directory) == [
        "the broker has stopped in an orderly way",
        "queue 'q' in vhost '/': 4 messages with 600,011 octets",
        "1 queue, 1 exchange, 1 binding, 4 messages with 600,011 octets",
        "no problems",
    ]


def test_what_is_settled_does_not_count(tmp_path: Path) -> None:
    with running(tmp_path, stops=False) as peer:
        peer.declare("q", "empty")
        peer.keep("q", b"one", b"two", b"three")
        peer.keep("q", b"not kept", delivery_mode=1)
        peer.settle("q", 2)
    assert inspected(tmp_path) == [
        "a broker is running, or the last one has not stopped in an orderly way",
        "queue 'q' in vhost '/': 2 messages with 8 octets",
        "queue 'empty' in vhost '/': 0 messages with 0 octets",
        "2 queues, 0 exchanges, 0 bindings, 2 messages with 8 octets",
        "no problems",
    ]


def test_chunks_of_a_deleted_queue_may_still_be_there(directory: Path) -> None:
    record = QueueRecord("/", "q", durable=True)
    binding = BindingRecord("/", "e", "q", "queue")
    tamper(directory, {record_key(record): None, record_key(binding): None, state_key(1): None})
    assert inspected(directory)[1:] == [
        "0 queues, 1 exchange, 0 bindings, 0 messages with 0 octets",
        "600,179 octets of chunks that are settled, and will be deleted",
        "no problems",
    ]


def test_the_exchanges_that_are_always_there_can_be_bound(tmp_path: Path) -> None:
    with running(tmp_path) as peer:
        peer.declare("q")
        peer.session.bind("q", "amq.topic", "key")
        peer.session.declare_exchange("e", "fanout", durable=True)
        peer.session.bind("e", "amq.direct", "key", destination_kind="exchange")
    assert problems(tmp_path) == []


def test_the_same_exchanges_are_in_every_virtual_host(tmp_path: Path) -> None:
    vhost, queue = VHostRecord("other"), QueueRecord("other", "q", durable=True)
    with running(tmp_path) as peer:
        for record in (vhost, queue, BindingRecord("other", "amq.topic", "q", "queue")):
            peer.store.save(record)
        peer.write()
    assert problems(tmp_path) == []


def test_deadlines_lanes_and_returns_are_looked_at_too(tmp_path: Path) -> None:
    with running(tmp_path, stops=False) as peer:
        arguments: Table = {"x-max-priority": 2, "x-message-ttl": 5000, "x-delivery-limit": 3}
        peer.session.declare_queue("q", durable=True, arguments=arguments)
        peer.keep("q", b"one")
        peer.keep("q", b"two", b"three", priority=2)
        peer.session.get("q")
        peer.session.requeue(1)
        peer.write()
        exchange = ExchangeRecord("/", "x", "x-delayed-message", durable=True)
        peer.store.save(exchange)
        peer.store.open_log(exchange).append(1, timed(5000, "held"), 4, False)
        peer.write()
    assert inspected(tmp_path) == [
        "a broker is running, or the last one has not stopped in an orderly way",
        "queue 'q' in vhost '/': 1 message with 3 octets",
        "exchange 'x' in vhost '/': 1 message with 4 octets",
        "queue 'q' in vhost '/', lane 2: 2 messages with 8 octets",
        "1 queue, 1 exchange, 0 bindings, 4 messages with 15 octets",
        "no problems",
    ]


def test_a_broker_may_be_running(tmp_path: Path) -> None:
    with running(tmp_path) as peer:
        peer.declare("q")
        peer.keep("q", b"one")
        lines: list[str] = []
        assert check(tmp_path, lines.append)
        assert re.fullmatch(
            re.escape(f"{tmp_path}/store.mdb") + r": [\d,]+ octets, of which [\d,]+ are in use", lines[0]
        )
        assert "queue 'q' in vhost '/': 1 message with 3 octets" in lines


# What is wrong --------------------------------------------------------------------------------------------------------


def test_an_octet_of_a_message_has_changed(directory: Path) -> None:
    file = directory / MAIN
    file.write_bytes(file.read_bytes().replace(b"three", b"thrEe"))
    assert problems(directory) == [
        "queue 'q' in vhost '/', position 1: wrong checksum: queue id 1, position 1, piece 0"
    ]


def test_a_piece_is_missing(directory: Path) -> None:
    tamper(directory, {piece_key(1, 4, 1): None})
    assert problems(directory) == ["queue 'q' in vhost '/', position 4: piece 1 is missing"]


def test_the_first_piece_is_missing(directory: Path) -> None:
    tamper(directory, {piece_key(1, 4, 0): None})
    assert problems(directory) == ["queue 'q' in vhost '/', position 4: piece 0 is missing"]


def test_the_last_piece_is_missing(directory: Path) -> None:
    tamper(directory, {piece_key(1, 4, 2): None})
    assert problems(directory) == ["queue 'q' in vhost '/', position 4: a chunk that ends in a record, at position 4"]


def test_a_chunk_lies_over_another(directory: Path) -> None:
    tamper(directory, dict(split_chunk(1, 3, chunk_at(directory, 4))))
    assert "queue 'q' in vhost '/', position 3: overlaps what comes before it" in problems(directory)


def with_head(chunk: bytes, **head: int) -> bytes:
    """A chunk whose head says something else."""
    numbers = {"last": (0, 8), "timed": (8, 1), "messages": (8, 4), "octets": (12, 8)}
    for name, value in head.items():
        offset, size = numbers[name]
        chunk = chunk[:offset] + value.to_bytes(size, "big") + chunk[offset + size :]
    return chunk


@pytest.mark.parametrize("head", [{"last": 4}, {"messages": 2}, {"octets": 10}, {"timed": 0x80}])
def test_a_head_does_not_say_what_is_in_the_chunk(directory: Path, head: dict[str, int]) -> None:
    tamper(directory, dict(split_chunk(1, 1, with_head(chunk_at(directory, 1), **head))))
    found = problems(directory)
    assert found
    assert all(problem.startswith("queue 'q' in vhost '/', position ") for problem in found)


STATE = state_key(1)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({STATE: encode_state(Gone(3, [(5, 7), (6, 8)]), 9)}, "what is gone of queue id 1 overlaps at position 6"),
        ({STATE: encode_state(Gone(3, [(3, 4)]), 9)}, "what is gone of queue id 1 overlaps at position 3"),
        ({STATE: encode_state(Gone(3, [(6, 6)]), 9)}, "what is gone of queue id 1 overlaps at position 6"),
        ({STATE: b"short"}, "wrong checksum: a queue's state"),
        ({state_key(7): encode_state(Gone(), 1)}, "queue id 7: there is no record of it"),
        ({returns_key(1, 1): b"short"}, "wrong checksum: how often messages were given back"),
        (
            {returns_key(1, 1): encode_returns({256: 1})},
            "returns of queue id 1 at position 256 lie with those from 0 on",
        ),
        ({b"t?": b"no record"}, "wrong checksum: a record"),
        (
            {record_key(QueueRecord("/", "other")): encode_record(QueueRecord("/", "q2"), 2)},
            "belongs to something else",
        ),
        (
            {record_key(QueueRecord("/", "twin")): encode_record(QueueRecord("/", "twin"), 1)},
            "'twin' in vhost '/' has the id of queue 'q'|'q' in vhost '/' has the id of queue 'twin'",
        ),
        ({record_key(ExchangeRecord("/", "e", "fanout")): None}, "binding from 'e' to 'q' .* there is no exchange 'e'"),
        ({record_key(QueueRecord("/", "q")): None}, "binding from 'e' to 'q' .* there is no queue 'q'"),
        ({b"mwhat": b""}, "key 6d77686174: unknown"),
        ({b"zzz": b""}, "key 7a7a7a: cannot be read"),
        ({b"c": b""}, "key 63: cannot be read"),
    ],
)
def test_a_value_is_wrong(directory: Path, changes: dict[bytes, bytes | None], problem: str) -> None:
    tamper(directory, changes)
    found = problems(directory)
    assert any(re.search(problem, one) for one in found), found


# What LMDB finds, or does not survive ---------------------------------------------------------------------------------


def pages(content: bytes, flag: int) -> Iterator[int]:
    """Where pages of a kind are: the flags are behind a page's number, and two octets of padding."""
    for page in range(0, len(content), 4096):
        if int.from_bytes(content[page + 10 : page + 12], "little") == flag:
            yield page


def broken_tree(content: bytes) -> bytes:
    """All leaves are something else."""
    for leaf in pages(content, 2):
        content = content[: leaf + 10] + b"\x01" + content[leaf + 11 :]
    return content


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda content: content[:8192], "damaged: store.mdb is cut off at 8192 octets"),
        (lambda content: b"", "store.mdb is empty"),
        (lambda content: zlib.compress(content), "damaged: store.mdb: .* not an LMDB file"),
        (broken_tree, "store.mdb"),
    ],
)
def test_a_file_is_damaged(directory: Path, damage: Callable[[bytes], bytes], problem: str) -> None:
    file = directory / MAIN
    content = damage(file.read_bytes())
    file.write_bytes(content)
    lines: list[str] = []
    assert not check(directory, lines.append)
    assert any(line.startswith("problem: ") and re.search(problem, line) for line in lines), lines
    assert file.read_bytes() == content


def test_there_is_no_store(tmp_path: Path) -> None:
    lines: list[str] = []
    assert not check(tmp_path / "nothing", lines.append)
    assert len(lines) == 1
    assert lines[0].startswith(f"problem: data directory {tmp_path}/nothing: there is no store.mdb in it")
    assert not (tmp_path / "nothing").exists()


def test_the_reading_process_ends(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does when LMDB follows a page number to where no page is."""
    monkeypatch.setattr("amqpd.store.check._check", _ends)
    lines: list[str] = []
    assert not check(directory, lines.append)
    assert lines == [
        "told before",
        "problem: store.mdb cannot be read any further: it has ended the process that did (SIGKILL)",
    ]


def _ends(_directory: Path, sender: Any) -> None:
    import os
    import signal

    sender.send_bytes(b"told before")
    os.kill(os.getpid(), signal.SIGKILL)
