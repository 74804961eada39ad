import pytest

from amqpd.broker.records import ExchangeRecord, QueueRecord
from amqpd.broker.topology.equivalence import check_same_exchange, check_same_queue
from amqpd.errors import PreconditionFailed
from amqpd.wire.numbers import Long, Short
from amqpd.wire.tables import Table
from tests.broker.support import refused


@pytest.mark.parametrize(
    ("current", "received", "said"),
    [
        ({"x-max-length": 5}, {"x-max-length": 6}, "received '6' but current is '5'"),
        ({"x-max-length": 5}, {"x-max-length": 2**33}, "received '8589934592' but current is '5'"),
        ({"x-max-length": 5}, {"x-max-length": "5"}, "received '5' but current is '5'"),
        ({"x-max-length": 5}, {}, "received none but current is the value '5' of type 'signedint'"),
        ({}, {"x-max-length": Long(5)}, "received the value '5' of type 'long' but current is none"),
        ({}, {"x-overflow": "drop-head"}, "received the value 'drop-head' of type 'longstr' but current is none"),
        (
            {},
            {"x-single-active-consumer": True},
            "received the value 'true' of type 'bool' but current is none",
        ),
        ({}, {"x-queue-type": "quorum"}, "received the value 'quorum' of type 'longstr' but current is none"),
        ({"x-queue-mode": "lazy"}, {}, "received none but current is the value 'lazy' of type 'longstr'"),
        ({"x-delivery-limit": 5}, {}, "received none but current is the value '5' of type 'signedint'"),
    ],
)
def test_a_queue_with_another_argument_is_another_queue(current: Table, received: Table, said: str) -> None:
    (argument,) = {**current, **received}
    with refused(PreconditionFailed, f"inequivalent arg '{argument}' for queue 'q' in vhost '/': {said}"):
        check_same_queue(QueueRecord("/", "q", arguments=current), QueueRecord("/", "q", arguments=received))


@pytest.mark.parametrize(
    ("current", "received"),
    [
        ({"x-max-length": Short(5)}, {"x-max-length": Long(5)}),  # by value, not by width
        ({"x-queue-type": "classic"}, {}),  # what a queue without the argument is
        ({}, {"x-queue-type": "classic"}),
        ({"x-unknown": 1}, {}),  # what RabbitMQ does not know it does not compare
        ({}, {"x-unknown": 1}),
    ],
)
def test_a_difference_that_means_nothing_is_none(current: Table, received: Table) -> None:
    check_same_queue(QueueRecord("/", "q", arguments=current), QueueRecord("/", "q", arguments=received))


@pytest.mark.parametrize(
    ("current", "received", "first"),
    [
        ({}, {"x-queue-type": "quorum", "x-expires": 4, "x-delivery-limit": 3}, "x-expires"),
        ({"x-queue-type": "quorum"}, {"x-max-priority": 3}, "x-queue-type"),
        (
            {"x-queue-type": "quorum", "x-delivery-limit": 3},
            {"x-queue-type": "quorum", "x-message-ttl": 5},
            "x-delivery-limit",
        ),
        ({"x-delivery-limit": 3}, {"x-message-ttl": 5}, "x-message-ttl"),
    ],
)
def test_the_first_difference_depends_on_the_type_of_the_queue(current: Table, received: Table, first: str) -> None:
    with pytest.raises(PreconditionFailed, match=f"inequivalent arg '{first}' "):
        check_same_queue(QueueRecord("/", "q", arguments=current), QueueRecord("/", "q", arguments=received))


def test_an_exclusive_queue_is_the_same_whether_it_was_to_be_durable_or_not() -> None:
    check_same_queue(QueueRecord("/", "q", durable=True, exclusive=True), QueueRecord("/", "q", exclusive=True))


@pytest.mark.parametrize("field", ["durable", "auto_delete"])
def test_a_queue_with_another_flag_is_another_queue(field: str) -> None:
    with refused(
        PreconditionFailed,
        f"inequivalent arg '{field}' for queue 'q' in vhost '/': received 'true' but current is 'false'",
    ):
        check_same_queue(QueueRecord("/", "q"), QueueRecord("/", "q", **{field: True}))


@pytest.mark.parametrize("field", ["durable", "auto_delete", "internal"])
def test_an_exchange_with_another_flag_is_another_exchange(field: str) -> None:
    with refused(
        PreconditionFailed,
        f"inequivalent arg '{field}' for exchange 'x' in vhost '/': received 'false' but current is 'true'",
    ):
        check_same_exchange(ExchangeRecord("/", "x", "direct", **{field: True}), ExchangeRecord("/", "x", "direct"))


def test_an_exchange_of_another_type_is_another_exchange() -> None:
    with refused(
        PreconditionFailed,
        "inequivalent arg 'type' for exchange 'x' in vhost '/': received 'fanout' but current is 'direct'",
    ):
        check_same_exchange(ExchangeRecord("/", "x", "direct"), ExchangeRecord("/", "x", "fanout"))


@pytest.mark.parametrize(
    ("current", "received", "said"),
    [
        (
            {"alternate-exchange": "a"},
            {},
            "received none but current is the value 'a' of type 'longstr'",
        ),
        (
            {},
            {"alternate-exchange": "a"},
            "received the value 'a' of type 'longstr' but current is none",
        ),
        ({"alternate-exchange": "a"}, {"alternate-exchange": "b"}, "received 'b' but current is 'a'"),
    ],
)
def test_an_exchange_with_another_alternate_is_another_exchange(current: Table, received: Table, said: str) -> None:
    one = ExchangeRecord("/", "x", "direct", arguments=current)
    another = ExchangeRecord("/", "x", "direct", arguments=received)
    with refused(PreconditionFailed, f"inequivalent arg 'alternate-exchange' for exchange 'x' in vhost '/': {said}"):
        check_same_exchange(one, another)
