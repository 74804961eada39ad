"""docs/logs.md has every event there is, with its level and its keys, and no other."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from amqpd.server.pump import LEVELS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "logs.md"
METHODS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}
COMMON = {"connection", "user"}
"""Keys that all events of a connection have."""

EXCEPTION = {"exc_info", "error"}
"""What a call has in place of the key "exception"."""


@dataclass
class Event:
    levels: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """All calls in the sources that log or report an event: the function's name, the event, the call."""
    for path in (ROOT / "amqpd").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                event = node.args[0].value
                if isinstance(event, str) and (name := logging_name(node.func)):
                    yield name, event, node


def logging_name(function: ast.expr) -> str | None:
    """``info`` of ``log.info``, ``report`` of ``self._report``; None for what logs nothing."""
    match function:
        case ast.Attribute(value=ast.Name(id="log" | "events"), attr=name) if name in METHODS:
            return name
        case ast.Attribute(value=ast.Call(func=ast.Attribute(attr="get_logger")), attr=name) if name in METHODS:
            return name
        case ast.Attribute(attr="report" | "_report"):
            return "report"
    return None


def of_the_sources() -> dict[str, Event]:
    found: dict[str, Event] = defaultdict(Event)
    for name, event, call in calls():
        found[event].levels.add(LEVELS[event] if name == "report" else METHODS[name])
        keys = {keyword.arg for keyword in call.keywords if keyword.arg is not None}
        if keys & EXCEPTION or name == "exception":
            keys = keys - EXCEPTION | {"exception"}
        found[event].keys |= keys - COMMON
    return found


def of_the_page() -> dict[str, Event]:
    rows = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \| (.*?) ?\| .+ \|$", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    events = {name: Event(set(levels.split(", ")), set(re.findall(r"`(\w+)`", keys))) for name, levels, keys in rows}
    assert len(events) == len(rows), "an event has two rows"
    return events


def test_the_page_has_all_events_and_no_other() -> None:
    assert of_the_page().keys() == of_the_sources().keys()


def test_their_levels_and_keys_are_those_of_the_sources() -> None:
    assert of_the_page() == of_the_sources()


def test_every_event_of_a_connection_that_has_a_level_is_reported() -> None:
    assert LEVELS.keys() == {event for name, event, _ in calls() if name == "report"}
