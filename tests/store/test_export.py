"""Messages as lines of JSON: which of them, in which order, and what becomes of what JSON does not know."""

import json
import math
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from amqpd.broker.message import TimedMessage, make_message
from amqpd.store.codec import Damaged
from amqpd.store.directory import MAIN, open_to_read
from amqpd.store.export import UnknownQueue, as_json, export
from amqpd.wire.numbers import Long, Timestamp
from amqpd.wire.properties import Properties
from tests.store.running import running


def exported(directory: Path, queue: str = "q", vhost: str = "/") -> list[tuple[int, str]]:
    """Positions and bodies of a queue in which all can be read."""
    damages: list[Damaged] = []
    with open_to_read(directory) as environment:
        lines = [json.loads(line) for line in export(environment, vhost, queue, damages.append)]
    assert damages == []
    return [(line["position"], line["body"]) for line in lines]


# Which messages -------------------------------------------------------------------------------------------------------


def test_those_that_a_start_would_bring_back(tmp_path: Path) -> None:
    with running(tmp_path, stops=False) as peer:
        peer.declare("q", "other")
        peer.keep("q", b"one", b"two")
        peer.keep("q", b"transient", delivery_mode=1)
        peer.keep("other", b"of another")
        peer.keep("q", b"four", b"five", b"six")
        peer.settle("q", 1, 5)
    assert exported(tmp_path) == [(2, "two"), (4, "four"), (6, "six")]
    assert exported(tmp_path, "other") == [(1, "of another")]


def test_of_a_queue_with_priorities_the_highest_first(tmp_path: Path) -> None:
    with running(tmp_path, stops=False) as peer:
        peer.session.declare_queue("q", durable=True, arguments={"x-max-priority": 9})
        for priority, body in ((0, b"a"), (9, b"b"), (3, b"c"), (9, b"d")):
            peer.keep("q", body, priority=priority)
    with open_to_read(tmp_path) as environment:
        lines = [json.loads(line) for line in export(environment, "/", "q", pytest.fail)]
    assert [(line.get("lane"), line["position"], line["body"]) for line in lines] == [
        (9, 1, "b"),
        (9, 2, "d"),
        (3, 1, "c"),
        (None, 1, "a"),
    ]


def test_none(tmp_path: Path) -> None:
    with running(tmp_path) as peer:
        peer.declare("q", "settled")
        peer.keep("settled", b"one")
        peer.settle("settled", 1)
    assert exported(tmp_path, "q") == exported(tmp_path, "settled") == []


def test_a_page_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the first line is there, the second page has not been read."""
    monkeypatch.setattr("amqpd.store.codec.CHUNK_SIZE", 100)
    monkeypatch.setattr("amqpd.store.reading.PAGE_SIZE", 300)
    bodies = [b"%02d" % number * 20 for number in range(40)]
    with running(tmp_path) as peer:
        peer.declare("q")
        peer.keep("q", *bodies)
    assert exported(tmp_path) == list(enumerate((body.decode() for body in bodies), 1))
    with open_to_read(tmp_path) as environment:
        reads: list[int] = []
        read = environment.read
        monkeypatch.setattr(
            environment, "read", lambda log, *place: (log == 1 and reads.append(log)) or read(log, *place)
        )
        lines = export(environment, "/", "q", lambda damage: None)
        next(lines)
        assert len(reads) == 1
        assert len(list(lines)) == 39
        assert len(reads) > 5


def test_a_queue_that_is_not_there(tmp_path: Path) -> None:
    with running(tmp_path) as peer:
        peer.declare("orders", "bills")
    with open_to_read(tmp_path) as environment:
        for queue, vhost, text in [
            ("ordrs", "/", "there is no durable queue 'ordrs' in vhost '/'; did you mean 'orders'?"),
            ("xyz", "/", "there is no durable queue 'xyz' in vhost '/'"),
            ("orders", "other", "there is no durable queue 'orders' in vhost 'other'"),
        ]:
            with pytest.raises(UnknownQueue) as caught:
                export(environment, vhost, queue, lambda damage: None)
            assert str(caught.value) == text


def test_what_cannot_be_read_is_told_and_passed_over(tmp_path: Path) -> None:
    with running(tmp_path) as peer:
        peer.declare("q")
        for body in (b"before", b"damaged", b"behind"):
            peer.keep("q", body)
    file = tmp_path / MAIN
    file.write_bytes(file.read_bytes().replace(b"damaged", b"changed"))
    damages: list[Damaged] = []
    with open_to_read(tmp_path) as environment:
        lines = list(export(environment, "/", "q", damages.append))
    assert [json.loads(line)["body"] for line in lines] == ["before", "behind"]
    assert [str(damage) for damage in damages] == ["wrong checksum: queue id 1, position 2, piece 0"]


READER = """
import sys
from pathlib import Path
from amqpd.store import environment
environment.MAP_SIZE_MIN = 1 << 20
from amqpd.store.directory import open_to_read
from amqpd.store.export import export
with open_to_read(Path(sys.argv[1])) as opened:
    print(len(list(export(opened, "/", "q", print))), flush=True)
    input()
    print(len(list(export(opened, "/", "q", print))), flush=True)
