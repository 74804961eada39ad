"""A virtual host: its exchanges, queues and bindings, and the rules by which they come and go.

Topology has one path: a declaration is checked against what is there, its record saved if it is durable, and then
applied; :meth:`VHost.apply` alone makes live objects, for declarations and for recovery alike. Who may do what is the
session's business, not this module's.
"""

from collections.abc import Callable, Iterable, Sequence
from unicodedata import category

from amqpd.broker.agenda import Agenda
from amqpd.broker.deduplication import check_deduplication
from amqpd.broker.exchanges.delayed import DelayedExchange, Delays
from amqpd.broker.exchanges.exchange import Binding, DefaultExchange, Destination, Exchange, binding_key
from amqpd.broker.exchanges.types import check_exchange, check_exchange_type, make_exchange
from amqpd.broker.host import Host
from amqpd.broker.message import Message, join_address
from amqpd.broker.queues.queue import Queue
from amqpd.broker.queues.ready import Windows
from amqpd.broker.records import BindingRecord, ExchangeRecord, PolicyRecord, QueueRecord, TopologyRecord
from amqpd.broker.store import QueueLog, Store
from amqpd.broker.timers import Timers
from amqpd.broker.topology.arguments import check_queue_arguments
from amqpd.broker.topology.dead_letters import DeadLetters
from amqpd.broker.topology.equivalence import check_same_exchange, check_same_queue
from amqpd.broker.topology.policies import Policies, check_policy
from amqpd.broker.topology.routing import Router
from amqpd.broker.totals import Totals
from amqpd.errors import AccessRefused, NotFound, PreconditionFailed, ResourceLocked

REPLY_TO = "amq.rabbitmq.reply-to"
"""The pseudo-queue of direct reply-to; with a dot and a token behind it, the name of one consumer's volatile queue."""

PREDECLARED = (
    ("amq.direct", "direct"),
    ("amq.fanout", "fanout"),
    ("amq.topic", "topic"),
    ("amq.headers", "headers"),
    ("amq.match", "headers"),
)


