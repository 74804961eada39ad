"""The floors of ARCHITECTURE.md, held: a module imports only from lower floors, and libraries stay where they belong.

Imports are read from the sources, so one inside a function or under ``TYPE_CHECKING`` counts as well.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "amqpd"

FLOORS = {
    "errors": 0,
    "histogram": 0,
    "build": 1,
    "wire": 1,
    "auth": 2,
    "broker": 3,  # above auth: a session checks permissions
    "amqp": 4,
    "management": 4,
    "metrics": 4,
    "store": 4,
    "config": 5,  # above amqp, whose limits are the defaults
    "log": 5,
    "bench": 6,
    "server": 6,
    "cli": 7,
    "__init__": 7,
    "__main__": 8,
}

# Where a library may be imported; one that is not named here may be imported anywhere.
LIBRARIES = {
    "construct": {"wire"},
    "prometheus_client": {"metrics"},
    "anyio": {"server", "metrics", "management"},
    "starlette": {"metrics", "management"},
    "uvicorn": {"server"},
    "uvloop": {"server"},
    "structlog": {"server", "management", "log", "cli"},
    "lmdb": {"store"},
    "msgspec": {"config"},
    "click": {"cli", "bench"},
    "matplotlib": {"bench"},
}

# The core is the same in a test, in a simulation and in the daemon: time, chance and the world come from outside.
CORE = {"errors", "wire", "broker", "amqp"}
WORLD = {"asyncio", "logging", "os", "random", "socket", "threading", "time"}


def part_of(module: str) -> str:
    """The part a module belongs to: "broker" for amqpd.broker.queues.queue, "__init__" for the package itself."""
    return module.split(".")[1] if "." in module else "__init__"


def imports(source: str) -> Iterator[str]:
    """Each thing that is imported, by its full name. A relative import has dots in front, as it is written."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def violations(part: str, source: str) -> list[str]:
    """The imports in ``source`` that a module of ``part`` may not have."""
    return [name for name in imports(source) if not is_allowed(part, name)]


def is_allowed(part: str, name: str) -> bool:
    if name == "amqpd.__version__":  # stands before all imports of the package, so it comes from no floor
        return True
    top = name.split(".")[0]
    if top == "amqpd":
        imported = part_of(name)
        return imported == part or (imported in FLOORS and FLOORS[imported] < FLOORS[part])
    if top in WORLD:
        return part not in CORE
    return top != "" and part in LIBRARIES.get(top, {part})


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_its_floor_may(path: Path) -> None:
    part = path.relative_to(PACKAGE).with_suffix("").parts[0]
    assert violations(part, path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("part", "source", "wrong"),
    [
        ("broker", "from amqpd.amqp import connection", ["amqpd.amqp.connection"]),
        ("broker", "import amqpd.server.daemon", ["amqpd.server.daemon"]),
        ("broker", "from amqpd import server", ["amqpd.server"]),
        ("broker", "from amqpd import Broker", ["amqpd.Broker"]),
        ("auth", "from amqpd.broker.session import Session", ["amqpd.broker.session.Session"]),
        ("broker", "from . import queue", ["..queue"]),
        ("broker", "from .queue import Queue", [".queue.Queue"]),
        ("amqp", "from amqpd.metrics import metrics_app", ["amqpd.metrics.metrics_app"]),
        ("amqp", "def now():\n    import time", ["time"]),
        ("wire", "from os import path", ["os.path"]),
        ("broker", "import asyncio.events", ["asyncio.events"]),
        ("amqp", "from construct import Struct", ["construct.Struct"]),
        ("server", "import prometheus_client.registry", ["prometheus_client.registry"]),
        ("broker", "import structlog, anyio", ["structlog", "anyio"]),
    ],
)
def test_a_wrong_import_is_noticed(part: str, source: str, wrong: list[str]) -> None:
    assert violations(part, source) == wrong


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("broker", "from amqpd.broker.message import Message"),
        ("broker", "from amqpd import errors, wire"),
        ("amqp", "from amqpd import __version__"),
        ("amqp", "from collections import deque"),
        ("server", "import asyncio, time, anyio, structlog"),
        ("wire", "import construct"),
    ],
)
def test_a_right_import_is_let_through(part: str, source: str) -> None:
    assert violations(part, source) == []
