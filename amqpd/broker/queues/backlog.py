"""What is ready in a queue, in the order in which it leaves.

What was never handed out lies in ``ready``, in order; see ready.py. What came back lies in ``returned``, a heap by
position. Since messages are handed out from the front only, all that comes back is older than all that is ready: it
goes first, it is exactly what must be marked redelivered, and requeueing to the original position is a push on the
heap.

How long messages wait costs those nothing that do not: what comes and is handed out with the same input is not noted.
What is left then is noted as waiting since that moment (:meth:`Backlog.mark`), all of it at once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush

from amqpd.broker.message import Message
from amqpd.broker.moments import RESOLUTION_S, Moments
from amqpd.broker.queues.ready import MESSAGE_OVERHEAD, Ready, Windows
from amqpd.broker.store import QueueLog
from amqpd.histogram import Histogram

NO_RETURNS: Mapping[int, int] = {}


class Backlog:
    """The messages of a queue that can be handed out: at once if ``ready.in_memory`` or ``returned`` has any.

    With a ``log``, it starts with what is kept there; ``durable``: persistent messages shall survive. ``arrived`` is
    called when a page of the log has come that was waited for. ``moment`` is now; see agenda.py. ``returned`` has
    positions, messages, and since when they are back. Since when a position waits that is below ``marked`` is known.
    """

    __slots__ = ("_log", "_moments", "_returned_octets", "marked", "ready", "returned")

    def __init__(
        self, log: QueueLog | None, durable: bool, windows: Windows, arrived: Callable[[], None], moment: float
    ) -> None:
        self.ready = Ready(log, durable, windows, arrived)
        self.returned: list[tuple[int, Message, float]] = []
        self.marked = self.ready.next
        self._moments = Moments(moment)
        self._returned_octets = 0
        self._log = log

    def __len__(self) -> int:
        return len(self.ready) + len(self.returned)

    @property
    def octets(self) -> int:
        """Octets of the bodies of all."""
        return self.ready.octets + self._returned_octets

    @property
    def has_log(self) -> bool:
        """Whether someone keeps messages, and must know which are settled."""
        return self._log is not None

    @property
    def kept_timed(self) -> bool:
        """Whether what was kept may have deadlines."""
        return self._log is not None and self._log.kept.timed

    @property
    def kept_returns(self) -> Mapping[int, int]:
        """How often kept messages had come back."""
        return NO_RETURNS if self._log is None else self._log.kept.returns

    def extend(self, messages: Sequence[Message], octets: int) -> None:
        """New messages, which have one header in common, and bodies of ``octets`` in all."""
        self.ready.extend(messages, octets)

    def mark(self, moment: float) -> None:
        """What is ready has not been taken with the input of this moment: from now on it waits."""
        following = self.ready.next
        if following > self.marked:
            self._moments.note(self.marked, moment)
            self.marked = following

    def measure(self, first: int, stop: int, moment: float, histogram: Histogram) -> None:
        """Those from ``first``, which was waiting, to before ``stop`` were taken: observe for how long they waited."""
        moments = self._moments
        if moments.begin <= first and stop <= moments.end and stop <= self.marked:
            if moment - moments.since > RESOLUTION_S:
                histogram.observe(moment - moments.since, stop - first)
        else:
            moments.measure(first, min(stop, self.marked), moment, histogram)
            moments.forget(stop)

    def measure_each(self, positions: Sequence[int], moment: float, histogram: Histogram) -> None:
        """These were taken, maybe with others between them: observe for how long those waited that did."""
        for position in positions:
            if position < self.marked:
                self.measure(position, position + 1, moment, histogram)

    def since(self, moment: float) -> float | None:
        """Since when the message has been ready that is ready longest. None: there is none."""
        found = [since for _, _, since in self.returned]
        if self.ready:
            first = self.ready.first
            found.append(self._moments.of(first) if first < self.marked else moment)
        return min(found, default=None)

    @property
    def in_memory(self) -> tuple[int, int]:
        """Of how many messages that are ready, and of how many octets in their bodies, the store has no need."""
        return len(self.ready.in_memory) + len(self.returned), self.ready.octets_in_memory + self._returned_octets

    def give_back(self, position: int, message: Message, moment: float) -> None:
        """A message that was taken is ready again, at its old place."""
        heappush(self.returned, (position, message, moment))
        self._returned_octets += len(message.body)

    def first(self) -> Message | None:
        """The message that is taken next, if it is in memory; otherwise, if there is one, it is being read."""
        if self.returned:
            return self.returned[0][1]
        if self.ready.in_memory:
            return self.ready.in_memory[0]
        self.ready.read_ahead()
        return self.ready.in_memory[0] if self.ready.in_memory else None

    def take(self, limit: int, room: int) -> tuple[Sequence[int], list[Message], bool]:
        """The first messages in memory, with their positions, and whether they may have been handed out before.

        At least one if there is one, at most ``limit``, and none after the one that exhausts ``room``.
        """
        returned = self.returned
        if not returned:
            return self.ready.take(limit, room)
        positions: list[int] = []
        messages: list[Message] = []
        while returned and len(messages) < limit and room > 0:
            position, message, _ = heappop(returned)
            positions.append(position)
            messages.append(message)
            octets = len(message.body)
            self._returned_octets -= octets
            room -= octets + MESSAGE_OVERHEAD
        return positions, messages, True

    def settle(self, positions: Sequence[int], moved: bool = False) -> None:
        """Messages that were taken are gone for good. ``moved``: into another queue, see :meth:`QueueLog.remove`."""
        if self._log is not None:
            self._log.remove(positions, moved)

    def note_returns(self, position: int, returns: int) -> None:
        """A message has come back for the ``returns``-th time."""
        if self._log is not None:
            self._log.note_returns(position, returns)

    def read_now(self) -> None:
        """See to it that what is ready can be had at once, by someone who cannot wait."""
        if not self.returned:
            self.ready.read_now()

    def among(self, positions: Iterable[int]) -> set[int]:
        """Which of these positions of messages that are not settled are ready: the others were taken."""
        returned = {position for position, _, _ in self.returned}
        return {position for position in positions if position in returned or position >= self.ready.first}

    def clear(self) -> None:
        """All are gone."""
        positions = [position for position, _, _ in self.returned]
        self.returned.clear()
        self._returned_octets = 0
        start, stop = self.ready.clear()
        if self._log is not None:
            self._log.remove(positions)
            self._log.clear(start, stop)

    def drop(self) -> None:
        """The queue is deleted."""
        self.ready.clear()
        self.returned.clear()
        self._returned_octets = 0
        if self._log is not None:
            self._log.drop()

    def close(self) -> None:
        """The broker stops: the log learns what was never handed out."""
        if self._log is not None:
            self._log.close(self.ready.delivered)
