"""The recent history exchange: a fanout exchange that remembers, for whoever is bound to it later.

A new binding gets the last messages, oldest first, before any new ones. They are remembered in memory only: after a
restart the history begins anew, and bindings that come back then get nothing.
"""

from collections import deque
from collections.abc import Iterable

from amqpd.broker.exchanges.erlang import erlang_term
from amqpd.broker.exchanges.exchange import Binding, BindingKey, Exchange, FanoutExchange
from amqpd.broker.host import Host
from amqpd.broker.message import Message
from amqpd.broker.records import ExchangeRecord
from amqpd.broker.sink import Sink
from amqpd.errors import PreconditionFailed
from amqpd.wire.tables import type_name

LENGTH = "x-recent-history-length"
NO_STORE = "x-recent-history-no-store"
DEFAULT_LENGTH = 20


class RecentHistoryExchange(FanoutExchange):
    """A message whose header ``x-recent-history-no-store`` is true is not remembered."""

    type = "x-recent-history"
    per_message = True

    def __init__(self, record: ExchangeRecord, host: Host) -> None:
        super().__init__(record, host)
        length = record.arguments.get(LENGTH)
        self._host = host
        self._history: deque[Message] = deque(maxlen=length if isinstance(length, int) else DEFAULT_LENGTH)

    def match(self, routing_key: str, message: Message | None) -> Iterable[Sink | Exchange]:
        if message is not None and message.headers.get(NO_STORE) is not True:
            self._history.append(message)
        return super().match(routing_key, message)

    def _index(self, key: BindingKey, binding: Binding) -> None:
        destination = binding.destination
        for message in list(self._history):  # which comes by here again, if the exchange is bound to itself
            if isinstance(destination, Exchange):
                self._host.forward(destination, message)
            else:
                destination.enqueue((message,), len(message.body))


def check_history_arguments(record: ExchangeRecord) -> None:
    """PreconditionFailed: no recent history exchange can have these arguments."""
    if LENGTH not in record.arguments:
        return
    length = record.arguments[LENGTH]
    # The plugin knows these types of integers, and no unsigned ones.
    is_integer = type_name(length) in ("byte", "short", "signedint", "long")
    if not is_integer or not isinstance(length, int) or length < 1:
        raise PreconditionFailed(f"Invalid argument {erlang_term(length)}, '{LENGTH}' must be a positive integer")
