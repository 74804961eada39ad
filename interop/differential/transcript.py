"""What a broker answered, as lines that are read and compared.

Here is all that is done to make two brokers comparable: names of the run and names that a broker made up are written
as their stem, and the time of a death as its type. Nothing else is left out; the fields of a table, which have
no order, are sorted.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from interop.differential.fields import Field, typed

LONG_BODY = 40  # octets; more than that is told by its length

SAME = [  # what differs between any two runs, and what is written in its place
    (re.compile(r"amq\.gen-[\w-]{22}"), "amq.gen-*"),
    (re.compile(r"amq\.ctag-[\w-]{22}"), "amq.ctag-*"),
    (re.compile(r"(?<=time=)timestamp \d+"), "timestamp"),
]

LAST_DEATH_SINCE = (3, 13)  # the first RabbitMQ with x-last-death-*; an older one's transcript gets them added


class Transcript:
    """The lines of one scenario at one broker. ``prefix`` is what makes the names of this run its own."""

    def __init__(self, prefix: str) -> None:
        self.lines: list[str] = []
        self._prefix = prefix

    def write(self, line: str) -> None:
        line = line.replace(self._prefix, "")
        for pattern, written in SAME:
            line = pattern.sub(written, line)
        self.lines.append(line)


def show(value: Any) -> str:
    """A value with its type; text is told by its quotes, signedint and bool by nothing."""
    kind, value = typed(value)
    match kind:
        case "longstr":
            return json.dumps(value, ensure_ascii=False)
        case "signedint":
            return str(value)
        case "bool":
            return str(value).lower()
        case "void":
            return "void"
        case "array":
            return "[" + ", ".join(show(each) for each in value) + "]"
        case "table":
            return show_table(value)
    return f"{kind} {value}"


def show_table(table: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name}={show(value)}" for name, value in sorted(table.items())) + "}"


def show_body(body: bytes) -> str:
    return repr(body.decode()) if len(body) <= LONG_BODY else f"({len(body)} octets)"


def show_properties(properties: Mapping[str, Any]) -> Iterator[str]:
    """A line for each property, each header, and each death."""
    for name, value in properties.items():
        if name != "headers":
            yield f"{name}: {show(value)}"
    for name, value in sorted(properties.get("headers", {}).items()):
        if name == "x-death" and isinstance(value, Field) and value.type == "array":
            for number, death in enumerate(value.value, 1):
                yield f"death {number}: {show(death)}"
        else:
            yield f"header {name}: {show(value)}"


def with_last_death(properties: Mapping[str, Any], server: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of a message as RabbitMQ since 3.13 sends it: the last death is told by name, as the first."""
    headers = properties.get("headers", {})
    version = tuple(int(number) for number in re.findall(r"\d+", server.get("version", ""))[:2])
    deaths = headers.get("x-death", Field("array", []))
    if server["product"] != "RabbitMQ" or version >= LAST_DEATH_SINCE or deaths.type != "array" or not deaths.value:
        return dict(properties)
    last = deaths.value[0].value
    if "time" not in last:  # no death that the broker has written
        return dict(properties)
    last_death = {f"x-last-death-{name}": last[name] for name in ("exchange", "queue", "reason")}
    return {**properties, "headers": {**headers, **last_death}}
