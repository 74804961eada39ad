"""Publisher confirms of one session.

Publishes are numbered from 1 once confirms are selected. A publish is confirmed when everything it handed to the store
is durable, or at once if that was nothing; one that a full queue has refused is rejected. Both leave in order, all that
are due and alike by one call with ``multiple``.
"""

from collections import deque
from collections.abc import Sequence

from amqpd.broker.agenda import Agenda, Work
from amqpd.broker.exchanges.exchange import Exchange
from amqpd.broker.receiver import Receiver
from amqpd.broker.store import Store
from amqpd.broker.totals import Totals


class Confirms(Work):
    """Counts publishes, and tells the receiver when they are safe."""

    __slots__ = (
        "_agenda",
        "_exchanges",
        "_published",
        "_receiver",
        "_refused",
        "_store",
        "_told",
        "_totals",
        "_unsafe",
        "confirmed",
    )

    def __init__(self, receiver: Receiver, store: Store, agenda: Agenda, totals: Totals) -> None:
        super().__init__()
        self._receiver = receiver
        self._store = store
        self._agenda = agenda
        self._totals = totals
        self.confirmed = 0
        self._published = 0
        self._told = 0  # confirmed or rejected
        self._unsafe: deque[tuple[int, int]] = deque()  # (publish number, what the store must have made durable)
        self._refused: deque[int] = deque()  # publish numbers
        self._exchanges: deque[tuple[int, Exchange]] = deque()  # up to which number they went to which one

    @property
    def unconfirmed(self) -> int:
        return self._published - self._told

    def published(self, exchange: Exchange, count: int, stored: bool, refused: Sequence[int] = ()) -> None:
        """So many more publishes were routed; ``stored``: at least one of them was handed to the store.

        ``refused``: which of them a queue did not take, counted from 0.
        """
        if stored:
            self._unsafe.append((self._published + 1, self._store.written))
        if refused:
            self._refused.extend(self._published + 1 + number for number in refused)
        self._published += count
        if self._exchanges and self._exchanges[-1][1] is exchange:
            self._exchanges.pop()
        self._exchanges.append((self._published, exchange))
        self._totals.messages_published_confirm += count
        self._agenda.schedule(self)

    def perform(self) -> None:
        """Confirm or reject all publishes before the first that is not safe yet."""
        unsafe, refused = self._unsafe, self._refused
        while unsafe and unsafe[0][1] <= self._store.durable:
            unsafe.popleft()
        safe = unsafe[0][0] - 1 if unsafe else self._published
        while refused and refused[0] <= safe:
            first = last = refused.popleft()
            while refused and refused[0] == last + 1 <= safe:
                last = refused.popleft()
            self._confirm(first - 1)
            self._reject(last)
        self._confirm(safe)
        if unsafe:
            self._store.wait(self)

    def _confirm(self, sequence: int) -> None:
        """Everything up to a number is safe."""
        count = self._pass(sequence, confirmed=True)
        if count:
            self.confirmed += count
            self._totals.messages_confirmed += count
            self._receiver.confirmed(sequence, count > 1)

    def _reject(self, sequence: int) -> None:
        count = self._pass(sequence, confirmed=False)
        self._totals.messages_rejected += count
        self._receiver.rejected(sequence, count > 1)

    def _pass(self, sequence: int, confirmed: bool) -> int:
        """The receiver is told now of everything up to a number; what is confirmed counts for its exchange. Returns how
        many that are."""
        told, self._told = self._told, sequence
        at, exchanges = told, self._exchanges
        while at < sequence:
            last, exchange = exchanges[0]
            stop = min(last, sequence)
            if confirmed:
                exchange.confirmed += stop - at
            if stop == last:
                exchanges.popleft()
            at = stop
        return sequence - told

    def forget(self) -> None:
        """The session has ended: nobody waits for what is not confirmed yet."""
        self._unsafe.clear()
        self._refused.clear()
        self._exchanges.clear()
        self._told = self._published
