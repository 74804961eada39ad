"""The model of a message broker: exchanges, queues, consumers and the sessions that use them.

Synchronous, without input or output, and without a clock of its own: it does what it is told at once and tells its
receivers. It knows no protocol; its calls take plain arguments. From the ground up:

    message, receiver, records, agenda, store  what everything else is made of, and the two seams
    ready, subscriber, queue                   what waits, in order and not all in memory, and who is next to get it
    consumer                                   what a session was handed and has not settled
    topic, headers, exchange                   which queues a message goes to
    equivalence, routing, vhost                a tenant's topology
    confirms, transaction, session             one door for every protocol
    client, broker                             who is connected, and the whole
    alarms, totals, statistics                 what is low, and what was counted
"""

from amqpd.broker.broker import Broker
from amqpd.broker.client import Client
from amqpd.broker.message import Message
from amqpd.broker.receiver import Mailbox, Receiver
from amqpd.broker.session import Session
from amqpd.broker.statistics import BrokerStatistics, QueueStatistics

__all__ = [
    "Broker",
    "BrokerStatistics",
    "Client",
    "Mailbox",
    "Message",
    "QueueStatistics",
    "Receiver",
    "Session",
]
