"""A queue: messages in order, the rules they are under, and the consumers that take turns at them.

What is ready, and in which order it leaves, is the backlog's; who is next to get it, is the turns'. A queue without
rules (arguments and policies, see rules.py) and a message without an expiration take the short way through
:meth:`Queue.enqueue` and :meth:`Queue.perform`; what rules ask for begins where ``watches`` or ``_inspects`` is true.

Time: a message that can expire is kept as a :class:`TimedMessage`, and looked at when it is the first, as in RabbitMQ:
one that has expired behind another that has not stays, and counts. So a queue needs one timer, for its first message.

Counters are plain ints. How long messages wait and consumers take is observed only where it is more than no time; what
is missing in those histograms took none.
"""

from collections.abc import Sequence
from functools import partial

from mypy_extensions import mypyc_attr

from amqpd.broker.admission import expiration_ms
from amqpd.broker.dead_letter import with_delivery_count
from amqpd.broker.deduplication import deduplicator_of
from amqpd.broker.host import Host
from amqpd.broker.message import FLAGS_AT, HAS_EXPIRATION, Message, TimedMessage
from amqpd.broker.queues.backlog import Backlog
from amqpd.broker.queues.priority import PriorityBacklog
from amqpd.broker.queues.rules import PLAIN, Overflow, QueueRules
from amqpd.broker.queues.subscriber import Subscriber
from amqpd.broker.queues.times import Times
from amqpd.broker.queues.turns import Turns
from amqpd.broker.queues.unused import Unused
from amqpd.broker.records import QueueRecord
from amqpd.broker.sink import Sink
from amqpd.broker.statistics import Handovers, QueueStatistics
from amqpd.broker.timers import Timer, Timers
from amqpd.errors import AccessRefused
from amqpd.histogram import Histogram

EXPIRED, MAXLEN, REJECTED, DELIVERY_LIMIT = "expired", "maxlen", "rejected", "delivery_limit"
"""Why a message leaves without having been acknowledged: the reasons that x-death gives."""

DROP_AT_ONCE = 4096
"""Messages that expire at a time. The rest follows a moment later, so that no million of them stops the broker. A queue
that is at it may tell basic.get that it is empty."""

EVERYTHING = 1 << 62

NOT_BLOCKED = -1.0


