"""Dead letters: octets as RabbitMQ 3.10 delivers them, with ``x-last-death-*`` as since 3.13."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.dead_letter import cycles, make_dead_letter, with_delivery_count
from amqpd.broker.message import Message, TimedMessage, make_message
from amqpd.wire.numbers import Long, LongLong, Timestamp
from amqpd.wire.properties import Properties, check_header, encode_header, with_headers
from amqpd.wire.tables import FieldValue, Table
from tests.wire.strategies import any_short_strings, field_values
from tests.wire.strategies import properties as any_properties

NOW_MS = 1_795_262_357_999
NOW = Timestamp(1_795_262_357)


def message(exchange: str = "", routing_key: str = "source", **properties: Any) -> Message:
    return make_message(exchange, routing_key, b"body", Properties(**properties))


def dead(
    message: Message, queue: str = "source", reason: str = "rejected", exchange: str = "", key: str | None = "dead"
) -> Message:
    return make_dead_letter(message, queue=queue, reason=reason, now_ms=NOW_MS, exchange=exchange, routing_key=key)


def deaths(message: Message) -> Any:
    return message.headers["x-death"]


def told(message: Message) -> list[str]:
    """Each death as "queue reason count"."""
    return [f"{death['queue']} {death['reason']} {death['count']}" for death in deaths(message)]


# What it looks like ---------------------------------------------------------------------------------------------------


def test_the_octets_of_a_first_death() -> None:
    headers = {"z": 1, "b": 2, "CC": ["copy"], "A": LongLong(3)}
    properties = Properties(
        content_type="t", headers=headers, delivery_mode=2, priority=3, expiration="60000", message_id="m"
    )
    letter = dead(make_message("", "source", b"body", properties))

    properties.expiration = None
    properties.headers = {
        "A": LongLong(3),
        "b": 2,
        "x-death": [
            {
                "count": Long(1),
                "reason": "rejected",
                "queue": "source",
                "time": NOW,
                "exchange": "",
                "routing-keys": ["source", "copy"],
                "original-expiration": "60000",
            }
        ],
        "x-first-death-exchange": "",
        "x-first-death-queue": "source",
        "x-first-death-reason": "rejected",
        "x-last-death-exchange": "",
        "x-last-death-queue": "source",
        "x-last-death-reason": "rejected",
        "z": 1,
    }
    assert letter.header == encode_header(4, properties)
    assert (letter.exchange, letter.routing_key, letter.body) == ("", "dead", b"body")


@pytest.mark.parametrize(("queue", "count"), [("source", 2), ("other", 1)])
def test_the_octets_of_a_death_that_is_not_the_first(queue: str, count: int) -> None:
    """RabbitMQ sorts it by name, the first one not."""
    first = dead(message(expiration="9"), key=None)
    letter = dead(first, queue, key=None)

    assert list(letter.headers) == sorted(letter.headers)
    others = [] if queue == "source" else deaths(first)
    original = {"original-expiration": "9"} if queue == "source" else {}
    latest = {"count": Long(count), "exchange": "", **original, "queue": queue, "reason": "rejected"}
    latest |= {"routing-keys": ["source"], "time": NOW}
    assert letter.header == with_headers(first.header, letter.headers | {"x-death": [latest, *others]})


def test_a_message_without_headers_gets_some() -> None:
    letter = dead(message(message_id="m"))

    check_header(letter.header)
    assert letter.properties.message_id == "m"
    assert told(letter) == ["source rejected 1"]


def test_a_queue_without_a_key_for_them_leaves_each_its_own() -> None:
    letter = dead(message("x", "a.b", headers={"CC": ["c"]}), exchange="graves", key=None)

    assert (letter.exchange, letter.routing_key) == ("graves", "a.b")
    assert letter.headers["CC"] == ["c"]


def test_a_queue_with_a_key_for_them_sends_no_copies() -> None:
    letter = dead(message("x", "a.b", headers={"CC": ["c"]}), exchange="graves", key="")

    assert (letter.exchange, letter.routing_key) == ("graves", "")
    assert "CC" not in letter.headers
    assert deaths(letter)[0]["routing-keys"] == ["a.b", "c"]


def test_how_often_it_came_back_is_forgotten() -> None:
    assert "x-delivery-count" not in dead(with_delivery_count(message(), 3)).headers


def test_a_dead_letter_has_no_deadline() -> None:
    one = message()
    letter = dead(TimedMessage(one.address, one.header, one.body, 5))

    assert type(letter) is Message


@given(any_properties, st.none() | any_short_strings)
def test_whatever_was_published_can_die(properties: Properties, key: str | None) -> None:
    letter = dead(make_message("x", "k", b"", properties), key=key)

    check_header(letter.header)
    headers = properties.headers or {}
    kept = {name for name in headers if name != "x-delivery-count" and not (name == "CC" and key is not None)}
    assert kept <= letter.headers.keys()
    assert letter.properties.expiration is None


def test_bodies_are_told_apart() -> None:
    one, other = (make_message("", "q", body, Properties()) for body in (b"one", b"two"))

    assert [dead(each).body for each in (one, other)] == [b"one", b"two"]
    assert dead(one).header == dead(other).header


# One death after another ----------------------------------------------------------------------------------------------


def test_the_latest_death_is_in_front() -> None:
    letter = dead(message("x"), "work", "rejected", key="retry")
    letter = dead(letter, "retry", "expired", key="work")
    assert told(letter) == ["retry expired 1", "work rejected 1"]

    letter = dead(letter, "work", "rejected", key="retry")
    assert told(letter) == ["work rejected 2", "retry expired 1"]

    letter = dead(letter, "work", "maxlen", key="retry")
    assert told(letter) == ["work maxlen 1", "work rejected 2", "retry expired 1"]


def test_the_first_and_the_last_death_have_names() -> None:
    letter = dead(message("x"), "work", "rejected", exchange="graves", key="retry")
    letter = dead(letter, "retry", "expired")

    assert {name: value for name, value in letter.headers.items() if name != "x-death"} == {
        "x-first-death-exchange": "x",
        "x-first-death-queue": "work",
        "x-first-death-reason": "rejected",
        "x-last-death-exchange": "graves",
        "x-last-death-queue": "retry",
        "x-last-death-reason": "expired",
    }


def test_the_time_is_that_of_the_first() -> None:
    first = dead(message())
    later = make_dead_letter(
        first, queue="source", reason="rejected", now_ms=NOW_MS + 9_000, exchange="", routing_key=None
    )
    assert deaths(later)[0]["time"] == NOW


# What clients write there ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["nonsense", 5, None, [], ["nonsense", 5, None], {"queue": "source"}])
def test_deaths_that_are_none_are_dropped(value: FieldValue) -> None:
    letter = dead(message(headers={"x-death": value, "x-first-death-queue": "elsewhere"}))

    assert told(letter) == ["source rejected 1"]
    assert letter.headers["x-first-death-queue"] == "source"


def test_deaths_that_a_client_hands_on_are_counted() -> None:
    letter = dead(message(headers=dead(message(), "other").headers))
    assert told(letter) == ["source rejected 1", "other rejected 1"]

    letter = dead(message(headers=letter.headers), "other")
    assert told(letter) == ["other rejected 2", "source rejected 1"]


def test_tables_of_another_kind_stay() -> None:
    letter = dead(message(headers={"x-death": [{"odd": 1}, {"queue": "source"}]}))

    assert deaths(letter)[1:] == [{"odd": 1}, {"queue": "source"}]


@pytest.mark.parametrize(("count", "next_"), [(1, 2), ("many", 1), (None, 1), (-1, 0), (2**63 - 1, 2**63 - 1)])
def test_a_count_of_any_kind_can_be_counted_on(count: FieldValue, next_: int) -> None:
    letter = dead(message(headers={"x-death": [{"queue": "source", "reason": "rejected", "count": count}]}))

    check_header(letter.header)
    assert told(letter) == [f"source rejected {next_}"]


@given(field_values)
def test_nothing_that_a_client_writes_is_in_the_way(value: FieldValue) -> None:
    headers: Table = {
        "x-death": [{"queue": "source", "reason": "rejected", "count": value, "odd": value}, value],
        "CC": value,
    }
    letter = dead(message(headers=headers), key=None)

    check_header(letter.header)
    assert deaths(letter)[0]["queue"] == "source"
    assert not cycles(letter, "source")


# Cycles ---------------------------------------------------------------------------------------------------------------


def test_a_dead_letter_goes_on_to_another_queue() -> None:
    assert not cycles(dead(message(), "one", "expired"), "two")
    assert not cycles(dead(message(headers={"two": 1}), "one", "expired"), "two")


@pytest.mark.parametrize("reason", ["expired", "maxlen", "delivery_limit"])
def test_a_dead_letter_does_not_come_back_by_itself(reason: str) -> None:
    letter = dead(message(), "one", reason)
    assert cycles(letter, "one")

    letter = dead(letter, "two", reason)
    assert cycles(letter, "one")
    assert cycles(letter, "two")


def test_what_a_consumer_rejects_may_come_back() -> None:
    letter = dead(message(), "work", "rejected")
    assert not cycles(letter, "work")

    letter = dead(letter, "retry", "expired")
    assert not cycles(letter, "work")
    assert cycles(letter, "retry")

    letter = dead(letter, "work", "rejected")
    assert not cycles(letter, "retry")


def test_a_published_message_closes_no_cycle() -> None:
    assert not cycles(message(headers={"x-death": "one"}), "one")
    assert not cycles(message(routing_key="one", headers={"queue": "one"}), "one")


# How often it came back -----------------------------------------------------------------------------------------------


def test_the_octets_of_a_redelivery() -> None:
    one = message(headers={"z": 1, "a": 2}, expiration="5")
    again = with_delivery_count(one, 3)

    assert again.header == encode_header(
        4, Properties(headers={"a": 2, "x-delivery-count": Long(3), "z": 1}, expiration="5")
    )
    assert (again.address, again.body) == (one.address, one.body)
    assert with_delivery_count(again, 4).headers["x-delivery-count"] == 4


def test_a_redelivery_keeps_its_deadline() -> None:
    one = message()
    again = with_delivery_count(TimedMessage(one.address, one.header, one.body, 5), 1)

    assert isinstance(again, TimedMessage)
    assert again.deadline == 5
