"""What is a duplicate, for how long, and how many keys are remembered."""

import pytest

from amqpd.broker.deduplication import Deduplicator, check_deduplication, deduplicator_of
from amqpd.broker.message import Message, make_message
from amqpd.errors import PreconditionFailed
from amqpd.wire.numbers import Long, Timestamp
from amqpd.wire.properties import Properties
from amqpd.wire.tables import FieldValue, Table
from tests.broker.support import HandClock, refused


def message(key: FieldValue, **headers: FieldValue) -> Message:
    return make_message("", "q", b"", Properties(headers={"x-deduplication-header": key, **headers}))


def asked(deduplicator: Deduplicator, *keys: FieldValue) -> list[bool]:
    return [deduplicator.is_duplicate(message(key)) for key in keys]


def test_the_first_of_a_key_is_none_and_all_others_are() -> None:
    deduplicator = Deduplicator({}, HandClock())
    assert asked(deduplicator, "a", "b", "a", "a", "b") == [False, False, True, True, True]


def test_keys_may_be_of_any_type_and_are_the_same_if_type_and_value_are() -> None:
    keys: list[FieldValue] = ["1", 1, 1.0, True, b"1", [1], {"a": 1}, Timestamp(1)]
    deduplicator = Deduplicator({}, HandClock())
    assert asked(deduplicator, *keys) == [False] * len(keys)
    assert asked(deduplicator, *keys) == [True] * len(keys)


def test_a_message_without_a_key_is_never_a_duplicate() -> None:
    deduplicator = Deduplicator({}, HandClock())
    for _ in range(2):
        assert not deduplicator.is_duplicate(make_message("", "q", b""))
        assert not deduplicator.is_duplicate(message(None))


def test_the_key_may_lie_in_another_header() -> None:
    deduplicator = Deduplicator({"x-deduplication-header": "id"}, HandClock())
    assert not deduplicator.is_duplicate(message("a", id="1"))
    assert not deduplicator.is_duplicate(message("a", id="2"))
    assert deduplicator.is_duplicate(message("b", id="1"))


def test_a_key_is_forgotten_after_its_time_which_a_duplicate_does_not_renew() -> None:
    clock = HandClock()
    deduplicator = Deduplicator({"x-cache-ttl": 100}, clock)
    assert asked(deduplicator, "a") == [False]
    clock.ms += 99
    assert asked(deduplicator, "a") == [True]
    clock.ms += 1
    assert asked(deduplicator, "a", "a") == [False, True]
    clock.ms += 99
    assert asked(deduplicator, "a") == [True]


@pytest.mark.parametrize(
    ("own", "remembered_ms"),
    [(50, 50), (Long(200), 200), (0, 0), (-1, 100), ("50", 100), (True, 100), (None, 100), (Long(1 << 60), 100)],
)
def test_a_message_may_say_for_how_long_it_is_remembered(own: FieldValue, remembered_ms: int) -> None:
    clock = HandClock()
    deduplicator = Deduplicator({"x-cache-ttl": 100}, clock)
    deduplicator.is_duplicate(message("a", **{"x-cache-ttl": own}))
    clock.ms += remembered_ms - 1
    if remembered_ms:
        assert asked(deduplicator, "a") == [True]
    clock.ms += 1
    assert asked(deduplicator, "a") == [False]


def test_the_oldest_key_makes_room() -> None:
    deduplicator = Deduplicator({"x-cache-size": 2}, HandClock())
    assert asked(deduplicator, "a", "b", "a", "c") == [False, False, True, False]
    assert asked(deduplicator, "b", "c", "a") == [True, True, False]


def test_a_key_that_was_forgotten_and_comes_again_is_the_newest() -> None:
    clock = HandClock()
    deduplicator = Deduplicator({"x-cache-size": 2, "x-cache-ttl": 100}, clock)
    asked(deduplicator, "a")
    clock.ms += 60
    asked(deduplicator, "b")
    clock.ms += 60
    assert asked(deduplicator, "a", "c", "a") == [False, False, True]  # it was b that made room for c


def test_128_keys_are_remembered_if_nothing_is_said() -> None:
    deduplicator = Deduplicator({}, HandClock())
    asked(deduplicator, *range(129))
    assert asked(deduplicator, *range(1, 129)) == [True] * 128
    assert asked(deduplicator, 0) == [False]


@pytest.mark.parametrize("arguments", [{}, {"x-message-deduplication": False}, {"x-cache-size": 10}])
def test_who_does_not_ask_for_it_has_none(arguments: Table) -> None:
    assert deduplicator_of(arguments, HandClock()) is None


def test_who_asks_for_it_has_it() -> None:
    assert deduplicator_of({"x-message-deduplication": True}, HandClock()) is not None


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("x-message-deduplication", 1, '"expected boolean, got signedint"'),
        ("x-deduplication-header", b"id", '"expected string, got binary"'),
        ("x-cache-size", "10", '"expected integer, got longstr"'),
        ("x-cache-size", True, '"expected integer, got bool"'),
        ("x-cache-size", Timestamp(1), '"expected integer, got timestamp"'),
        ("x-cache-size", -1, "{value_negative,-1}"),
        ("x-cache-size", 0, "{value_zero,0}"),
        ("x-cache-size", 1_000_001, "{max_value_exceeded,1000001}"),
        ("x-cache-ttl", None, '"expected integer, got void"'),
        ("x-cache-ttl", -1, "{value_negative,-1}"),
        ("x-cache-ttl", Long(1 << 60), "{max_value_exceeded,1152921504606846976}"),
    ],
)
def test_wrong_arguments(name: str, value: FieldValue, reason: str) -> None:
    with refused(PreconditionFailed, f"invalid arg '{name}' for queue 'q' in vhost '/': {reason}"):
        check_deduplication("queue 'q' in vhost '/'", {name: value})


def test_right_arguments() -> None:
    check_deduplication("queue 'q' in vhost '/'", {})
    check_deduplication(
        "queue 'q' in vhost '/'",
        {"x-message-deduplication": True, "x-deduplication-header": "", "x-cache-size": 1_000_000, "x-cache-ttl": 0},
    )
