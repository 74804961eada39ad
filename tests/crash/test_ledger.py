"""The ledger notices what must not be; the crash test is worth no more than that."""

import pytest

from tests.crash.ledger import DEAD, Key, Ledger, make_body, read_body

A: Key = ("publisher", 1)
COPIES = [("q", A)]


def body(key: Key = A) -> bytes:
    return make_body(key, 100)


@pytest.fixture
def ledger() -> Ledger:
    """One persistent message is published and confirmed."""
    ledger = Ledger(["q"])
    ledger.publishes(COPIES, persistent=True)
    ledger.confirmed(COPIES)
    return ledger


def wrong(ledger: Ledger) -> list[str]:
    """What is wrong, in short."""
    return [text.partition("life ")[2].partition(": ")[2].partition(";")[0] or text for text in ledger.wrong]


@pytest.mark.parametrize("size", [0, 1, 100, 70_000])
def test_a_body_says_what_it_is(size: int) -> None:
    octets = make_body(A, size)
    assert len(octets) >= size
    assert read_body(octets) == A
    assert read_body(octets + b"?") is None


def test_all_is_well(ledger: Ledger) -> None:
    ledger.delivered("q", body(), False)
    ledger.requeues(COPIES)
    ledger.delivered("q", body(), True)
    ledger.ends()
    assert ledger.expected(("q",)) == (1, 1)
    ledger.delivered("q", body(), True)
    ledger.settles(COPIES)
    ledger.ends()
    assert ledger.expected(("q",)) == (0, 1)
    ledger.delivered("q", body(), True)
    ledger.settles(COPIES)
    ledger.settled(COPIES)
    ledger.ends()
    assert ledger.expected(("q",)) == (0, 0)
    ledger.drained()
    assert ledger.wrong == []


def test_what_was_not_confirmed_may_be_lost_but_not_once_it_was_there_after_a_crash(ledger: Ledger) -> None:
    copies = [("q", ("publisher", 2))]
    ledger.publishes(copies, persistent=True)
    ledger.ends()
    assert ledger.expected(("q",)) == (1, 2)
    ledger.delivered("q", body(("publisher", 2)), False)
    ledger.ends()
    assert ledger.expected(("q",)) == (2, 2)


def test_lost(ledger: Ledger) -> None:
    ledger.ends()
    ledger.drained()
    assert [text.partition(";")[0] for text in ledger.wrong] == ["('publisher', 1) in q: lost"]


def test_invented(ledger: Ledger) -> None:
    ledger.delivered("q", body(("publisher", 2)), False)
    ledger.delivered("q", body()[:-1], False)
    assert len(ledger.wrong) == 2
    assert all("was never published" in text for text in ledger.wrong)


def test_delivered_twice(ledger: Ledger) -> None:
    ledger.delivered("q", body(), False)
    ledger.delivered("q", body(), True)
    assert wrong(ledger) == ["delivered twice"]


def test_delivered_after_its_ack(ledger: Ledger) -> None:
    ledger.delivered("q", body(), False)
    ledger.settles(COPIES)
    ledger.delivered("q", body(), True)
    assert wrong(ledger) == ["delivered again, in the life in which it was settled"]


def test_come_back(ledger: Ledger) -> None:
    ledger.delivered("q", body(), False)
    ledger.settles(COPIES)
    ledger.settled(COPIES)
    ledger.ends()
    ledger.delivered("q", body(), True)
    assert wrong(ledger) == ["has come back"]


def test_a_transient_one_that_survives() -> None:
    ledger = Ledger(["q"])
    ledger.publishes(COPIES, persistent=False)
    ledger.ends()
    ledger.delivered("q", body(), True)
    assert wrong(ledger) == ["has come back"]


def test_not_marked(ledger: Ledger) -> None:
    ledger.delivered("q", body(), False)
    ledger.ends()
    ledger.delivered("q", body(), False)
    assert wrong(ledger) == ["not marked as redelivered"]


def test_marked_for_nothing(ledger: Ledger) -> None:
    """Only a crash leaves the broker in the dark."""
    ledger.stops()
    ledger.ends()
    ledger.delivered("q", body(), True)
    assert wrong(ledger) == ["marked as redelivered"]


def test_after_a_crash_all_may_be_marked(ledger: Ledger) -> None:
    ledger.ends()
    ledger.delivered("q", body(), True)
    assert ledger.wrong == []


