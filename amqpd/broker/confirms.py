"""Publisher confirms of one session.

Publishes are numbered from 1 once confirms are selected. A publish is confirmed when everything it handed to the store
is durable, or at once if that was nothing; confirms leave in order, all that are due by one call with ``multiple``.
"""

from collections import deque

from amqpd.broker.agenda import Agenda, Work
from amqpd.broker.receiver import Receiver
from amqpd.broker.store import Store
from amqpd.broker.totals import Totals


class Confirms(Work):
    """Counts publishes, and tells the receiver when they are safe."""

    __slots__ = ("_agenda", "_confirmed", "_published", "_receiver", "_store", "_totals", "_unsafe")

    def __init__(self, receiver: Receiver, store: Store, agenda: Agenda, totals: Totals) -> None:
        super().__init__()
        self._receiver = receiver
        self._store = store
        self._agenda = agenda
        self._totals = totals
        self._published = 0
        self._confirmed = 0
        self._unsafe: deque[tuple[int, int]] = deque()  # (publish number, what the store must have made durable)

    @property
    def unconfirmed(self) -> int:
        return self._published - self._confirmed

    def published(self, count: int, stored: bool) -> None:
        """So many more publishes were routed; ``stored``: at least one of them was handed to the store."""
        if stored:
            self._unsafe.append((self._published + 1, self._store.written))
        self._published += count
        self._agenda.schedule(self)

    def perform(self) -> None:
        """Confirm all publishes before the first that is not safe yet."""
        unsafe = self._unsafe
        while unsafe and unsafe[0][1] <= self._store.durable:
            unsafe.popleft()
        safe = unsafe[0][0] - 1 if unsafe else self._published
        count = safe - self._confirmed
        if count:
            self._confirmed = safe
            self._totals.messages_confirmed += count
            self._receiver.confirmed(safe, count > 1)
        if unsafe:
            self._store.wait(self)

    def forget(self) -> None:
        """The session has ended: nobody waits for what is not confirmed yet."""
        self._unsafe.clear()
        self._confirmed = self._published