"""


def test_a_broker_beside_it_may_let_the_file_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LMDB refuses to read what lies beyond the map of the reader's process, until that has made it larger."""
    monkeypatch.setattr("amqpd.store.environment.MAP_SIZE_MIN", 1 << 20)
    with running(tmp_path) as peer:
        peer.declare("q")
        peer.keep("q", b"one")
        command = [sys.executable, "-c", READER, str(tmp_path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "1\n"
            for _ in range(5):
                peer.keep("q", bytes(1 << 20))
            assert reader.communicate("\n")[0] == "6\n"


# As JSON --------------------------------------------------------------------------------------------------------------


def line(body: bytes = b"", exchange: str = "", routing_key: str = "q", **properties: Any) -> dict[str, Any]:
    text = as_json(7, make_message(exchange, routing_key, body, Properties(**properties)))
    assert "\n" not in text
    assert text.isascii()
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))  # type: ignore[no-any-return]


def test_a_message_on_a_line() -> None:
    assert line(
        b"one\ntwo \xc3\xa9", "news", "a.b", content_type="text/plain", delivery_mode=2, timestamp=1700000000
    ) == {
        "position": 7,
        "exchange": "news",
        "routing_key": "a.b",
        "properties": {"content_type": "text/plain", "delivery_mode": 2, "timestamp": 1700000000},
        "body": "one\ntwo é",
    }


def test_a_message_that_expires() -> None:
    plain = make_message("", "q", b"")
    expiring = TimedMessage(plain.address, plain.header, plain.body, 1_700_000_000_000)
    assert json.loads(as_json(7, expiring))["expires_at"] == 1_700_000_000_000
    assert "expires_at" not in line()


def test_a_body_that_is_no_text() -> None:
    told = line(b"\xff\x00")
    assert "body" not in told
    assert told["body_base64"] == "/wA="


def test_names_that_are_no_text() -> None:
    assert line(routing_key="\udcff")["routing_key"] == "\udcff"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, None),
        (True, True),
        ("text", "text"),
        (-1, -1),
        (Long(1 << 62), 1 << 62),
        (1.5, 1.5),
        (math.inf, {"$float": "inf"}),
        (-math.inf, {"$float": "-inf"}),
        (math.nan, {"$float": "nan"}),
        (b"\x00\x01", {"$base64": "AAE="}),
        (Decimal("1.50"), {"$decimal": "1.50"}),
        (Timestamp(1700000000), {"$timestamp": 1700000000}),
        ([1, b"", ["a"]], [1, {"$base64": ""}, ["a"]]),
        ({"a": {"b": Decimal("-2")}}, {"a": {"b": {"$decimal": "-2"}}}),
    ],
)
def test_headers(value: Any, told: Any) -> None:
    assert line(headers={"x": value})["properties"] == {"headers": {"x": told}}