class VHost(Host):
    """One tenant's exchanges, queues and bindings. Errors are the soft errors of AMQP, with RabbitMQ's texts."""

    def __init__(
        self,
        name: str,
        store: Store,
        agenda: Agenda,
        totals: Totals,
        windows: Windows,
        make_token: Callable[[], str],
        timers: Timers,
        message_times: bool = True,
    ) -> None:
        self.name = name
        self.message_times = message_times
        self.exchanges: dict[str, Exchange] = {}
        self.queues: dict[str, Queue] = {}
        self.policies = Policies()
        self.router = Router(name, self.exchanges)
        self.store = store
        self.agenda = agenda
        self.totals = totals
        self.windows = windows
        self.timers = timers
        self.make_token = make_token
        self._dead_letters = DeadLetters(agenda, timers, self.router, self.exchanges)
        self._bindings_to: dict[Destination, dict[Binding, None]] = {}
        self._owned: dict[object, dict[Queue, None]] = {}
        self.exchanges[""] = DefaultExchange(ExchangeRecord(name, "", "direct", durable=True), self, self.queues)
        for exchange, kind in PREDECLARED:
            self.apply(ExchangeRecord(name, exchange, kind, durable=True))
        # RabbitMQ's firehose writes to it; clients find it there and cannot publish to it.
        self.apply(ExchangeRecord(name, "amq.rabbitmq.trace", "topic", durable=True, internal=True))

    # Look-ups

    def exchange(self, name: str) -> Exchange:
        """NotFound: there is none of that name. The default exchange is no exchange one can name in an operation."""
        _check_not_default(name)
        return self._exchange(name)

    def queue(self, name: str, owner: object) -> Queue:
        """A queue for the use of ``owner``, a connection.

        NotFound, or ResourceLocked: another connection's exclusive one.
        """
        queue = self.queues.get(name)
        if queue is None or queue.volatile:
            raise NotFound(f"no queue '{name}' in vhost '{self.name}'")
        _check_access(queue, queue.owner is None or queue.owner is owner)
        return queue

    def _exchange(self, name: str) -> Exchange:
        exchange = self.exchanges.get(name)
        if exchange is None:
            raise NotFound(f"no exchange '{name}' in vhost '{self.name}'")
        return exchange

    # Exchanges

    def declare_exchange(self, record: ExchangeRecord) -> Exchange:
        _check_not_default(record.name)
        check_exchange_type(record)
        current = self.exchanges.get(record.name)
        if current is not None:
            check_same_exchange(current.record, record)
            return current
        _check_not_reserved("exchange", record.name)
        check_exchange(record)
        if record.survives:
            self.store.save(record)
        self.apply(record)
        return self.exchanges[record.name]

    def delete_exchange(self, name: str, if_unused: bool = False) -> None:
        """Delete it with its bindings.

        One that is not there is fine. PreconditionFailed: in use though ``if_unused``.
        """
        _check_not_default(name)
        if name.startswith("amq."):
            raise AccessRefused(f"deletion of system exchange '{name}' in vhost '{self.name}' not allowed")
        exchange = self.exchanges.get(name)
        if exchange is None:
            return
        if if_unused and exchange.bindings:
            raise PreconditionFailed(f"{exchange} in use")
        self._drop_bindings(self._remove_exchange(exchange))

    def _remove_exchange(self, exchange: Exchange) -> list[Binding]:
        """Returns the bindings from it and to it, which have to go as well."""
        del self.exchanges[exchange.name]
        exchange.dissolve()
        if exchange.record.survives:
            self.store.erase(exchange.record)
        return [*exchange.bindings.values(), *self._bindings_to.get(exchange, ())]

    def delays(self, name: str) -> Delays:
        """What a delayed message exchange holds. NotFound; PreconditionFailed: it is of another type."""
        exchange = self.exchange(name)
        if not isinstance(exchange, DelayedExchange):
            raise PreconditionFailed(f"{exchange} is not of type '{DelayedExchange.type}'")
        return exchange.delays

    # Queues

    def declare_queue(self, record: QueueRecord, owner: object, server_named: bool = False) -> Queue:
        """The queue of that name; one is made if there is none. Only names made here may begin with ``amq.``."""
        self.totals.queues_declared += 1
        current = self.queues.get(record.name)
        if current is not None and not current.volatile:
            _check_access(current, current.owner is (owner if record.exclusive else None))
            check_same_queue(current.record, record)
            current.touch()
            return current
        if not server_named:
            _check_not_reserved("queue", record.name)
        check_queue_arguments(record)
        check_deduplication(f"queue '{record.name}' in vhost '{self.name}'", record.arguments)
        if record.survives:
            self.store.save(record)
        self.apply(record, owner if record.exclusive else None)
        self.totals.queues_created += 1
        return self.queues[record.name]

    def make_reply_queue(self, owner: object) -> Queue:
        """The volatile queue behind one direct reply-to consumer."""
        record = QueueRecord(self.name, f"{REPLY_TO}.{self.make_token()}", exclusive=True, auto_delete=True)
        self._add_queue(Queue(record, self, owner, volatile=True))
        return self.queues[record.name]

    def probe_queue(self, name: str, owner: object) -> Queue:
        """For a passive declaration: like :meth:`queue`, but answers for reply queues too, which shows that they
        live."""
        queue = self.queues.get(name)
        if queue is None or not queue.volatile:
            queue = self.queue(name, owner)
        queue.touch()
        return queue

    def delete_queue(self, name: str, owner: object, if_unused: bool = False, if_empty: bool = False) -> int:
        """Delete it; returns the ready messages lost. One that is not there is fine, and has 0."""
        if name not in self.queues or self.queues[name].volatile:
            return 0
        queue = self.queue(name, owner)
        if if_unused and queue.subscribers:
            raise PreconditionFailed(f"{queue} in use")
        if if_empty and queue.ready:
            raise PreconditionFailed(f"{queue} not empty")
        return self.drop_queue(queue)

    def drop_queue(self, queue: Queue) -> int:
        """The queue goes with its bindings, messages and consumers. Returns the ready messages lost."""
        count = queue.ready
        del self.queues[queue.name]
        if queue.owner is not None:
            del self._owned[queue.owner][queue]
        if queue in self._bindings_to:
            self._drop_bindings(self._bindings_to[queue])
        self._forget_unbound(queue)
        if queue.record.survives:
            self.store.erase(queue.record)
        self.totals.keep(queue)
        for subscriber in queue.dissolve():
            subscriber.cancelled()
        return count

    def drop_owned(self, owner: object) -> None:
        """The connection ``owner`` is gone, and its exclusive queues with it."""
        for queue in list(self._owned.get(owner, ())):
            self.drop_queue(queue)
        self._owned.pop(owner, None)

    def unsubscribed(self, queue: Queue) -> None:
        """A consumer has left.

        "If [auto-delete] set, the queue is deleted when all consumers have finished using it".
        """
        if queue.record.auto_delete and not queue.subscribers and queue.exists:
            self.drop_queue(queue)

    # Bindings

    def bind(self, record: BindingRecord, owner: object) -> None:
        """Bind a queue or an exchange to an exchange. A binding that is there already is fine."""
        source = self.exchange(record.source)
        destination = self._destination(record, owner)
        if binding_key(record) in source.bindings:
            return
        source.check(record)
        if source.record.survives and destination.record.survives:
            self.store.save(record)
        self.apply(record)

    def unbind(self, record: BindingRecord, owner: object) -> None:
        """Undo :meth:`bind`. A binding, exchange or queue that is not there is fine, as in RabbitMQ."""
        _check_not_default(record.source)
        source = self.exchanges.get(record.source)
        if record.destination_kind == "queue" and record.destination in self.queues:
            self.queue(record.destination, owner)
        binding = None if source is None else source.bindings.get(binding_key(record))
        if binding is not None:
            self._drop_bindings((binding,))

    def _destination(self, record: BindingRecord, owner: object) -> Destination:
        if record.destination_kind == "exchange":
            return self.exchange(record.destination)
        return self.queue(record.destination, owner)

    def _drop_bindings(self, bindings: Iterable[Binding]) -> None:
        """These go, and what goes with them: an auto-delete exchange with its last binding, and so its own bindings."""
        pending = list(bindings)
        for binding in pending:  # grows while it is walked
            source, destination = binding.source, binding.destination
            if source.unbind(binding.record) is None:
                continue  # a deleted exchange that was bound to itself: the binding is from it and to it
            bindings_to = self._bindings_to[destination]
            del bindings_to[binding]
            if not bindings_to:
                del self._bindings_to[destination]
            if source.record.survives and destination.record.survives:
                self.store.erase(binding.record)
            # "If set, the exchange is deleted when all queues have finished using it": never before a first binding.
            if source.record.auto_delete and not source.bindings and self.exchanges.get(source.name) is source:
                pending += self._remove_exchange(source)
        self.router.forget()

    # Policies

    def set_policies(self, records: Sequence[PolicyRecord]) -> None:
        """Add policies, or change them; they hold at once. PreconditionFailed: one of them is none."""
        for record in records:
            check_policy(record)
        for record in records:
            self.store.save(record)
            self.policies.put(record)
        self._apply_policies()

    def clear_policy(self, name: str, operator: bool = False) -> None:
        """What it said does not hold any more. NotFound: there is none of that name."""
        self.store.erase(self.policies.remove(name, operator))
        self._apply_policies()

    def _apply_policies(self) -> None:
        for queue in list(self.queues.values()):
            rules = self.policies.rules_for(queue.record)
            if rules != queue.rules and not queue.volatile:
                queue.apply_rules(rules)
        for exchange in self.exchanges.values():
            exchange.policy = self.policies.effective_definition(exchange.record)
        self.router.forget()

    # Its end

    def dissolve(self) -> None:
        """It is deleted, and all that is in it."""
        for queue in list(self.queues.values()):
            self.drop_queue(queue)
        for name, exchange in list(self.exchanges.items()):
            if not name or name.startswith("amq."):  # not kept themselves
                self._drop_bindings(exchange.bindings.values())
            elif name in self.exchanges:  # and has not gone with another one's bindings
                self._drop_bindings(self._remove_exchange(exchange))
        for policy in self.policies:
            self.store.erase(policy)

    # For what lives here

    def open_log(self, record: QueueRecord | ExchangeRecord, lane: int = 0) -> QueueLog | None:
        return self.store.open_log(record, lane)

    def dead_letter(self, queue: Queue, reason: str, positions: Sequence[int], messages: Sequence[Message]) -> None:
        self._dead_letters.add(queue, reason, positions, messages)

    def count_dropped(self, queue: Queue, reason: str, count: int) -> None:
        self.totals.messages_dropped[queue.record.type, reason, queue.rules.dead_letter_exchange is not None] += count

    def expire(self, queue: Queue) -> None:
        self.drop_queue(queue)

    def forward(self, exchange: Exchange, message: Message) -> None:
        for sink in self.router.onward(exchange, message.routing_key, message):
            sink.enqueue((message,), len(message.body))

    # The one way into the live topology

    def apply(self, record: TopologyRecord, owner: object | None = None) -> None:
        """Make a recorded thing live. What it refers to must be there."""
        match record:
            case ExchangeRecord():
                exchange = self.exchanges[record.name] = make_exchange(record, self)
                exchange.policy = self.policies.effective_definition(record)
                self.router.forget()
            case QueueRecord():
                make_queue = QUEUE_TYPES[record.type]
                self._add_queue(make_queue(record, self, owner, rules=self.policies.rules_for(record)))
            case BindingRecord():
                source = self._exchange(record.source)
                is_queue = record.destination_kind == "queue"
                destination: Destination = (self.queues if is_queue else self.exchanges)[record.destination]
                binding = Binding(record, source, destination)
                if source.bind(binding):
                    self._bindings_to.setdefault(destination, {})[binding] = None
                    self.router.forget()
            case PolicyRecord():
                self.policies.put(record)
                self._apply_policies()

    def _add_queue(self, queue: Queue) -> None:
        self.queues[queue.name] = queue
        if queue.owner is not None:
            self._owned.setdefault(queue.owner, {})[queue] = None
        self._forget_unbound(queue)

    def _forget_unbound(self, queue: Queue) -> None:
        """A queue without bindings has come or gone.

        It is reached by its name alone, so all other routes still hold.
        """
        self.router.forget_address(join_address("", queue.name))


def _check_not_default(exchange: str) -> None:
    if not exchange:
        raise AccessRefused("operation not permitted on the default exchange")


def _check_not_reserved(kind: str, name: str) -> None:
    """Names that start with ``amq.`` are the server's (0-9-1, queue.declare, rule "reserved"), and a name is text."""
    if name.startswith("amq."):
        raise AccessRefused(f"{kind} name '{name}' contains reserved prefix 'amq.*'")
    # RabbitMQ strips CR and LF, and the client waits for a name that never comes back; logs and metrics need text.
    if any(category(character) in ("Cc", "Cs") for character in name):
        raise PreconditionFailed(f"invalid {kind} name {name!r}: control characters, or octets that are no UTF-8")


def _check_access(queue: Queue, allowed: bool) -> None:
    if not allowed:
        raise ResourceLocked(
            f"cannot obtain exclusive access to locked {queue}. It could be originally declared on another connection "
            "or the exclusive property value does not match that of the original declaration."
        )


QUEUE_TYPES: dict[str, type[Queue]] = {
    "classic": Queue,
    "quorum": Queue,  # the rules that go with it make the difference
}
