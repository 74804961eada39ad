"""Publisher confirms against a store whose watermark moves late."""

from amqpd.broker.agenda import Agenda
from amqpd.broker.confirms import Confirms
from amqpd.broker.exchanges.exchange import Exchange, FanoutExchange
from amqpd.broker.receiver import Mailbox
from amqpd.broker.records import ExchangeRecord
from amqpd.broker.totals import Totals
from tests.broker.support import BareHost, Disk


def exchange(name: str) -> Exchange:
    return FanoutExchange(ExchangeRecord("/", name, "fanout"), BareHost())


class Publisher:
    """Publishes in numbers only: what was handed to the store, and when it is on the disk."""

    def __init__(self) -> None:
        self.mailbox, self.disk, self.agenda, self.totals = Mailbox(), Disk(), Agenda(), Totals()
        self.exchange = exchange("x")
        self.confirms = Confirms(self.mailbox, self.disk, self.agenda, self.totals)

    def transient(self, count: int = 1) -> None:
        self.confirms.published(self.exchange, count, stored=False)
        self.agenda.settle()

    def persistent(self, count: int = 1) -> None:
        self.disk.written += count
        self.confirms.published(self.exchange, count, stored=True)
        self.agenda.settle()

    def durable(self, watermark: int) -> None:
        self.disk.advance(watermark, self.agenda)
        self.agenda.settle()

    def heard(self) -> list[tuple[int, bool]]:
        """Confirms since the last look: sequence and multiple."""
        confirms, self.mailbox.confirms = self.mailbox.confirms, []
        return confirms


def test_what_nobody_stored_is_confirmed_at_once() -> None:
    publisher = Publisher()
    publisher.transient()
    publisher.transient()
    assert publisher.heard() == [(1, False), (2, False)]


def test_one_confirm_does_for_all_publishes_of_a_batch() -> None:
    publisher = Publisher()
    publisher.agenda.hold()
    publisher.transient(2)
    publisher.transient()
    assert publisher.heard() == []
    publisher.agenda.release()
    assert publisher.heard() == [(3, True)]


def test_what_was_stored_waits_for_the_watermark() -> None:
    publisher = Publisher()
    publisher.persistent()
    publisher.persistent()
    assert publisher.heard() == []
    assert publisher.confirms.unconfirmed == 2
    publisher.durable(1)
    assert publisher.heard() == [(1, False)]
    publisher.durable(2)
    assert publisher.heard() == [(2, False)]
    assert publisher.confirms.unconfirmed == 0


def test_a_run_is_safe_when_its_last_message_is() -> None:
    publisher = Publisher()
    publisher.persistent(3)
    publisher.durable(2)
    assert publisher.heard() == []
    publisher.durable(3)
    assert publisher.heard() == [(3, True)]


def test_confirms_keep_the_order_of_the_publishes() -> None:
    publisher = Publisher()
    publisher.transient()
    publisher.persistent()
    publisher.transient(2)
    assert publisher.heard() == [(1, False)]
    publisher.durable(1)
    assert publisher.heard() == [(4, True)]


def test_a_watermark_that_moves_for_others_confirms_nothing() -> None:
    publisher = Publisher()
    publisher.disk.written = 5  # someone else's
    publisher.persistent()
    for watermark in range(1, 6):
        publisher.durable(watermark)
    assert publisher.heard() == []
    publisher.durable(6)
    assert publisher.heard() == [(1, False)]


def test_what_is_durable_already_need_not_wait() -> None:
    publisher = Publisher()
    publisher.disk.written = publisher.disk.durable = 5
    publisher.disk.durable = 6  # the disk was faster than the agenda
    publisher.persistent()
    assert publisher.heard() == [(1, False)]


def test_waiting_costs_the_store_one_entry_however_long_it_lasts() -> None:
    publisher = Publisher()
    for _ in range(100):
        publisher.persistent()
    assert list(publisher.disk._waiting) == [publisher.confirms]
    publisher.durable(100)
    assert publisher.heard() == [(100, True)]
    assert not publisher.disk._waiting


def test_a_session_that_has_ended_hears_no_more() -> None:
    publisher = Publisher()
    publisher.persistent()
    publisher.agenda.hold()
    publisher.transient()
    publisher.confirms.forget()
    publisher.agenda.release()
    publisher.durable(1)
    assert publisher.heard() == []
    assert not publisher.disk._waiting
    assert publisher.totals.messages_confirmed == 0


def test_the_total_counts_messages_and_not_confirms() -> None:
    publisher = Publisher()
    publisher.transient(5)
    publisher.transient()
    assert publisher.totals.messages_confirmed == 6
