"""The messages of a queue that were never handed out, in order: the first of them in memory, the rest with its log.

Positions number a queue's messages from 1. What lies in memory has consecutive positions, so only the first is kept
(``head``) and a waiting message costs one reference. Only a restart leaves gaps, where messages were settled or
transient; they are noted beside.

While a queue is short, all of it lies in memory. When it grows beyond its window, what comes is left with the log
(*paged*) and read back, a page at a time, before consumers need it. When all has been read back, what comes stays in
memory again. So nothing has to be moved out of memory to make room: what is over the window is the newest, and was on
its way to the log just then.
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from amqpd.broker.message import Message
from amqpd.broker.store import Page, QueueLog

MESSAGE_OVERHEAD = 128
"""Octets that a message is reckoned to cost beside its body, in memory and on its way, so that empty ones count too."""

WINDOW_MIN = 256 << 10
"""Octets of waiting messages that any queue may have in memory: a page or two."""

WINDOWS_MAX = 64 << 20
"""Octets of waiting messages in memory, of all queues, above which those beyond their minimum are paged.

Room for a burst of 300,000 small messages.
"""

READ_AHEAD_BELOW = 256 << 10
"""Octets in memory below which the next page is read. A busy consumer needs two milliseconds to take them."""


class Windows:
    """What all queues together have in memory: one count that they share."""

    __slots__ = ("octets",)

    def __init__(self) -> None:
        self.octets = 0


class Ready:
    """The never delivered messages of one queue.

    ``in_memory`` are those that can be had at once, the first at position ``head``. ``octets`` are those of all bodies,
    ``next`` is the position of the next message to come. With ``durable``, the log keeps persistent messages from the
    start; without a log, all stay in memory. ``arrived`` is called when a page has come that was waited for.
    """

    __slots__ = (
        "_arrived",
        "_delivered",
        "_durable",
        "_gaps",
        "_generation",
        "_log",
        "_page_at",
        "_reading",
        "_resident",
        "_tail",
        "_windows",
        "head",
        "in_memory",
        "next",
        "octets",
        "paged",
    )

    def __init__(self, log: QueueLog | None, durable: bool, windows: Windows, arrived: Callable[[], None]) -> None:
        self.in_memory: deque[Message] = deque()
        self.next = 1
        self.octets = 0
        self.paged = 0  # messages that are with the log only
        self._log = log
        self._durable = durable
        self._windows = windows
        self._arrived = arrived
        self._resident = 0  # octets in memory, overhead included
        self._page_at = 1  # where the next page begins
        self._delivered = 1  # below it, a message may have been handed out before the restart
        self._reading = False
        self._generation = 0  # of readings: those that were begun before the last clear come to nothing
        self._gaps: deque[tuple[int, int]] = deque()  # where positions in memory end, and where they go on
        if log is not None:
            kept = log.kept
            self.next, self.octets, self.paged, self._delivered = kept.next, kept.octets, kept.count, kept.delivered
        self.head = self._tail = self.next  # the positions of the first in memory, and behind the last

    def __len__(self) -> int:
        return len(self.in_memory) + self.paged

    @property
    def octets_in_memory(self) -> int:
        """Those of the bodies in memory."""
        return self._resident - MESSAGE_OVERHEAD * len(self.in_memory)

    @property
    def first(self) -> int:
        """A position before which there are none any more."""
        if self.in_memory:
            return self.head
        return self._page_at if self.paged else self.next

    @property
    def delivered(self) -> int:
        """From this position on, nothing was ever handed out."""
        return max(self.first, self._delivered)

    # In

    def extend(self, messages: Sequence[Message], octets: int) -> None:
        """New messages, whose bodies have ``octets`` in all."""
        position = self.next
        self.next = position + len(messages)
        self.octets += octets
        log = self._log
        if log is not None:
            paged = self.paged > 0 or (self._resident > WINDOW_MIN and self._windows.octets > WINDOWS_MAX)
            if paged or self._durable:
                log.append(position, messages, octets, paged)
            if paged:
                if not self.paged:
                    self._page_at = position
                self.paged += len(messages)
                return
        self._hold(position, messages, octets)

    def _hold(self, position: int, messages: Sequence[Message], octets: int) -> None:
        """These are the next in memory."""
        if position != self._tail:
            if self.in_memory:
                self._gaps.append((self._tail, position))
            else:
                self.head = position
        self._tail = position + len(messages)
        size = octets + MESSAGE_OVERHEAD * len(messages)
        self._resident += size
        self._windows.octets += size
        self.in_memory.extend(messages)

    # Out

    def take(self, limit: int, room: int) -> tuple[range, list[Message], bool]:
        """The first in memory: at least one, at most ``limit``, and none after the one that exhausts ``room``.

        With their positions, and whether they may have been handed out before.
        """
        in_memory, head = self.in_memory, self.head
        redelivered = head < self._delivered
        if redelivered:
            limit = min(limit, self._delivered - head)
        if self._gaps:
            limit = min(limit, self._gaps[0][0] - head)
        if len(in_memory) <= limit and self._resident <= room:
            messages = list(in_memory)
            in_memory.clear()
            self.octets -= self._resident - MESSAGE_OVERHEAD * len(messages)
            self._windows.octets -= self._resident
            self._resident = 0
        else:
            messages = []
            taken = 0
            while in_memory and len(messages) < limit and taken < room:
                message = in_memory.popleft()
                messages.append(message)
                taken += len(message.body) + MESSAGE_OVERHEAD
            self.octets -= taken - MESSAGE_OVERHEAD * len(messages)
            self._windows.octets -= taken
            self._resident -= taken
        self.head = head + len(messages)
        if self._gaps and self.head == self._gaps[0][0]:
            self.head = self._gaps.popleft()[1]
        if self.paged:
            self.read_ahead()
        return range(head, head + len(messages)), messages, redelivered

    def clear(self) -> tuple[int, int]:
        """All are gone. Returns the positions between which they lay."""
        start = self.first
        self._windows.octets -= self._resident
        self._resident = self.octets = self.paged = 0
        self.in_memory.clear()
        self._gaps.clear()
        self.head = self._tail = self.next
        self._forget_reading()
        return start, self.next

    # Pages

    def read_ahead(self) -> None:
        """Have the next page read, if what is in memory comes to its end."""
        if self._log is None or not self.paged or self._reading or self._resident >= READ_AHEAD_BELOW:
            return
        page = self._log.read(self._page_at, partial(self._take_page, self._generation))
        if page is None:
            self._reading = True
        else:
            self._absorb(page)

    def read_now(self) -> None:
        """See to it that what is ready can be had at once, by someone who cannot wait."""
        while self._log is not None and self.paged and not self.in_memory:
            self._forget_reading()
            self._absorb(self._log.read_now(self._page_at))

    def _take_page(self, generation: int, page: Page) -> None:
        if generation == self._generation:
            self._reading = False
            self._absorb(page)
        self._arrived()  # in any case: what someone read who could not wait may be more than he took

    def _absorb(self, page: Page) -> None:
        for position, messages in page.runs:
            self.paged -= len(messages)
            self._hold(position, messages, sum(len(message.body) for message in messages))
        self._page_at = page.stop
        if page.stop >= self.next:
            # That was all. What the log could not read any more (it has said so) is not there.
            self.paged = 0
            self.octets = self.octets_in_memory

    def _forget_reading(self) -> None:
        self._generation += 1
        self._reading = False
