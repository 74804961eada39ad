"""Whatever the broker and the server know about themselves makes a difference to a page: no field is forgotten."""

from dataclasses import fields, replace
from typing import Any

import pytest

from amqpd.broker.statistics import Handovers, Tally
from amqpd.metrics.pages import AGGREGATED, NAMES, PER_OBJECT, detailed
from tests.metrics.samples import (
    broker,
    connection,
    consumer,
    distribution,
    exchange,
    journal,
    queue,
    scrape,
    server,
    session,
    snapshot,
)

HANDOVERS = Handovers(1, 2, 3, 4, 5, 6, 7)

ONE_OF_EACH: dict[str, Any] = {
    "queue": queue("orders", consumers=1),
    "exchange": exchange("orders"),
    "consumer": consumer("tag", "orders"),
    "session": session("here -> there", 1),
    "connection": connection("here -> there"),
    "journal": journal("store.mdb"),
    "broker": broker(),
    "server": server(),
}

MADE_OF_OTHERS = {
    ("session", "consumers"),
    ("broker", "queues"),
    ("broker", "exchanges"),
    ("broker", "sessions"),
    ("broker", "reply_queues"),
    ("server", "connections"),
    ("server", "journals"),
}

NOT_SHOWN = {
    ("consumer", "no_ack"),
    ("consumer", "unacked"),  # its queue and its channel show them
}

EVERYTHING = (AGGREGATED, PER_OBJECT, detailed(("family", name) for name in NAMES))


def shown(kind: str, **changes: Any) -> list[dict[Any, float]]:
    """The samples of all pages, with these changes to one of them, and without what differs each time."""
    one = {**ONE_OF_EACH, kind: replace(ONE_OF_EACH[kind], **changes)}
    sessions = (replace(one["session"], consumers=(one["consumer"],)),)
    read = snapshot(
        replace(one["broker"], queues=(one["queue"],), exchanges=(one["exchange"],), sessions=sessions),
        replace(one["server"], connections=(one["connection"],), journals=(one["journal"],)),
    )
    return [
        {
            key: number
            for key, number in scrape(read, page).items()
            if "process_" not in key[0] and "python" not in key[0]
        }
        for page in EVERYTHING
    ]


def another(value: Any) -> Any:
    """A value of the same type."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 7
        case None:
            return 7.0
        case str():
            return f"another {value}"
        case Handovers():
            return HANDOVERS
        case Tally():
            return Tally({"classic": HANDOVERS})
        case dict():
            return {key: count + 7 for key, count in value.items()}
        case (int(), *_):
            return tuple(count + 7 for count in value)
        case tuple():
            return (*value, "another")
    return distribution(0.5, bounds=value.bounds)


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (kind, field.name)
        for kind, one in ONE_OF_EACH.items()
        for field in fields(one)
        if (kind, field.name) not in MADE_OF_OTHERS | NOT_SHOWN
    ],
)
def test_whatever_is_read_is_shown_somewhere(kind: str, field: str) -> None:
    assert shown(kind, **{field: another(getattr(ONE_OF_EACH[kind], field))}) != shown(kind)