@mypyc_attr(allow_interpreted_subclasses=True)
class Queue(Sink):
    """One queue of one virtual host.

    ``owner`` is the connection an exclusive queue belongs to, as an opaque object. ``volatile`` marks the queue behind
    a direct reply-to consumer: it can be published to and probed, but is nobody's to list, bind or consume from. A
    queue that was kept starts with its messages. ``waits`` and ``acks`` are how long messages waited and how long
    consumers took, what is beyond the first bucket; None: it is not measured now.
    """

    __slots__ = (
        "_agenda",
        "_backlog",
        "_blocked_s",
        "_blocked_since",
        "_deduplicator",
        "_gone_auto",
        "_has_lanes",
        "_host",
        "_inspects",
        "_returns",
        "_settles",
        "_timed",
        "_timer",
        "_times",
        "_turns",
        "_unused",
        "acked",
        "acks",
        "active",
        "delivered",
        "get_empty",
        "got_auto",
        "got_manual",
        "name",
        "owner",
        "published",
        "record",
        "redelivered",
        "refused",
        "rules",
        "single_active",
        "subscribers",
        "unacked",
        "volatile",
        "waits",
    )

    def __init__(
        self,
        record: QueueRecord,
        host: Host,
        owner: object | None = None,
        volatile: bool = False,
        rules: QueueRules = PLAIN,
    ) -> None:
        super().__init__()
        self.record = record
        self.name = record.name
        self.owner = owner
        self.volatile = volatile
        self.rules = PLAIN
        self.subscribers: list[Subscriber] = []
        self.single_active = record.arguments.get("x-single-active-consumer") is True
        self.active: Subscriber | None = None  # the one that gets all, if single_active
        self.unacked = 0
        self.published = 0
        self.delivered = 0  # in whatever way; the next two are among them, and redelivered
        self.got_manual = 0
        self.got_auto = 0
        self.redelivered = 0
        self.refused = 0
        self.get_empty = 0
        self.acked = 0
        self.waits: Histogram | None = None
        self.acks: Histogram | None = None
        self._gone_auto = 0  # delivered to consumers without acknowledgements that are gone
        self._times: Times | None = None
        self._blocked_s = 0.0
        self._blocked_since = NOT_BLOCKED
        self._agenda = host.agenda
        self._host = host
        self._backlog = self._make_backlog()
        self._turns = Turns()
        self._deduplicator = deduplicator_of(record.arguments, host.timers.now)
        self._unused = Unused(self, host)
        self._timer = Timer(host.timers, self)
        self._timed = self._backlog.kept_timed  # whether there may be messages that expire
        self._returns = dict(self._backlog.kept_returns)  # by position, of messages that came back
        self._has_lanes = isinstance(self._backlog, PriorityBacklog)
        self._settles = self._backlog.has_log  # whether anybody is to know what is settled
        self._inspects = False  # whether departures are
        self.apply_rules(rules)

    def _make_backlog(self) -> Backlog:
        record, host = self.record, self._host
        arrived = partial(self._agenda.schedule, self)
        durable, windows, moment = record.survives, host.windows, self._agenda.moment
        if self.volatile:
            return Backlog(None, False, windows, arrived, moment)
        highest = record.arguments.get("x-max-priority")
        if isinstance(highest, int):
            return PriorityBacklog(highest, partial(host.open_log, record), durable, windows, arrived, moment)
        return Backlog(host.open_log(record), durable, windows, arrived, moment)

    def __str__(self) -> str:
        return f"queue '{self.name}' in vhost '{self.record.vhost}'"

    @property
    def timers(self) -> Timers:
        """What can be done later by whoever has to do with this queue."""
        return self._host.timers

    @property
    def ready(self) -> int:
        """How many messages can be handed out: never handed out yet, or come back."""
        return len(self._backlog)

    @property
    def ready_bytes(self) -> int:
        """Octets of the bodies of those."""
        return self._backlog.octets

    def apply_rules(self, rules: QueueRules) -> None:
        """From now on these rules hold. A message that is there keeps the deadline that it got when it came."""
        self.rules = rules
        self.watches = rules.about_arrivals or self._deduplicator is not None or self._has_lanes
        self._settles = self._settles or rules.delivery_limit is not None
        self._inspects = self._has_lanes or self._timed or rules.delivery_limit is not None or bool(self._returns)
        self._unused.limit(rules.expires)
        measured = self._host.message_times if rules.message_times is None else rules.message_times
        if measured != (self.waits is not None):
            self._measure(measured)
        self._drop_head()
        if self._timed:  # and there may be another first one now
            self._agenda.schedule(self)

    def _measure(self, measured: bool) -> None:
        """From now on it is measured how long messages wait and consumers take, or is not."""
        self._times = self._times or Times()
        if measured:
            self._times.start(self.delivered - self.redelivered, self.acked)
            self.waits, self.acks = self._times.waits, self._times.acks
        else:
            self._times.stop(self.delivered - self.redelivered, self.acked)
            self.waits = self.acks = None

    # Messages in

    def enqueue(self, messages: Sequence[Message], octets: int) -> int:
        if self.watches or messages[0].header[FLAGS_AT] & HAS_EXPIRATION:
            return self._enqueue_watched(messages, octets)
        self._backlog.ready.extend(messages, octets)
        self.published += len(messages)
        if self._turns.ring:
            self._agenda.schedule(self)
        else:
            self._leave()
        return 0

    def _enqueue_watched(self, messages: Sequence[Message], octets: int) -> int:
        """The same where an arrival is looked at: it may be a duplicate, it may expire, or be one too many."""
        size = len(messages[0].body)  # of each of them, since they have one header
        rules = self.rules
        now = self._host.timers.now()
        ttl = expiration_ms(messages[0].header)
        if rules.message_ttl is not None:
            ttl = rules.message_ttl if ttl is None else min(ttl, rules.message_ttl)
        if ttl is not None:
            self._timed = self._inspects = True
            messages = [TimedMessage(each.address, each.header, each.body, now + ttl) for each in messages]
        refused = 0
        # With a TTL of 0 each one is taken or dead before the next one comes: no limit ever counts two.
        for run in ((each,) for each in messages) if ttl == 0 else (messages,):
            if rules.limited and rules.overflow is not Overflow.DROP_HEAD:
                refused += self._take_what_fits(run, size, now)
            else:
                self._take_in(run, size, now)
            if ttl == 0:
                self._drop_expired(now)
            self._drop_head()
        if self._timed:
            self._set_timer()
        return refused

    def _take_in(self, messages: Sequence[Message], size: int, now: int) -> None:
        """They come in; and where there are limits of length or time, consumers have them before those count.

        A TTL of 0 is for who is there to take the message: for them it is still the moment before ``now``.
        """
        if self._deduplicator is not None:
            messages = [message for message in messages if not self._deduplicator.is_duplicate(message)]
            if not messages:
                return
        self._backlog.extend(messages, size * len(messages))
        self.published += len(messages)
        if self._turns.ring:
            self.perform(now - 1)
        else:
            self._leave()

    def _take_what_fits(self, messages: Sequence[Message], size: int, now: int) -> int:
        """Take in messages as long as there is room for them. Returns how many were refused."""
        taken, count = 0, len(messages)
        while taken < count:
            space = self._space(size)
            if space <= 0:
                break
            self._take_in(messages[taken : taken + space], size, now)
            taken += space
        refused = max(0, count - taken)
        self.refused += refused
        if refused and self.rules.overflow is Overflow.REJECT_PUBLISH_DLX:
            self._bury((), messages[taken:], MAXLEN)
        return refused

    def _space(self, size: int) -> int:
        """How many more messages of a size fit."""
        rules = self.rules
        space = EVERYTHING if rules.max_length is None else rules.max_length - self.ready
        if rules.max_length_bytes is not None:
            octets = rules.max_length_bytes - self.ready_bytes
            space = min(space, octets // size if size else octets + 1)
        return space

    def requeue(self, position: int, message: Message) -> None:
        """A message comes back unsettled, to its old place; from now on it is a redelivery."""
        self.unacked -= 1
        if not self.exists:
            return
        limit = self.rules.delivery_limit
        if limit is not None:
            returns = self._returns.get(position, 0) + 1
            if returns > limit:
                self._drop([position], [message], DELIVERY_LIMIT)
                return
            self._returns[position] = returns
            self._backlog.note_returns(position, returns)
        self._backlog.give_back(position, message, self._agenda.moment)
        self._drop_head()
        if self._turns.ring or self._timed:
            self._agenda.schedule(self)
        elif self.ready:
            self._leave()

    # Messages out

    def perform(self, now: int = 0) -> None:
        """Hand ready messages to the consumers in the ring, one each in turn, or as many as it takes to the only one.

        ``now``: which time it is, for whoever has looked already.
        """
        if self._timed:
            now = now or self._host.timers.now()
            self._drop_expired(now)
        ring, backlog = self._turns.ring, self._backlog
        ready, returned = backlog.ready, backlog.returned
        if ready.paged and ring:
            ready.read_ahead()
        while ring and (ready.in_memory or returned):
            subscriber = ring[0]
            credit = subscriber.credit()
            room = subscriber.room()
            if credit <= 0 or room <= 0:
                self._turns.skip()
                ring = self._turns.ring
                continue
            if len(ring) > 1:
                credit = 1
                ring.rotate(-1)
            if self._inspects or returned:
                positions, messages, redelivered = self._take(min(credit, DROP_AT_ONCE), room, now)
                if not messages:  # all had expired, and so may have many more
                    self._drop_expired(now)
                    if self._first_has_expired(now):
                        break  # the timer goes on with them
                ready, returned = backlog.ready, backlog.returned  # of another lane, if there are lanes
                if not messages:
                    continue
            else:
                first = ready.head
                positions, messages, redelivered = ready.take(credit, room)
                if first < backlog.marked and not redelivered and self.waits is not None:
                    backlog.measure(first, first + len(messages), self._agenda.moment, self.waits)
            self._count_out(positions, redelivered, subscriber.no_ack)
            subscriber.deliver(positions, messages, redelivered)
        if ready.in_memory or ready.paged or returned:
            self._leave()
        elif self._blocked_since != NOT_BLOCKED:
            self._unblock()
        if self._timed:
            self._set_timer()

    def _leave(self) -> None:
        """Nobody takes what is ready, for now: from this moment on it waits, if it did not already."""
        moment, backlog = self._agenda.moment, self._backlog
        if self._has_lanes or backlog.ready.next > backlog.marked:
            backlog.mark(moment)
        if self._turns.ring:
            self._unblock()
        elif self._blocked_since == NOT_BLOCKED and self.subscribers:
            self._blocked_since = moment

    def _unblock(self) -> None:
        """Consumers can take messages again, or there are none."""
        if self._blocked_since != NOT_BLOCKED:
            self._blocked_s += self._agenda.moment - self._blocked_since
            self._blocked_since = NOT_BLOCKED

    def get(self, no_ack: bool) -> tuple[int, Message, bool] | None:
        """Take the first ready message: its position, itself, and whether it is a redelivery."""
        self._unused.touch()
        now = self._host.timers.now()
        for _ in range(DROP_AT_ONCE):
            self._backlog.read_now()
            if not self.ready:  # what could not be read is not there
                break
            positions, messages, redelivered = self._take(1, 1, now)
            if messages:
                self._count_out(positions, redelivered, no_ack)
                self.got_auto += no_ack
                self.got_manual += not no_ack
                if self._timed:  # the next one is the first now
                    self._drop_expired(now)
                    self._set_timer()
                if not self.ready:
                    self._unblock()
                return positions[0], messages[0], redelivered
        self.get_empty += 1
        return None

    def _take(self, limit: int, room: int, now: int) -> tuple[Sequence[int], list[Message], bool]:
        """The first messages that have not expired: maybe none, though there are more."""
        positions, messages, redelivered = self._backlog.take(limit, room)
        if self._timed:
            positions, messages = self._without_expired(positions, messages, now)
        if redelivered and self._returns:
            counts = [self._returns.get(position) for position in positions]
            messages = [
                message if count is None else with_delivery_count(message, count)
                for message, count in zip(messages, counts, strict=True)
            ]
        if messages and not redelivered and self.waits is not None:
            self._backlog.measure_each(positions, self._agenda.moment, self.waits)
        return positions, messages, redelivered

    def _without_expired(
        self, positions: Sequence[int], messages: list[Message], now: int
    ) -> tuple[Sequence[int], list[Message]]:
        """Each of these has been the first in its turn, so what has expired is dropped."""
        dead = {
            n for n, message in enumerate(messages) if isinstance(message, TimedMessage) and message.deadline <= now
        }
        if not dead:
            return positions, messages
        self._drop([positions[n] for n in sorted(dead)], [messages[n] for n in sorted(dead)], EXPIRED)
        alive = [n for n in range(len(messages)) if n not in dead]
        return [positions[n] for n in alive], [messages[n] for n in alive]

    def complete(self, positions: Sequence[int]) -> None:
        """Messages that were handed out are acknowledged."""
        self.unacked -= len(positions)
        if not self.exists:  # and its counts have been taken over
            return
        self.acked += len(positions)
        if self._settles:
            self._settle(positions)

    def discard(self, positions: Sequence[int], messages: Sequence[Message]) -> None:
        """Messages that were handed out were refused for good."""
        self.unacked -= len(positions)
        if self.exists:
            self._drop(positions, messages, REJECTED)

    def purge(self) -> int:
        """Drop what is ready, not what is unacked. Returns how many messages that were."""
        count = self.ready
        for position in self._backlog.among(self._returns):
            del self._returns[position]
        self._backlog.clear()
        self._unblock()
        return count

    def _count_out(self, positions: Sequence[int], redelivered: bool, no_ack: bool) -> None:
        count = len(positions)
        self.delivered += count
        if redelivered:
            self.redelivered += count
        if not no_ack:
            self.unacked += count
        elif self._settles:
            self._settle(positions)

    def _settle(self, positions: Sequence[int], moved: bool = False) -> None:
        self._backlog.settle(positions, moved)
        if self._returns:
            for position in positions:
                self._returns.pop(position, None)

    # Messages that leave otherwise

    def _drop_head(self) -> None:
        """While there are more than may be, the first ones go."""
        rules, backlog = self.rules, self._backlog
        if rules.overflow is not Overflow.DROP_HEAD:
            return
        if rules.max_length is not None:
            while len(backlog) > rules.max_length:
                self._drop_first(len(backlog) - rules.max_length)
        if rules.max_length_bytes is not None:
            while backlog.octets > rules.max_length_bytes:
                self._drop_first(1)

    def _drop_expired(self, now: int) -> None:
        """As long as the first message has expired, it goes."""
        positions: list[int] = []
        messages: list[Message] = []
        while len(messages) < DROP_AT_ONCE and self._first_has_expired(now):
            (position,), (message,), _ = self._backlog.take(1, 1)
            positions.append(position)
            messages.append(message)
        if messages:
            self._drop(positions, messages, EXPIRED)

    def _first_has_expired(self, now: int) -> bool:
        first = self._backlog.first()
        return isinstance(first, TimedMessage) and first.deadline <= now

    def _drop_first(self, count: int) -> None:
        self._backlog.read_now()
        positions, messages, _ = self._backlog.take(count, EVERYTHING)
        if messages:
            self._drop(positions, messages, MAXLEN)

    def _drop(self, positions: Sequence[int], messages: Sequence[Message], reason: str) -> None:
        """They leave, and go to the dead letter exchange if there is one."""
        if self.rules.dead_letter_exchange is None:
            self._settle(positions)
        self._bury(positions, messages, reason)

    def _bury(self, positions: Sequence[int], messages: Sequence[Message], reason: str) -> None:
        self._host.count_dropped(self, reason, len(messages))
        if self._blocked_since != NOT_BLOCKED and not self.ready:
            self._unblock()
        if self.rules.dead_letter_exchange is not None:
            self._host.dead_letter(self, reason, positions, messages)

    def buried(self, position: int) -> None:
        """A message that had to leave is published to the dead letter exchange: it is gone from here."""
        if self._settles and self.exists:
            self._settle((position,), moved=True)

    def _set_timer(self) -> None:
        """Wake up when the first message expires."""
        first = self._backlog.first()
        if isinstance(first, TimedMessage):
            self._timer.set(first.deadline)
        else:
            self._timer.cancel()

    # Consumers

    def subscribe(self, subscriber: Subscriber) -> None:
        """A consumer joins. AccessRefused: one of them, new or old, wants the queue for itself."""
        if self.subscribers and (subscriber.exclusive or self.subscribers[0].exclusive):
            raise AccessRefused(f"{self} in exclusive use")
        if subscriber.exclusive and self.single_active:
            raise AccessRefused(f"{self} in exclusive use")
        self.subscribers.append(subscriber)
        self._unused.touch()
        if not self.single_active:
            self._let_in(subscriber)
        elif self.active is None:
            self.active = subscriber
            self._let_in(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        self.subscribers.remove(subscriber)
        if subscriber.no_ack:
            self._gone_auto += subscriber.delivered
        if not self.subscribers:
            self._unblock()
        self._unused.touch()
        self._turns.remove(subscriber)
        if subscriber is self.active:
            # Of those that wait, the first of the highest priority.
            self.active = max(self.subscribers, key=lambda waiting: waiting.priority, default=None)
            if self.active is not None:
                self._let_in(self.active)

    def activate(self, subscriber: Subscriber) -> None:
        """A consumer that was idle may be able to take messages again."""
        if subscriber.idle:
            self._let_in(subscriber)

    def _let_in(self, subscriber: Subscriber) -> None:
        self._turns.add(subscriber)
        self._agenda.schedule(self)

    def touch(self) -> None:
        """Someone has declared the queue again: it is in use."""
        self._unused.touch()

    def dissolve(self) -> list[Subscriber]:
        """The queue is deleted: its messages and consumers go. Returns the consumers that it had."""
        self.exists = False
        self._unblock()
        self._gone_auto = self._consumed_auto()
        gone, self.subscribers = self.subscribers, []
        self.active = None
        self._backlog.drop()
        self._turns.clear()
        self._timer.drop()
        self._unused.drop()
        return gone

    def close(self) -> None:
        """The broker stops: the log learns what was never handed out."""
        self._backlog.close()

    def handovers(self) -> Handovers:
        """What was handed to clients, and what they have acknowledged."""
        consumed_auto = self._consumed_auto()
        return Handovers(
            consume_manual=self.delivered - consumed_auto - self.got_manual - self.got_auto,
            consume_auto=consumed_auto,
            get_manual=self.got_manual,
            get_auto=self.got_auto,
            get_empty=self.get_empty,
            redelivered=self.redelivered,
            acked=self.acked,
        )

    def _consumed_auto(self) -> int:
        return self._gone_auto + sum(subscriber.delivered for subscriber in self.subscribers if subscriber.no_ack)

    def statistics(self, unacked_since: float | None = None, unacked_octets: int = 0) -> QueueStatistics:
        """A snapshot. Of the deliveries that are not settled, sessions know when the oldest was made, and the octets of
        the bodies."""
        now = self._agenda.moment
        ready_since = self._backlog.since(now)
        in_memory, in_memory_octets = self._backlog.in_memory
        waits = acks = None
        if self._times is not None:
            waits, acks = self._times.distributions(self.delivered - self.redelivered, self.acked)
        blocked_s = 0.0 if self._blocked_since == NOT_BLOCKED else now - self._blocked_since
        return QueueStatistics(
            vhost=self.record.vhost,
            name=self.name,
            type=self.record.type,
            durable=self.record.durable,
            exclusive=self.record.exclusive,
            ready=self.ready,
            ready_bytes=self.ready_bytes,
            ready_in_memory=in_memory,
            ready_in_memory_bytes=in_memory_octets,
            unacked=self.unacked,
            unacked_bytes=unacked_octets if self.unacked else 0,  # they were looked at a moment ago
            consumers=len(self.subscribers),
            published=self.published,
            refused=self.refused,
            handovers=self.handovers(),
            ready_age_s=None if ready_since is None else max(now - ready_since, 0.0),
            unacked_age_s=None if unacked_since is None or not self.unacked else max(now - unacked_since, 0.0),
            waits=waits,
            acks=acks,
            blocked_s=self._blocked_s + blocked_s,
        )
