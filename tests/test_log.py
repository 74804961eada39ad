import io
import json
import logging
import sys
import warnings
from typing import Any

import pytest
import structlog

from amqpd import log

pytestmark = pytest.mark.usefixtures("log_put_back")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def json_log(level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    log.configure("json", level, stream)
    return stream


def console_log(stream: io.StringIO) -> io.StringIO:
    log.configure("console", "info", stream)
    return stream


def test_a_json_event_is_one_line_with_its_values() -> None:
    stream = json_log()
    structlog.get_logger().info("listening", host="127.0.0.1", port=5672)
    [event] = lines(stream)
    assert event.pop("timestamp").endswith("Z")
    assert event == {"level": "info", "event": "listening", "host": "127.0.0.1", "port": 5672}
    assert stream.getvalue().startswith('{"timestamp": ')


def test_a_console_event_is_one_line_without_colours_where_there_is_no_terminal() -> None:
    stream = console_log(io.StringIO())
    structlog.get_logger().info("listening", host="127.0.0.1", port=5672)
    assert stream.getvalue().count("\n") == 1
    assert "listening" in stream.getvalue()
    assert "host='127.0.0.1' port=5672" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_a_terminal_has_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = console_log(Terminal())
    structlog.get_logger().info("listening")
    assert "\x1b[" in stream.getvalue()


def test_a_terminal_of_who_wants_no_colours_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = console_log(Terminal())
    structlog.get_logger().info("listening")
    assert "\x1b" not in stream.getvalue()


def test_standard_error_is_the_stream_unless_another_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("json", "info")
    structlog.get_logger().info("listening")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["event"] == "listening"


def test_what_is_below_the_level_is_not_logged() -> None:
    stream = json_log("warning")
    structlog.get_logger().info("listening")
    logging.getLogger("uvicorn").info("started")
    structlog.get_logger().warning("slow")
    assert [event["event"] for event in lines(stream)] == ["slow"]


def test_libraries_log_in_the_same_form() -> None:
    stream = json_log()
    logging.getLogger("uvicorn.error").warning("port %d is taken", 15692)
    [event] = lines(stream)
    assert (event["level"], event["event"]) == ("warning", "port 15692 is taken")
    assert event["logger"] == "uvicorn.error"
    assert event["timestamp"].endswith("Z")


def test_warnings_are_events_too() -> None:
    stream = json_log()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)  # catch_warnings has put its own way of showing in place
        warnings.warn("it will go away", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(False)
    [event] = lines(stream)
    assert event["logger"] == "py.warnings"
    assert "it will go away" in event["event"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_an_exception_comes_with_its_traceback_and_without_local_variables(log_format: str) -> None:
    stream = io.StringIO()
    log.configure(log_format, "info", stream)
    password = "hunter" + "2"
    try:
        raise LookupError(f"{len(password)} characters")
    except LookupError:
        structlog.get_logger().exception("login_crashed")
    text = stream.getvalue()
    assert "login_crashed" in text
    assert "Traceback (most recent call last)" in text
    assert "LookupError: 7 characters" in text
    assert "hunter2" not in text


def test_an_exception_in_json_stays_on_its_line() -> None:
    stream = json_log()
    try:
        raise LookupError
    except LookupError:
        structlog.get_logger().exception("crashed")
    [event] = lines(stream)
    assert event["exception"].startswith("Traceback")
    assert event["level"] == "error"


HOSTILE = ["two\nlines", "\x1b[31mred", "caf\udce9", "\r\x00", "\u2028"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_json_line_survives_what_peers_call_themselves(name: str) -> None:
    stream = io.TextIOWrapper(buffer := io.BytesIO(), "utf-8", errors="strict", newline="\n")
    log.configure("json", "info", stream)
    structlog.get_logger().info("connection_opened", user=name)
    stream.flush()
    [line] = buffer.getvalue().splitlines()
    assert line.isascii()
    assert json.loads(line)["user"] == name


@pytest.mark.parametrize("name", HOSTILE)
def test_a_console_line_survives_what_peers_call_themselves(name: str) -> None:
    stream = io.TextIOWrapper(buffer := io.BytesIO(), "utf-8", errors="strict", newline="\n")
    log.configure("console", "info", stream)
    structlog.get_logger().info("connection_opened", user=name)
    stream.flush()
    text = buffer.getvalue().decode("utf-8")
    assert len(text.splitlines()) == 1
    assert f"user={name!r}" in text
    assert text.removesuffix("\n").isprintable()


def test_values_that_json_does_not_know_are_shown_all_the_same() -> None:
    stream = json_log()
    structlog.get_logger().info("odd", octets=b"\xff", set={1})
    [event] = lines(stream)
    assert event["octets"] == repr(b"\xff")
    assert event["set"] == "{1}"


def test_setting_it_up_again_replaces_what_was_there() -> None:
    first = json_log()
    second = json_log("debug")
    structlog.get_logger().debug("listening")
    assert first.getvalue() == ""
    assert len(lines(second)) == 1
    assert sys.stderr is not second
