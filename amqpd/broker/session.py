"""A session: the one door into the broker, for every protocol and for use in-process.

It owns what is a client's own, once for all protocols: delivery tags and what is unacked, prefetch, confirms, a
transaction, and the check of permissions. Its calls take plain values, raise the errors of ``amqpd.errors`` and answer
through their result or the session's receiver. Only this module calls into a virtual host on behalf of a user.

Strategy: ``route`` and ``publish_run`` are the hot pair. A protocol asks for the route of an address once, then hands
over whole runs of messages; ``publish`` is the same for one message of plain values.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from amqpd.auth.permissions import Access, Operation, TopicOperation
from amqpd.broker.admission import check_properties, concerns_broker, has_copies, sender_selected, without_bcc
from amqpd.broker.confirms import Confirms
from amqpd.broker.consumer import Consumer, Deliveries, Delivery, by_consumer
from amqpd.broker.exchanges.delayed import Delays, Held
from amqpd.broker.exchanges.exchange import Exchange
from amqpd.broker.message import Message, make_message, observe_sizes
from amqpd.broker.queues.queue import Queue
from amqpd.broker.receiver import NOBODY, Receiver
from amqpd.broker.records import BindingRecord, ExchangeRecord, PolicyRecord, QueueRecord
from amqpd.broker.sink import Sink
from amqpd.broker.topology.arguments import check_consumer_arguments, check_server_named
from amqpd.broker.topology.routing import Route
from amqpd.broker.topology.vhost import REPLY_TO, VHost
from amqpd.broker.transaction import Settlement, Transaction
from amqpd.errors import AccessRefused, NoRoute, NotAllowed, PreconditionFailed
from amqpd.wire.properties import Properties, delivery_mode, reply_to, with_reply_to
from amqpd.wire.tables import Table

_REPLY_TO_OCTETS = REPLY_TO.encode()


class Session:
    """One client's conversation with a virtual host; in AMQP a channel.

    ``owner`` is what exclusive queues belong to: the client that opened the session. ``access`` is what its user may
    do, ``tags`` are those of the user. ``number`` tells it from the client's other sessions.
    """

    def __init__(
        self,
        vhost: VHost,
        receiver: Receiver,
        owner: object,
        user: str,
        access: Access,
        tags: Collection[str] = (),
        number: int = 0,
    ) -> None:
        self.vhost = vhost
        self.receiver = receiver
        self.number = number
        self.published = 0
        self.returned = 0
        self.dropped = 0
        self.got_manual = 0
        self.got_auto = 0
        self.got_redelivered = 0
        self.get_empty = 0
        self.prefetch_count = 0
        self.deliveries = Deliveries(receiver, vhost.agenda)
        self.consumers = self.deliveries.consumers
        self.confirms: Confirms | None = None
        self.transaction: Transaction | None = None
        self._owner = owner
        self.user = user
        self._access = access
        self._tags = tags
        self._agenda = vhost.agenda
        self._sizes = vhost.totals.message_sizes
        self._writable: Exchange | None = None  # where all keys may be published to, since this version of routes
        self._writable_version = 0
        self._reply_queue: Queue | None = None
        self._closed = False

    # Publishing

    def route(self, address: bytes) -> Route:
        """Where messages of an address (see message.py) go. NotFound, or AccessRefused: this user, or any, may not."""
        router = self.vhost.router
        route = router.route(address)
        exchange = route.exchange
        if exchange is self._writable and router.version == self._writable_version:
            return route
        self._authorize("write", "exchange", exchange.name or "amq.default")
        if exchange.record.internal:
            raise AccessRefused(f"cannot publish to internal {exchange}")
        self._authorize_keys("write", exchange.name, (route.routing_key,))
        if not self._access.topics:
            self._writable, self._writable_version = exchange, router.version
        return route

    def publish_run(
        self, route: Route, messages: Sequence[Message], octets: int, mandatory: bool = False, copies: bool = False
    ) -> None:
        """Publish messages of one route, which have one header in common, and bodies of ``octets`` in all.

        ``copies``: that header may name further routing keys (CC, BCC).

        In a transaction they wait for its commit.
        """
        count = len(messages)
        self._sizes.observe(octets // count, count)  # of one header, and so of one size
        if self.transaction is not None:
            self.transaction.publish(route, messages, octets, mandatory, copies)
        else:
            self._publish(route, messages, octets, mandatory, copies)
        self._agenda.settle()

    def publish_unlike(self, route: Route, messages: Sequence[Message], octets: int) -> None:
        """Publish messages that have addresses and headers of their own, but reach the same queues, those of ``route``:
        at least one. None of them says anything to the broker itself (see admission.py)."""
        together = self.transaction is None
        for queue in route.queues:
            together = together and not queue.watches
        if len(messages) == 1:
            self.publish_run(route, messages, octets)
        elif together:
            observe_sizes(messages, octets, self._sizes)
            self._publish(route, messages, octets, mandatory=False, copies=False)
            self._agenda.settle()
        else:
            for message in messages:
                self.publish_run(self.route(message.address), (message,), len(message.body))

    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: Properties | None = None,
        mandatory: bool = False,
    ) -> None:
        """Publish one message of plain values."""
        message = make_message(exchange, routing_key, body, properties)
        route = self.route(message.address)
        copies = has_copies(message.header)
        if copies or concerns_broker(message.header, delivery_mode(message.header)):
            message = self.admit(message)
        self.publish_run(route, (message,), len(body), mandatory, copies)

    def admit(self, message: Message) -> Message:
        """Check what the broker itself reads in the properties of a message that is to be published, if there is
        anything: see admission.py. Returns it, maybe with another address for replies.

        PreconditionFailed: it cannot be published like this.
        """
        admitted = self._with_reply_address(message)
        check_properties(message.header, self.user, "impersonator" in self._tags)
        if self._access.topics and has_copies(message.header):
            self._authorize_keys("write", message.exchange, sender_selected(message.headers))
        return admitted

    def _with_reply_address(self, message: Message) -> Message:
        """Direct reply-to: where a message asks for a reply to this session, name the queue that leads here.

        PreconditionFailed: nobody consumes the replies.
        """
        if _REPLY_TO_OCTETS not in message.header or reply_to(message.header) != REPLY_TO:
            return message
        if self._reply_queue is None or not self._reply_queue.exists:
            raise PreconditionFailed("fast reply consumer does not exist")
        return Message(message.address, with_reply_to(message.header, self._reply_queue.name), message.body)

    def _publish(self, route: Route, messages: Sequence[Message], octets: int, mandatory: bool, copies: bool) -> None:
        router = self.vhost.router
        if route.version != router.version:
            route = router.route(route.address)
        written = self.vhost.store.written
        refused: Sequence[int] = ()
        if route.per_message or copies:
            refused = self._publish_each(route, messages, mandatory)
        elif count := self._enqueue(route.exchange, route.queues, messages, octets, mandatory):
            refused = range(len(messages) - count, len(messages))
        if self.confirms is not None:
            self.confirms.published(route.exchange, len(messages), self.vhost.store.written != written, refused)

    def _publish_each(self, route: Route, messages: Sequence[Message], mandatory: bool) -> list[int]:
        """Publish messages whose route is not that of their address alone. Returns which were refused."""
        router = self.vhost.router
        keys = sender_selected(messages[0].headers)
        refused = []
        for number, message in enumerate(map(without_bcc, messages)):
            queues = router.queues_for(route, message, keys)
            if self._enqueue(route.exchange, queues, (message,), len(message.body), mandatory):
                refused.append(number)
                route.exchange.take_back(message)
        return refused

    def _enqueue(
        self, exchange: Exchange, queues: Sequence[Sink], messages: Sequence[Message], octets: int, mandatory: bool
    ) -> int:
        """Returns how many of the messages, the last ones, some queue has refused."""
        totals = self.vhost.totals
        published = len(messages)
        totals.messages_published += published
        exchange.published += published
        self.published += published
        refused = 0
        if queues:
            totals.messages_routed += published * len(queues)  # each queue's counts, as in RabbitMQ
            for queue in queues:
                count = queue.enqueue(messages, octets)
                if count > refused:
                    refused = count
            return refused
        exchange.count_unroutable(mandatory, published)
        if mandatory:
            totals.messages_unroutable_returned += published
            self.returned += published
            for message in messages:
                self.receiver.returned(message, NoRoute.code, NoRoute.name)
        else:
            totals.messages_unroutable_dropped += published
            self.dropped += published
        return refused

    def select_confirms(self) -> None:
        """From now on publishes are numbered and confirmed. Selecting again changes nothing."""
        if self.transaction is not None:
            raise PreconditionFailed("cannot switch from tx to confirm mode")
        if self.confirms is None:
            self.confirms = Confirms(self.receiver, self.vhost.store, self._agenda, self.vhost.totals)

    # Consuming

    def consume(
        self,
        queue: str,
        consumer_tag: str = "",
        no_ack: bool = False,
        exclusive: bool = False,
        arguments: Table | None = None,
    ) -> str:
        """Subscribe to a queue; returns the consumer tag, made here if none is given. Deliveries follow."""
        if consumer_tag in self.consumers:
            raise NotAllowed(f"attempt to reuse consumer tag '{consumer_tag}'")
        if queue == REPLY_TO:
            source = self._make_reply_queue(no_ack)
        else:
            self._authorize("read", "queue", queue)
            source = self.vhost.queue(queue, self._owner)
            check_consumer_arguments(source.name, self.vhost.name, arguments or {}, source.record.type)
        tag = consumer_tag or f"amq.ctag-{self.vhost.make_token()}"
        consumer = Consumer(tag, source, self.deliveries, no_ack, exclusive, self.prefetch_count, arguments)
        source.subscribe(consumer)
        self.consumers[tag] = consumer
        self._agenda.settle()
        return tag

    def cancel(self, consumer_tag: str) -> None:
        """End a consumer; what it has unacked stays the session's. A tag that is not there is fine."""
        consumer = self.consumers.get(consumer_tag)
        if consumer is not None:
            self.deliveries.retire(consumer)
            consumer.queue.unsubscribe(consumer)
            self.vhost.unsubscribed(consumer.queue)
            self._agenda.settle()

    def get(self, queue: str, no_ack: bool = False) -> tuple[int, bool, Message, int] | None:
        """Take one message: its delivery tag, whether it is a redelivery, itself, and how many are left.

        None: empty.
        """
        self._authorize("read", "queue", queue)
        source = self.vhost.queue(queue, self._owner)
        got = source.get(no_ack)
        self._agenda.settle()
        if got is None:
            self.get_empty += 1
            return None
        position, message, redelivered = got
        self.got_auto += no_ack
        self.got_manual += not no_ack
        self.got_redelivered += redelivered
        puller = Consumer("", source, self.deliveries, no_ack)
        return self.deliveries.pulled(puller, position, message), redelivered, message, source.ready

    def qos(self, prefetch_count: int, shared: bool = False) -> None:
        """How many deliveries may be unacked, 0 for any number: ``shared`` by all consumers, or each.

        As in RabbitMQ, ``global`` is the channel, not the connection. Unlike there, a limit that is not shared also
        holds for the consumers that run: Celery counts on it, and clients that set it before consuming see no
        difference.
        """
        if shared:
            self.deliveries.prefetch_count = prefetch_count
        else:
            self.prefetch_count = prefetch_count
            for consumer in self.consumers.values():
                consumer.prefetch_count = prefetch_count
        self.resume()

    def flow(self, active: bool) -> None:
        """Stop deliveries to this session's consumers, or start them again."""
        self.deliveries.flowing = active
        self.resume()

    def resume(self) -> None:
        """The receiver has room, or credit has changed: whoever can take messages again gets them."""
        self._wake()
        self._agenda.settle()

    def _wake(self) -> None:
        for consumer in self.consumers.values():
            consumer.wake()

    # Settling

    def complete(self, delivery_tag: int, multiple: bool = False) -> None:
        """The delivery is done with (basic.ack). PreconditionFailed: an unknown delivery tag, here and below."""
        self._settle(self.deliveries.withdraw(delivery_tag, multiple), self._complete)

    def complete_each(self, delivery_tags: Sequence[int]) -> None:
        """The same for several, one by one; those before an unknown one are done with."""
        withdrawn: dict[int, Delivery] = {}
        try:
            self.deliveries.withdraw_each(delivery_tags, withdrawn)
        finally:
            if len(withdrawn) > 1:
                withdrawn = dict(sorted(withdrawn.items()))
            self._settle(withdrawn, self._complete)

    def requeue(self, delivery_tag: int, multiple: bool = False) -> None:
        """The delivery goes back to its place in the queue, to be delivered again."""
        self._settle(self.deliveries.withdraw(delivery_tag, multiple), self._requeue)

    def discard(self, delivery_tag: int, multiple: bool = False) -> None:
        """The delivery was refused for good."""
        self._settle(self.deliveries.withdraw(delivery_tag, multiple), self._discard)

    def recover(self) -> None:
        """Requeue all that is unacked; it comes again to whoever is next."""
        self._requeue(self.deliveries.withdraw_all())
        self._agenda.settle()

    def _settle(self, withdrawn: dict[int, Delivery], settlement: Settlement) -> None:
        if self.transaction is not None:
            self.transaction.settle(settlement, withdrawn)
        else:
            settlement(withdrawn)
            self._agenda.settle()

    def _complete(self, withdrawn: dict[int, Delivery]) -> None:
        if withdrawn:
            self.deliveries.measure(withdrawn)
        settled = by_consumer(withdrawn)
        for consumer, positions in settled.items():
            consumer.queue.complete(positions)
            consumer.settled(len(positions))
        self._wake_any(settled)

    def _discard(self, withdrawn: dict[int, Delivery]) -> None:
        messages: dict[Consumer, list[Message]] = {consumer: [] for consumer, _, _ in withdrawn.values()}
        for consumer, _, message in withdrawn.values():
            messages[consumer].append(message)
        settled = by_consumer(withdrawn)
        for consumer, positions in settled.items():
            consumer.queue.discard(positions, messages[consumer])
            consumer.gave_back(len(positions))
        self._wake_any(settled)

    def _wake_any(self, settled: Iterable[Consumer]) -> None:
        """These have credit again. What a shared prefetch gives back may be anyone's."""
        for consumer in self.consumers.values() if self.deliveries.prefetch_count else settled:
            consumer.wake()

    def _requeue(self, withdrawn: dict[int, Delivery]) -> None:
        for consumer, position, message in withdrawn.values():
            consumer.gave_back(1)
            consumer.queue.requeue(position, message)
        self._wake()

    # Transactions

    def select_transaction(self) -> None:
        """From now on publishes and settlements wait for :meth:`commit`."""
        if self.confirms is not None:
            raise PreconditionFailed("cannot switch from confirm to tx mode")
        if self.transaction is None:
            self.transaction = Transaction(self.deliveries)

    def commit(self) -> None:
        self._running_transaction().commit(self._publish_late)
        self._agenda.settle()

    def rollback(self) -> None:
        self._running_transaction().rollback()

    def _publish_late(
        self, route: Route, messages: Sequence[Message], octets: int, mandatory: bool, copies: bool
    ) -> None:
        self._publish(self.vhost.router.renew(route), messages, octets, mandatory, copies)

    def _running_transaction(self) -> Transaction:
        if self.transaction is None:
            raise PreconditionFailed("channel is not transactional")
        return self.transaction

    # Topology

    def declare_exchange(
        self,
        name: str,
        type: str = "direct",
        durable: bool = False,
        auto_delete: bool = False,
        internal: bool = False,
        arguments: Table | None = None,
    ) -> None:
        """Make an exchange, or find it as declared. PreconditionFailed: there is another of that name."""
        self._authorize("configure", "exchange", name or "amq.default")
        record = ExchangeRecord(self.vhost.name, name, type, durable, auto_delete, internal, arguments or {})
        alternate = record.arguments.get("alternate-exchange")
        if isinstance(alternate, str):
            self._authorize("read", "exchange", name)
            self._authorize("write", "exchange", alternate)
        self.vhost.declare_exchange(record)

    def check_exchange(self, name: str) -> None:
        """A passive declaration. NotFound: there is none of that name."""
        self.vhost.exchange(name)

    def delete_exchange(self, name: str, if_unused: bool = False) -> None:
        self._authorize("configure", "exchange", name or "amq.default")
        self.vhost.delete_exchange(name, if_unused)

    def count_delayed(self, exchange: str) -> tuple[int, int]:
        """How many messages a delayed message exchange holds, and the octets of their bodies."""
        delays = self._delays(exchange)
        return len(delays), delays.octets

    def list_delayed(self, exchange: str, limit: int = 100, offset: int = 0) -> list[Held]:
        """Those that come next, in order: ``limit`` of them after the first ``offset``."""
        return self._delays(exchange).pending(limit, offset)

    def cancel_delayed(self, exchange: str, position: int) -> bool:
        """Drop a message that is held, named as :meth:`list_delayed` does. False: it is not held, or no longer."""
        return self._delays(exchange).cancel(position)

    def _delays(self, exchange: str) -> Delays:
        self._authorize("read", "exchange", exchange)
        return self.vhost.delays(exchange)

    def declare_queue(
        self,
        name: str = "",
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: Table | None = None,
    ) -> tuple[str, int, int]:
        """Make a queue, or find it as declared: its name, messages ready, and consumers.

        An empty name asks for a new one.
        """
        if name == REPLY_TO:
            return self.check_queue(name)
        actual_name = name or f"amq.gen-{self.vhost.make_token()}"
        record = QueueRecord(self.vhost.name, actual_name, durable, exclusive, auto_delete, arguments or {})
        if not name:
            check_server_named(record)
        self._authorize("configure", "queue", actual_name)
        dead_letter_exchange = record.arguments.get("x-dead-letter-exchange")
        if isinstance(dead_letter_exchange, str):
            self._authorize("read", "queue", actual_name)
            self._authorize("write", "exchange", dead_letter_exchange or "amq.default")
        return _state_of(self.vhost.declare_queue(record, self._owner, server_named=not name))

    def check_queue(self, name: str) -> tuple[str, int, int]:
        """A passive declaration: the queue's name, messages ready, and consumers.

        NotFound: there is none of that name.
        """
        if name == REPLY_TO:
            return name, 0, 1  # as RabbitMQ: one consumer, whoever asks
        return _state_of(self.vhost.probe_queue(name, self._owner))

    def delete_queue(self, name: str, if_unused: bool = False, if_empty: bool = False) -> int:
        """Returns the ready messages that went with it."""
        self._authorize("configure", "queue", name)
        return self.vhost.delete_queue(name, self._owner, if_unused, if_empty)

    def purge_queue(self, name: str) -> int:
        """Drop the ready messages of a queue; returns how many there were."""
        self._authorize("read", "queue", name)
        return self.vhost.queue(name, self._owner).purge()

    def bind(
        self,
        destination: str,
        source: str,
        routing_key: str = "",
        arguments: Table | None = None,
        destination_kind: Literal["queue", "exchange"] = "queue",
    ) -> None:
        """Bind a queue, or another exchange, to the exchange ``source``."""
        record = self._binding(destination, source, routing_key, arguments, destination_kind)
        self.vhost.bind(record, self._owner)
        self._agenda.settle()

    def unbind(
        self,
        destination: str,
        source: str,
        routing_key: str = "",
        arguments: Table | None = None,
        destination_kind: Literal["queue", "exchange"] = "queue",
    ) -> None:
        record = self._binding(destination, source, routing_key, arguments, destination_kind)
        self.vhost.unbind(record, self._owner)

    def _binding(
        self,
        destination: str,
        source: str,
        routing_key: str,
        arguments: Table | None,
        kind: Literal["queue", "exchange"],
    ) -> BindingRecord:
        self._authorize("write", kind, destination)
        self._authorize("read", "exchange", source or "amq.default")
        self._authorize_keys("read", source, (routing_key,))
        return BindingRecord(self.vhost.name, source, destination, kind, routing_key, arguments or {})

    # Policies

    def policies(self) -> list[PolicyRecord]:
        """Policies and operator policies of the virtual host. AccessRefused: not for this user; here and below."""
        self._check_tag("administrator", "policymaker")
        return list(self.vhost.policies)

    def set_policy(
        self,
        name: str,
        pattern: str,
        definition: Table,
        apply_to: str = "all",
        priority: int = 0,
        operator: bool = False,
    ) -> None:
        """Add a policy, or change it: see :class:`PolicyRecord`. PreconditionFailed: it is none."""
        self._check_tag("administrator", *(() if operator else ("policymaker",)))
        record = PolicyRecord(self.vhost.name, name, pattern, definition, apply_to, priority, operator)
        self.vhost.set_policies([record])
        self._agenda.settle()

    def clear_policy(self, name: str, operator: bool = False) -> None:
        """NotFound: there is none of that name."""
        self._check_tag("administrator", *(() if operator else ("policymaker",)))
        self.vhost.clear_policy(name, operator)
        self._agenda.settle()

    def _check_tag(self, *tags: str) -> None:
        if self._closed or not set(tags) & set(self._tags):
            raise AccessRefused(f"access to policies in vhost '{self.vhost.name}' refused for user '{self.user}'")

    # Its end

    def close(self) -> None:
        """The client has left: its consumers end, and what it had unacked goes back to the queues.

        Its receiver hears nothing any more.
        """
        self._agenda.hold()  # so that none of its consumers is handed what another one leaves
        try:
            for consumer_tag in list(self.consumers):
                self.cancel(consumer_tag)
            if self.confirms is not None:
                self.confirms.forget()
            if self.transaction is not None:
                self.transaction.rollback()
            self._requeue(self.deliveries.withdraw_all())
            self._closed = True
            self.receiver = self.deliveries.receiver = NOBODY
            self.deliveries.forget()
            self.confirms = None
        finally:
            self._agenda.release()

    def _make_reply_queue(self, no_ack: bool) -> Queue:
        if not no_ack:
            raise PreconditionFailed("reply consumer cannot acknowledge")
        if self._reply_queue is not None and self._reply_queue.exists:
            raise PreconditionFailed("reply consumer already set")
        self._reply_queue = self.vhost.make_reply_queue(self._owner)
        return self._reply_queue

    def _authorize(self, operation: Operation, kind: str, name: str) -> None:
        if not self._access.allows(operation, name):
            raise AccessRefused(
                f"access to {kind} '{name}' in vhost '{self.vhost.name}' refused for user '{self.user}'"
            )

    def _authorize_keys(self, operation: TopicOperation, exchange: str, routing_keys: Iterable[str]) -> None:
        """What concerns topic exchanges only, and few users."""
        found = self.vhost.exchanges.get(exchange) if self._access.topics else None
        if found is None or found.record.type != "topic":
            return
        for key in routing_keys:
            if not self._access.allows_topic(operation, exchange, key):
                raise AccessRefused(
                    f"access to topic '{key}' in exchange '{exchange}' in vhost '{self.vhost.name}' refused for user "
                    f"'{self.user}'"
                )


def _state_of(queue: Queue) -> tuple[str, int, int]:
    return queue.name, queue.ready, len(queue.subscribers)
