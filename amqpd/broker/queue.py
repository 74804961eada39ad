"""A queue: messages in order, and the consumers that take turns at them.

What was never handed out lies in ``_ready``, in order; see ready.py. What came back lies in ``_returned``, a heap by
position. Since messages are handed out from the front only, all that comes back is older than all that is ready: it
goes first, it is exactly what must be marked redelivered, and requeueing to the original position is a push on the
heap.

Consumers that can take something stand in a ring. One that has no credit or no room when its turn comes leaves the ring
(``idle``) and comes back by :meth:`Queue.activate`, so a turn costs the same however many consumers there are.
"""

from collections import deque
from collections.abc import Sequence
from functools import partial
from heapq import heappop, heappush

from amqpd.broker.agenda import Agenda, Work
from amqpd.broker.message import Message
from amqpd.broker.ready import MESSAGE_OVERHEAD, Ready, Windows
from amqpd.broker.records import QueueRecord
from amqpd.broker.statistics import QueueStatistics
from amqpd.broker.store import QueueLog
from amqpd.broker.subscriber import Subscriber
from amqpd.errors import AccessRefused


class Queue(Work):
    """One queue of one virtual host.

    ``owner`` is the connection an exclusive queue belongs to, as an opaque object. ``volatile`` marks the queue behind
    a direct reply-to consumer: it can be published to and probed, but is nobody's to list, bind or consume from. With
    a ``log``, it starts with what is kept there.
    """

    __slots__ = (
        "_agenda",
        "_log",
        "_ready",
        "_returned",
        "_returned_octets",
        "_ring",
        "acked",
        "delivered",
        "exists",
        "name",
        "owner",
        "published",
        "record",
        "redelivered",
        "subscribers",
        "unacked",
        "volatile",
    )

    def __init__(
        self,
        record: QueueRecord,
        agenda: Agenda,
        windows: Windows,
        log: QueueLog | None = None,
        owner: object | None = None,
        volatile: bool = False,
    ) -> None:
        super().__init__()
        self.record = record
        self.name = record.name
        self.owner = owner
        self.volatile = volatile
        self.exists = True
        self.subscribers: list[Subscriber] = []
        self.unacked = 0
        self.published = 0
        self.delivered = 0
        self.redelivered = 0
        self.acked = 0
        self._agenda = agenda
        self._log = log
        self._ready = Ready(log, record.survives, windows, partial(agenda.schedule, self))
        self._returned: list[tuple[int, Message]] = []
        self._returned_octets = 0
        self._ring: deque[Subscriber] = deque()

    def __str__(self) -> str:
        return f"queue '{self.name}' in vhost '{self.record.vhost}'"

    @property
    def ready(self) -> int:
        """How many messages can be handed out: never handed out yet, or come back."""
        return len(self._ready) + len(self._returned)

    @property
    def ready_bytes(self) -> int:
        """Octets of the bodies of those."""
        return self._ready.octets + self._returned_octets

    # Messages in

    def enqueue(self, messages: Sequence[Message], octets: int) -> None:
        """Take new messages, whose bodies have ``octets`` in all."""
        self._ready.extend(messages, octets)
        self.published += len(messages)
        if self._ring:
            self._agenda.schedule(self)

    def requeue(self, position: int, message: Message) -> None:
        """A message comes back unsettled, to its old place; from now on it is a redelivery."""
        self.unacked -= 1
        if not self.exists:
            return
        heappush(self._returned, (position, message))
        self._returned_octets += len(message.body)
        if self._ring:
            self._agenda.schedule(self)

    # Messages out

    def perform(self) -> None:
        """Hand ready messages to the consumers in the ring, one each in turn, or as many as it takes to the only
        one."""
        ring = self._ring
        ready = self._ready
        if ready.paged and ring:
            ready.read_ahead()
        while ring and (ready.in_memory or self._returned):
            subscriber = ring[0]
            credit = subscriber.credit()
            room = subscriber.room()
            if credit <= 0 or room <= 0:
                subscriber.idle = True
                ring.popleft()
                continue
            if len(ring) > 1:
                credit = 1
                ring.rotate(-1)
            positions, messages, redelivered = self._take(credit, room)
            self._count_out(positions, redelivered, subscriber.no_ack)
            subscriber.deliver(positions, messages, redelivered)

    def get(self, no_ack: bool) -> tuple[int, Message, bool] | None:
        """Take the first ready message: its position, itself, and whether it is a redelivery."""
        if not self._returned:
            self._ready.read_now()
            if not self._ready.in_memory:
                return None
        positions, messages, redelivered = self._take(1, 1)
        self._count_out(positions, redelivered, no_ack)
        return positions[0], messages[0], redelivered

    def complete(self, positions: Sequence[int]) -> None:
        """Messages that were handed out are acknowledged."""
        self.acked += len(positions)
        self.discard(positions)

    def discard(self, positions: Sequence[int]) -> None:
        """Messages that were handed out are gone without having been acknowledged."""
        self.unacked -= len(positions)
        if self._log is not None and self.exists:
            self._log.remove(positions)

    def purge(self) -> int:
        """Drop what is ready, not what is unacked. Returns how many messages that were."""
        count = self.ready
        returned, self._returned = self._returned, []
        self._returned_octets = 0
        start, stop = self._ready.clear()
        if self._log is not None:
            self._log.remove([position for position, _ in returned])
            self._log.clear(start, stop)
        return count

    def _take(self, limit: int, room: int) -> tuple[Sequence[int], list[Message], bool]:
        """The first messages: at least one, at most ``limit``, and none after the one that exhausts ``room``."""
        if not self._returned:
            return self._ready.take(limit, room)
        positions: list[int] = []
        messages: list[Message] = []
        while self._returned and len(messages) < limit and room > 0:
            position, message = heappop(self._returned)
            positions.append(position)
            messages.append(message)
            octets = len(message.body)
            self._returned_octets -= octets
            room -= octets + MESSAGE_OVERHEAD
        return positions, messages, True

    def _count_out(self, positions: Sequence[int], redelivered: bool, no_ack: bool) -> None:
        count = len(positions)
        self.delivered += count
        if redelivered:
            self.redelivered += count
        if not no_ack:
            self.unacked += count
        elif self._log is not None:
            self._log.remove(positions)

    # Consumers

    def subscribe(self, subscriber: Subscriber) -> None:
        """A consumer joins. AccessRefused: one of them, new or old, wants the queue for itself."""
        if self.subscribers and (subscriber.exclusive or self.subscribers[0].exclusive):
            raise AccessRefused(f"{self} in exclusive use")
        self.subscribers.append(subscriber)
        self._ring.append(subscriber)
        self._agenda.schedule(self)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        self.subscribers.remove(subscriber)
        if subscriber.idle:
            subscriber.idle = False  # or credit that it is given back later would bring it into the ring
        else:
            self._ring.remove(subscriber)

    def activate(self, subscriber: Subscriber) -> None:
        """A consumer that was idle may be able to take messages again."""
        if subscriber.idle:
            subscriber.idle = False
            self._ring.append(subscriber)
            self._agenda.schedule(self)

    def dissolve(self) -> list[Subscriber]:
        """The queue is deleted: its messages and consumers go. Returns the consumers that it had."""
        self.exists = False
        gone, self.subscribers = self.subscribers, []
        self._ready.clear()
        self._returned.clear()
        self._returned_octets = 0
        self._ring.clear()
        if self._log is not None:
            self._log.drop()
        return gone

    def close(self) -> None:
        """The broker stops: the log learns what was never handed out."""
        if self._log is not None:
            self._log.close(self._ready.delivered)

    def statistics(self) -> QueueStatistics:
        return QueueStatistics(
            vhost=self.record.vhost,
            name=self.name,
            durable=self.record.durable,
            ready=self.ready,
            unacked=self.unacked,
            consumers=len(self.subscribers),
            published=self.published,
            delivered=self.delivered,
            redelivered=self.redelivered,
            acked=self.acked,
            ready_bytes=self.ready_bytes,
        )
