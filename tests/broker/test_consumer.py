"""What a session keeps of its deliveries: tags, what is unacked, and credit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.agenda import Agenda
from amqpd.broker.consumer import UNLIMITED, Consumer, Deliveries, Delivery
from amqpd.broker.receiver import Mailbox
from amqpd.errors import PreconditionFailed
from tests.broker.support import BareQueue, message, refused


class Desk:
    """Deliveries, and consumers to make them to."""

    def __init__(self) -> None:
        self.mailbox = Mailbox()
        self.deliveries = Deliveries(self.mailbox, Agenda())
        self.queue = BareQueue().queue

    def consumer(self, tag: str = "c", no_ack: bool = False, prefetch_count: int = 0) -> Consumer:
        return Consumer(tag, self.queue, self.deliveries, no_ack, prefetch_count=prefetch_count)

    def deliver(self, consumer: Consumer, *positions: int) -> None:
        consumer.deliver(positions, [message(str(position)) for position in positions], False)

    def withdraw(self, delivery_tag: int, multiple: bool = False) -> list[int]:
        return positions_of(self.deliveries.withdraw(delivery_tag, multiple))


def positions_of(withdrawn: dict[int, Delivery]) -> list[int]:
    return [position for _, position, _ in withdrawn.values()]


def test_delivery_tags_count_from_1_over_all_consumers_and_gets() -> None:
    desk = Desk()
    one, two = desk.consumer("one"), desk.consumer("two", no_ack=True)
    desk.deliver(one, 1, 2)
    desk.deliver(two, 3)
    assert desk.deliveries.pulled(desk.consumer(""), 4, message()) == 4
    desk.deliver(one, 5)
    assert [(tag, number) for tag, number, _, _ in desk.mailbox.deliveries] == [
        ("one", 1),
        ("one", 2),
        ("two", 3),
        ("one", 5),
    ]


def test_only_what_wants_an_acknowledgement_is_remembered() -> None:
    desk = Desk()
    desk.deliver(desk.consumer(no_ack=True), 1, 2)
    desk.deliveries.pulled(desk.consumer("", no_ack=True), 3, message())
    assert len(desk.deliveries) == 0
    with refused(PreconditionFailed, "unknown delivery tag 1"):
        desk.withdraw(1)


def test_one_delivery_is_withdrawn_once() -> None:
    desk = Desk()
    desk.deliver(desk.consumer(), 7, 8)
    assert desk.withdraw(2) == [8]
    with refused(PreconditionFailed, "unknown delivery tag 2"):
        desk.withdraw(2)
    assert desk.withdraw(1) == [7]


@pytest.mark.parametrize("delivery_tag", [0, 3, 99])
def test_one_delivery_needs_a_tag_that_is_out(delivery_tag: int) -> None:
    desk = Desk()
    desk.deliver(desk.consumer(), 1, 2)
    with refused(PreconditionFailed, f"unknown delivery tag {delivery_tag}"):
        desk.withdraw(delivery_tag)
    assert len(desk.deliveries) == 2


def test_multiple_means_all_up_to_the_tag_and_0_all_there_are() -> None:
    desk = Desk()
    desk.deliver(desk.consumer(), 1, 2, 3, 4, 5, 6)
    desk.withdraw(2)
    assert desk.withdraw(4, multiple=True) == [1, 3, 4]
    assert desk.withdraw(0, multiple=True) == [5, 6]
    assert desk.withdraw(0, multiple=True) == []  # none is fine


@pytest.mark.parametrize("delivery_tag", [2, 7])
def test_multiple_up_to_a_tag_that_is_not_out_is_refused(delivery_tag: int) -> None:
    desk = Desk()
    desk.deliver(desk.consumer(), 1, 2, 3)
    desk.withdraw(2)
    with refused(PreconditionFailed, f"unknown delivery tag {delivery_tag}"):
        desk.withdraw(delivery_tag, multiple=True)
    assert len(desk.deliveries) == 2


def test_what_was_put_back_is_out_as_if_nothing_had_been() -> None:
    desk = Desk()
    desk.deliver(desk.consumer(), 1, 2, 3, 4)
    withdrawn = desk.deliveries.withdraw(3, True)
    desk.deliveries.restore(withdrawn)
    assert desk.withdraw(4, multiple=True) == [1, 2, 3, 4]


commands = st.tuples(st.sampled_from(["deliver", "one", "multiple", "restore"]), st.integers(0, 60))


@given(st.lists(commands, max_size=60))
def test_withdrawing_does_what_a_list_would_do(commands: list[tuple[str, int]]) -> None:
    desk, out, last = Desk(), list[int](), 0
    consumer, withdrawn = desk.consumer(), dict[int, Delivery]()
    for command, number in commands:
        if command == "deliver":
            fresh = list(range(last + 1, last + 1 + number))  # position and tag are the same here
            desk.deliver(consumer, *fresh)
            last += number
            out += fresh
        elif command == "restore":
            desk.deliveries.restore(withdrawn)
            out = sorted([*out, *withdrawn])
            withdrawn = {}
        elif number in out:
            gone = [number] if command == "one" else [tag for tag in out if tag <= number]
            withdrawn = desk.deliveries.withdraw(number, command == "multiple")
            assert list(withdrawn) == positions_of(withdrawn) == gone
            out = [tag for tag in out if tag not in gone]
        elif command == "one" or number:
            with pytest.raises(PreconditionFailed):
                desk.deliveries.withdraw(number, command == "multiple")
    assert list(desk.deliveries.withdraw_all()) == out


# Credit


def test_without_prefetch_credit_has_no_end() -> None:
    desk = Desk()
    consumer = desk.consumer()
    desk.deliver(consumer, 1, 2, 3)
    assert consumer.credit() > UNLIMITED - 10


def test_credit_is_prefetch_less_what_is_unacked() -> None:
    desk = Desk()
    consumer, other = desk.consumer("a", prefetch_count=3), desk.consumer("b", prefetch_count=1)
    desk.deliver(consumer, 1, 2)
    assert (consumer.credit(), other.credit()) == (1, 1)
    consumer.settled(1)
    assert consumer.credit() == 2


def test_a_shared_prefetch_counts_the_deliveries_of_all() -> None:
    desk = Desk()
    desk.deliveries.prefetch_count = 3
    one, two = desk.consumer("one"), desk.consumer("two", prefetch_count=1)
    desk.deliver(one, 1)
    assert (one.credit(), two.credit()) == (2, 1)
    desk.deliver(two, 2)
    assert (one.credit(), two.credit()) == (1, 0)
    desk.deliver(one, 3)
    assert one.credit() == 0
    two.settled(1)
    assert (one.credit(), two.credit()) == (1, 1)


def test_what_was_pulled_counts_for_no_prefetch() -> None:
    desk = Desk()
    desk.deliveries.prefetch_count = 1
    consumer, puller = desk.consumer(), desk.consumer("")
    desk.deliveries.pulled(puller, 1, message())
    assert consumer.credit() == 1
    puller.settled(1)
    assert consumer.credit() == 1


def test_who_wants_no_acknowledgements_has_credit_whatever_the_prefetch() -> None:
    desk = Desk()
    desk.deliveries.prefetch_count = 1
    desk.deliver(desk.consumer("a"), 1)
    consumer = desk.consumer("b", no_ack=True, prefetch_count=1)
    desk.deliver(consumer, 2, 3)
    assert consumer.credit() == UNLIMITED


def test_while_the_flow_is_stopped_nobody_has_credit() -> None:
    desk = Desk()
    desk.deliveries.flowing = False
    assert desk.consumer().credit() == desk.consumer(no_ack=True).credit() == 0


def test_a_prefetch_below_what_is_out_gives_no_credit() -> None:
    desk = Desk()
    consumer = desk.consumer()
    desk.deliver(consumer, 1, 2, 3)
    consumer.prefetch_count = 2
    assert consumer.credit() < 0
