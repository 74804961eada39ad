"""The delayed message exchange, and the messages that it holds.

A message with a positive header ``x-delay`` is held for so many milliseconds, and then routed on as an exchange of type
``x-delayed-type`` does it. Who gets it then sees the header negated, as with the plugin for RabbitMQ, so that it is not
held again.

Strategy: a heap of moments, and one timer for the first. What is held lies in memory, bodies too; the alarm of memory
blocks publishers before that is too much. Persistent messages of a durable exchange are also in a log of the exchange,
from which they are read back when the broker starts; they keep their moments, and what is overdue by then is routed on
at once.
"""

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush, nsmallest
from typing import NamedTuple

from amqpd.broker.exchanges.exchange import Binding, BindingKey, Exchange
from amqpd.broker.host import Host
from amqpd.broker.message import Message, TimedMessage
from amqpd.broker.records import BindingRecord, ExchangeRecord
from amqpd.broker.sink import Sink
from amqpd.broker.store import QueueLog
from amqpd.broker.timers import Timer
from amqpd.wire.numbers import Timestamp
from amqpd.wire.properties import with_headers
from amqpd.wire.tables import FieldValue

HEADER = "x-delay"
_HEADER_OCTETS = HEADER.encode()

DELAY_MAX = 315_360_000_000
"""Ten years in milliseconds, as for any time in RabbitMQ. The plugin's own limit, 2**32 - 1, is that of Erlang's
timers; what is above is routed at once there, and what is above this one here."""

FIRED_AT_ONCE = 1000
"""Messages routed on in one go. The rest follows a moment later, so that an overdue million stops nobody for long."""


CANCELLED_MAX = 1024
"""Moments of cancelled messages that may wait with the others: they are looked for when they are the greater part."""


class DelayedExchange(Exchange):
    """``inner`` is an exchange for the same record, of the type that the record asks for.

    ``delays`` is what is held.
    """

    type = "x-delayed-message"
    per_message = True

    def __init__(self, record: ExchangeRecord, host: Host, inner: Exchange) -> None:
        super().__init__(record, host)
        self.by_key = inner.by_key
        self.delays = Delays(self, host)
        self._inner = inner

    def check(self, record: BindingRecord) -> None:
        self._inner.check(record)

    def match(self, routing_key: str, message: Message | None) -> Iterable[Sink | Exchange]:
        if message is not None and delay_of(message):
            return (self.delays,)
        return self._inner.match(routing_key, message)

    def dissolve(self) -> None:
        self.delays.dissolve()

    def _index(self, key: BindingKey, binding: Binding) -> None:
        self._inner.bind(binding)

    def _unindex(self, key: BindingKey, binding: Binding) -> None:
        self._inner.unbind(binding.record)


class Held(NamedTuple):
    """A message that waits. ``position`` names it, ``due`` is when it is routed on, in milliseconds since 1970."""

    position: int
    due: int
    message: Message


class Delays(Sink):
    """The messages that one exchange holds. ``octets``: of their bodies."""

    __slots__ = ("_due", "_exchange", "_held", "_host", "_log", "_next", "_timer", "octets")

    def __init__(self, exchange: Exchange, host: Host) -> None:
        super().__init__()
        self.watches = True
        self.octets = 0
        self._exchange = exchange
        self._host = host
        self._held: dict[int, TimedMessage] = {}
        self._due: list[tuple[int, int]] = []  # a heap of moments and positions; some of which may have been cancelled
        self._next = 1
        self._timer = Timer(host.timers, self)
        self._log = host.open_log(exchange.record) if exchange.record.survives else None
        if self._log is not None:
            self._read_back(self._log)

    def __len__(self) -> int:
        return len(self._held)

    def enqueue(self, messages: Sequence[Message], octets: int) -> int:
        """Hold messages, all for the time that the first one asks for."""
        due = self._host.timers.now() + delay_of(messages[0])
        held = [TimedMessage(message.address, message.header, message.body, due) for message in messages]
        if self._log is not None:
            self._log.append(self._next, held, octets, paged=False)
        for position, message in enumerate(held, self._next):
            self._hold(position, message)
        self._next += len(held)
        self._set_timer()
        return 0

    def perform(self) -> None:
        """Route on what is due."""
        now = self._host.timers.now()
        fired: list[int] = []
        while self._due and self._due[0][0] <= now and len(fired) < FIRED_AT_ONCE:
            position = heappop(self._due)[1]
            if position in self._held:
                fired.append(position)
        self._set_timer()
        for position in fired:
            message = self._let_go(position, moved=True)
            headers = message.headers | {HEADER: -delay_of(message)}
            header = with_headers(message.header, headers)
            self._host.forward(self._exchange, Message(message.address, header, message.body))

    def pending(self, limit: int, offset: int = 0) -> list[Held]:
        """Those that come next, in order, ``limit`` of them after the first ``offset``."""
        moments = ((message.deadline, position) for position, message in self._held.items())
        found = nsmallest(offset + limit, moments)[offset:]
        return [Held(position, due, self._held[position]) for due, position in found]

    def cancel(self, position: int) -> bool:
        """Drop a message. False: it is not held, or no longer."""
        if position not in self._held:
            return False
        self._let_go(position)
        if len(self._due) > 2 * len(self._held) + CANCELLED_MAX:
            self._due = [(message.deadline, position) for position, message in self._held.items()]
            heapify(self._due)
        return True

    def dissolve(self) -> None:
        """The exchange is deleted, and what it holds with it."""
        self.exists = False
        self.octets = 0
        self._held.clear()
        self._due.clear()
        self._timer.drop()
        if self._log is not None:
            self._log.drop()

    def _hold(self, position: int, message: TimedMessage) -> None:
        self._held[position] = message
        self.octets += len(message.body)
        heappush(self._due, (message.deadline, position))

    def _let_go(self, position: int, moved: bool = False) -> TimedMessage:
        message = self._held.pop(position)
        self.octets -= len(message.body)
        if self._log is not None:
            self._log.remove((position,), moved)
        return message

    def _set_timer(self) -> None:
        if self._due:
            self._timer.set(self._due[0][0])

    def _read_back(self, log: QueueLog) -> None:
        self._next = log.kept.next
        position = 1
        while position < self._next:
            page = log.read_now(position)
            for first, messages in page.runs:
                for number, message in enumerate(messages, first):
                    assert isinstance(message, TimedMessage), "nothing else was ever put into this log"
                    self._hold(number, message)
            position = page.stop
        self._set_timer()


def delay_of(message: Message) -> int:
    """For how many milliseconds a message asks to be held; 0: not at all.

    As the plugin does, a delay may be a float, whose fraction does not count, or digits in a string. One that is
    negative, too long or nothing of the kind is none.
    """
    if _HEADER_OCTETS not in message.header:
        return 0
    delay = _whole(message.headers.get(HEADER))
    return delay if 0 < delay <= DELAY_MAX else 0


def _whole(value: FieldValue) -> int:
    if isinstance(value, (bool, Timestamp)):
        return 0
    if isinstance(value, int):
        return value
    if isinstance(value, float) and abs(value) <= DELAY_MAX:  # which no NaN is, and no infinity
        return int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(DELAY_MAX)):
        return int(value)
    return 0
