"""Publisher confirms of one session.

Publishes are numbered from 1 once confirms are selected. A publish is confirmed when everything it handed to the store
is durable, or at once if that was nothing; one that a full queue has refused is rejected. Both leave in order, all that
are due and alike by one call with ``multiple``.
"""

from collections import deque
from collections.abc import Callable, Sequence

from amqpd.broker.agenda import Agenda, Work
from amqpd.broker.receiver import Receiver
from amqpd.broker.store import Store
from amqpd.broker.totals import Totals


class Confirms(Work):
    """Counts publishes, and tells the receiver when they are safe."""

    __slots__ = ("_agenda", "_confirmed", "_published", "_receiver", "_refused", "_store", "_totals", "_unsafe")

    def __init__(self, receiver: Receiver, store: Store, agenda: Agenda, totals: Totals) -> None:
        super().__init__()
        self._receiver = receiver
        self._store = store
        self._agenda = agenda
        self._totals = totals
        self._published = 0
        self._confirmed = 0
        self._unsafe: deque[tuple[int, int]] = deque()  # (publish number, what the store must have made durable)
        self._refused: deque[int] = deque()  # publish numbers

    @property
    def unconfirmed(self) -> int:
        return self._published - self._confirmed

    def published(self, count: int, stored: bool, refused: Sequence[int] = ()) -> None:
        """So many more publishes were routed; ``stored``: at least one of them was handed to the store.

        ``refused``: which of them a queue did not take, counted from 0.
        """
        if stored:
            self._unsafe.append((self._published + 1, self._store.written))
        if refused:
            self._refused.extend(self._published + 1 + number for number in refused)
        self._published += count
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
            self._totals.messages_confirmed += self._tell(first - 1, self._receiver.confirmed)
            self._totals.messages_rejected += self._tell(last, self._receiver.rejected)
        self._totals.messages_confirmed += self._tell(safe, self._receiver.confirmed)
        if unsafe:
            self._store.wait(self)

    def _tell(self, sequence: int, tell: Callable[[int, bool], None]) -> int:
        """Everything up to a number is confirmed, or rejected. Returns how many publishes that are."""
        count = sequence - self._confirmed
        if count:
            self._confirmed = sequence
            tell(sequence, count > 1)
        return count

    def forget(self) -> None:
        """The session has ended: nobody waits for what is not confirmed yet."""
        self._unsafe.clear()
        self._refused.clear()
        self._confirmed = self._published