def test_while_the_broker_stops_what_one_consumer_has_may_go_to_another(ledger: Ledger) -> None:
    ledger.stops()
    ledger.delivered("q", body(), True)
    ledger.delivered("q", body(), False)
    ledger.ends()
    assert ledger.expected(("q",)) == (0, 1)
    ledger.delivered("q", body(), True)
    assert ledger.wrong == []


# Dead letters ---------------------------------------------------------------------------------------------------------

AS_DEAD_LETTER = [(DEAD, A)]


@pytest.fixture
def moving() -> Ledger:
    """One persistent message is published to a queue that dead-letters, and confirmed."""
    ledger = Ledger([], ["q", "other"])
    ledger.publishes(COPIES, persistent=True)
    ledger.confirmed(COPIES)
    return ledger


def test_moved_as_it_should(moving: Ledger) -> None:
    [place] = moving.places
    moving.delivered("q", body(), False)
    moving.rejects(COPIES)
    moving.delivered(DEAD, body(), False)
    moving.ends()
    assert moving.expected(place) == (1, 1)
    moving.delivered("q", body(), True)
    moving.rejects(COPIES)
    moving.settled(COPIES)
    moving.ends()
    assert moving.expected(place) == (1, 1)
    moving.delivered(DEAD, body(), True)
    moving.settles(AS_DEAD_LETTER)
    moving.settled(AS_DEAD_LETTER)
    assert moving.expected(place) == (0, 0)
    moving.drained()
    assert moving.wrong == []


def test_dropped_by_the_broker_again_and_again(moving: Ledger) -> None:
    """It has never been on the disk as a dead letter, so it may look new each time."""
    for _ in range(2):
        moving.delivered(DEAD, body(), False)
        moving.ends()
    assert moving.wrong == []


def test_lost_on_the_way(moving: Ledger) -> None:
    moving.delivered("q", body(), False)
    moving.rejects(COPIES)
    moving.settled(COPIES)
    moving.ends()
    moving.drained()
    assert [text.partition(";")[0] for text in moving.wrong] == [f"('publisher', 1) in q or other or {DEAD}: lost"]


def test_a_dead_letter_that_was_published_elsewhere(moving: Ledger) -> None:
    moving.delivered("other", body(), False)
    assert wrong(moving) == ["was never published there"]


def test_in_both_queues(moving: Ledger) -> None:
    moving.delivered("q", body(), False)
    moving.delivered(DEAD, body(), False)
    assert wrong(moving) == ["delivered twice"]


def test_delivered_from_its_source_after_it_was_rejected(moving: Ledger) -> None:
    moving.delivered("q", body(), False)
    moving.rejects(COPIES)
    moving.delivered("q", body(), True)
    assert wrong(moving) == ["delivered from its source, in the life in which it has left it"]


def test_rejected_for_good_and_back_in_its_source(moving: Ledger) -> None:
    moving.delivered("q", body(), False)
    moving.rejects(COPIES)
    moving.settled(COPIES)
    moving.ends()
    moving.delivered("q", body(), True)
    assert wrong(moving) == ["has come back to its source"]


@pytest.mark.parametrize("orderly", [True, False])
def test_kept_as_a_dead_letter_and_back_in_its_source(moving: Ledger, orderly: bool) -> None:
    if orderly:
        moving.delivered(DEAD, body(), False)
        moving.stops()
        moving.ends()
    else:
        moving.ends()
        moving.delivered(DEAD, body(), True)
        moving.ends()
    moving.delivered("q", body(), not orderly)
    assert wrong(moving) == ["has come back to its source"]


def test_a_dead_letter_that_is_not_marked(moving: Ledger) -> None:
    moving.ends()
    for redelivered in (True, False):
        moving.delivered(DEAD, body(), redelivered)
        moving.requeues(AS_DEAD_LETTER)
    assert wrong(moving) == ["not marked as redelivered"]


def test_a_dead_letter_that_is_marked_for_what_happened_in_its_source(moving: Ledger) -> None:
    moving.delivered("q", body(), False)
    moving.rejects(COPIES)
    moving.delivered(DEAD, body(), True)
    assert wrong(moving) == ["marked as redelivered"]


def test_where_there_are_no_dead_letters_rejected_is_settled(ledger: Ledger) -> None:
    ledger.delivered("q", body(), False)
    ledger.rejects(COPIES)
    ledger.settled(COPIES)
    assert ledger.expected(("q",)) == (0, 0)
