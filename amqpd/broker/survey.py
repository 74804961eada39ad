"""Looking at the whole broker for a snapshot, a little at a time.

Ten thousand queues take a tenth of a second to look at, and messages go on meanwhile. So this is a generator: whoever
runs it stops as often as it likes. What a broker, a queue or a session says of itself is of one moment; all of it
together is not.

Counters do not go down for that. Which queues there are, and what the deleted ones had counted, is noted first; a queue
that is deleted after that is looked at all the same.
"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from itertools import product

from amqpd.broker.alarms import Alarms
from amqpd.broker.client import Client
from amqpd.broker.consumer import Deliveries
from amqpd.broker.queues.queue import Queue
from amqpd.broker.session import Session
from amqpd.broker.statistics import (
    DROP_REASONS,
    BrokerStatistics,
    ExchangeStatistics,
    Handovers,
    QueueStatistics,
    SessionStatistics,
)
from amqpd.broker.topology.vhost import QUEUE_TYPES, VHost
from amqpd.broker.totals import Totals

AT_ONCE = 16
"""Objects that are looked at before it may stop: about a tenth of a millisecond."""

DELIVERIES_AT_ONCE = 1000
"""The same for deliveries. Only the list of a session's deliveries is made in one go: 5 ms for a million."""

NO_HANDOVERS = {type: Handovers() for type in QUEUE_TYPES}


def survey(
    totals: Totals, alarms: Alarms, vhosts: Iterable[VHost], clients: Iterable[Client]
) -> Generator[None, None, BrokerStatistics]:
    """Look at all there is. Yields when it may stop; returns the snapshot."""
    vhosts, clients = tuple(vhosts), tuple(clients)
    queues = [queue for vhost in vhosts for queue in vhost.queues.values()]
    exchanges = [exchange for vhost in vhosts for exchange in vhost.exchanges.values()]
    gone = replace(totals.gone, handovers=NO_HANDOVERS | dict(totals.gone.handovers))
    of_exchanges: list[ExchangeStatistics] = []
    listed: list[QueueStatistics] = []
    of_replies: list[QueueStatistics] = []
    unsettled: dict[Queue, Unsettled] = {}
    consumers = 0

    of_sessions = yield from look_at_sessions(clients, unsettled)
    for number, exchange in enumerate(exchanges):
        of_exchanges.append(exchange.statistics())
        if number % AT_ONCE == 0:
            yield
    for number, queue in enumerate(queues):
        held = unsettled.get(queue, NOTHING)
        (of_replies if queue.volatile else listed).append(queue.statistics(held.since, held.octets))
        consumers += len(queue.subscribers)
        if number % AT_ONCE == 0:
            yield

    return BrokerStatistics(
        connections=len(clients),
        connections_blocked=alarms.blocked if alarms.reason else 0,  # and not only by flow control
        channels=len(of_sessions),
        consumers=consumers,
        publishers=sum(session.published > 0 for session in of_sessions),
        connections_opened=totals.connections_opened,
        connections_closed=totals.connections_closed,
        channels_opened=totals.channels_opened,
        channels_closed=totals.channels_closed,
        queues_declared=totals.queues_declared,
        queues_created=totals.queues_created,
        queues_deleted=totals.queues_deleted,
        auth_succeeded=totals.auth_succeeded,
        auth_failed=totals.auth_failed,
        messages_published=totals.messages_published,
        messages_published_confirm=totals.messages_published_confirm,
        messages_routed=totals.messages_routed,
        messages_confirmed=totals.messages_confirmed,
        messages_rejected=totals.messages_rejected,
        messages_dropped={
            key: totals.messages_dropped[key] for key in product(QUEUE_TYPES, DROP_REASONS, (False, True))
        },
        messages_unroutable_returned=totals.messages_unroutable_returned,
        messages_unroutable_dropped=totals.messages_unroutable_dropped,
        message_sizes=totals.message_sizes.distribution(),
        gone=gone,
        memory_alarm=alarms.is_low("memory"),
        disk_alarm=alarms.is_low("disk"),
        memory_used=alarms.memory_used,
        memory_limit=alarms.memory_limit,
        disk_free=alarms.disk_free,
        disk_free_limit=alarms.disk_free_limit,
        vhosts=tuple(vhost.name for vhost in vhosts),
        queues=tuple(listed),
        reply_queues=tuple(of_replies),
        exchanges=tuple(of_exchanges),
        sessions=tuple(of_sessions),
    )


def look_at_sessions(
    clients: Iterable[Client], unsettled: "dict[Queue, Unsettled]"
) -> Generator[None, None, list[SessionStatistics]]:
    """Look at the sessions of these clients, and add to what is unsettled of each queue."""
    found: list[SessionStatistics] = []
    for client in clients:
        for number, session in enumerate(list(client.sessions)):
            if session not in client.sessions:  # it was closed meanwhile
                continue
            found.append(of_session(session, client.name))
            yield from add_unsettled(session.deliveries, unsettled)
            if number % AT_ONCE == 0:
                yield
    return found


@dataclass(slots=True)
class Unsettled:
    """What clients have of a queue and have not settled: since when, and the octets of the bodies."""

    since: float | None = None
    octets: int = 0


NOTHING = Unsettled()


def add_unsettled(deliveries: Deliveries, found: dict[Queue, Unsettled]) -> Generator[None, None, None]:
    """Add what is unsettled in a session, by queue. Yields when it may stop."""
    seen: set[Queue] = set()
    for number, (tag, (consumer, _, message)) in enumerate(deliveries.unsettled()):
        queue = consumer.queue
        held = found.setdefault(queue, Unsettled())
        held.octets += len(message.body)
        if queue not in seen:  # the oldest come first
            seen.add(queue)
            since = deliveries.delivered_at(tag)
            held.since = since if held.since is None else min(held.since, since)
        if number % DELIVERIES_AT_ONCE == DELIVERIES_AT_ONCE - 1:
            yield


def of_session(session: Session, client: str) -> SessionStatistics:
    """One session, whose client has this name."""
    consumed = session.deliveries.handovers()
    confirms, transaction = session.confirms, session.transaction
    uncommitted_acks = 0 if transaction is None else transaction.settlements
    delivered = consumed.consume_manual + session.got_manual
    return SessionStatistics(
        client=client,
        number=session.number,
        vhost=session.vhost.name,
        user=session.user,
        consumers=tuple(consumer.statistics() for consumer in session.consumers.values()),
        unacked=len(session.deliveries),
        unconfirmed=0 if confirms is None else confirms.unconfirmed,
        uncommitted=0 if transaction is None else transaction.publishes,
        acks_uncommitted=uncommitted_acks,
        prefetch_count=session.deliveries.prefetch_count,
        published=session.published,
        confirmed=0 if confirms is None else confirms.confirmed,
        unroutable_returned=session.returned,
        unroutable_dropped=session.dropped,
        handovers=Handovers(
            consume_manual=consumed.consume_manual,
            consume_auto=consumed.consume_auto,
            get_manual=session.got_manual,
            get_auto=session.got_auto,
            get_empty=session.get_empty,
            redelivered=consumed.redelivered + session.got_redelivered,
            acked=delivered - len(session.deliveries) - session.deliveries.given_back - uncommitted_acks,
        ),
    )
