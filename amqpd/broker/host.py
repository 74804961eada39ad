"""What queues and exchanges need of the virtual host they live in: the way back up, as few calls as possible."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mypy_extensions import mypyc_attr

from amqpd.broker.agenda import Agenda
from amqpd.broker.message import Message
from amqpd.broker.records import ExchangeRecord, QueueRecord
from amqpd.broker.store import QueueLog
from amqpd.broker.timers import Timers

if TYPE_CHECKING:
    from amqpd.broker.exchanges.exchange import Exchange
    from amqpd.broker.queues.queue import Queue
    from amqpd.broker.queues.ready import Windows


@mypyc_attr(allow_interpreted_subclasses=True)
class Host:
    """A virtual host, seen from what lives in it."""

    agenda: Agenda
    timers: Timers
    windows: "Windows"
    message_times: bool
    """Whether queues measure how long messages wait and how long consumers take, unless their rules say otherwise."""

    def open_log(self, record: QueueRecord | ExchangeRecord, lane: int = 0) -> QueueLog | None:
        """See :meth:`Store.open_log`."""
        raise NotImplementedError

    def dead_letter(self, queue: "Queue", reason: str, positions: Sequence[int], messages: Sequence[Message]) -> None:
        """Messages leave a queue that has a dead letter exchange: publish them there, and tell the queue's log then.

        ``positions`` is empty if the queue has refused them.
        """
        raise NotImplementedError

    def count_dropped(self, queue: "Queue", reason: str, count: int) -> None:
        """So many messages left a queue, for this reason, without having been acknowledged."""
        raise NotImplementedError

    def expire(self, queue: "Queue") -> None:
        """A queue was not used for as long as it may be: it goes."""
        raise NotImplementedError

    def forward(self, exchange: "Exchange", message: Message) -> None:
        """Route a message on from an exchange that has held it, before anything is written."""
        raise NotImplementedError
