"""Definitions in files, and what is wrong with a file as such."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from amqpd.broker.broker import Broker
from amqpd.broker.definitions import DefinitionsUnusable
from amqpd.server import definitions
from amqpd.server.definitions import export_from, import_into, read_definitions, write_definitions
from amqpd.store import WriteFailed
from amqpd.store.environment import Environment
from tests.store.running import running


def test_a_file_is_json(tmp_path: Path) -> None:
    file = tmp_path / "dump.json"
    file.write_bytes(b'\xef\xbb\xbf{"queues": []}')  # with the mark that some editors put in front
    assert read_definitions(file) == {"queues": []}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"queues:", "is not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b'{"a": "\xff"}', "is not JSON: 'utf-8' codec can't decode byte 0xff in position 7: invalid start byte"),
        (b"[" * 100_000, "is not JSON: "),
        (b"[" + b" " * 1000, "is larger than 1,000 octets"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, problem: str) -> None:
    file = tmp_path / "dump.json"
    file.write_bytes(content)
    if "larger" in problem:
        monkeypatch.setattr(definitions, "SIZE_MAX", 1000)
    with pytest.raises(DefinitionsUnusable) as caught:
        read_definitions(file)
    assert caught.value.problems[0].startswith(f"{file} {problem}")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for file, reason in ((tmp_path / "nowhere", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(DefinitionsUnusable) as caught:
            read_definitions(file)
        assert caught.value.problems == [f"{file} cannot be read: {reason}"]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "dump.json"
    write_definitions(file, {"queues": [{"name": "ä\udcff"}]})
    assert file.read_bytes().isascii()
    assert read_definitions(file) == {"queues": [{"name": "ä\udcff"}]}


def test_what_was_redelivered_before_is_so_afterwards(tmp_path: Path) -> None:
    """An import is an end in order, whatever the end before it was."""
    directory, file = tmp_path / "data", tmp_path / "dump.json"
    file.write_text('{"queues": [{"name": "more", "vhost": "/"}]}')
    with running(directory, stops=False) as peer:
        peer.declare("q")
        peer.keep("q", b"1")
    import_into(directory, file, Broker)
    with running(directory) as peer:
        assert peer.empty("q") == ["1*"]
        assert peer.exists("more")


def test_wrong_definitions_leave_the_directory_as_it_was(tmp_path: Path) -> None:
    """Also what was known of the deliveries before."""
    directory, file = tmp_path / "data", tmp_path / "dump.json"
    file.write_text('{"queues": [{"name": "more", "vhost": "/"}, {"name": "wrong"}]}')
    with running(directory) as peer:
        peer.declare("q")
        peer.keep("q", b"1")
    with pytest.raises(DefinitionsUnusable):
        import_into(directory, file, Broker)
    with running(directory) as peer:
        assert peer.empty("q") == ["1"]
        assert not peer.exists("more")


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def fail(*_: object) -> None:
        raise WriteFailed("No space left on device")

    return lambda: monkeypatch.setattr(Environment, "commit", fail)


def test_what_cannot_be_written_is_not_there(tmp_path: Path, full: Callable[[], None]) -> None:
    directory, file = tmp_path / "data", tmp_path / "dump.json"
    with running(directory):
        pass
    file.write_text(json.dumps({"queues": [{"name": "q", "vhost": "/"}]}))

    def make_broker(store: object) -> Broker:
        full()
        return Broker(store)  # type: ignore[arg-type]

    with pytest.raises(WriteFailed):
        import_into(directory, file, make_broker)
    assert export_from(directory)["queues"] == []
